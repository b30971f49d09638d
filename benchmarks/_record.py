"""What the benchmarks share: their options, one JSON object as the last line, and records on disk."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

Durations = dict[str, list[float]]

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def options(name: str, description: str) -> argparse.Namespace:
    """The options that every benchmark has: `--quick` and `--json`."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, no record; ends within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser.parse_args()


def say(text: str) -> None:
    """Tell the reader what is going on, on stderr."""
    print(text, file=sys.stderr, flush=True)


def seconds(calls: Mapping[str, Callable[[], object]], rounds: int, budget: float = math.inf) -> Durations:
    """Duration of each call in each of `rounds` rounds, in turn, so that a busy moment meets all alike.

    A first round is not counted, unless it alone used up the budget: once all calls together have taken
    `budget` seconds, no further round is begun.
    """
    found: Durations = {name: [] for name in calls}
    for done in range(rounds + 1):
        if done and sum(sum(times) for times in found.values()) >= budget:
            break
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - start)
    return {name: times[1:] or times for name, times in found.items()}


def spread(found: list[float]) -> str:
    """`median (least to most)` of some durations."""
    return f"{statistics.median(found):.3f} s ({min(found):.3f} to {max(found):.3f}, n = {len(found)})"


def machine() -> dict[str, Any]:
    """The facts about this machine that a reader needs to judge a duration."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def write_record(name: str, result: Mapping[str, Any], table: str, folder: Path = RESULTS) -> None:
    """Write `name.json` and `name.md`, each under a temporary name first."""
    text = json.dumps(result, indent=2) + "\n"
    for suffix, content in ((".json", text), (".md", table.rstrip() + "\n")):
        _write(folder / f"{name}{suffix}", content)


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
