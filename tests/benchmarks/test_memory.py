"""The peak of one call."""

import numpy as np

from benchmarks._memory import peak_memory


def test_a_large_array_is_seen_and_what_was_there_before_is_not() -> None:
    kept = np.ones(20_000_000)
    small = peak_memory(lambda: None)
    large = peak_memory(lambda: np.ones(10_000_000).sum())
    assert len(kept) and small < 20e6 < 60e6 < large < 200e6
