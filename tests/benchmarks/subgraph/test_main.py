"""The program: its parts in little, its page, and a record that keeps the parts that were not run."""

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


def test_the_record_keeps_its_other_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"cells": 156, "network": "SSWL", "parameters": 9, "tau": [0.5, 0.7]}]
    part = {"command": "old", "seconds": 1.0, "machine": FACTS, "epochs": 1, "seeds": [0, 1], "rows": rows}
    (tmp_path / "results").mkdir()
    (tmp_path / "data" / "expressivity").mkdir(parents=True)
    (tmp_path / "results" / "subgraph.json").write_text(json.dumps({"nas": part, "kept": {"a": 1}}))
    monkeypatch.setattr(program, "RESULTS", tmp_path / "results")
    write = program.write_record
    monkeypatch.setattr(program, "write_record", lambda *args: write(*args, tmp_path / "results"))
    monkeypatch.setattr(program, "PARTS", {"nas": lambda data, quick, epochs: part | {"epochs": epochs}})
    monkeypatch.setattr("sys.argv", ["x", "--only", "nas", "--epochs", "7", "--data", str(tmp_path / "data")])
    program.main()
    record = json.loads((tmp_path / "results" / "subgraph.json").read_text())
    assert record["kept"] == {"a": 1} and record["nas"]["epochs"] == 7
    assert "0.600 ± 0.141" in (tmp_path / "results" / "subgraph.md").read_text()


def test_commands_can_be_pasted() -> None:
    chosen = program.argparse.Namespace(quick=False, models=["SWL(VS)", "SSWL"], categories=None, epochs=3)
    assert program.command("brec", chosen) == (
        "python -m benchmarks.subgraph --only brec --models 'SWL(VS)' SSWL"
    )
    assert program.command("nas", chosen) == "python -m benchmarks.subgraph --only nas --epochs 3"
