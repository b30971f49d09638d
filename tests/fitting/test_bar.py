"""What is told about a fit, and to whom."""

import pytest

from netgraph.fitting.bar import progress_bar
from netgraph.linkpred.fit import EpochRecord

RECORD = EpochRecord(1, 0.5, 0.75, 0.1)


def test_the_users_function_is_told_with_and_without_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[float] = []
    with progress_bar(3, lambda done, history: told.append(done), shown=False) as tell:
        tell(0.5, [])
    assert not capsys.readouterr().err
    with progress_bar(3, lambda done, history: told.append(done), shown=True) as tell:
        tell(1.0, [RECORD])
    assert "epoch 1: loss 0.5, validation 0.75" in capsys.readouterr().err
    assert told == [0.5, 1.0]
    with progress_bar(3, None, shown=False) as tell:
        assert tell is None
