"""Fürer graphs: pairs of graphs that are alike up to one twisted edge of the base graph behind them."""

from itertools import combinations
from typing import Any

import networkx as nx


def furer_pair(base: "nx.Graph[Any]") -> tuple["nx.Graph[Any]", "nx.Graph[Any]"]:
    """The graph over a base, and the same with one edge twisted.

    Its nodes are (v, S) for the nodes v of the base and the even subsets S of their neighbours; (u, S) and
    (v, T) are adjacent where uv is an edge, and v is in S if and only if u is in T, or the contrary if uv is
    twisted.
    """
    twisted = next(iter(base.edges))
    return _furer(base, None), _furer(base, twisted)


def _furer(base: "nx.Graph[Any]", twisted: tuple[Any, Any] | None) -> "nx.Graph[Any]":
    nodes = {
        v: [frozenset(s) for k in range(0, len(base[v]) + 1, 2) for s in combinations(base[v], k)]
        for v in base
    }
    out: nx.Graph[Any] = nx.Graph()
    out.add_nodes_from((v, s) for v in nodes for s in nodes[v])
    for u, v in base.edges:
        for s in nodes[u]:
            for t in nodes[v]:
                if ((v in s) == (u in t)) != ((u, v) == twisted):
                    out.add_edge((u, s), (v, t))
    return out
