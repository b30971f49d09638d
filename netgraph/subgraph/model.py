"""The subgraph network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from netgraph.errors import UsageError
from netgraph.subgraph.aggregate import local_sides
from netgraph.subgraph.conv import SubgraphConv, checked_aggregations
from netgraph.subgraph.encode import FeatureEncoder
from netgraph.subgraph.inputs import check_batch, check_numbers, check_trainable
from netgraph.subgraph.pairing import BACKENDS, pairs_of
from netgraph.subgraph.pairs import Pairs
from netgraph.subgraph.presets import Preset, preset
from netgraph.subgraph.readout import Readout
from netgraph.subgraph.transform import SubgraphTransform

__all__ = ["SubgraphNet"]


@final
class SubgraphNet(nn.Module):
    """A node-based subgraph network: a state per pair (u, v), node v in the copy of the graph of node u.

        h0(u, v) = E x(v) + start(u, v),   h_l = SubgraphConv_l(h_{l-1}),   out = Readout(h_L)

    `start` is an embedding of the mark or the distance that the node policy gives each pair.

    The class of Zhang et al. that a network belongs to follows from its aggregations and pooling (`MODELS`).
    Random weights separate what the exact test of the class does, given `pool="sum"` and as many layers as
    the test has rounds. Means forget sizes. A batch norm costs nothing once it is fixed (`eval`), and without
    one differences between graphs drown in deep networks; while training it lets a graph see those beside it.

    Paper: Zhang et al., A Complete Expressiveness Hierarchy for Subgraph GNNs via Subgraph Weisfeiler-Lehman
    Tests, ICML 2023, arXiv 2302.07090; there 6 layers of 96 channels, `norm="batch"` and `pool="mean"`.

    Args:
        in_channels: features of a node, or categories of nodes; 0 for graphs without `x`.
        out_channels: outputs.
        model: a name of `MODELS`; "SSWL" if neither this nor `aggregations` is given.
        aggregations: those of each layer, in place of a model.
        hidden_channels: F of the states.
        num_layers: L.
        pooling: `"VS"`, `"SV"` or `"root"` (see `Readout`); None for that of the model, or VS.
        pool: `"mean"`, `"sum"` or `"max"`.
        level: `"graph"`, `"node"` or `"edge"`.
        edge_dim: features of an edge, or categories of edges; None for graphs without `edge_attr`.
        policy: of the transform; None for that of the model.
        hops: of the transform; None for that of the model.
        max_distance: of the transform.
        norm: `"batch"` or None.
        dropout: probability, after each layer and in the head.
        backend: `"dense"`, `"sparse"`, or `"auto"` for whichever fits a batch.

    Shapes: a batch of graphs that `network.transform` made, or one such graph, to `(B, out_channels)`,
    `(N, out_channels)` or `(E, out_channels)`, as the level says.

    Raises:
        UsageError: an unknown name, a number out of range, or, on call, graphs without nodes, of another
            transform or with other features.

    >>> import networkx as nx, torch
    >>> from torch_geometric.data import Batch
    >>> network = SubgraphNet(0, 2, model="SSWL", hidden_channels=16, num_layers=3)
    >>> batch = Batch.from_data_list([network.transform(g) for g in (nx.path_graph(4), nx.cycle_graph(5))])
    >>> network(batch).shape
    torch.Size([2, 2])

    What depends on the batch alone, `network.pairs(batch)`, may be given in place of the batch. The rest is
    free of decisions and compiles as a whole: `torch.compile(network, fullgraph=True)(network.pairs(batch))`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        model: str | None = None,
        aggregations: Sequence[str] | None = None,
        hidden_channels: int = 64,
        num_layers: int = 6,
        pooling: str | None = None,
        pool: str = "mean",
        level: str = "graph",
        edge_dim: int | None = None,
        policy: str | None = None,
        hops: int | None = None,
        max_distance: int = 5,
        norm: str | None = "batch",
        dropout: float = 0.0,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        chosen = _chosen(model, aggregations)
        self.aggregations = chosen.aggregations
        self.transform = SubgraphTransform(
            chosen.policy if policy is None else policy,
            hops=chosen.hops if hops is None else hops,
            max_distance=max_distance,
        )
        self.norm, self.dropout, self.backend = norm, dropout, backend
        check_numbers(
            "SubgraphNet", in_channels, out_channels, hidden_channels, num_layers, edge_dim, dropout
        )
        if backend not in BACKENDS:
            raise UsageError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}; choose one")
        self.start = nn.Embedding(self.transform.num_starts, hidden_channels)
        self.encoder = FeatureEncoder("x", in_channels, hidden_channels) if in_channels else None
        self.convs = nn.ModuleList(
            SubgraphConv(hidden_channels, hidden_channels, chosen.aggregations, edge_dim=edge_dim, norm=norm)
            for _ in range(num_layers)
        )
        self.readout = Readout(
            hidden_channels,
            out_channels,
            pooling=chosen.pooling if pooling is None else pooling,
            pool=pool,
            level=level,
            norm=norm,
            dropout=dropout,
        )
        if self.readout.pooling == "root" and self.transform.policy == "deletion":
            raise UsageError(
                "SubgraphNet: expected pairs (u, u) for the pooling 'root', got the policy 'deletion', which "
                "has none; choose another of the two"
            )

    def forward(self, batch: Data | Pairs) -> Tensor:
        pairs = batch if isinstance(batch, Pairs) else self.pairs(batch)
        h = self.start(pairs.start)  # (P, F)
        if self.encoder is not None:
            h = h + self.encoder(pairs.x).index_select(0, pairs.v)
        for conv in self.convs:
            h = F.dropout(conv(h, pairs, pairs.edge_attr), self.dropout, self.training)
        return self.readout(h, pairs)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def pairs(self, batch: Data) -> Pairs:
        """What the layers read of a batch: checked, with neighbours for the backend that fits it.

        Raises:
            UsageError: as in a call of the network.
        """
        conv = self.convs[0]
        assert isinstance(conv, SubgraphConv)
        edges = conv.edge_encoder
        check_batch("SubgraphNet", batch, self.transform, self.encoder, edges)
        check_trainable("SubgraphNet", batch, self.norm if self.training else None)
        return pairs_of(
            batch,
            backend=self.backend,
            local=local_sides(self.aggregations),
            edge_features=edges is not None,
        )


def _chosen(model: str | None, aggregations: Sequence[str] | None) -> Preset:
    if aggregations is None:
        return preset("SSWL" if model is None else model)
    if model is not None:
        raise UsageError(
            f"SubgraphNet: expected a model or aggregations, got both ({model!r} and {list(aggregations)}); "
            "leave one out"
        )
    return Preset(checked_aggregations(aggregations), "VS", test="")
