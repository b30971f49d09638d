"""Heads: pooled statistics of groups, and where budgets start from."""

import pytest
import torch

from netgraph.nn.factorised import BudgetHead, factorised_plan, group_statistics
from tests.nn.networks import build


def test_statistics_of_groups() -> None:
    structure = build("concat").structure
    nodes = torch.randn(structure.num_nodes, 5, dtype=torch.float64)
    found = group_statistics(nodes, factorised_plan(structure))
    for group, mine in enumerate(nodes.split([g.size for g in structure.groups])):
        deviation = (mine.var(0, correction=0) + 1e-6).sqrt()
        assert torch.allclose(found[group], torch.cat([mine.mean(0), deviation, mine.amax(0)]))


@pytest.mark.parametrize(("target", "share"), [(None, 0.5), (0.25, 0.5), (0.04, 0.2), (1.0, 0.9999)])
def test_a_budget_head_that_knows_nothing_cuts_all_alike(target: float | None, share: float) -> None:
    head = BudgetHead(hidden=3)
    torch.nn.init.zeros_(head.out.weight)
    torch.nn.init.zeros_(head.out.bias)
    assert torch.allclose(head(torch.randn(4, 9), target), torch.full((4,), share), atol=1e-4)
