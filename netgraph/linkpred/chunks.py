"""Bellman-Ford message passing in plain torch, some edges at a time: the kernel's twin for any device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

import torch
from torch import Tensor

from netgraph.linkpred.incoming import IncomingEdges

__all__ = ["LEAST_VARIANCE", "chunked_backward", "chunked_forward", "messages", "message_gradients"]

LEAST_VARIANCE: Final = 1e-6
"""Variances below count as this one, so that the gradient of a deviation stays finite."""

_NUMBERS_AT_ONCE: Final = {"cpu": 1 << 18}
_MORE_NUMBERS_AT_ONCE: Final = 1 << 24
"""Numbers in the messages of one chunk: about a near cache, or enough to keep an accelerator busy."""

_NOBODY: Final = -1


class Chunk(NamedTuple):
    """Some edges, and what their messages are made of.

    Attributes:
        first: the number of the first edge.
        source, target: `(C,)`.
        relation: `(C,)`, or None where there is one only.
        h: states of the sources, `(C, B, F)`.
        w: relations, `(C, B, F)`, or broadcast to it.
        weight: `(C, 1, 1)` or None.
    """

    first: int
    source: Tensor
    target: Tensor
    relation: Tensor | None
    h: Tensor
    w: Tensor
    weight: Tensor | None


def messages(kind: str, h: Tensor, w: Tensor) -> Tensor:
    """Messages of states along relations, `(..., F)`."""
    if kind == "distmult":
        return h * w
    if kind == "transe":
        return h + w
    (h_re, h_im), (w_re, w_im) = h.chunk(2, -1), w.chunk(2, -1)
    return torch.cat((h_re * w_re - h_im * w_im, h_re * w_im + h_im * w_re), -1)


def message_gradients(kind: str, h: Tensor, w: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the states and of the relations."""
    if kind == "distmult":
        return grad * w, grad * h
    if kind == "transe":
        return grad, grad
    # The adjoint of a product with a complex number is one with its conjugate.
    return messages(kind, grad, _conjugate(w)), messages(kind, grad, _conjugate(h))


def chunked_forward(
    edges: IncomingEdges,
    message: str,
    aggregate: str,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    weight: Tensor | None,
    *,
    winners: bool,
) -> tuple[Tensor, Tensor | None]:
    """Aggregated messages, and which of them the extremes came from.

    Args:
        edges: of the graph.
        message: `"distmult"`, `"transe"` or `"rotate"`.
        aggregate: `"sum"`, `"mean"`, `"max"`, `"min"` or `"statistics"`.
        states: `(N, B, F)`.
        relation: `(B, R, F)`, or `(1, R, F)` for all alike.
        boundary: `(N, B, F)`.
        weight: of the edges, `(E,)`, or None.
        winners: whether those are wanted.

    Returns:
        `(N, B, F)`, or mean, highest, lowest and deviation, `(N, B, 4F)`; and the winning edges, -1 for the
        boundary, `(1, N, B, F)` or for highest and lowest `(2, N, B, F)` of int32, or None.
    """
    given = edges, message, states, relation, weight
    count = _count(edges, boundary)
    if aggregate in ("sum", "mean"):
        total = boundary.clone()
        for chunk, found in _chunks(*given):
            total.index_add_(0, chunk.target, found)
        return total if aggregate == "sum" else total / count, None
    # Lists of none or one, as a maximum alone wants neither mean nor deviation.
    all_four = aggregate == "statistics"
    ways = ("max", "min") if all_four else (aggregate,)
    extremes = [boundary.clone() for _ in ways]
    totals = [boundary.clone() for _ in range(all_four)]
    for chunk, found in _chunks(*given):
        index = chunk.target.view(-1, 1, 1).expand_as(found)
        for way, extreme in zip(ways, extremes, strict=True):
            extreme.scatter_reduce_(0, index, found, f"a{way}")
        for total in totals:
            total.index_add_(0, chunk.target, found)
    means = [total / count for total in totals]
    squares = [(boundary - mean).square_() for mean in means]
    best = _boundary_or_nobody(boundary, extremes, len(edges)) if winners else []
    for chunk, found in _chunks(*given) if means or best else ():
        for mean, square in zip(means, squares, strict=True):
            square.index_add_(0, chunk.target, (found - mean.index_select(0, chunk.target)).square_())
        _note_winners(best, extremes, chunk, found)
    deviations = [(square / count).clamp_(min=LEAST_VARIANCE).sqrt_() for square in squares]
    numbers = torch.stack([one.int() for one in best]) if best else None
    return torch.cat((*means, *extremes, *deviations), -1), numbers


