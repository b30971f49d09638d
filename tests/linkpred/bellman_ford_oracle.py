"""Message passing the plain way: every message stands in memory, and is gathered into its target."""

from __future__ import annotations

import torch
from torch import Tensor

from netgraph.linkpred import LinkGraph


def plain_messages(message: str, h: Tensor, w: Tensor) -> Tensor:
    if message == "rotate":
        half = h.size(-1) // 2
        product = torch.complex(h[..., :half], h[..., half:]) * torch.complex(w[..., :half], w[..., half:])
        return torch.cat((product.real, product.imag), -1)
    return h * w if message == "distmult" else h + w


def plain_propagate(
    graph: LinkGraph,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    message: str,
    aggregate: str,
    weight: Tensor | None = None,
) -> Tensor:
    """`propagate`, and for `"statistics"` the same unscaled."""
    source, target = graph.edge_index
    kind = torch.zeros_like(source) if graph.edge_relation is None else graph.edge_relation
    w = relation.expand(states.size(1), -1, -1) if relation.dim() == 2 else relation
    found = plain_messages(message, states[source], w.transpose(0, 1)[kind])
    if weight is not None:
        weight = weight if graph.kept is None else weight[graph.kept]
        found = found * weight.view(-1, 1, 1)
    found = torch.cat((boundary, found))
    target = torch.cat((torch.arange(graph.num_nodes), target))
    index = target.view(-1, 1, 1).expand_as(found)
    count = torch.bincount(target, minlength=graph.num_nodes).view(-1, 1, 1)

    def reduced(values: Tensor, how: str) -> Tensor:
        zeros = torch.zeros_like(boundary)
        return zeros.scatter_reduce(0, index, values, how, include_self=False)

    if aggregate in ("max", "min"):
        return reduced(found, f"a{aggregate}")
    total = torch.zeros_like(boundary).index_add(0, target, found)
    if aggregate == "sum":
        return total
    mean = total / count
    if aggregate == "mean":
        return mean
    variance = torch.zeros_like(boundary).index_add(0, target, (found - mean[target]).square()) / count
    parts = [mean, reduced(found, "amax"), reduced(found, "amin"), variance.clamp(min=1e-6).sqrt()]
    if aggregate == "statistics":
        return torch.cat(parts, -1)
    scale = count.to(states.dtype).log()
    scale = scale / scale.mean() if graph.num_edges else torch.zeros_like(scale)
    factors = (torch.ones_like(scale), scale, 1 / scale.clamp(min=1e-2))
    return torch.cat([part * factor for factor in factors for part in parts], -1)
