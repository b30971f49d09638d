"""One layer of a subgraph network, with the aggregations of one's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.subgraph.aggregate import AGGREGATIONS, edge_aggregate
from netgraph.subgraph.encode import FeatureEncoder
from netgraph.subgraph.fused_conv import fused_conv
from netgraph.subgraph.pairs import Pairs

__all__ = ["NORMS", "SubgraphConv", "make_norm"]

NORMS: Final = ("batch", None)


def make_norm(norm: str | None, channels: int) -> nn.Module:
    """The norm of that name: `"batch"`, or None for none.

    Raises:
        UsageError: another name.
    """
    if norm not in NORMS:
        raise UsageError(f"norm: expected 'batch' or None, got {norm!r}; choose one")
    return nn.BatchNorm1d(channels) if norm == "batch" else nn.Identity()


@final
class SubgraphConv(nn.Module):
    """One layer of a subgraph network: an MLP and an epsilon per aggregation, summed.

        h'(u, v) = ReLU( Norm( sum_a MLP_a( (1 + eps_a) h(u, v) + a(h)(u, v) ) ) )
        MLP_a(z) = V_a ReLU( Norm( W_a z ) )

    where `a` runs over the aggregations (see `AGGREGATIONS`). `point_uv` adds `MLP(h(u, v))`, which the own
    state in the other terms makes superfluous; it is for layers that have nothing else.

    If edges have features, the messages of local aggregations are `ReLU(h(u, w) + E_a e(w, v))`, as in GINE
    and in the paper. Without the ReLU their sum would fall apart into a sum over neighbours and one over
    edges, and forget which edge leads to which neighbour. Such messages go along lists of neighbours in both
    backends.

    Without features of edges, aggregations are linear: `W_a` is applied first, once for both summands, and
    the dense backend takes local sums as matrix products. Training with a norm then runs in one piece
    (`netgraph.subgraph.fused_conv`), which has no second derivatives and calls no hooks of inner modules.

    Paper: Zhang et al., A Complete Expressiveness Hierarchy for Subgraph GNNs via Subgraph Weisfeiler-Lehman
    Tests, ICML 2023, arXiv 2302.07090.

    Args:
        in_channels: F of the states before.
        out_channels: F of the states after.
        aggregations: names of `AGGREGATIONS`.
        edge_dim: features of an edge, or categories of edges; None if they have none.
        norm: `"batch"`, over all pairs of a batch, or None.

    Shapes: states `(P, in_channels)` to `(P, out_channels)`.

    Raises:
        UsageError: an unknown, repeated or missing aggregation, or an unknown norm.

    >>> import networkx as nx, torch
    >>> from netgraph.subgraph.pairing import pairs_of
    >>> from netgraph.subgraph.transform import SubgraphTransform
    >>> pairs = pairs_of(SubgraphTransform()(nx.path_graph(3)))
    >>> SubgraphConv(4, 8, ["local_u", "point_vv"])(torch.randn(9, 4), pairs).shape
    torch.Size([9, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        aggregations: Sequence[str] = ("point_uv", "local_u"),
        *,
        edge_dim: int | None = None,
        norm: str | None = "batch",
    ) -> None:
        super().__init__()
        self.aggregations = checked_aggregations(aggregations)
        self.terms = nn.ModuleDict(
            {a: _Term(a, in_channels, out_channels, edge_dim, norm) for a in self.aggregations}
        )
        self.norm = make_norm(norm, out_channels)

    @property
    def edge_encoder(self) -> FeatureEncoder | None:
        """The encoder of features of edges in one of the local aggregations; None if nothing reads them."""
        return next((term.edge for term in self._terms() if term.edge is not None), None)

    def forward(self, h: Tensor, pairs: Pairs, edge_attr: Tensor | None = None) -> Tensor:
        terms = self._terms()
        every = (*(term.norm for term in terms), self.norm)
        norms = [m for m in every if isinstance(m, nn.BatchNorm1d) and m.training and m.affine]
        if len(norms) == len(every) and self._fuses(h):
            return fused_conv(
                h,
                pairs,
                self.aggregations,
                [term.first.weight for term in terms],
                [term.second.weight for term in terms],
                [1 + term.eps for term in terms],
                norms,
            )
        total = terms[0](h, pairs, edge_attr)
        for term in terms[1:]:
            total = total + term(h, pairs, edge_attr)
        return F.relu(self.norm(total))

    def _terms(self) -> list[_Term]:
        return [term for term in self.terms.values() if isinstance(term, _Term)]

    def _fuses(self, h: Tensor) -> bool:
        """Whether this is a training step whose inside neither a compiler nor autocast wants to see."""
        return (
            self.training
            and self.edge_encoder is None
            and len(h) > 0
            and not torch.compiler.is_compiling()
            and not torch.is_autocast_enabled(h.device.type)
        )


class _Term(nn.Module):
    """V ReLU( Norm( W ((1 + eps) h + a(h)) ) ) for one aggregation a."""

    def __init__(self, name: str, channels: int, hidden: int, edge_dim: int | None, norm: str | None) -> None:
        super().__init__()
        self.name = name
        bias = norm is None  # a norm would take it away again
        self.eps = nn.Parameter(torch.zeros(()))
        self.first = nn.Linear(channels, hidden, bias)
        self.norm = make_norm(norm, hidden)
        self.second = nn.Linear(hidden, hidden, bias)
        reads = edge_dim is not None and name.startswith("local")
        self.edge = FeatureEncoder("edge_attr", edge_dim, channels) if reads and edge_dim else None

    def forward(self, h: Tensor, pairs: Pairs, edge_attr: Tensor | None) -> Tensor:
        return self.second(F.relu(self.norm(self._mixed(h, pairs, edge_attr))))

    def _mixed(self, h: Tensor, pairs: Pairs, edge_attr: Tensor | None) -> Tensor:
        if self.name == "point_uv":
            return self.first(h)
        if self.edge is not None and edge_attr is not None:
            edge = self.edge(edge_attr).to(h.dtype)  # (E, F)
            return self.first(torch.addcmul(edge_aggregate(self.name, h, edge, pairs), h, self._scale(h)))
        # W commutes with the aggregation, and is applied once for both summands.
        y = F.linear(h, self.first.weight)  # (P, F')
        z = torch.addcmul(AGGREGATIONS[self.name](y, pairs), y, self._scale(y))
        bias: Tensor | None = self.first.bias
        return z if bias is None else z + bias

    def _scale(self, like: Tensor) -> Tensor:
        return (1 + self.eps).to(like.dtype)


def checked_aggregations(names: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        UsageError: none, an unknown one, or one twice.
    """
    if isinstance(names, str) or not names:
        raise UsageError(f"aggregations: expected a list of names, got {names!r}; ['local_u'] is the least")
    for name in names:
        if name not in AGGREGATIONS:
            raise UsageError(
                f"aggregations: expected names of {', '.join(AGGREGATIONS)}, got {name!r}; choose among these"
            )
    if len(set(names)) < len(names):
        raise UsageError(f"aggregations: expected each name once, got {list(names)}; leave the repeated out")
    return tuple(names)
