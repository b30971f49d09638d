"""Axes: segments, explicit nodes, and the way between the two."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netgraph.graph import Axis, Segment

SEGMENTS = st.lists(
    st.builds(Segment, st.integers(0, 3), st.integers(0, 5), st.integers(1, 4), st.integers(1, 3)), max_size=6
)


def slow_nodes(axis: Axis) -> list[tuple[int, int]]:
    """The node at every position, by counting."""
    return [
        (s.group, s.start + node) for s in axis.segments for node in range(s.length) for _ in range(s.repeat)
    ]


@given(SEGMENTS)
def test_groups_and_indices_are_the_nodes_in_order(segments: list[Segment]) -> None:
    axis = Axis(tuple(segments))
    nodes = slow_nodes(axis)
    assert list(zip(axis.groups.tolist(), axis.indices.tolist(), strict=True)) == nodes
    assert axis.size == len(nodes) == sum(s.size for s in segments)
    assert axis.group_ids == tuple(dict.fromkeys(g for g, _ in nodes))


@given(SEGMENTS)
def test_from_nodes_is_the_inverse(segments: list[Segment]) -> None:
    axis = Axis(tuple(segments))
    again = Axis.from_nodes(axis.groups, axis.indices)
    assert np.array_equal(again.groups, axis.groups)
    assert np.array_equal(again.indices, axis.indices)
    assert len(again.segments) <= axis.size
    assert all(type(field) is int for s in again.segments for field in s)  # numpy's would not survive JSON


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=12))
def test_from_nodes_takes_any_nodes(nodes: list[tuple[int, int]]) -> None:
    groups, indices = (np.array([n[i] for n in nodes], dtype=np.int64) for i in (0, 1))
    assert slow_nodes(Axis.from_nodes(groups, indices)) == nodes


COMPRESSED = {
    "plain": (Segment(0, 0, 5),),
    "flattened": (Segment(0, 0, 3, 4),),
    "concatenated": (Segment(0, 0, 2), Segment(1, 0, 3)),
    "packed": (Segment(0, 0, 2, 3), Segment(0, 0, 2, 3), Segment(1, 0, 2)),
    "empty": (),
}


@pytest.mark.parametrize("segments", COMPRESSED.values(), ids=COMPRESSED)
def test_from_nodes_finds_the_runs(segments: tuple[Segment, ...]) -> None:
    axis = Axis(segments)
    assert Axis.from_nodes(axis.groups, axis.indices) == axis
