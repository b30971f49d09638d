"""Neural Bellman-Ford networks: representations of pairs from all paths between their nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred.bellman_ford import AGGREGATES, MESSAGES, Aggregate, Message
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.nbf_layer import BellmanFordLayer
from netgraph.linkpred.net import LinkNet

__all__ = ["INDICATORS", "Indicator", "NBFNet"]

Indicator = Literal["query", "ones"]

INDICATORS: Final[tuple[Indicator, ...]] = ("query", "ones")
"""What stands at the source in the boundary."""

_NUMBERS_AT_ONCE: Final = 1 << 24
"""Numbers in the states `(N, B, F)` of the sources that are propagated together."""


@final
class NBFNet(LinkNet):
    """Score pairs by a learned Bellman-Ford recursion from the head to all nodes.

        h0_v = [v = u] q_r
        h_v <- ReLU( Norm( W [h_v, AGG( {MSG(h_x, w_q(r'))} and h0_v )] ) ) + h_v
        score(u, r, v) = MLP( [h_v, q_r] )

    where `q_r` is a vector per relation that is asked for, and `w_q(r') = A q_r + b` a vector per relation of
    an edge, other ones in each layer. One recursion serves all tails of a head and relation, so pairs are
    grouped by these, and where the states of all groups are too large together, some groups are worked on
    at a time and again in the backward pass. Nothing belongs to a node: a network that was trained on one
    graph reads any other of the same relations. Triples whose head is asked for are scored as tails of the
    reversed relation, whose number the caller knows.

    Nodes that no path from the head has reached yet differ by what their edges' relations and their degree
    make of the bias of a layer, so they are not skipped.

    In training, leave the links of a batch out of the graph (`LinkGraph.without`): all relations and both
    directions, as the paper does.

    Paper: Zhu et al., Neural Bellman-Ford Networks: A General Graph Neural Network Framework for Link
    Prediction, NeurIPS 2021. Its homogeneous graphs have a loop at each node besides; here there are none,
    as the own state enters the linear map anyway.

    Args:
        num_relations: of the graphs, those of reversed edges included.
        dim: F, features of a state.
        layers: steps of the recursion, and so the length of the longest path.
        message: one of `MESSAGES`.
        aggregate: one of `AGGREGATES`.
        conditioned: make the vectors of relations from the query, as above; False for plain embeddings; None
            for what the paper has: plain ones in graphs of one relation.
        layer_norm: normalise each state.
        shortcut: add the state before.
        indicator: `"query"` for `q_r` in the boundary, as above, or `"ones"`.
        symmetric: average the last states of v from u and of u from v before the MLP, for undirected graphs
            of one relation; None to do so where a graph is one, as the paper does. Every tail is a source
            then, so `score_all` starts from all nodes.
        sources_at_once: how many groups are propagated together; None for about 2**24 numbers in a state.

    Raises:
        UsageError: an unknown option, a number below one, an odd `dim` with `"rotate"`, or `symmetric=True`
            with several relations.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 4)
    >>> net = NBFNet(dim=8, layers=2)
    >>> net(graph, torch.tensor([[0, 0], [2, 3]])).shape
    torch.Size([2])
    >>> net.score_all(graph, net.encode(graph), torch.tensor([0, 3])).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        num_relations: int = 1,
        dim: int = 32,
        layers: int = 6,
        *,
        message: Message = "distmult",
        aggregate: Aggregate = "pna",
        conditioned: bool | None = None,
        layer_norm: bool = True,
        shortcut: bool = True,
        indicator: Indicator = "query",
        symmetric: bool | None = None,
        sources_at_once: int | None = None,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("message", message, MESSAGES),
            ("aggregate", aggregate, AGGREGATES),
            ("indicator", indicator, INDICATORS),
        ):
            if value not in known:
                raise UsageError(f"NBFNet: expected {name} of {', '.join(known)}, got {value!r}; choose one")
        for name, number in (
            ("num_relations", num_relations),
            ("dim", dim),
            ("layers", layers),
            ("sources_at_once", 1 if sources_at_once is None else sources_at_once),
        ):
            if type(number) is not int or number < 1:
                raise UsageError(f"NBFNet: expected {name} to be a whole number from 1, got {number!r}")
        if message == "rotate" and dim % 2:
            raise UsageError(f"NBFNet: expected an even dim for rotate, got {dim}; halves are re and im")
        if symmetric and num_relations > 1:
            raise UsageError(
                f"NBFNet: expected one relation for symmetric=True, got {num_relations}; leave symmetric out"
            )
        self.num_relations = num_relations
        self.dim = dim
        self.indicator = indicator
        self.symmetric = symmetric
        self.sources_at_once = sources_at_once
        if conditioned is None:
            conditioned = num_relations > 1
        self.query = nn.Embedding(num_relations, dim)
        self.layers = nn.ModuleList(
            BellmanFordLayer(num_relations, dim, message, aggregate, conditioned, layer_norm, shortcut)
            for _ in range(layers)
        )
        self.first = nn.Linear(2 * dim, 2 * dim)
        self.second = nn.Linear(2 * dim, 1)

    def encode(self, graph: LinkGraph) -> Tensor:
        """Nothing, `(N, 0)`: states depend on the head."""
        return self.query.weight.new_empty(graph.num_nodes, 0)

    def score(
        self,
        graph: LinkGraph,
        states: Tensor,
        pairs: Tensor,
        relation: Tensor | None = None,
        edge_weights: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Logits of pairs `(2, P)`, of relations `(P,)` where the graph has several, `(P,)`.

        Args:
            graph: to walk on.
            states: not read.
            pairs: what is asked for.
            relation: of each pair.
            edge_weights: of each layer, `(E,)` (see `propagate`), to see what an edge does on the way from
                the heads; the way from the tails, which averages have besides, goes without.

        Raises:
            GraphError: the graph has another number of relations.
            UsageError: relations are missing.
        """
        kind = self._kinds(graph, pairs[0], relation)
        if not self._averages(graph):
            features = self._features(graph, pairs, kind, edge_weights)
        elif edge_weights is None:
            # Together, as a node may be the head of one pair and the tail of another.
            both = torch.cat((pairs, pairs.flip(0)), 1)
            features = self._features(graph, both, kind.repeat(2)).unflatten(0, (2, -1)).mean(0)
        else:
            onward = self._features(graph, pairs, kind, edge_weights)
            features = (onward + self._features(graph, pairs.flip(0), kind)) / 2
        return self.readout(features, self.query(kind))

    def score_all(
        self, graph: LinkGraph, states: Tensor, heads: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Logits of every node as the tail of each head `(B,)`, `(B, N)`."""
        kind = self._kinds(graph, heads, relation)
        if self._averages(graph):
            return self._score_all_averaged(graph, heads)
        groups, member = self._grouped(heads, kind)
        rows = []
        for part in self._parts(graph, len(groups)):
            source, asked = self._source_and_kind(groups[part])
            found = self.node_states(graph, source, asked)  # (N, S, F)
            rows.append(self.readout(found, self.query(asked)).T)
        return torch.cat(rows)[member] if rows else heads.new_empty(0, graph.num_nodes).to(states.dtype)

    def node_states(
        self,
        graph: LinkGraph,
        heads: Tensor,
        relation: Tensor,
        edge_weights: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Last states of all nodes, from each head `(B,)` for each relation `(B,)`, `(N, B, F)`.

        Args:
            graph: to walk on.
            heads: what is asked for.
            relation: of each head.
            edge_weights: of each layer, `(E,)`, as for `score`.
        """
        query = self.query(relation)  # (B, F)
        start = torch.ones_like(query) if self.indicator == "ones" else query
        sample = torch.arange(len(heads), device=heads.device)
        boundary = start.new_zeros(graph.num_nodes, *start.shape).index_put((heads, sample), start)
        states = boundary
        for i, layer in enumerate(self.layers):
            weight = None if edge_weights is None else edge_weights[i]
            states = layer(graph, states, query, boundary, weight)
        return states

    def readout(self, features: Tensor, query: Tensor) -> Tensor:
        """Logits of last states `(..., F)` and queries, which broadcast, `(...)`."""
        of_features, of_query = self.first.weight.split(self.dim, 1)
        hidden = F.linear(features, of_features) + F.linear(query, of_query, self.first.bias)
        return self.second(F.relu(hidden)).squeeze(-1)

    def _features(
        self,
        graph: LinkGraph,
        pairs: Tensor,
        kind: Tensor,
        edge_weights: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Last states of tails from their heads, `(P, F)`."""
        heads, tails = pairs
        groups, member = self._grouped(heads, kind)
        order = member.argsort(stable=True)
        begin = torch.searchsorted(member[order], torch.arange(len(groups) + 1, device=order.device))
        parts = list(self._parts(graph, len(groups)))
        found = []
        for part in parts:
            mine = order[begin[part.start] : begin[part.stop]]
            given = graph, groups[part], member[mine] - part.start, tails[mine], edge_weights
            if len(parts) > 1 and torch.is_grad_enabled():
                found.append(checkpoint(self._some, *given, use_reentrant=False, preserve_rng_state=False))
            else:
                found.append(self._some(*given))
        if not found:
            return self.query.weight.new_empty(0, self.dim)
        return torch.cat(found).index_select(0, order.argsort())

    def _some(
        self,
        graph: LinkGraph,
        groups: Tensor,
        sample: Tensor,
        tails: Tensor,
        edge_weights: Sequence[Tensor] | None,
    ) -> Tensor:
        states = self.node_states(graph, *self._source_and_kind(groups), edge_weights)
        return states.flatten(0, 1).index_select(0, tails * len(groups) + sample)

    def _score_all_averaged(self, graph: LinkGraph, heads: Tensor) -> Tensor:
        """Tails are sources as well, some at a time."""
        source, member = heads.unique(return_inverse=True)
        zero = torch.zeros((), dtype=torch.long, device=heads.device)
        onward = torch.cat(
            [
                self.node_states(graph, source[p], zero.expand(len(source[p])))
                for p in self._parts(graph, len(source))
            ]
            or [self.query.weight.new_empty(graph.num_nodes, 0, self.dim)],
            1,
        )  # (N, S, F)
        nodes = torch.arange(graph.num_nodes, device=heads.device)
        rows = []
        for part in self._parts(graph, graph.num_nodes):
            back = self.node_states(graph, nodes[part], zero.expand(len(nodes[part])))[source]  # (S, T, F)
            rows.append(self.readout((onward[part].transpose(0, 1) + back) / 2, self.query(zero)))
        return torch.cat(rows, 1)[member]

    def _kinds(self, graph: LinkGraph, like: Tensor, relation: Tensor | None) -> Tensor:
        if graph.num_relations != self.num_relations:
            raise GraphError(
                f"NBFNet: expected a graph of {self.num_relations} relations, got {graph.num_relations}; "
                "count those of reversed edges"
            )
        if relation is None and self.num_relations > 1:
            raise UsageError(
                f"NBFNet: expected one of {self.num_relations} relations per pair, got none; pass relation"
            )
        return torch.zeros_like(like) if relation is None else relation

    def _averages(self, graph: LinkGraph) -> bool:
        if self.symmetric is None:
            return self.num_relations == 1 and graph.undirected
        return self.symmetric

    def _grouped(self, heads: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        """Distinct heads and relations, as one number each, and the group of each pair."""
        return (heads * self.num_relations + kind).unique(return_inverse=True)

    def _source_and_kind(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        return groups.div(self.num_relations, rounding_mode="floor"), groups % self.num_relations

    def _parts(self, graph: LinkGraph, groups: int) -> Iterator[slice]:
        """Some groups at a time, as evenly as may be."""
        most = self.sources_at_once or max(_NUMBERS_AT_ONCE // max(graph.num_nodes * self.dim, 1), 1)
        count = -(-groups // most)
        for i in range(count):
            yield slice(i * groups // count, (i + 1) * groups // count)
