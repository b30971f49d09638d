"""Stacks: every edge of the structure once, weights of one shape together."""

import pytest

from netgraph.nn.stack import position_nodes, stack_weights
from tests.nn.networks import NETWORKS, build
from tests.nn.oracle import flatten, nodes_along


@pytest.mark.parametrize("name", NETWORKS)
def test_every_edge_once(name: str) -> None:
    structure = build(name).structure
    stacks, rows = stack_weights(structure, 9)
    assert sum(s.edges for s in stacks) == flatten(structure, 9).edge_index.shape[1]
    names = [n for s in stacks for n in s.tensors]
    assert sorted(names) == sorted(
        t.name for t in structure.tensors if t.placement == "block" and t.kind == "parameter"
    )
    assert sum(len(r.nodes) for r in rows) == max((s.spans[1].stop for s in stacks), default=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_stand_where_the_stack_says(name: str) -> None:
    structure = build(name).structure
    stacks, rows = stack_weights(structure, 9)
    nodes = [n for r in rows for n in r.nodes.tolist()]
    for stack in stacks:
        targets, sources = (nodes[span] for span in stack.spans)
        for i, (tensor, windows) in enumerate(zip(stack.tensors, stack.windows, strict=True)):
            spec = structure.tensor[tensor]
            size = stack.sides[0]
            assert (
                targets[i * size : (i + 1) * size] == position_nodes(structure, spec, spec.out_axis).tolist()
            )
            size = stack.sides[1]
            repeat = 1 if stack.loop else windows.parallel
            expected = nodes_along(structure, spec, spec.in_axis or 0).repeat(repeat).tolist()
            assert sources[i * size : (i + 1) * size] == expected


def test_weights_of_one_shape_share_a_stack() -> None:
    stacks, _ = stack_weights(build("cifar_resnet_pad").structure, 9)
    assert {len(s.tensors) for s in stacks if s.shape[1:] == (8, 8)} == {1}
    assert max(len(s.tensors) for s in stacks) == 2
    shapes = [(s.shape[1:], s.loop, s.columns) for s in stacks]
    assert len(shapes) == len(set(shapes))


def test_depthwise_is_a_loop() -> None:
    stacks, _ = stack_weights(build("depthwise").structure, 9)
    loops = [s for s in stacks if s.loop]
    assert [s.shape for s in loops] == [(1, 6, 1)]
    assert loops[0].sides == (6, 6)
