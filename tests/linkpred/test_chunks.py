"""Messages and their gradients against autograd; whole passes are compared in test_bellman_ford.py."""

import pytest
import torch

from netgraph.linkpred import LinkGraph, chunks
from netgraph.linkpred.bellman_ford import MESSAGES
from netgraph.linkpred.chunks import chunked_forward, message_gradients, messages
from netgraph.linkpred.incoming import incoming_edges
from tests.linkpred.bellman_ford_oracle import plain_messages


@pytest.mark.parametrize("message", MESSAGES)
def test_messages_and_their_gradients(message: str) -> None:
    h, w, grad = (torch.randn(5, 3, 8, dtype=torch.double, requires_grad=i < 2) for i in range(3))
    found = messages(message, h, w)
    assert torch.allclose(found, plain_messages(message, h, w))
    expected = torch.autograd.grad(found, (h, w), grad)
    for one, other in zip(message_gradients(message, h, w, grad), expected, strict=True):
        assert torch.allclose(one, other)


@pytest.mark.parametrize("aggregate", ["sum", "mean", "max", "min", "statistics"])
def test_the_size_of_a_chunk_changes_nothing(aggregate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = LinkGraph.from_edges(torch.randint(9, (2, 60)), 9, undirected=False)
    # Whole numbers: sums are exact in any order, and extremes have equals.
    states, boundary = (torch.randint(-2, 3, (9, 2, 4)).double() for _ in range(2))
    results = []
    for numbers in (1, 8 * 5, 1 << 18):
        monkeypatch.setitem(chunks._NUMBERS_AT_ONCE, "cpu", numbers)
        ones = torch.ones(1, 1, 4, dtype=torch.double)
        results.append(
            chunked_forward(
                incoming_edges(graph), "distmult", aggregate, states, ones, boundary, None, winners=True
            )
        )
    (first, winners), *others = results
    assert (winners is None) == (aggregate in ("sum", "mean"))
    for out, again in others:
        assert torch.allclose(out, first, rtol=0, atol=1e-14)
        assert winners is None or (again is not None and torch.equal(again, winners))
