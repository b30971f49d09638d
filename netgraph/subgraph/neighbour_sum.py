"""Sums over the neighbours of a pair."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from netgraph.subgraph.pairs import Blocks, Pairs, Side, Triples

__all__ = ["edge_messages", "neighbour_sum", "padded", "unpadded"]

_CHUNK = 1 << 20
"""Numbers in a chunk of messages: what fits a cache."""


def neighbour_sum(y: Tensor, pairs: Pairs, keep: Side, out: Tensor | None = None) -> Tensor:
    """Sum of a state `(P, F)` over the neighbours of each pair.

        out(u, v) = sum_{w in N(v)} y(u, w)   for keep = "u"
        out(u, v) = sum_{w in N(u)} y(w, v)   for keep = "v"

    Args:
        y: `(P, F)`.
        pairs: with blocks, or with lists of neighbours for this side.
        keep: the node that is the same in a pair and its neighbours.
        out: memory for the result, used if that saves any; not differentiable.

    >>> import networkx as nx, torch
    >>> from netgraph.subgraph.pairing import pairs_of
    >>> from netgraph.subgraph.transform import SubgraphTransform
    >>> pairs = pairs_of(SubgraphTransform()(nx.path_graph(3)))
    >>> neighbour_sum(torch.tensor([[1.0], [2], [3], [4], [5], [6], [7], [8], [9]]), pairs, "u").reshape(3, 3)
    tensor([[ 2.,  4.,  2.],
            [ 5., 10.,  5.],
            [ 8., 16.,  8.]])
    """
    if pairs.blocks is None:
        return _RowSum.apply(y, pairs.triples(keep))  # type: ignore[no-untyped-call]
    adjacency = pairs.blocks.adjacency.to(y.dtype)
    graphs, n, _ = adjacency.shape
    if pairs.blocks.whole and (keep == "v" or n <= y.shape[1]):
        # Repeating the adjacency for each u costs less than transposing the state there and back.
        left = adjacency if keep == "v" else adjacency.repeat_interleave(n, 0)  # (B, n, n) or (B n, n, n)
        shape = (graphs, n, n * y.shape[1]) if keep == "v" else (graphs * n, n, y.shape[1])
        return torch.bmm(left, y.view(shape), out=None if out is None else out.view(shape)).view_as(y)
    block = padded(y, pairs.blocks, keep)  # (B, n, n, F)
    return unpadded(torch.bmm(adjacency, block.flatten(2)).view_as(block), pairs.blocks, keep)


def padded(y: Tensor, blocks: Blocks, keep: Side) -> Tensor:
    """A state `(P, F)` as blocks `(B, n, n, F)` whose rows are the nodes that move; zero where no pair is."""
    graphs, n, _ = blocks.adjacency.shape
    if blocks.whole:
        block = y.view(graphs, n, n, -1)
        return block if keep == "v" else block.transpose(1, 2)
    slot = blocks.slot_u if keep == "u" else blocks.slot_v
    return y.new_zeros(graphs * n * n, y.shape[1]).index_copy(0, slot, y).view(graphs, n, n, -1)


def unpadded(block: Tensor, blocks: Blocks, keep: Side) -> Tensor:
    """The inverse of `padded`."""
    if blocks.whole:
        return (block if keep == "v" else block.transpose(1, 2)).reshape(-1, block.shape[-1])
    return block.flatten(0, 2).index_select(0, blocks.slot_u if keep == "u" else blocks.slot_v)


class _RowSum(torch.autograd.Function):
    """Rows of a state summed along lists of neighbours, without a copy of the rows.

    Being neighbours is symmetric, so the gradient is the same sum of the gradient.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, triples: Triples) -> Tensor:
        ctx.triples = triples
        return _row_sum(y, triples)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _row_sum(grad, ctx.triples), None


def _row_sum(y: Tensor, triples: Triples) -> Tensor:
    if not len(triples.pair):
        return torch.zeros_like(y)
    return F.embedding_bag(triples.pair, y.contiguous(), triples.ends, mode="sum", include_last_offset=True)


def edge_messages(h: Tensor, edge: Tensor, pairs: Pairs, keep: Side) -> Tensor:
    """Sum of messages `ReLU(h + e)` over the neighbours of each pair.

        out(u, v) = sum_{w in N(v)} ReLU(h(u, w) + e(w, v))   for keep = "u"
        out(u, v) = sum_{w in N(u)} ReLU(h(w, v) + e(u, w))   for keep = "v"

    Messages exist chunk by chunk, and again in the backward pass; none is kept.

    Args:
        h: `(P, F)`.
        edge: `(E, F)`, equal for both directions of an edge.
        pairs: with lists of neighbours.
        keep: the node that is the same in h(u, v) and in all its neighbours.
    """
    return _EdgeMessages.apply(h, edge, pairs.triples(keep))  # type: ignore[no-untyped-call]


class _EdgeMessages(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, edge: Tensor, triples: Triples) -> Tensor:
        ctx.save_for_backward(h, edge)
        ctx.triples = triples
        out = torch.zeros_like(h)
        for row, pair, label in _chunks(triples, h.shape[1]):
            message = h.index_select(0, pair).add_(edge.index_select(0, label)).relu_()
            out.index_add_(0, row, message)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        h, edge = ctx.saved_tensors
        grad_h, grad_edge = torch.zeros_like(h), torch.zeros_like(edge)
        for row, pair, label in _chunks(ctx.triples, h.shape[1]):
            message = h.index_select(0, pair).add_(edge.index_select(0, label))
            part = grad.index_select(0, row).mul_(message > 0)
            grad_h.index_add_(0, pair, part)
            grad_edge.index_add_(0, label, part)
        return grad_h, grad_edge, None


def _chunks(triples: Triples, features: int) -> Any:
    size = max(_CHUNK // max(features, 1), 1)
    return zip(triples.row.split(size), triples.pair.split(size), triples.edge.split(size), strict=True)
