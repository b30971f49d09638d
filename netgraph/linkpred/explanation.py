"""Which paths a score of a Bellman-Ford network rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.incoming import IncomingEdges, incoming_edges
from netgraph.linkpred.nbfnet import NBFNet

__all__ = ["Path", "best_paths", "explain"]


@final
@dataclass(frozen=True)
class Path:
    """A walk from head to tail.

    Attributes:
        nodes: from the head to the tail.
        relations: of the edges between them, one fewer; 0 in graphs of one relation.
        weight: the sum of the importances of the edges.
    """

    nodes: tuple[int, ...]
    relations: tuple[int, ...]
    weight: float


def explain(
    net: NBFNet, graph: LinkGraph, head: int, tail: int, relation: int | None = None, k: int = 10
) -> list[Path]:
    """The k paths that a score depends on most, the most important first.

    An edge counts in a layer as much as the score changes with its weight there, and a path as the sum of its
    edges: a linear approximation of the score around the graph as it is. `best_paths` says which walks are
    looked at. Negative weights are those of paths that speak against the link. Where a network averages both
    directions, this is the share of the one that starts at the head.

    Paper: Zhu et al., Neural Bellman-Ford Networks, NeurIPS 2021.

    Args:
        net: the network.
        graph: the graph; without the link itself, if that is to be explained by others.
        head, tail: the nodes.
        relation: what is asked for, in graphs of several relations.
        k: how many paths.

    Returns:
        At most k paths; fewer if there are not so many of at most as many edges as the network has layers.

    Raises:
        UsageError: a node or a relation that there is not, or a k below one.
        GraphError: the graph has another number of relations than the network.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1, 0], [1, 2, 3]]), 4)
    >>> [path.nodes for path in explain(NBFNet(dim=8, layers=2), graph, 0, 2)]
    [(0, 1, 2)]
    """
    for name, value, most in (
        ("head", head, graph.num_nodes),
        ("tail", tail, graph.num_nodes),
        ("relation", 0 if relation is None else relation, graph.num_relations),
    ):
        if not 0 <= value < most:
            raise UsageError(f"explain: expected a {name} from 0 to {most - 1}, got {value}; see the graph")
    if k < 1:
        raise UsageError(f"explain: expected a number of paths from 1, got {k}; 10 is usual")
    like = net.query.weight
    weights = [torch.ones(len(graph.indices)).to(like).requires_grad_() for _ in net.layers]
    pair = torch.tensor([[head], [tail]], device=like.device)
    kind = None if relation is None else torch.tensor([relation], device=like.device)
    with torch.enable_grad():
        score = net.score(graph, net.encode(graph), pair, kind, edge_weights=weights).sum()
        importance = torch.autograd.grad(score, weights)
    return best_paths(graph, importance, head, tail, k)


@torch.no_grad()
def best_paths(
    graph: LinkGraph, importance: Sequence[Tensor], head: int, tail: int, k: int = 10
) -> list[Path]:
    """The k walks from head to tail with the largest sums of importances, by dynamic programming over layers.

    A walk takes one edge in each of some consecutive layers. It may set out in any layer, since the boundary
    joins each, and wait at the tail afterwards; of all times to set out the best one counts. Walks of at most
    as many edges as there are layers are looked at. They may visit a node more than once, but end where they
    first come to the tail.

    For each node, the k best walks that end there in a layer are the best extensions of the k best walks of
    the layer before: nothing is cut off that belongs to the result.

    Args:
        graph: the graph.
        importance: of the entries of `graph.indices` in each layer, `(E,)` each.
        head, tail: the nodes.
        k: how many.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 0, 1], [1, 2, 2]]), 3, undirected=False)
    >>> [(p.nodes, p.weight) for p in best_paths(graph, [torch.tensor([1.0, 3.0, 0.5])] * 2, 0, 2)]
    [((0, 2), 3.0), ((0, 1, 2), 1.5)]
    """
    edges = incoming_edges(graph)
    nowhere = torch.full((graph.num_nodes, k), -torch.inf, dtype=torch.double, device=graph.device)
    start = nowhere[:, :1].clone()
    start[head] = 0
    sums, steps = nowhere, []
    found: dict[tuple[int, ...], float] = {}
    for layer in importance:
        gain = layer.double() if edges.position is None else layer.double()[edges.position]
        going = sums.clone()
        going[tail] = -torch.inf
        sums, step = _extended(edges, torch.cat((start, going), 1), gain, k)
        steps.append(step)
        for rank, total in enumerate(sums[tail].tolist()):
            if total > -torch.inf:
                walk = _traced(edges, steps, tail, rank)
                found[walk] = max(found.get(walk, -torch.inf), total)
    best = sorted(found.items(), key=lambda item: (-item[1], len(item[0]), item[0]))[:k]
    return [_path(edges, walk, total) for walk, total in best]


def _extended(
    edges: IncomingEdges, sums: Tensor, gain: Tensor, k: int
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Walks with one edge more.

    Returns:
        Of the k best at each node their sums `(N, k)`, last edges `(N, k)`, and which walk each extends,
        `(N, k)`: a column of the `sums` that were given.
    """
    places = sums.size(1)
    live = (sums.amax(1) > -torch.inf)[edges.source].nonzero().squeeze(1)
    total = (sums[edges.source[live]] + gain[live].unsqueeze(1)).flatten()
    edge = live.repeat_interleave(places)
    before = torch.arange(places, device=live.device).repeat(len(live))
    # By sum, and then by target with a stable sort: the best of each target come first.
    order = total.argsort(descending=True, stable=True)
    order = order[edges.target[edge[order]].argsort(stable=True)]
    total, edge, before = total[order], edge[order], before[order]
    target = edges.target[edge]
    rank = torch.arange(len(target), device=target.device) - torch.searchsorted(target, target)
    keep = (rank < k) & (total > -torch.inf)
    at = target[keep], rank[keep]
    new = sums.new_full((len(sums), k), -torch.inf).index_put(at, total[keep])
    none = torch.zeros(len(sums), k, dtype=torch.long, device=sums.device)
    return new, (none.index_put(at, edge[keep]), none.index_put(at, before[keep]))


def _traced(
    edges: IncomingEdges, steps: list[tuple[Tensor, Tensor]], node: int, rank: int
) -> tuple[int, ...]:
    """The edges of a walk, from its last step back to its first; column 0 is where walks set out."""
    walk = []
    for edge, before in reversed(steps):
        walk.append(int(edge[node, rank]))
        node, rank = int(edges.source[walk[-1]]), int(before[node, rank]) - 1
        if rank < 0:
            break
    return tuple(reversed(walk))


def _path(edges: IncomingEdges, walk: tuple[int, ...], total: float) -> Path:
    at = torch.tensor(walk, device=edges.source.device)
    nodes = [*edges.source[at].tolist(), int(edges.target[walk[-1]])]
    kinds = [0] * len(walk) if edges.relation is None else edges.relation[at].tolist()
    return Path(tuple(nodes), tuple(kinds), total)
