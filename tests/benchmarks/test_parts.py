"""A benchmark of several parts: what it keeps, what it hands to a part, and the commands that it writes."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from benchmarks._parts import Benchmark

Json = dict[str, Any]


def first(data: Path, quick: bool, *, models: list[str] = [], epochs: int = 5) -> Json:  # noqa: B006
    return {"models": models, "epochs": epochs}


def second(data: Path, quick: bool, *, earlier: Json | None = None) -> Json:
    return {"count": (earlier or {"count": 0})["count"] + 1}


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    (tmp_path / "data" / "graphs").mkdir(parents=True)
    return Benchmark(
        name="example",
        about="An example.",
        needs="graphs",
        parts={"first": first, "second": second},
        quick=("first",),
        options={"models": {"nargs": "+"}, "epochs": {"type": int}},
        page=lambda record: f"# {sorted(record)}",
        summary=lambda record, data: {"parts": len(record)},
        results=tmp_path / "results",
    )


def call(benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--data", str(tmp_path / "data"), *words])
    benchmark.run()


def recorded(benchmark: Benchmark) -> Json:
    return json.loads((benchmark.results / "example.json").read_text())  # type: ignore[no-any-return]


def test_parts_that_are_not_run_stay(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark.results.mkdir()
    (benchmark.results / "example.json").write_text(json.dumps({"kept": {"a": 1}, "second": {"count": 4}}))
    call(benchmark, tmp_path, monkeypatch, "--only", "second", "--only", "first", "--epochs", "7", "--json")
    record = recorded(benchmark)
    assert record["kept"] == {"a": 1} and record["first"]["epochs"] == 7 and record["second"]["count"] == 5
    assert (benchmark.results / "example.md").read_text() == "# ['first', 'kept', 'second']\n"
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"parts": 3}


def test_what_another_process_wrote_meanwhile_stays(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(data: Path, quick: bool) -> Json:
        benchmark.results.mkdir()
        (benchmark.results / "example.json").write_text(json.dumps({"second": {"count": 9}}))
        return {}

    monkeypatch.setitem(benchmark.parts, "first", slow)  # type: ignore[arg-type]
    call(benchmark, tmp_path, monkeypatch, "--only", "first")
    assert recorded(benchmark)["second"] == {"count": 9} and "first" in recorded(benchmark)


def test_a_quick_run_leaves_no_record(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(benchmark, tmp_path, monkeypatch, "--quick")
    assert not benchmark.results.exists() and "# ['first']" in capsys.readouterr().out


def test_absent_data_is_said_at_once(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "graphs").rmdir()
    with pytest.raises(SystemExit, match="expected the folder graphs in the data"):
        call(benchmark, tmp_path, monkeypatch)


def test_commands_can_be_pasted(benchmark: Benchmark) -> None:
    chosen = Namespace(quick=False, models=["SWL(VS)", "SSWL"], epochs=3)
    assert benchmark.command("first", chosen) == (
        "python -m benchmarks.example --only first --models 'SWL(VS)' SSWL --epochs 3"
    )
    assert benchmark.command("second", chosen) == "python -m benchmarks.example --only second"
