"""Where tensors stand in the edge list, counted one by one."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netgraph.convert.layout import Layout, edge_shape, node_columns, occurrence
from netgraph.graph import Axis, Segment, Structure, TensorSpec
from tests.graph.networks import NETWORKS, by_hand, graph


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_has_one_place(name: str) -> None:
    structure = graph(name).structure
    layout = Layout(structure)
    on_edges = dict.fromkeys(spec.name for spec, _ in layout.blocks)
    others = [t.name for part in (layout.node_tensors, layout.scalars, layout.verbatim) for t in part]
    assert Counter([*on_edges, *others]) == Counter(t.name for t in structure.tensors)


@pytest.mark.parametrize("name", NETWORKS)
def test_columns_do_not_overlap(name: str) -> None:
    structure = graph(name).structure
    layout = Layout(structure)
    taken: set[tuple[int, int]] = set()
    for spec in layout.node_tensors:
        rows, columns = layout.cells(spec)
        cells = torch.cat(torch.broadcast_tensors(rows[..., None], columns[..., None]), -1).reshape(-1, 2)
        here = {(r, c) for r, c in cells.tolist()}
        assert len(here) == spec.numel
        assert not here & taken
        taken |= here
        groups = layout.node_group()
        for row, column in here:
            place = layout.columns[spec.name][int(groups[row])]
            assert place.start <= column < place.stop
    assert max((c + 1 for _, c in taken), default=0) == layout.features


@given(
    st.lists(st.builds(Segment, st.integers(0, 2), st.integers(0, 3), st.integers(1, 3), st.integers(1, 3)))
)
def test_occurrence_counts(segments: list[Segment]) -> None:
    axis = Axis(tuple(segments))
    nodes = list(zip(axis.groups.tolist(), axis.indices.tolist(), strict=True))
    assert occurrence(axis).tolist() == [nodes[:i].count(node) for i, node in enumerate(nodes)]
    assert occurrence(axis).dtype == np.int64


def test_node_columns_stand_side_by_side() -> None:
    columns = node_columns(graph("concat").structure)
    # the norm runs over both branches, after each branch's own bias
    assert columns["norm.weight"] == {"left": slice(1, 2), "right": slice(1, 2)}
    assert columns["left.bias"] == {"left": slice(0, 1)}
    starts = [p.start for name, places in columns.items() for g, p in places.items() if g == "left"]
    assert sorted(starts) == list(range(5))


def test_a_node_met_often_has_a_column_for_each_time() -> None:
    columns = node_columns(graph("grouped").structure)["flat_norm.weight"]
    assert {g: p.stop - p.start for g, p in columns.items()} == {"up": 16}  # 4 channels x 4 positions


@pytest.mark.parametrize("name", NETWORKS)
def test_edges_follow_the_blocks(name: str) -> None:
    structure = graph(name).structure
    layout = Layout(structure)
    edges, numbers = layout.edge_index(), layout.edge_block()
    assert len(numbers) == edges.shape[1] == layout.num_edges
    e = 0
    for number, block in enumerate(structure.blocks):
        if all(block != b for _, b in layout.blocks):
            assert number not in numbers
            continue
        sizes = edge_shape(block)
        for d in range(sizes[0]):
            for s in range(sizes[1]):
                for _ in range(sizes[2]):
                    target = structure.offsets[block.dst.group] + block.dst.start + d
                    source = structure.offsets[block.src.group] + block.src.start + s
                    expected = (target, target) if block.loop else (source, target)
                    assert tuple(edges[:, e].tolist()) == expected
                    assert numbers[e] == number
                    e += 1
    assert e == layout.num_edges


def typed(**dtypes: str) -> Structure:
    hand = by_hand().structure
    return replace(
        hand,
        tensors=tuple(replace(t, dtype=dtypes.get(t.name.replace(".", "_"), t.dtype)) for t in hand.tensors),
    )


COMMON = {
    "one": ({}, torch.float32, []),
    "half edges, wide nodes": (
        {"a_weight": "float16", "b_weight": "float16"},
        torch.float16,
        ["a.bias"],
    ),
    "two halves": ({"a_weight": "float16", "b_weight": "bfloat16"}, torch.float32, []),
    "wide edges": ({"b_weight": "float64"}, torch.float64, []),
    "wide nodes": ({"a_bias": "float64"}, torch.float32, ["a.bias"]),
    "integers": ({"a_weight": "int8", "a_bias": "int64"}, torch.float32, ["a.weight", "a.bias"]),
    "small floats": ({"a_weight": "float8_e4m3fn"}, torch.float32, ["a.weight"]),
    "complex": ({"a_weight": "complex64"}, torch.float32, ["a.weight"]),
    "half against half": (
        {"a_weight": "bfloat16", "b_weight": "bfloat16", "a_bias": "float16"},
        torch.bfloat16,
        ["a.bias"],
    ),
    "no floats on edges": (
        {"a_weight": "int8", "b_weight": "int8", "a_bias": "float16"},
        torch.float16,
        ["a.weight", "b.weight"],
    ),
    "no floats": (
        dict.fromkeys(("a_weight", "a_bias", "b_weight"), "bool"),
        torch.float32,
        ["a.weight", "a.bias", "b.weight"],
    ),
}


@pytest.mark.parametrize(("dtypes", "common", "verbatim"), COMMON.values(), ids=COMMON)
def test_common_dtype(dtypes: dict[str, str], common: torch.dtype, verbatim: list[str]) -> None:
    layout = Layout(typed(**dtypes))
    assert layout.dtype is common
    assert [t.name for t in layout.verbatim] == verbatim


def test_tensors_without_a_node_axis_ride_along() -> None:
    spec = TensorSpec("t", (2, 3), "float32", "buffer", (None, None))
    scalar = TensorSpec("s", (), "float32", "buffer", ())
    layout = Layout(Structure((), (), (spec, scalar)))
    assert [t.name for t in layout.verbatim] == ["t"]
    assert [t.name for t in layout.scalars] == ["s"]
    assert (layout.num_edges, layout.taps, layout.features) == (0, 1, 0)
