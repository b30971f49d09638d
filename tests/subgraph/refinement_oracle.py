"""Colour refinement as it is defined: loops, dictionaries and nested tuples."""

from collections import Counter
from collections.abc import Hashable
from typing import Any

import networkx as nx

Colors = dict[tuple[int, Any, Any], Hashable]


def bag(items: Any) -> tuple[Any, ...]:
    return tuple(sorted(Counter(items).items(), key=repr))


def near(g: "nx.Graph[Any]", v: Any) -> set[Any]:
    return {v, *g[v]}


def start(test: str, g: "nx.Graph[Any]", u: Any, v: Any) -> Hashable:
    label = g.nodes[v].get("x"), g.nodes[v].get("label")
    if test == "1-WL":
        return label
    if "FWL" not in test:
        return label, u == v
    edge = (g.edges[u, v].get("edge_attr"), g.edges[u, v].get("label")) if g.has_edge(u, v) else None
    return label, (g.nodes[u].get("x"), g.nodes[u].get("label")), u == v, edge


def sees(test: str, g: "nx.Graph[Any]", c: dict[tuple[Any, Any], Hashable], u: Any, v: Any) -> Hashable:
    def edge(a: Any, b: Any) -> Hashable:
        return g.edges[a, b].get("edge_attr"), g.edges[a, b].get("label")

    if "FWL" in test:
        over = {"LFWL(2)": near(g, v), "SLFWL(2)": near(g, v) | near(g, u), "FWL(2)": set(g)}[test]
        return bag((c[u, w], c[w, v]) for w in over)
    seen: list[Hashable] = [bag((c[u, w], edge(w, v)) for w in g[v])]
    if test.startswith("PSWL"):
        seen.append(c[v, v])
    if test.startswith("GSWL"):
        seen.append(bag(c[w, v] for w in g))
    if test.startswith("SSWL"):
        seen.append(bag((c[w, v], edge(u, w)) for w in g[u]))
    return tuple(seen)


def refine(test: str, *graphs: "nx.Graph[Any]") -> Colors:
    """The stable colour of each (graph, u, v); u is None throughout for 1-WL."""
    colors: Colors = {
        (i, u, v): start(test, g, u, v)
        for i, g in enumerate(graphs)
        for v in g
        for u in ([None] if test == "1-WL" else g)
    }
    while True:
        numbers: dict[Hashable, int] = {}
        for color in colors.values():
            numbers.setdefault(color, len(numbers))
        colors = {key: numbers[color] for key, color in colors.items()}
        by_graph: list[dict[tuple[Any, Any], Hashable]] = [{} for _ in graphs]
        for (i, u, v), color in colors.items():
            by_graph[i][u, v] = color
        finer: Colors = {
            (i, u, v): (color, sees(test, graphs[i], by_graph[i], u, v))
            for (i, u, v), color in colors.items()
        }
        if len(set(finer.values())) == len(numbers):
            return colors
        colors = finer


def summary(test: str, graphs: list["nx.Graph[Any]"], pooling: str) -> list[Counter[Hashable]]:
    """The pooled colours of each graph, counted."""
    colors = refine(test, *graphs)
    found: list[Counter[Hashable]] = []
    for i, g in enumerate(graphs):
        if pooling == "ALL":
            found.append(Counter(color for (j, _, _), color in colors.items() if i == j))
        elif pooling == "VS":
            found.append(Counter(bag(colors[i, u, v] for v in g) for u in g))
        else:
            found.append(Counter(bag(colors[i, u, v] for u in g) for v in g))
    return found


def pooling_of(test: str) -> str:
    if test == "1-WL" or "FWL" in test:
        return "ALL"
    return "SV" if test.endswith("(SV)") else "VS"
