"""The provably powerful graph network, the reference for the 2-FWL test."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from netgraph.errors import UsageError
from netgraph.subgraph.conv import make_norm
from netgraph.subgraph.encode import FeatureEncoder
from netgraph.subgraph.inputs import check_batch, check_numbers, check_trainable
from netgraph.subgraph.neighbour_sum import padded, unpadded
from netgraph.subgraph.pairing import pairs_of
from netgraph.subgraph.pairs import Pairs
from netgraph.subgraph.readout import Readout
from netgraph.subgraph.transform import SubgraphTransform

__all__ = ["PPGN"]


@final
class PPGN(nn.Module):
    """A network that multiplies states of pairs as matrices: as expressive as the folklore test FWL(2).

        h0(u, v) = E x(u) + E' x(v) + start(u, v) + [u next to v] (a + D e(u, v))
        m(u, v)  = sum_w P_l(h(u, w)) * Q_l(h(w, v))          P_l, Q_l: MLPs, * feature by feature
        h_l(u, v) = ReLU( Norm( V_l [h(u, v), m(u, v)] ) )

    Time grows with n^3 and memory with n^2 per graph, F times each; there is no sparse backend. It reads the
    same batches as `SubgraphNet` and ends in the same `Readout`, in place of the sums over diagonal and other
    pairs after every block that the paper has.

    Paper: Maron et al., Provably Powerful Graph Networks, NeurIPS 2019, arXiv 1905.11136.

    Args:
        in_channels: as in `SubgraphNet`, like all options but the next.
        policy: `"marking"` or `"distance"`.

    Shapes: a batch of graphs that `network.transform` made, or one such graph, to `(B, out_channels)`,
    `(N, out_channels)` or `(E, out_channels)`.

    Raises:
        UsageError: as in `SubgraphNet`; the policy `"deletion"`.

    >>> import networkx as nx
    >>> network = PPGN(0, 1, hidden_channels=8, num_layers=2).eval()
    >>> network(network.transform(nx.cycle_graph(5))).shape
    torch.Size([1, 1])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int = 64,
        num_layers: int = 3,
        pooling: str = "VS",
        pool: str = "mean",
        level: str = "graph",
        edge_dim: int | None = None,
        policy: str = "distance",
        max_distance: int = 5,
        norm: str | None = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_numbers("PPGN", in_channels, out_channels, hidden_channels, num_layers, edge_dim, dropout)
        if policy == "deletion":
            raise UsageError(
                "PPGN: expected all pairs, got the policy 'deletion'; choose 'marking' or 'distance'"
            )
        self.transform = SubgraphTransform(policy, max_distance=max_distance)
        self.norm, self.dropout = norm, dropout
        self.start = nn.Embedding(self.transform.num_starts, hidden_channels)
        self.adjacent = nn.Parameter(torch.randn(hidden_channels))
        self.encoder = FeatureEncoder("x", in_channels, hidden_channels) if in_channels else None
        self.encoder_u = FeatureEncoder("x", in_channels, hidden_channels) if in_channels else None
        self.edges = FeatureEncoder("edge_attr", edge_dim, hidden_channels) if edge_dim else None
        self.blocks = nn.ModuleList(_Block(hidden_channels, norm) for _ in range(num_layers))
        self.readout = Readout(
            hidden_channels,
            out_channels,
            pooling=pooling,
            pool=pool,
            level=level,
            norm=norm,
            dropout=dropout,
        )

    def forward(self, batch: Data | Pairs) -> Tensor:
        pairs = batch if isinstance(batch, Pairs) else self.pairs(batch)
        h = self.start(pairs.start)  # (P, F)
        if self.encoder is not None and self.encoder_u is not None:
            h = h + self.encoder(pairs.x).index_select(0, pairs.v)
            h = h + self.encoder_u(pairs.x).index_select(0, pairs.u)
        edge = self.adjacent.expand(pairs.edge_index.shape[1], -1)  # (E, F)
        if self.edges is not None and pairs.edge_attr is not None:
            edge = edge + self.edges(pairs.edge_attr)
        h = h.index_add(0, pairs.edge_pair, edge.to(h.dtype))
        for block in self.blocks:
            h = F.dropout(block(h, pairs), self.dropout, self.training)
        return self.readout(h, pairs)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def pairs(self, batch: Data) -> Pairs:
        """What the blocks read of a batch, checked.

        Raises:
            UsageError: as in a call of the network.
        """
        check_batch("PPGN", batch, self.transform, self.encoder, self.edges)
        check_trainable("PPGN", batch, self.norm if self.training else None)
        return pairs_of(batch, backend="dense", local=())


class _Block(nn.Module):
    def __init__(self, channels: int, norm: str | None) -> None:
        super().__init__()
        self.left, self.right = _mlp(channels), _mlp(channels)
        self.skip = nn.Linear(2 * channels, channels, bias=norm is None)
        self.norm = make_norm(norm, channels)

    def forward(self, h: Tensor, pairs: Pairs) -> Tensor:
        blocks = pairs.blocks
        assert blocks is not None
        left, right = (padded(mlp(h), blocks, "v").permute(0, 3, 1, 2) for mlp in (self.left, self.right))
        product = unpadded(torch.matmul(left, right).permute(0, 2, 3, 1), blocks, "v")  # (P, F)
        return F.relu(self.norm(self.skip(torch.cat((h, product), dim=1))))


def _mlp(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels), nn.ReLU())
