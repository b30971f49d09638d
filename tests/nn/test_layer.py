"""One layer against PyTorch Geometric, and what a node gets that no edge reaches."""

import pytest
import torch
from torch import Tensor

from netgraph.nn import BlockEdges, BlockMessageLayer, MessagePlan, message_plan
from tests.nn.networks import NETWORKS, build
from tests.nn.oracle import OracleLayer, flatten

HIDDEN = 5


def start(name: str) -> tuple[MessagePlan, Tensor, list[Tensor], list[Tensor]]:
    plan = message_plan(build(name).structure, 9)
    nodes = torch.randn(plan.num_nodes, HIDDEN, dtype=torch.float64)
    encoder = [torch.randn(HIDDEN, 9, dtype=torch.float64), torch.randn(HIDDEN, dtype=torch.float64)]
    return (
        plan,
        nodes,
        [torch.randn(s.edges, len(s.columns), dtype=torch.float64) for s in plan.stacks],
        encoder,
    )


def edge_states(edges: BlockEdges) -> Tensor:
    """All states, `(E, F)`, sorted, as the order of parallel edges means nothing."""
    flat = [s.view(HIDDEN, -1).t() for s in edges.states] or [torch.zeros(0, HIDDEN, dtype=torch.float64)]
    return torch.cat(flat).sort(0).values


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_message_passing_over_the_flat_graph(name: str) -> None:
    plan, nodes, windows, encoder = start(name)
    layer = BlockMessageLayer(HIDDEN).double()
    edges = BlockEdges(plan, windows, *encoder)
    # The same edges, listed from the rows of the stacks.
    sources, targets, states = [], [], []
    for s, stack in enumerate(plan.stacks):
        number, rows, columns = stack.shape
        into, onto = (plan.row_node[span] for span in stack.spans)
        targets.append(into.view(number, rows, 1).expand(stack.shape).flatten())
        onto = onto.view(number, rows, 1) if stack.loop else onto.view(number, 1, columns)
        sources.append(onto.expand(stack.shape).flatten())
        states.append(edges.states[s].view(HIDDEN, -1).t().clone())
    none = torch.zeros(0, dtype=torch.long)
    index = torch.stack([torch.cat([none, *sources]), torch.cat([none, *targets])])
    listed = flatten(build(name).structure, 9).edge_index
    assert sorted(zip(*index.tolist(), strict=True)) == sorted(zip(*listed.tolist(), strict=True))

    state = torch.cat([torch.zeros(0, HIDDEN, dtype=torch.float64), *states])
    expected, after = OracleLayer(layer)(nodes, state, index)
    assert torch.allclose(layer(nodes, edges), expected, rtol=1e-10, atol=1e-10)
    assert torch.allclose(edge_states(edges), after.sort(0).values, rtol=1e-10, atol=1e-10)


def test_a_node_that_no_edge_reaches_receives_the_shift_twice() -> None:
    plan, nodes, windows, encoder = start("no_blocks")
    layer = BlockMessageLayer(HIDDEN).double()
    after = layer(nodes, BlockEdges(plan, windows, *encoder))
    assert torch.allclose(after, nodes + 2 * layer.update.bias)


def test_the_two_directions_are_told_apart() -> None:
    """Turning every edge around changes what the nodes get."""
    plan, nodes, windows, encoder = start("no_vectors")
    layer = BlockMessageLayer(HIDDEN).double()
    along = OracleLayer(layer)
    state = windows[0] @ encoder[0][:, 4:5].t() + encoder[1]
    into, onto = (plan.row_node[span] for span in plan.stacks[0].spans)
    index = torch.stack([onto.repeat(len(into)), into.repeat_interleave(len(onto))])
    assert not torch.allclose(along(nodes, state, index)[0], along(nodes, state, index.flip(0))[0])
