"""Generalised Bellman-Ford message passing as one operation, in memory that does not grow with the edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from netgraph.errors import UsageError
from netgraph.linkpred.chunks import chunked_backward, chunked_forward
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.incoming import IncomingEdges, incoming_edges
from netgraph.linkpred.kernels import can_run, propagate_backward, propagate_forward

__all__ = ["AGGREGATES", "MESSAGES", "Aggregate", "Message", "propagate", "scale_factors", "statistics"]

Message = Literal["distmult", "transe", "rotate"]
Aggregate = Literal["sum", "mean", "max", "min", "pna"]

MESSAGES: Final[tuple[Message, ...]] = ("distmult", "transe", "rotate")
"""How a message is made of a state and a relation."""

AGGREGATES: Final[tuple[Aggregate, ...]] = ("sum", "mean", "max", "min", "pna")
"""How messages are joined."""

_LEAST_SCALE: Final = 1e-2


def propagate(
    graph: LinkGraph,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    *,
    message: Message = "distmult",
    aggregate: Aggregate = "sum",
    edge_weight: Tensor | None = None,
    compile: bool | None = None,
) -> Tensor:
    """One step of generalised Bellman-Ford: each node joins the messages of its edges with its boundary.

        h'_v = AGG( { a_uv MSG(h_u, w_r) : (u, r, v) an edge }  and  h0_v )

    Messages go from the source u of an edge to its target v.

    - `"distmult"`: `MSG(h, w) = h * w`;
    - `"transe"`: `h + w`;
    - `"rotate"`: the product of complex numbers, whose real parts are the first half of the features.

    `"sum"`, `"mean"`, `"max"` and `"min"` take all messages and the boundary, which counts as one more. Of
    equal extremes the boundary, and then the first edge of the row, has the gradient. `"pna"` is
    `[s, s * d, s / d]`, with s the mean, the maximum, the minimum and the standard deviation, and d the
    logarithm of the number of messages, relative to its mean over all nodes. Deviations are at least 0.001,
    and `1 / d` is at most 100.

    Messages are never stored: they are made again in the backward pass, some edges at a time, so memory is
    O(N B F). In float32 on a CPU with a C++ compiler this runs in a kernel, which is built at first use.
    Gradients are of first order. On an accelerator sums are taken in no fixed order.

    Paper: Zhu et al., Neural Bellman-Ford Networks, NeurIPS 2021; for `"pna"`, Corso et al., Principal
    Neighbourhood Aggregation for Graph Nets, NeurIPS 2020.

    Args:
        graph: of N nodes and R relations; edges that were left out count for nothing, in degrees as well.
        states: h, of nodes and samples, `(N, B, F)`.
        relation: w, `(R, F)`, or of each sample its own, `(B, R, F)`.
        boundary: h0, `(N, B, F)`.
        message: one of `MESSAGES`.
        aggregate: one of `AGGREGATES`.
        edge_weight: a, one for each entry of `graph.indices`, `(E,)`; None for ones. An edge of weight 0
            still counts, with the message 0.
        compile: True or False to insist on the kernel or on plain torch; None to take what there is.

    Returns:
        `(N, B, F)`, or for `"pna"` `(N, B, 12F)`.

    Raises:
        UsageError: shapes that do not fit, an unknown message or aggregate, an odd F for `"rotate"`, or
            `compile=True` where there is no kernel.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, undirected=False)
    >>> h = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    >>> w = torch.full((1, 1), 0.5)
    >>> propagate(graph, propagate(graph, h, w, h), w, h).flatten().tolist()
    [1.0, 0.5, 0.25]
    """
    if aggregate not in AGGREGATES:
        raise UsageError(
            f"propagate: expected an aggregate of {', '.join(AGGREGATES)}, got {aggregate!r}; choose one"
        )
    kind = "statistics" if aggregate == "pna" else aggregate
    found = _propagate(graph, states, relation, boundary, message, kind, edge_weight, compile)
    if aggregate != "pna":
        return found
    return _Scaled.apply(found, torch.stack(scale_factors(graph, found.dtype), 1))  # type: ignore[no-untyped-call]


def statistics(
    graph: LinkGraph,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    *,
    message: Message = "distmult",
    edge_weight: Tensor | None = None,
    compile: bool | None = None,
) -> Tensor:
    """Mean, maximum, minimum and standard deviation of messages: `"pna"` of `propagate`, not scaled.

    Whoever multiplies them by a matrix next can scale the products instead, which are smaller.

    Args:
        graph, states, relation, boundary, message, edge_weight, compile: as for `propagate`.

    Returns:
        `(N, B, 4F)`.

    Raises:
        UsageError: as `propagate`.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0], [1]]), 2, undirected=False)
    >>> h = torch.tensor([4.0, 0.0]).view(2, 1, 1)
    >>> statistics(graph, h, torch.ones(1, 1), h)[1].tolist()
    [[2.0, 4.0, 0.0, 2.0]]
    """
    return _propagate(graph, states, relation, boundary, message, "statistics", edge_weight, compile)


def scale_factors(graph: LinkGraph, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """What `"pna"` multiplies the statistics of a node by: 1, d and 1 / d (see `propagate`), `(N,)` each.

    Nodes without an edge have d = 0.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0], [1]]), 4)
    >>> [factor.tolist() for factor in scale_factors(graph)]
    [[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 0.0, 0.0], [0.5, 0.5, 100.0, 100.0]]
    """
    scale = incoming_edges(graph).count.to(dtype).log()
    mean = scale.mean()
    scale = scale / torch.where(mean > 0, mean, 1)
    return torch.ones_like(scale), scale, 1 / scale.clamp(min=_LEAST_SCALE)


def _propagate(
    graph: LinkGraph,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    message: Message,
    aggregate: str,
    weight: Tensor | None,
    compile: bool | None,
) -> Tensor:
    _check(graph, states, relation, boundary, message, weight)
    edges = incoming_edges(graph)
    given = [states, relation.unsqueeze(0) if relation.dim() == 2 else relation, boundary]
    if weight is not None:
        given.append(weight if edges.position is None else weight[edges.position])
    dtype = given[0].dtype
    for other in given[1:]:
        dtype = torch.promote_types(dtype, other.dtype)
    given = [t.to(dtype) for t in given]
    if compile is None:
        compile = can_run(*given)
    elif compile and not can_run(*given):
        raise UsageError(
            "propagate: expected tensors of float32 on a CPU and a C++ compiler for compile=True, got "
            f"{dtype} on {states.device}; leave compile out"
        )
    return _Propagate.apply(  # type: ignore[no-untyped-call]
        edges, message, aggregate, compile, *given, *(None,) * (4 - len(given))
    )


class _Propagate(Function):
    """Keeps states and extremes, and no message."""

    @staticmethod
    def forward(
        ctx: Any,
        edges: IncomingEdges,
        message: str,
        aggregate: str,
        kernel: bool,
        states: Tensor,
        relation: Tensor,
        boundary: Tensor,
        weight: Tensor | None,
    ) -> Tensor:
        run = propagate_forward if kernel else chunked_forward
        given = [None if t is None else t.contiguous() for t in (states, relation, boundary, weight)]
        states, relation, boundary, weight = given  # type: ignore[assignment]
        out, winners = run(
            edges, message, aggregate, states, relation, boundary, weight, winners=any(ctx.needs_input_grad)
        )
        ctx.given = edges, message, aggregate
        ctx.kernel = kernel
        keep = out if aggregate == "statistics" else None
        ctx.save_for_backward(states, relation, boundary, weight, keep, winners)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        run = propagate_backward if ctx.kernel else chunked_backward
        states, relation, boundary, weight, out, winners = ctx.saved_tensors
        wanted = ctx.needs_input_grad[4:]
        edges, message, aggregate = ctx.given
        found = run(
            edges,
            message,
            aggregate,
            states,
            relation,
            boundary,
            weight,
            out,
            winners,
            grad.contiguous(),
            weighs=wanted[3],
        )
        return (None,) * 4 + tuple(t if want else None for t, want in zip(found, wanted, strict=True))


class _Scaled(Function):
    """Statistics `(N, B, 4F)` times each factor `(N, 3)`, without further copies, `(N, B, 12F)`."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, factors: Tensor) -> Tensor:
        ctx.save_for_backward(factors)
        return (found.unsqueeze(2) * factors[:, None, :, None]).flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (factors,) = ctx.saved_tensors
        first, *rest = (factor.view(-1, 1, 1) for factor in factors.unbind(1))
        plain, *scaled = grad.chunk(3, -1)
        total = plain * first
        for part, factor in zip(scaled, rest, strict=True):
            total.addcmul_(part, factor)
        return total, None


