"""Cells of a table are run once, whatever was run before and elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks._cells import collect

CELLS = [{"model": m, "seed": s} for m in ("a", "b") for s in (0, 1)]


def count(ran: list[Any], stop: int = 99) -> Any:
    def do(cell: Mapping[str, Any]) -> Mapping[str, Any]:
        if len(ran) == stop:
            raise KeyboardInterrupt
        ran.append(dict(cell))
        return {"value": len(ran)}

    return do


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    ran: list[Any] = []
    path = tmp_path / "new" / "cells.jsonl"
    with pytest.raises(KeyboardInterrupt):
        collect(CELLS, count(ran, stop=2), path=path)
    path.write_bytes(path.read_bytes() + b'{"model": "b", "se')  # killed while it wrote
    found = collect(CELLS, count(ran), path=path)
    assert ran == CELLS and [r["value"] for r in found] == [1, 2, 3, 4]
    assert collect(CELLS, count(ran), path=path) == found and len(ran) == 4


def test_results_of_other_runs_are_kept_and_believed(tmp_path: Path) -> None:
    ran: list[Any] = []
    earlier = [{"model": "a", "seed": 0, "value": 7}, {"model": "z", "seed": 0, "value": 8}]
    found = collect(CELLS[:2], count(ran), earlier=earlier)
    assert [r["value"] for r in found] == [7, 1, 8] and ran == CELLS[1:2]


def test_what_another_process_did_meanwhile_joins(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"

    def do(cell: Mapping[str, Any]) -> Mapping[str, Any]:
        collect(CELLS[2:3], lambda other: {"value": 5}, path=path)
        return {"value": 1}

    found = collect(CELLS[:1], do, path=path)
    assert found == [CELLS[0] | {"value": 1}, CELLS[2] | {"value": 5}]


def test_nothing_to_do() -> None:
    assert collect([], count([]), earlier=[CELLS[0]]) == [CELLS[0]]
