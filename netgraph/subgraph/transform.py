"""The transform that lists the pairs of a graph, once."""

from __future__ import annotations

from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import shortest_path
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from netgraph.convert.plain import as_data
from netgraph.errors import UsageError

__all__ = ["POLICIES", "SubgraphData", "SubgraphTransform"]

POLICIES: Final = ("marking", "distance", "deletion")
"""How the copy of a graph that belongs to node u differs from the graph itself."""

_Ints: TypeAlias = npt.NDArray[np.int64]


@final
class SubgraphData(Data):  # type: ignore[misc]
    """A graph with the pairs (u, v) of its subgraphs: node v in the copy of the graph that belongs to node u.

    Loaders of PyTorch Geometric batch it like any other graph.

    Attributes:
        pair_index: `(2, P)`, u and v of each pair, sorted by u, then v; (v, u) is there as well.
        pair_start: `(P,)`, the start colour of each pair (see `SubgraphTransform`).
        subgraph_policy: the transform that made it, in words; networks refuse batches of another one.
    """

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return 1 if key == "pair_index" else super().__cat_dim__(key, value, *args, **kwargs)

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return self.num_nodes if key == "pair_index" else super().__inc__(key, value, *args, **kwargs)

    @property
    def num_pairs(self) -> int:
        """P, the number of pairs."""
        return int(self.pair_index.shape[1])


# Datasets that are cached on disk are read without unpickling anything that is not listed.
torch.serialization.add_safe_globals([SubgraphData])


@final
class SubgraphTransform(BaseTransform):  # type: ignore[misc]
    """List the pairs of a graph and their start colours: one subgraph per node, as a node policy says.

    - `"marking"`: node u is marked in its own copy; the start colour is 1 for u = v and 0 elsewhere.
    - `"distance"`: the start colour is the length of a shortest path from u to v, at most `max_distance`, and
      `max_distance + 1` where there is no path. Marking arrives at the same partition after some layers.
    - `"deletion"`: node u is missing from its own copy, so there is no pair (u, u); all start colours are 0.

    With `hops=k` the copy of u holds only the nodes within k steps of u; otherwise it holds all nodes.

    A transform in the sense of PyTorch Geometric: as `pre_transform` of a dataset it runs once and its result
    is cached on disk; as `transform` it runs at each access. With `hops`, time and memory grow with the
    number of pairs, not with the square of the number of nodes.

    Args:
        policy: one of `POLICIES`.
        hops: radius of the copies in edges, or None.
        max_distance: longer distances count as this one; only the policy `"distance"` reads it.

    Raises:
        UsageError: an unknown policy, or a radius or distance below one.
        InterchangeError: on call, a graph that is directed, has loops or parallel edges, or features that are
            not finite (see `netgraph.convert.as_data`).

    >>> import networkx as nx
    >>> data = SubgraphTransform("distance", hops=1)(nx.path_graph(3))
    >>> data.pair_index.tolist()
    [[0, 0, 1, 1, 1, 2, 2], [0, 1, 0, 1, 2, 1, 2]]
    >>> data.pair_start.tolist()
    [0, 1, 1, 0, 1, 1, 0]
    """

    def __init__(self, policy: str = "distance", *, hops: int | None = None, max_distance: int = 5) -> None:
        if policy not in POLICIES:
            raise UsageError(
                f"SubgraphTransform: expected a policy of {', '.join(POLICIES)}, got {policy!r}; choose one"
            )
        for name, value in (("hops", hops), ("max_distance", max_distance)):
            if not (value is None and name == "hops") and (type(value) is not int or value < 1):
                raise UsageError(
                    f"SubgraphTransform: expected {name} to be a whole number from 1, got {value!r}; "
                    "one step is the least that differs from no subgraph at all"
                )
        self.policy = policy
        self.hops = hops
        self.max_distance = max_distance

    @property
    def num_starts(self) -> int:
        """How many start colours there are."""
        return {"marking": 2, "distance": self.max_distance + 2, "deletion": 1}[self.policy]

    def __call__(self, graph: Any) -> SubgraphData:
        return self.forward(graph)

    def forward(self, graph: Any) -> SubgraphData:
        data = as_data(graph)
        nodes = int(data.num_nodes)
        source, target = data.edge_index.cpu().numpy()
        adjacency = sp.csr_array((np.ones(len(source), np.int8), (source, target)), shape=(nodes, nodes))
        u, v, start = _pairs(adjacency, self.policy, self.hops)
        if self.policy == "distance":
            start = np.where(start < 0, self.max_distance + 1, np.minimum(start, self.max_distance))
        elif self.policy == "marking":
            start = (u == v).astype(np.int64)
        else:
            other = u != v
            u, v, start = u[other], v[other], np.zeros(int(other.sum()), np.int64)
        out = SubgraphData.from_dict(data.to_dict())
        out.num_nodes = nodes
        out.pair_index = torch.from_numpy(np.stack((u, v))).to(data.edge_index.device)
        out.pair_start = torch.from_numpy(start).to(data.edge_index.device)
        out.subgraph_policy = repr(self)
        return out

    def __repr__(self) -> str:
        limit = f", max_distance={self.max_distance}" if self.policy == "distance" else ""
        return f"SubgraphTransform({self.policy!r}, hops={self.hops}{limit})"


def _pairs(adjacency: sp.csr_array, policy: str, hops: int | None) -> tuple[_Ints, _Ints, _Ints]:
    """u, v and the distance of all pairs, or of those at most `hops` apart; -1 stands for no path."""
    nodes = adjacency.shape[0]
    if hops is not None:
        return _near(adjacency, hops)
    if policy == "distance" and nodes:
        length = shortest_path(adjacency, method="D", directed=False, unweighted=True)  # (N, N)
        distance = np.where(np.isfinite(length), length, -1).astype(np.int64).reshape(-1)
    else:
        distance = np.zeros(nodes * nodes, np.int64)
    u, v = np.divmod(np.arange(nodes * nodes, dtype=np.int64), max(nodes, 1))
    return u, v, distance


def _near(adjacency: sp.csr_array, hops: int) -> tuple[_Ints, _Ints, _Ints]:
    """Breadth-first search from all nodes at once, in memory linear in the pairs that are found."""
    nodes = adjacency.shape[0]
    seen = frontier = sp.eye_array(nodes, dtype=np.int8, format="csr")
    found = [(np.arange(nodes), np.arange(nodes), np.zeros(nodes, np.int64))]
    for step in range(1, hops + 1):
        frontier = (frontier.astype(np.int32) @ adjacency).astype(bool).astype(np.int8)
        frontier = frontier - frontier.multiply(seen)
        frontier.eliminate_zeros()
        if not frontier.nnz:
            break
        seen = seen + frontier
        u, v = frontier.nonzero()
        found.append((u, v, np.full(len(u), step)))
    u, v, distance = (np.concatenate(parts).astype(np.int64) for parts in zip(*found, strict=True))
    order = np.lexsort((v, u))
    return u[order], v[order], distance[order]
