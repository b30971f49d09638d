"""Orders of rows: every row once, together with those of its slot."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netgraph.nn import message_plan
from netgraph.nn.joining import Joining, join_rows
from tests.nn.networks import NETWORKS, build


def check(joining: Joining, row_slot: torch.Tensor, num_slots: int) -> None:
    """Walk the order and find every row at its slot."""
    number = len(row_slot)
    members: dict[int, list[int]] = {}
    rows, results, place = joining.rows.tolist(), joining.results.tolist(), 0
    widths = [1] * joining.sizes[0] + [width for count, width in joining.buckets for _ in range(count)]
    for result, width in enumerate(widths):
        taken = rows[place : place + width]
        place += width
        members[results[result]] = [r for r in taken if r < number]
        assert set(taken) <= {*members[results[result]], number}
        assert len(members[results[result]]) > width / 2
    assert place == len(rows) - 1 and rows[-1] == number + 1
    assert sum(joining.sizes) == len(rows)
    expected: dict[int, list[int]] = {}
    for row, slot in enumerate(row_slot.tolist()):
        expected.setdefault(slot, []).append(row)
    assert members == expected
    assert [rows[p] for p in joining.places[:number].tolist()] == list(range(number))
    for slot in range(num_slots):
        result = int(joining.slots[slot])
        assert results[result] == slot if slot in expected else result == len(widths)


@given(st.integers(1, 6), st.data())
def test_any_rows(num_slots: int, data: st.DataObject) -> None:
    slots = data.draw(st.lists(st.integers(0, num_slots - 1), max_size=30))
    row_slot = torch.tensor(slots, dtype=torch.long)
    check(join_rows(row_slot, num_slots), row_slot, num_slots)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_of_networks(name: str) -> None:
    plan = message_plan(build(name).structure, 9)
    check(plan.joining, plan.row_slot, 2 * plan.num_nodes)
