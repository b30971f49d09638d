"""The program of link prediction: its parts in little, its page, and what joins from earlier runs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.linkpred import concentration, full, knowledge, large, neighbours_speed, paths, planetoid
from benchmarks.linkpred.__main__ import BENCHMARK
from benchmarks.linkpred.table import SECTIONS, page

FACTS = {"cpus": 2, "vector_instructions": "AVX2", "threads": 2, "torch": "2.13"}


def made(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    return {"command": f"run {name}", "seconds": 1.0, "machine": FACTS, **part}


def test_every_part_has_a_section() -> None:
    assert set(SECTIONS) == set(BENCHMARK.parts)


@pytest.mark.slow
def test_parts_run_in_little_and_make_a_page(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours_speed, "QUICK", ((300, 900, 200),))
    rows = {"sum": {"sides": {"ours": {"spread": "1 s", "bytes": 5, "difference": 0.0}}}}
    figures = {"nodes": 4, "edges": 5, "dim": 2, "batch": 1, "rows": rows}
    rows["sum"] |= {"speedup": 2.0, "memory_ratio": 3.0}
    near = neighbours_speed.run(True)
    record = {
        "planetoid": made("a", planetoid.run(shared_data, True)),
        "paths": made("b", {"cells": [{**CELL, "dataset": "Cora", "epochs": 1, "auc": 0.95, "ap": 0.96}]}),
        "knowledge": made("c", knowledge.run(shared_data, True)),
        "full": made("g", full.run(shared_data, True, datasets=("nations",))),
        "concentration": made("d", concentration.run(shared_data, True)),
        "speed": made("e", {"bellman_ford": figures, "neighbours": near}),
        "large": made("f", {"nodes": 7, "gae: seconds per batch": 0.25}),
    }
    text = page(json.loads(json.dumps(record)))
    for title, _ in SECTIONS.values():
        assert f"## {title}" in text
    for words in (
        "NCN",
        "2,708 and 5,278",
        "nations",
        "| nations | 14 | 1,592 |",
        "0.950",
        "| Cora | tuned GAE |",
        "2.0 times faster",
        "0.25",
    ):
        assert words in text


FOUND = {"auc": 1.0, "ap": 1.0, "seconds": 1.0}
CELL = {"seed": 0, "seconds": 2.0, "best_epoch": 1, "about": {}}


def test_earlier_cells_are_not_run_again(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(paths, "trained", lambda data, dataset, **cell: ran.append(dataset) or FOUND)
    monkeypatch.setattr(paths, "ROOT", Path("nowhere"))
    earlier = {"cells": [{"dataset": "Cora", "seed": 0, "epochs": 1, "auc": 0.5}]}
    found = paths.run(shared_data, True, earlier=earlier)
    assert ran == [] and found["cells"] == earlier["cells"]
    assert paths.run(shared_data, True)["cells"][0]["auc"] == 1.0 and ran == ["Cora"]


def test_the_inductive_split_has_other_entities(shared_data: Path) -> None:
    split = knowledge.split_of(shared_data, "fb237_v1")
    assert len(split.train) == 4245 and len(split.test) == 205
    assert split.graph.num_nodes != split.test_graph.num_nodes
    assert split.graph.num_relations == split.test_graph.num_relations


def test_the_large_graph_in_little(shared_data: Path) -> None:
    found = large.run(shared_data, True)
    assert found["nodes"] == 20_000 and found["ncn: seconds per epoch"] > 0
