"""Readers of the graphs on which subgraph tests and networks are compared.

Every function takes the folder that holds `expressivity/`; graphs are NetworkX graphs unless said otherwise.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import networkx as nx
import numpy as np
import torch
from torch_geometric.data import Data

Graph: TypeAlias = "nx.Graph[Any]"
Pair: TypeAlias = tuple[Graph, Graph]

CATEGORIES: Final = ("basic", "regular", "extension", "cfi", "4vtx", "dr", "str")
"""The parts of BREC: 60, 50, 100, 100, 20, 20 and 50 pairs."""

_SWL: Final = ("SWL(VS)", "SWL(SV)", "PSWL(VS)", "PSWL(SV)")
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1WL": "1-WL",
        **{name: name for name in _SWL},
        **{f"{name}({order})": name for name in ("GSWL", "SSWL") for order in ("VS", "SV")},
        **{f"{name}2(ALL)": f"{name}(2)" for name in ("LFWL", "SLFWL", "FWL")},
    }
)
"""Tests as `swl_pairs/expected.json` calls them, and as we do."""


def swl_pairs(root: Path) -> dict[str, tuple[Graph, Graph, frozenset[str]]]:
    """Pairs by name, with the names of the tests that separate them."""
    folder = root / "expressivity" / "swl_pairs"
    expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    found = {}
    for name, entry in expected.items():
        (g,), (h,) = (_graph6(folder / f"{name}_{side}.g6") for side in "GH")
        separated = frozenset(NAMES[test] for test in entry["separated_by"])
        if clash := separated.intersection(NAMES[test] for test in entry["not_separated_by"]):
            raise ValueError(f"expected.json: {sorted(clash)} both separate {name} and do not")
        found[name] = (g, h, separated)
    return found


def brec(root: Path) -> dict[str, list[Pair]]:
    """The 400 pairs of BREC by category."""
    found = {}
    for category in CATEGORIES:
        texts = np.load(root / "expressivity" / "brec" / f"{category}.npy", allow_pickle=False)
        graphs = [_decode(text) for text in texts.reshape(-1).tolist()]
        found[category] = _pairs(graphs)
    return found


def csl(root: Path) -> tuple[list[Graph], list[int]]:
    """The 150 circular skip-link graphs and their classes, 0 to 9."""
    folder = root / "expressivity" / "csl"
    return _graph6(folder / "csl.g6"), [int(line) for line in (folder / "labels.txt").read_text().split()]


def exp(root: Path) -> list[Pair]:
    """The 600 pairs of EXP; the node attribute `x` is the kind of the node."""
    return _pairs(_literals(root / "expressivity" / "exp" / "EXP.txt.gz"))


def cexp(root: Path) -> list[Pair]:
    """The 600 pairs of CEXP; the node attribute `x` is the kind of the node."""
    return _pairs(_literals(root / "expressivity" / "exp" / "CEXP.txt.gz"))


def sr25(root: Path) -> list[Graph]:
    """The 15 strongly regular graphs with parameters (25, 12, 5, 6)."""
    return _graph6(root / "expressivity" / "sr25" / "sr251256.g6")


def small_graphs(root: Path, n: int) -> list[Graph]:
    """All connected graphs with `n` nodes, 2 to 7, one of each isomorphism class."""
    return _graph6(root / "expressivity" / "all_simple_graphs" / f"graph{n}c.g6")


def counting_graphs(root: Path) -> tuple[list[Data], dict[str, list[int]]]:
    """The 5,000 graphs of the substructure counts as `Data` without features, and the indices of each split.

    Splits are called `train`, `val` and `test`.
    """
    with np.load(
        root / "expressivity" / "substructure_counting" / "graphs.npz", allow_pickle=False
    ) as stored:
        adjacency, sizes = stored["adjacency"], stored["num_nodes"].tolist()
        splits = {name: stored[name].tolist() for name in ("train", "val", "test")}
    graphs = []
    for matrix, size in zip(adjacency, sizes, strict=True):
        edges = np.stack(np.nonzero(matrix))
        graphs.append(Data(edge_index=torch.from_numpy(edges), num_nodes=size))
    return graphs, splits


def _graph6(path: Path) -> list[Graph]:
    return [_decode(line) for line in path.read_text().split()]


def _decode(text: str | bytes) -> Graph:
    return nx.from_graph6_bytes(text if isinstance(text, bytes) else text.encode())


def _pairs(graphs: Iterable[Graph]) -> list[Pair]:
    every = list(graphs)
    return list(zip(every[::2], every[1::2], strict=True))


def _literals(path: Path) -> list[Graph]:
    """Number of graphs; then per graph a line `nodes class`, and per node `kind degree neighbours...`."""
    with gzip.open(path, "rt") as file:
        count = int(file.readline())
        graphs = [_literal(file) for _ in range(count)]
    return graphs


def _literal(file: Iterable[str]) -> Graph:
    lines = iter(file)
    size = int(next(lines).split()[0])
    graph: Graph = nx.Graph()
    graph.add_nodes_from(range(size))
    for node in range(size):
        kind, degree, *neighbours = map(int, next(lines).split())
        if degree != len(neighbours):
            raise ValueError(f"node {node}: {degree} neighbours announced, {len(neighbours)} given")
        graph.nodes[node]["x"] = kind
        graph.add_edges_from((node, other) for other in neighbours)
    return graph
