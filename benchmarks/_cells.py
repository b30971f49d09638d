"""Tables made of cells: each is run once, whatever interrupts the run, and joins those of earlier runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._record import say

Result = dict[str, Any]


def collect(
    cells: Sequence[Mapping[str, Any]],
    do: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    *,
    path: Path | None = None,
    earlier: Iterable[Mapping[str, Any]] = (),
    tell: Callable[[Mapping[str, Any]], str] = str,
) -> list[Result]:
    """Results of all cells, in their order, and after them those of `earlier` that were not asked for.

    Args:
        cells: what tells each result from the others, ready for JSON.
        do: runs a cell, and gives what to add to it.
        path: lines of JSON, one per result, that are kept and believed; None for nothing kept.
        earlier: results of other runs, believed as well.
        tell: a line about a result that is new.
    """
    if not cells:
        return [dict(result) for result in earlier]
    found = {_key(cells, result): dict(result) for result in [*earlier, *_read(path)]}
    done: dict[str, Result] = {}
    for i, cell in enumerate(cells):
        key = _key(cells, cell)
        if key not in found:
            result = {**cell, **do(cell)}
            if path is not None:
                _append(path, result)
            found[key] = result
            say(f"{i + 1} of {len(cells)}: {tell(result)}")
        done[key] = found[key]
    # Another process may have done other cells of the same table meanwhile.
    others = {_key(cells, result): result for result in _read(path)}
    return list((done | found | others | done).values())


def _key(cells: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> str:
    return json.dumps({name: result.get(name) for name in cells[0]}, sort_keys=True)


def _read(path: Path | None) -> list[Result]:
    if path is None or not path.is_file():
        return []
    lines = path.read_text("utf-8").splitlines()
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # the last line of a run that was killed while it wrote
    return found


def _append(path: Path, result: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    broken = path.is_file() and path.read_bytes()[-1:] not in (b"", b"\n")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n" * broken + json.dumps(result) + "\n")
        file.flush()
        os.fsync(file.fileno())
