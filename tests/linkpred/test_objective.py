"""Losses against torch's own, and what they prefer."""

import torch
import torch.nn.functional as F

from netgraph.linkpred.nbf_loss import ranking_loss
from netgraph.linkpred.objective import LOSSES


def test_cross_entropy_is_that_of_torch_for_both_kinds_of_links() -> None:
    p, n = torch.randn(7), torch.randn(7, 3)
    expected = F.binary_cross_entropy_with_logits(p, torch.ones(7))
    expected = expected + F.binary_cross_entropy_with_logits(n, torch.zeros(7, 3))
    torch.testing.assert_close(LOSSES["bce"](p, n, 1.0), expected)


def test_auc_compares_each_link_with_its_own_negatives() -> None:
    p, n = torch.randn(3), torch.randn(3, 2)
    expected = sum((1 - p[i] + n[i, k]) ** 2 for i in range(3) for k in range(2)) / 6
    torch.testing.assert_close(LOSSES["auc"](p, n, 1.0), expected)


def test_better_scores_lose_less_and_gradients_point_there() -> None:
    for loss in LOSSES.values():
        p, n = torch.zeros(4, requires_grad=True), torch.zeros(4, 2, requires_grad=True)
        loss(p, n, 1.0).backward()
        assert (p.grad < 0).all() and (n.grad > 0).all()


def test_ranking_takes_the_temperature() -> None:
    p, n = torch.randn(4), torch.randn(4, 5)
    for temperature in (0.0, 0.5):
        assert LOSSES["ranking"](p, n, temperature) == ranking_loss(p, n, temperature)
    assert LOSSES["ranking"](p, n, 0.1) > LOSSES["ranking"](p, n, 10.0)
