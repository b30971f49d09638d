"""The tables of verdicts: what they count, and that they notice a broken order."""

from pathlib import Path

import networkx as nx
import pytest

from benchmarks.subgraph import verdicts
from netgraph.subgraph import TESTS

TRIANGLES = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))


def test_separated_counts_pairs() -> None:
    pairs = [(TRIANGLES, nx.cycle_graph(6)), (nx.path_graph(3), nx.cycle_graph(3)), (TRIANGLES, TRIANGLES)]
    table = verdicts.separated(pairs, "by hand")
    assert table == {"pairs": 3, "separated": {t: 1 if t == "1-WL" else 2 for t in TESTS}, "against_order": 0}


def test_a_broken_order_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "distinguishes", lambda test, g, h: test == "GSWL")
    assert verdicts.separated([(TRIANGLES, TRIANGLES)], "by hand")["against_order"] == 1  # GSWL < SSWL


def test_alike_counts_pairs() -> None:
    assert [verdicts.alike(x) for x in ([], [1], [1, 2], [1, 1, 2, 1, 2])] == [0, 0, 0, 4]


def test_published_pairs(shared_data: Path) -> None:
    table = verdicts.published_pairs(shared_data)
    assert (table["pairs"], table["pairs_right"], table["pairs_against_order"]) == (8, 8, 0)


def test_small_graphs_keep_the_order(shared_data: Path) -> None:
    table = verdicts.small(shared_data, 6)
    assert table["pairs"] == 112 * 111 // 2
    assert table["together"] == {test: 3 if test == "1-WL" else 0 for test in TESTS}
    assert table["against_order"] == 0


def test_sets_that_order_nothing(shared_data: Path) -> None:
    assert set(verdicts.sr25_pairs(shared_data)["separated"].values()) == {0}
