"""The perceptron of products and sums, step by step."""

import torch
import torch.nn.functional as F

from netgraph.linkpred.head import Head


def test_steps_by_hand() -> None:
    x = torch.randn(5, 4)
    for tail in (False, True):
        head = Head((4, 4, 4, 2), tail=tail, norm=True, norm_from=1, residual=True, activation="silu")
        y = x
        for i, lin in enumerate(head.lins):
            y = lin(y)
            if i < 2 or tail:
                y = y + x if y.shape == x.shape else y
                y = F.layer_norm(y, y.shape[1:]) if i >= 1 else y
                y = F.silu(y)
        torch.testing.assert_close(head(x), y)


def test_dropout_when_training_or_when_asked_for() -> None:
    x, head = torch.ones(50, 4), Head((4, 16, 1), dropout=0.5)
    assert not torch.equal(head(x), head(x))
    assert torch.equal(head(x, False), head(x, False))
    head.eval()
    assert torch.equal(head(x), head(x, False))
    assert not torch.equal(head(x, True), head(x, True))