def _check(
    graph: LinkGraph,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    message: str,
    weight: Tensor | None,
) -> None:
    def fail(expected: str, came: object, remedy: str) -> None:
        raise UsageError(f"propagate: expected {expected}, got {came}; {remedy}")

    def shape(name: str, tensor: Tensor, *allowed: Sequence[int]) -> None:
        if not any(tuple(tensor.shape) == tuple(one) for one in allowed):
            wanted = " or ".join(str(tuple(one)) for one in allowed)
            fail(f"{name} of shape {wanted}", tuple(tensor.shape), "see the shapes of `propagate`")

    if message not in MESSAGES:
        fail(f"a message of {', '.join(MESSAGES)}", repr(message), "choose one")
    if states.dim() != 3 or len(states) != graph.num_nodes:
        fail(f"states of shape ({graph.num_nodes}, B, F)", tuple(states.shape), "pass a row per node")
    _, batch, features = states.shape
    shape("relation", relation, (graph.num_relations, features), (batch, graph.num_relations, features))
    shape("boundary", boundary, states.shape)
    if len(graph.indices) >= 2**31:
        fail("fewer than 2**31 edges", len(graph.indices), "divide the graph")
    if weight is not None:
        shape("edge_weight", weight, graph.indices.shape)
    if message == "rotate" and features % 2:
        fail("an even number of features for rotate", features, "pair them, as real and imaginary parts")
