"""What all benchmarks share: repeats, records, and no path of this machine in them."""

import json
from pathlib import Path

import pytest

from benchmarks import _record
from benchmarks._record import RESULTS, machine, seconds, spread, write_record


def test_calls_take_turns_and_the_first_round_is_not_counted() -> None:
    order: list[str] = []
    found = seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 4
    assert {name: len(times) for name, times in found.items()} == {"a": 3, "b": 3}


def test_a_budget_ends_the_rounds() -> None:
    calls: list[int] = []
    assert len(seconds({"a": lambda: calls.append(1)}, 100, budget=0.0)["a"]) == 1
    assert len(calls) == 1


def test_a_record_is_two_whole_files(tmp_path: Path) -> None:
    write_record("name", {"speedup": 2.0}, "# Table", tmp_path / "new")
    assert json.loads((tmp_path / "new" / "name.json").read_text()) == {"speedup": 2.0}
    assert (tmp_path / "new" / "name.md").read_text() == "# Table\n"
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_an_interrupted_write_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record("name", {"speedup": 2.0}, "# Table", tmp_path)

    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(_record.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_record("name", {"speedup": 3.0}, "# Table", tmp_path)
    assert json.loads((tmp_path / "name.json").read_text()) == {"speedup": 2.0}
    assert len(list(tmp_path.iterdir())) == 2


def test_machine_facts_name_no_place() -> None:
    facts = json.dumps(machine())
    assert "/" not in facts and "\\" not in facts
    assert {"cpus", "threads", "torch"} <= set(json.loads(facts))


def test_records_on_disk_name_no_place_and_hold_finite_numbers() -> None:
    for path in sorted(RESULTS.glob("*.json")):
        text = path.read_text("utf-8")
        assert "/root" not in text and "/home" not in text and "/tmp" not in text, path.name
        assert "NaN" not in text and "Infinity" not in text, path.name


def test_spread_shows_median_and_range() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2.000 s (1.000 to 3.000, n = 3)"
