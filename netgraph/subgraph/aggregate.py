"""The aggregations of subgraph networks: what a pair (u, v) reads of the other pairs."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Protocol

import torch
from torch import Tensor

from netgraph.subgraph.neighbour_sum import edge_messages, neighbour_sum
from netgraph.subgraph.pairs import Pairs, Side

__all__ = ["AGGREGATIONS", "Aggregation", "adjoint", "collect", "edge_aggregate", "local_sides", "spread"]


class Aggregation(Protocol):
    """A linear map of states `(P, F)`, each feature for itself; into `out` if that saves memory."""

    def __call__(self, y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor: ...


def collect(y: Tensor, pairs: Pairs, keep: Side) -> Tensor:
    """Sum over all pairs of a node: `(P, F)` to `(N, F)`, row u the sum over v for keep = "u"."""
    return y.new_zeros(pairs.num_nodes, y.shape[1]).index_add(0, pairs.node(keep), y)


def spread(rows: Tensor, pairs: Pairs, keep: Side, out: Tensor | None = None) -> Tensor:
    """Give each pair the row of its node u, or v: `(N, F)` to `(P, F)`."""
    return torch.index_select(rows, 0, pairs.node(keep), out=out)


def _point_uv(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    return y


def _point_vu(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    return torch.index_select(y, 0, pairs.transposed, out=out)


def _point_uu(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    return spread(_diagonal(y, pairs), pairs, "u", out)


def _point_vv(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    return spread(_diagonal(y, pairs), pairs, "v", out)


def _global_u(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    return spread(collect(y, pairs, "u"), pairs, "u", out)


def _global_v(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    return spread(collect(y, pairs, "v"), pairs, "v", out)


def _local_u(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    return neighbour_sum(y, pairs, "u", out)


def _local_v(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    return neighbour_sum(y, pairs, "v", out)


def _local_global_v(y: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    total = collect(y, pairs, "v")  # (N, F)
    source, target = pairs.edge_index
    message = total.index_select(0, source)  # (E, F)
    return spread(torch.zeros_like(total).index_add(0, target, message), pairs, "v", out)


def _diagonal(y: Tensor, pairs: Pairs) -> Tensor:
    if pairs.diagonal is None:
        return y.new_zeros(pairs.num_nodes, y.shape[1])
    return y.index_select(0, pairs.diagonal)


AGGREGATIONS: Final = MappingProxyType[str, Aggregation](
    {
        "point_uv": _point_uv,
        "point_vu": _point_vu,
        "point_uu": _point_uu,
        "point_vv": _point_vv,
        "global_u": _global_u,
        "global_v": _global_v,
        "local_u": _local_u,
        "local_v": _local_v,
        "local_global_v": _local_global_v,
    }
)
"""By name, with h(u, v) the state of node v in the copy of u and N(v) the neighbours of v:

| name | what pair (u, v) reads |
|---|---|
| `point_uv` | h(u, v) |
| `point_vu` | h(v, u) |
| `point_uu` | h(u, u) |
| `point_vv` | h(v, v) |
| `global_u` | sum of h(u, w) over all w |
| `global_v` | sum of h(w, v) over all w |
| `local_u` | sum of h(u, w) over w in N(v): message passing inside the copy of u |
| `local_v` | sum of h(w, v) over w in N(u): message passing between the copies |
| `local_global_v` | sum of h(t, w) over all t and over w in N(v): message passing on the sum of all copies |

Pairs that the node policy leaves out count as zero.
"""


def adjoint(name: str, grad: Tensor, pairs: Pairs, out: Tensor | None = None) -> Tensor:
    """The transpose of an aggregation: what a gradient after it is before it."""
    if name not in ("point_uu", "point_vv"):
        return AGGREGATIONS[name](grad, pairs, out)  # symmetric, as the edges are
    result = torch.zeros_like(grad) if out is None else out.zero_()
    if pairs.diagonal is None:
        return result
    rows = collect(grad, pairs, "u" if name == "point_uu" else "v")
    return result.index_copy_(0, pairs.diagonal, rows)


def edge_aggregate(name: str, h: Tensor, edge: Tensor, pairs: Pairs) -> Tensor:
    """A local aggregation whose messages `ReLU(h + e)` carry features of edges (GINE).

    Args:
        name: of a local aggregation.
        h: `(P, F)`.
        edge: `(E, F)`.
        pairs: with lists of neighbours.
    """
    if name == "local_global_v":
        total = collect(h, pairs, "v")
        source, target = pairs.edge_index
        message = torch.relu(total.index_select(0, source) + edge)
        return spread(torch.zeros_like(total).index_add(0, target, message), pairs, "v")
    return edge_messages(h, edge, pairs, "u" if name == "local_u" else "v")


def local_sides(names: tuple[str, ...]) -> tuple[Side, ...]:
    """The sides for which aggregations sum over neighbouring pairs."""
    sides: tuple[tuple[Side, str], ...] = (("u", "local_u"), ("v", "local_v"))
    return tuple(side for side, name in sides if name in names)
