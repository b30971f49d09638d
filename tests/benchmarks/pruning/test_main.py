"""The program on digits: cells that are kept, a kill between them, rows that join later, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pruning import __main__ as program
from benchmarks.pruning import cells
from netgraph.nn import Metanetwork, MetanetworkConfig

SHORT = ["--steps", "4", "--every", "2", "--speedups", "2", "--seeds", "0"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs and results of a test; latency is measured once."""
    monkeypatch.setattr(cells, "LATENCY_REPEATS", {1: 1, 64: 1})
    monkeypatch.setattr(program, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(program, "RESULTS", tmp_path / "results")
    return tmp_path


def _run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["pruning", *words])
    program.main()


def _record(place: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((place / "results" / "pruning.json").read_text())["cells"]
    return found


def test_a_run_that_was_killed_between_cells_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = program.do, []

    def killed(cell: cells.Cell, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if cell.criterion == "random":
            raise KeyboardInterrupt
        calls.append(cell.criterion)
        return real(cell, *args, **kwargs)

    words = [*SHORT, "--criteria", "l2", "random"]
    monkeypatch.setattr(program, "do", killed)
    with pytest.raises(SystemExit, match="goes on from here"):
        _run(monkeypatch, *words)
    assert calls == ["given", "l2"] and not (place / "results").exists()

    def counted(cell: cells.Cell, *args: Any, **kwargs: Any) -> dict[str, Any]:
        calls.append(cell.criterion)
        return real(cell, *args, **kwargs)

    monkeypatch.setattr(program, "do", counted)
    _run(monkeypatch, *words, "--json")
    assert calls == ["given", "l2", "random"]
    assert [r["criterion"] for r in _record(place)] == ["given", "l2", "random"]
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["dense_accuracy"] > 0.99 and set(found["accuracy_2x"]) == {"l2", "random"}
    assert "| L2 group norm |" in (place / "results" / "pruning.md").read_text()

    (place / "runs" / "cells.jsonl").unlink()  # the record itself is enough
    _run(monkeypatch, *words)
    assert len(calls) == 3
    _run(monkeypatch, *words, "--fresh")
    assert len(calls) == 6 and len(_record(place)) == 3


def test_a_metanetwork_joins_the_record_and_a_changed_one_is_run_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "meta"
    first = Metanetwork(MetanetworkConfig(hidden=4, layers=1))
    first.save_pretrained(folder)
    _run(monkeypatch, *SHORT, "--criteria", "l2")
    words = [*SHORT, "--metanetwork", f"own={folder}", "--criteria", "own"]
    _run(monkeypatch, *words)
    _run(monkeypatch, *words)
    assert [r["criterion"] for r in _record(place)] == ["given", "l2", "own"]
    for parameter in first.parameters():
        parameter.data += 0.1
    first.save_pretrained(folder)
    _run(monkeypatch, *words)
    marks = [r["weights"] for r in _record(place) if r["criterion"] == "own"]
    assert len(marks) == len(set(marks)) == 2 and None not in marks


def test_the_page_is_written_from_the_record_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run(monkeypatch, *SHORT, "--criteria", "dense")
    page = place / "results" / "pruning.md"
    before = page.read_text()
    page.unlink()
    monkeypatch.setattr(program, "do", lambda *args, **kwargs: pytest.fail("ran a cell"))
    _run(monkeypatch, "--table")
    assert page.read_text() == before and "Dense, finetuned" in before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--criteria", "l3"], "no criterion 'l3'"),
        (["--criteria", "own"], "no criterion 'own'"),
        (["--metanetwork", "own"], "NAME=FOLDER"),
        (["--metanetwork", "l2=somewhere"], "new name"),
        (["--metanetwork", "own=nowhere", "--criteria", "own"], "nowhere"),
    ],
)
def test_refuses(words: list[str], says: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=says):
        _run(monkeypatch, *words)


def test_ablations_are_rows_of_every_metanetwork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--ablations", "--metanetwork", "a=f", "--metanetwork", "b=g"])
    rows = program.arguments().criteria
    assert {"a", "b", "l2:late", "a:pass", "b:pass", "a:scores", "b:rewritten_l2"} <= set(rows)
    assert len(rows) == len(set(rows))


def test_the_time_left_goes_by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(program.time, "monotonic", lambda: now[0])
    clock = program.Clock(100)
    assert clock.left(0) == ""
    now[0] = 60.0
    clock.add(10)
    assert clock.left(10) == ", about 4 min left"
    clock.add(90)
    assert clock.left(0) == ""