def chunked_backward(
    edges: IncomingEdges,
    message: str,
    aggregate: str,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    weight: Tensor | None,
    out: Tensor | None,
    winners: Tensor | None,
    grad: Tensor,
    *,
    weighs: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Gradients of states, relations, boundary and, where `weighs`, weights; each message is made again.

    Args:
        edges, message, aggregate, states, relation, boundary, weight: as for `chunked_forward`.
        out, winners: what that returned; of `out` only statistics are read.
        grad: of `out`.
        weighs: whether the gradient of the weights is wanted.
    """
    even = slope = mean = None
    pulls: tuple[Tensor, ...] = ()
    count = _count(edges, grad)
    if out is not None:
        mean, _, _, deviation = out.chunk(4, -1)
        even, highest, lowest, spread = grad.chunk(4, -1)
        even, pulls = even / count, (highest, lowest)
        # Not differentiable at the least variance; no gradient is the choice of a clamp.
        slope = torch.where(deviation > LEAST_VARIANCE**0.5, spread / (deviation * count), 0)
    elif aggregate in ("sum", "mean"):
        even = grad if aggregate == "sum" else grad / count
    else:
        pulls = (grad,)

    def of(found: Tensor, number: Tensor | int, pick: Callable[[Tensor], Tensor]) -> Tensor:
        """Gradient of messages `found` with these numbers; `pick` takes the rows of their targets."""
        total = torch.zeros_like(found) if even is None else pick(even)
        if slope is not None and mean is not None:
            total = torch.addcmul(total, pick(slope), found - pick(mean))
        for pull, winner in zip(pulls, () if winners is None else winners, strict=True):
            total = total + pick(pull) * (pick(winner) == number)
        return total

    grad_boundary = of(boundary, _NOBODY, lambda rows: rows)
    grad_states, by_relation = torch.zeros_like(states), torch.zeros_like(relation.transpose(0, 1))
    grad_weight = states.new_zeros(len(edges)) if weighs else None
    for chunk, found in _chunks(edges, message, states, relation, weight):
        pull = of(found, _numbers(chunk, torch.int32), partial(torch.index_select, dim=0, index=chunk.target))
        if grad_weight is not None:
            plain = messages(message, chunk.h, chunk.w)
            grad_weight[chunk.first : chunk.first + len(found)] = (pull * plain).sum((1, 2))
        if chunk.weight is not None:
            pull = pull * chunk.weight
        to_state, to_relation = message_gradients(message, chunk.h, chunk.w, pull)
        grad_states.index_add_(0, chunk.source, to_state)
        if relation.size(0) == 1:
            to_relation = to_relation.sum(1, keepdim=True)
        if chunk.relation is None:
            by_relation[0] += to_relation.sum(0)
        else:
            by_relation.index_add_(0, chunk.relation, to_relation)
    return grad_states, by_relation.transpose(0, 1), grad_boundary, grad_weight


def _chunks(
    edges: IncomingEdges, message: str, states: Tensor, relation: Tensor, weight: Tensor | None
) -> Iterator[tuple[Chunk, Tensor]]:
    """Chunks and their weighted messages `(C, B, F)`."""
    by_relation = relation.transpose(0, 1).contiguous()
    budget = _NUMBERS_AT_ONCE.get(states.device.type, _MORE_NUMBERS_AT_ONCE)
    step = max(budget // max(states[:1].numel(), 1), 1)
    for first in range(0, len(edges), step):
        part = slice(first, first + step)
        source = edges.source[part]
        kind = None if edges.relation is None else edges.relation[part]
        chunk = Chunk(
            first,
            source,
            edges.target[part],
            kind,
            states.index_select(0, source),
            by_relation[:1] if kind is None else by_relation.index_select(0, kind),
            None if weight is None else weight[part].view(-1, 1, 1),
        )
        found = messages(message, chunk.h, chunk.w)
        yield chunk, found if chunk.weight is None else found * chunk.weight


def _boundary_or_nobody(boundary: Tensor, extremes: list[Tensor], edges: int) -> list[Tensor]:
    """Where the boundary is the extreme, -1, and elsewhere a number that no edge has."""
    # Minima of whole numbers scatter slowly; these are as exact.
    exact = torch.float32 if edges < 1 << 24 else torch.float64
    nobody = torch.full((), edges, dtype=exact, device=boundary.device)
    return [torch.where(boundary == extreme, _NOBODY, nobody) for extreme in extremes]


def _note_winners(best: list[Tensor], extremes: list[Tensor], chunk: Chunk, found: Tensor) -> None:
    """Lower `best` to the first edge whose message is the extreme."""
    index = chunk.target.view(-1, 1, 1).expand_as(found)
    for one, extreme in zip(best, extremes, strict=False):
        numbers = _numbers(chunk, one.dtype)
        hit = found == extreme.index_select(0, chunk.target)
        one.scatter_reduce_(0, index, numbers.where(hit, torch.inf), "amin")


def _numbers(chunk: Chunk, dtype: torch.dtype) -> Tensor:
    """Those of the edges, `(C, 1, 1)`."""
    last = chunk.first + len(chunk.source)
    return torch.arange(chunk.first, last, dtype=dtype, device=chunk.source.device).view(-1, 1, 1)


def _count(edges: IncomingEdges, like: Tensor) -> Tensor:
    return edges.count.to(like.dtype).view(-1, 1, 1)


def _conjugate(w: Tensor) -> Tensor:
    re, im = w.chunk(2, -1)
    return torch.cat((re, -im), -1)
