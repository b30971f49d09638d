"""Graphs to predict links of, from whatever people have on disk."""

from pathlib import Path

import networkx as nx
import pytest

from netgraph.errors import InterchangeError, UsageError
from netgraph.hub import load_link_data
from netgraph.linkpred import LinkGraph, Triples, TriplesFolder

EDGES = "# a comment\na\tb\nb\tc\nc\td\nd\te\ne\tf\nf\tg\n"
TRIPLES = "\n".join(f"n{i}\tr{i % 2}\tn{(3 * i + 1) % 11}" for i in range(11))


def test_an_edge_list(tmp_path: Path) -> None:
    path = tmp_path / "graph.tsv"
    path.write_text(EDGES)
    found = load_link_data(path)
    assert isinstance(found.data, LinkGraph) and found.nodes == tuple("abcdefg")
    assert found.graph is found.data and found.data.undirected and found.data.num_edges == 12
    assert load_link_data(path, directed=True).graph.num_edges == 6
    split = found.split(0.2, 0.2, seed=1)
    assert [len(split.links(s)) for s in ("train", "valid", "test")] == [4, 1, 1]


@pytest.mark.parametrize("between", ["\t", " ", ","])
def test_columns_tell_pairs_from_triples(tmp_path: Path, between: str) -> None:
    path = tmp_path / "graph.txt"
    path.write_text(f"a{between}b\n")
    assert isinstance(load_link_data(path).data, LinkGraph)
    if between != ",":
        path.write_text(f"a{between}r{between}b\n")
        assert isinstance(load_link_data(path).data, Triples)


def test_triples_are_read_both_ways_and_divided(tmp_path: Path) -> None:
    path = tmp_path / "facts.txt"
    path.write_text(TRIPLES)
    found = load_link_data(path)
    assert found.relations == ("r0", "r1") and found.graph.num_edges == 22
    split = found.split(0.1, 0.2)
    assert split.test.relation is not None and split.graph.num_relations == 4


def test_a_folder_keeps_its_own_split(tmp_path: Path) -> None:
    lines = TRIPLES.splitlines()
    for name, part in (("train", lines[:9]), ("valid", lines[9:10]), ("test", lines[10:])):
        (tmp_path / f"{name}.txt").write_text("\n".join(part))
    found = load_link_data(tmp_path)
    assert isinstance(found.data, TriplesFolder) and found.divided
    split = found.split()
    assert (len(split.train), len(split.valid), len(split.test)) == (9, 1, 1)
    assert found.graph.num_edges == 18


def test_graphml(tmp_path: Path) -> None:
    nx.write_graphml(nx.DiGraph([("a", "b"), ("b", "c")]), tmp_path / "graph.graphml")
    found = load_link_data(tmp_path / "graph.graphml")
    assert found.nodes == ("a", "b", "c") and not found.graph.undirected
    assert load_link_data(tmp_path / "graph.graphml", directed=False).graph.num_edges == 4


def test_a_dataset_of_pyg(shared_data: Path) -> None:
    found = load_link_data("Cora", root=shared_data / "planetoid")
    assert found.graph.num_nodes == 2708 and found.graph.num_edges == 10556 and found.nodes is None


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a file, a folder of triples or one of Cora.*'nowhere'"):
        load_link_data("nowhere")
    with pytest.raises(UsageError, match="expected root, the folder of the dataset Cora"):
        load_link_data("Cora")
    (tmp_path / "a.tsv").write_text(EDGES)
    with pytest.raises(UsageError, match="expected root only for a dataset"):
        load_link_data(tmp_path / "a.tsv", root=tmp_path)
    (tmp_path / "b.graphml").write_text("<graphml>")
    with pytest.raises(InterchangeError, match="expected GraphML"):
        load_link_data(tmp_path / "b.graphml")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InterchangeError, match="UTF-8"):
        load_link_data(tmp_path / "c.txt")
    (tmp_path / "d.txt").write_text("a b\na b c\n")
    with pytest.raises(InterchangeError, match="line 2"):
        load_link_data(tmp_path / "d.txt")
