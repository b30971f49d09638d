"""The program: its parts in little and its page."""

import json
from pathlib import Path

import pytest

from benchmarks.subgraph import __main__ as program
from benchmarks.subgraph import brec, counting, speed
from benchmarks.subgraph.table import SECTIONS, page

FACTS = {"cpus": 2, "vector_instructions": "AVX2", "threads": 2, "torch": "2.13"}


def test_parts_run_in_little_and_make_a_page(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SIZES", ((30, 2),))
    record = {
        name: {"command": f"run {name}", "seconds": 1.0, "machine": FACTS, **run(shared_data, True)}
        for name, run in (("brec", brec.run), ("counting", counting.run), ("speed", speed.run))
    }
    text = page(json.loads(json.dumps(record)))
    for name in record:
        assert f"## {SECTIONS[name][0]}" in text and f"`run {name}`" in text
    assert "2 (2)" in text and "SSWL, published" in text and "30, degree 5, batch 2" in text
    assert program.summary(record, shared_data)["dense_speedup"] > 0
