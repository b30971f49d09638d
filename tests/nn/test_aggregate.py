"""Joining rows: against the messages themselves, one slot at a time."""

import pytest
import torch
from torch import Tensor

from netgraph.nn import message_plan
from netgraph.nn.aggregate import STD_EPS, aggregate, direction_sign
from netgraph.nn.plan import MessagePlan
from tests.nn.networks import build

NAMES = ["mlp", "concat", "flatten", "cifar_resnet_pad", "depthwise", "no_blocks"]


def rows_of(plan: MessagePlan, messages: list[Tensor], hidden: int) -> Tensor:
    """The statistics table of rows that hold these messages, `(edges, F)` each."""
    stats = torch.zeros(plan.num_rows + 2, 4 * hidden, dtype=torch.float64)
    for row, u in enumerate(messages):
        spread = (u - u.mean(0)).square().sum(0)
        stats[row] = torch.cat([u.mean(0), spread, u.amax(0), u.amin(0)])
    stats[-2, 2 * hidden : 3 * hidden], stats[-2, 3 * hidden :] = -torch.inf, torch.inf
    return stats


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_aggregates_of_all_messages(name: str) -> None:
    plan, hidden = message_plan(build(name).structure, 9), 3
    messages = [torch.randn(int(n), hidden, dtype=torch.float64) for n in plan.row_edges[: plan.num_rows]]
    gate = torch.randn(plan.num_nodes, hidden, dtype=torch.float64)
    found = aggregate(rows_of(plan, messages, hidden), gate, plan)
    expected = torch.zeros(plan.num_nodes, 4 * hidden, dtype=torch.float64)
    for slot in range(2 * plan.num_nodes):
        node, against = slot % plan.num_nodes, slot >= plan.num_nodes
        here = [messages[r] for r in range(plan.num_rows) if plan.row_slot[r] == slot]
        if here:
            own = gate[node] * (direction_sign(hidden, gate) if against else 1)
            m = own * torch.cat(here)
            std = (m.var(0, correction=0) + STD_EPS).sqrt()
            expected[node] += torch.cat([m.mean(0), std, m.amax(0), m.amin(0)])
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_gradient() -> None:
    plan, hidden = message_plan(build("concat").structure, 9), 2
    messages = [torch.randn(int(n), hidden, dtype=torch.float64) for n in plan.row_edges[: plan.num_rows]]
    stats = rows_of(plan, messages, hidden)
    gate = torch.randn(plan.num_nodes, hidden, dtype=torch.float64, requires_grad=True)
    real = stats[:-2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s, g: aggregate(torch.cat([s, stats[-2:]]), g, plan), (real, gate))


def test_equal_messages_have_a_finite_gradient() -> None:
    plan = message_plan(build("mlp").structure, 9)
    stats = rows_of(
        plan, [torch.ones(int(n), 2, dtype=torch.float64) for n in plan.row_edges[: plan.num_rows]], 2
    )
    gate = torch.zeros(plan.num_nodes, 2, dtype=torch.float64, requires_grad=True)
    aggregate(stats, gate, plan).sum().backward()
    assert gate.grad is not None and gate.grad.isfinite().all()


def test_sign_splits_the_features() -> None:
    assert direction_sign(5, torch.zeros(1)).tolist() == [1, 1, 1, -1, -1]
    assert direction_sign(4, torch.zeros(1)).tolist() == [1, 1, -1, -1]
