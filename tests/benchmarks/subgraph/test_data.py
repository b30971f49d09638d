"""Readers of the comparison sets: sizes as published, and what is malformed is noticed."""

import gzip
from pathlib import Path

import networkx as nx
import pytest
import torch

from benchmarks.subgraph import data
from netgraph.convert import as_data


def test_sizes(shared_data: Path) -> None:
    sizes = {name: len(pairs) for name, pairs in data.brec(shared_data).items()}
    assert sizes == {
        "basic": 60,
        "regular": 50,
        "extension": 100,
        "cfi": 100,
        "4vtx": 20,
        "dr": 20,
        "str": 50,
    }
    graphs, labels = data.csl(shared_data)
    assert len(graphs) == 150 and {labels.count(c) for c in range(10)} == {15}
    assert all(len(g) == 41 and set(dict(g.degree).values()) == {4} for g in graphs)
    assert [len(data.small_graphs(shared_data, n)) for n in range(2, 8)] == [1, 2, 6, 21, 112, 853]
    assert len(data.sr25(shared_data)) == 15
    assert len(data.swl_pairs(shared_data)) == 8


def test_pairs_are_of_equal_size(shared_data: Path) -> None:
    every = {"exp": data.exp(shared_data), "cexp": data.cexp(shared_data), **data.brec(shared_data)}
    assert len(every["exp"]) == len(every["cexp"]) == 600
    for name, pairs in every.items():
        assert all(len(g) == len(h) for g, h in pairs), name
        # Half of CEXP is easy: the two graphs differ in their number of edges.
        assert sum(g.size() != h.size() for g, h in pairs) == (300 if name == "cexp" else 0), name


def test_counting_graphs(shared_data: Path) -> None:
    graphs, splits = data.counting_graphs(shared_data)
    assert {name: len(split) for name, split in splits.items()} == {"train": 1500, "val": 1000, "test": 2500}
    assert sorted(i for split in splits.values() for i in split) == list(range(5000))
    for graph in graphs[::500]:
        assert torch.equal(as_data(graph).edge_index, graph.edge_index)


def write(root: Path, name: str, text: str) -> None:
    folder = root / "expressivity" / "exp"
    folder.mkdir(parents=True)
    with gzip.open(folder / f"{name}.txt.gz", "wt") as file:
        file.write(text)


def test_exp_by_hand(tmp_path: Path) -> None:
    write(tmp_path, "EXP", "2\n2 1\n0 1 1\n1 1 0\n3 0\n1 2 1 2\n0 1 0\n0 1 0\n")
    ((g, h),) = data.exp(tmp_path)
    assert sorted(map(sorted, h.edges)) == [[0, 1], [0, 2]] and sorted(g.edges) == [(0, 1)]
    assert nx.get_node_attributes(h, "x") == {0: 1, 1: 0, 2: 0}


def test_wrong_degree_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, "CEXP", "2\n2 1\n0 2 1\n1 1 0\n2 1\n0 1 1\n1 1 0\n")
    with pytest.raises(ValueError, match="2 neighbours announced"):
        data.cexp(tmp_path)
