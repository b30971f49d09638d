"""Draws outside a list against the list of what is outside."""

import math

import pytest
import torch

from netgraph.linkpred.complement import draw_distinct, draw_outside, nth_outside


def rows_of(taken: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    ptr = torch.tensor([0] + [len(row) for row in taken]).cumsum(0)
    return ptr, torch.tensor([n for row in taken for n in row], dtype=torch.long)


def test_places_against_the_list() -> None:
    span = 9
    taken = [[0, 1, 2], [], [8], [0, 2, 4, 6, 8], [3], list(range(9)), [7, 8]]
    free = [[n for n in range(span) if n not in row] for row in taken]
    asked = [(row, place) for row, numbers in enumerate(free) for place in range(len(numbers))]
    row, place = torch.tensor(asked).T
    found = nth_outside(*rows_of(taken), row, place, span)
    assert found.tolist() == [n for numbers in free for n in numbers]


def test_spans_near_the_largest_number() -> None:
    span = 2**61
    taken = torch.tensor([0, 5, span - 2])
    found = nth_outside(
        torch.tensor([0, 3]), taken, torch.zeros(3, dtype=torch.long), torch.tensor([0, 4, span - 4]), span
    )
    assert found.tolist() == [1, 6, span - 1]


def test_draws_are_uniform_over_what_is_free() -> None:
    taken = [[1, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3], []]
    drawn = draw_outside(*rows_of(taken), 5, 30_000, torch.Generator().manual_seed(0))
    assert drawn.shape == (4, 30_000)
    for row, numbers in zip(drawn, taken, strict=True):
        free = [n for n in range(5) if n not in numbers]
        if not free:
            assert set(row.tolist()) == {-1}
            continue
        share = torch.bincount(row, minlength=5) / 30_000
        assert share[free].tolist() == pytest.approx([1 / len(free)] * len(free), abs=0.015)
        assert float(share[numbers].sum()) == 0


@pytest.mark.parametrize(("total", "count"), [(10, 10), (10, 3), (10**6, 500), (5_000, 1_200), (2**61, 50)])
def test_distinct_numbers(total: int, count: int) -> None:
    drawn = draw_distinct(total, count, torch.Generator().manual_seed(0))
    assert len(set(drawn.tolist())) == count
    assert int(drawn.min()) >= 0 and int(drawn.max()) < total
    assert torch.equal(drawn, draw_distinct(total, count, torch.Generator().manual_seed(0)))
    assert drawn.tolist() != sorted(drawn.tolist())


def test_distinct_numbers_are_uniform_at_each_place() -> None:
    # 2 of 9 leave the permutation and repeat often enough to see which of two equal draws is kept.
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_distinct(9, 2, generator) for _ in range(9_000)])
    for place in range(2):
        share = torch.bincount(drawn[:, place], minlength=9) / len(drawn)
        assert share.tolist() == pytest.approx([1 / 9] * 9, abs=0.015)


def test_repeats_are_drawn_anew() -> None:
    # Half of 2 n numbers drawn at once repeat; the loop must go on, and stay uniform.
    drawn = draw_distinct(4_001, 1_000, torch.Generator().manual_seed(3))
    assert len(set(drawn.tolist())) == 1_000
    assert float(drawn.double().mean()) == pytest.approx(2_000, abs=5 * 4_001 / math.sqrt(12 * 1_000))
