"""Encoders: states of the nodes of a graph, by layers that an entry of a dict names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.linkpred.adjacency import Adjacency
from netgraph.linkpred.convolutions import GAT, GCN, GIN, MLP, SAGE, PureGCN
from netgraph.linkpred.dropout import dropout
from netgraph.linkpred.features import FeatureLinear, Features, read_features
from netgraph.linkpred.graph import LinkGraph

__all__ = ["ACTIVATIONS", "ENCODERS", "Encoder", "Jumping", "make_encoder", "register_encoder"]

Layer = Callable[[int, int], nn.Module]
Jumping = Literal["none", "sum", "softmax"]

ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "none": lambda x: x,
}
"""What may stand between two layers."""

ENCODERS: dict[str, Layer] = {
    "gcn": GCN,
    "puregcn": PureGCN,
    "sage": SAGE,
    "gin": GIN,
    "gat": GAT,
    "mlp": MLP,
}
"""Layers by name, each made of its channels in and out, and read as `(x (N, F), Adjacency) -> (T, F')`.

A layer that uses the state of a node itself takes it from `adjacency.own(x)`, as in a part of a graph only
the first T nodes get new states.
"""


def step(x: Tensor, p: float, noisy: bool, activation: str) -> Tensor:
    """An activation and dropout."""
    if activation == "relu":
        return dropout(x, p, noisy, relu=True)
    return dropout(ACTIVATIONS[activation](x), p, noisy)


def register_encoder(name: str) -> Callable[[Layer], Layer]:
    """Add a layer to `ENCODERS` under a name.

    Raises:
        UsageError: the name is taken.

    >>> @register_encoder("neighbours only")
    ... class NeighboursOnly(nn.Module):
    ...     def __init__(self, in_channels, out_channels):
    ...         super().__init__()
    ...         self.lin = FeatureLinear(in_channels, out_channels)
    ...
    ...     def forward(self, x, adjacency):
    ...         return adjacency.mean(self.lin(x))
    >>> make_encoder("neighbours only", 5, 8, 1).out_channels
    8
    >>> del ENCODERS["neighbours only"]
    """
    if name in ENCODERS:
        raise UsageError(
            f"register_encoder: expected a new name, got {name!r}, which is taken; choose another"
        )

    def add(layer: Layer) -> Layer:
        ENCODERS[name] = layer
        return layer

    return add


def make_encoder(
    name: str, in_channels: int, hidden: int = 256, layers: int = 1, dropout: float = 0.0, **options: Any
) -> Encoder:
    """An `Encoder` whose layers a name of `ENCODERS` tells; all else is as there.

    Raises:
        UsageError: an unknown name, or a number that makes no sense.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, x=torch.eye(3))
    >>> make_encoder("gcn", 3, 16, 2)(graph).shape
    torch.Size([3, 16])
    """
    if name not in ENCODERS:
        raise UsageError(f"encoder: expected one of {', '.join(ENCODERS)}, got {name!r}; choose one")
    if name == "puregcn":
        options = {"activation": "none", "project": True} | options
    return Encoder(ENCODERS[name], in_channels, hidden, layers, dropout, **options)


@final
class Encoder(nn.Module):
    """States of nodes by layers of one kind, with what helps in link prediction.

    Before each layer but the first stand a layer norm, the activation and dropout, if asked for; nothing
    stands behind the last, whose states are multiplied with one another. A graph's edges that were left out
    do not exist. Nodes without features and embeddings start as (1, log(1 + degree)).

    Args:
        layer: makes a layer of its channels in and out.
        in_channels: of the features of nodes; 0 for none.
        hidden: channels of all states.
        layers: how many; with 0, a linear layer alone.
        dropout: probability, before each layer but the first, and after the projection.
        x_dropout: of features and embeddings.
        tail_dropout: of the last states.
        edge_dropout: of edges, anew for each layer.
        norm: layer norm before each layer but the first.
        residual: add to the output of each layer its input, unless that is features.
        jumping: give the sum of the states of all layers, with learned weights as they are or after a
            softmax, in place of the last (Xu et al., ICML 2018).
        activation: a name of `ACTIVATIONS`.
        project: put a linear layer to `hidden` channels before the first.
        num_nodes: of the only graph that an encoder with embeddings can read.
        embedding: width of a learned vector per node that stands beside its features; 0 for none. The vectors
            start orthogonal (Ma et al., CIKM 2025).

    Raises:
        UsageError: a number or a name that makes no sense.
    """

    def __init__(
        self,
        layer: Layer,
        in_channels: int,
        hidden: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
        *,
        x_dropout: float = 0.0,
        tail_dropout: float = 0.0,
        edge_dropout: float = 0.0,
        norm: bool = False,
        residual: bool = False,
        jumping: Jumping = "none",
        activation: str = "relu",
        project: bool = False,
        num_nodes: int | None = None,
        embedding: int = 0,
    ) -> None:
        super().__init__()
        rates = {"dropout": dropout, "x_dropout": x_dropout, "tail_dropout": tail_dropout}
        _check(rates | {"edge_dropout": edge_dropout}, hidden, layers, in_channels, embedding)
        _check_names(jumping, activation)
        if embedding and num_nodes is None:
            raise UsageError("encoder: expected num_nodes beside embedding, got None; pass that of the graph")
        self.in_channels, self.out_channels = in_channels, hidden
        self.dropout, self.x_dropout, self.tail_dropout = dropout, x_dropout, tail_dropout
        self.edge_dropout, self.residual, self.jumping = edge_dropout, residual, jumping
        self.activation = activation
        width = in_channels + embedding or 2
        self.embedding = nn.Parameter(torch.empty(num_nodes or 0, embedding)) if embedding else None
        if self.embedding is not None:
            nn.init.orthogonal_(self.embedding)
        self.projection = FeatureLinear(width, hidden) if project or not layers else None
        width = width if self.projection is None else hidden
        self.layers = nn.ModuleList(layer(hidden if i else width, hidden) for i in range(layers))
        self.norms = nn.ModuleList(
            nn.LayerNorm(hidden) if norm and i else nn.Identity() for i in range(layers)
        )
        self.jump: nn.Parameter | None = None
        if jumping != "none" and layers:
            self.jump = nn.Parameter(torch.zeros(layers) if jumping == "softmax" else torch.ones(layers))

    def forward(
        self,
        graph: LinkGraph,
        weight: Tensor | None = None,
        nodes: Tensor | None = None,
        degree: Tensor | None = None,
        within: Sequence[int] | None = None,
    ) -> Tensor:
        """States of all nodes of a graph, `(N, hidden)`.

        Args:
            graph: of as many features as the encoder was made for.
            weight: of each entry of `graph.indices`, `(E,)`; None for 1.
            nodes: which embedding belongs to each node, `(N,)`, if the graph is a part of the one that was
                learned on.
            degree: of each node in that larger graph, `(N,)`; None for the sum of its weights.
            within: how many of the first nodes are within 0, 1, ... steps of those whose states are asked
                for, which are then given alone; None for all.

        Raises:
            UsageError: other features or other nodes than the encoder was made for.
        """
        features = self._input(graph, nodes, degree)
        x: Tensor | None = None
        if self.projection is not None:
            x = dropout(self.projection(features), self.dropout, self.training)
        whole = Adjacency(graph, weight, degrees=degree)
        states: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            y = features if x is None else x
            if i:
                y = step(self.norms[i](x), self.dropout, self.training, self.activation)
            adjacency = whole
            if within is not None:
                sources = len(states[-1]) if states else graph.num_nodes
                adjacency = whole.first(within[len(self.layers) - 1 - i], sources)
            if self.training and self.edge_dropout:
                adjacency = adjacency.dropout(self.edge_dropout)
            y = layer(y, adjacency)
            x = y + x[: len(y)] if self.residual and x is not None else y
            states.append(x)
        assert x is not None  # an encoder without layers has a projection
        if self.jump is not None:
            jump, count = self.jump.softmax(0) if self.jumping == "softmax" else self.jump, len(x)
            x = states[0][:count] * jump[0]
            for share, state in zip(jump[1:], states[1:], strict=True):
                x = x + share * state[:count]
        x = x if within is None else x[: within[0]]
        return dropout(x, self.tail_dropout, self.training)

    def _input(self, graph: LinkGraph, nodes: Tensor | None, degree: Tensor | None) -> Features:
        found = 0 if graph.x is None else graph.x.size(1)
        if self.in_channels and found != self.in_channels:
            raise UsageError(
                f"encoder: expected {self.in_channels} features per node, got {found}; "
                "show it graphs with the features that it was made for"
            )
        places, value, dense = None, None, None
        if self.in_channels and graph.x is not None:
            places, value, dense = read_features(graph.x)
        if self.embedding is not None:
            rows = self.embedding if nodes is None else self.embedding[nodes]
            if len(rows) != graph.num_nodes:
                raise UsageError(
                    f"encoder: expected the {len(rows)} nodes whose embeddings were learned, got "
                    f"{graph.num_nodes}; use features in place of embeddings for graphs of other nodes"
                )
            dense = rows if dense is None else torch.cat((dense.to(rows.dtype), rows), dim=1)
        elif not self.in_channels:
            count = (graph.degree if degree is None else degree).to(self._dtype)
            dense = torch.stack((torch.ones_like(count), count.log1p()), dim=1)
        features = Features(places, value, dense)
        return features.dropout(self.x_dropout) if self.training else features

    @property
    def _dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.parameters()), torch.get_default_dtype())


def _check(rates: dict[str, float], hidden: int, layers: int, in_channels: int, embedding: int) -> None:
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise UsageError(f"encoder: expected {name} from 0 to below 1, got {rate!r}; change it")
    least = {"hidden": (hidden, 1), "layers": (layers, 0), "in_channels": (in_channels, 0)}
    for name, (value, bound) in (least | {"embedding": (embedding, 0)}).items():
        if value < bound:
            raise UsageError(f"encoder: expected {name} from {bound}, got {value!r}; change it")


def _check_names(jumping: str, activation: str) -> None:
    for name, value, known in (
        ("jumping", jumping, ("none", "sum", "softmax")),
        ("activation", activation, tuple(ACTIVATIONS)),
    ):
        if value not in known:
            raise UsageError(
                f"encoder: expected {name} to be one of {', '.join(known)}, got {value!r}; choose one"
            )
