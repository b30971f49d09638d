"""From states of pairs to outputs of graphs, nodes or edges."""

from __future__ import annotations

from typing import Final, final

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from netgraph.errors import UsageError
from netgraph.subgraph.conv import make_norm
from netgraph.subgraph.pairs import Pairs, Side

__all__ = ["LEVELS", "POOLINGS", "POOLS", "Readout"]

LEVELS: Final = ("graph", "node", "edge")
POOLINGS: Final = ("VS", "SV", "root")
POOLS: Final = ("mean", "sum", "max")


@final
class Readout(nn.Module):
    """Pool the states of pairs in two stages with an MLP in between, and map the result to outputs.

        r(u) = ReLU( Norm( MLP( sum_v h(u, v) ) ) ),   out = head( pool_u r(u) )       pooling VS
        r(v) = ReLU( Norm( MLP( sum_u h(u, v) ) ) ),   out = head( pool_v r(v) )       pooling SV
        r(u) = ReLU( Norm( MLP( h(u, u) ) ) ),         out = head( pool_u r(u) )       pooling root

    - level `"graph"`: `pool` is the mean, the sum or the maximum; the first stage is a sum, or with `"max"` a
      maximum. The mean forgets how many nodes there are, the maximum all multiplicities; only the sum keeps
      what the exact tests see.
    - level `"node"`: out of each r.
    - level `"edge"`: out of `h(u, v)` and `h(v, u)` of each column (u, v) of `edge_index`, without pooling.

    The head is an MLP with one hidden layer of 2 F channels.

    Args:
        channels: F.
        out_channels: outputs.
        pooling, pool, level: see above.
        norm: `"batch"` or None, for the MLP.
        dropout: probability, before the head's second layer.

    Raises:
        UsageError: an unknown name.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        pooling: str,
        pool: str,
        level: str,
        norm: str | None,
        dropout: float,
    ) -> None:
        super().__init__()
        options = (("pooling", pooling, POOLINGS), ("pool", pool, POOLS), ("level", level, LEVELS))
        for name, value, known in options:
            if value not in known:
                raise UsageError(f"{name}: expected one of {', '.join(known)}, got {value!r}; choose one")
        self.pooling, self.pool, self.level = pooling, pool, level
        self.keep: Side = "v" if pooling == "SV" else "u"
        bias = norm is None
        self.between = (
            nn.Identity()
            if level == "edge"
            else nn.Sequential(
                nn.Linear(channels, channels, bias),
                make_norm(norm, channels),
                nn.ReLU(),
                nn.Linear(channels, channels, bias),
                make_norm(norm, channels),
                nn.ReLU(),
            )
        )
        self.head = nn.Sequential(
            nn.Linear(2 * channels if level == "edge" else channels, 2 * channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * channels, out_channels),
        )

    def forward(self, h: Tensor, pairs: Pairs) -> Tensor:
        if self.level == "edge":
            there = pairs.edge_pair
            both = torch.cat((h[there], h[pairs.transposed[there]]), dim=1)  # (E, 2F)
            return self.head(both)
        if self.pooling == "root":
            rows = h[pairs.diagonal]
        else:
            reduce = "max" if self.pool == "max" else "sum"
            rows = scatter(h, pairs.node(self.keep), 0, pairs.num_nodes, reduce)
        rows = self.between(rows)  # (N, F)
        if self.level == "graph":
            rows = scatter(rows, pairs.graph, 0, pairs.num_graphs, self.pool)
        return self.head(rows)
