"""Accuracy against MACs, a curve per criterion, as SVG."""

from __future__ import annotations

import os
import secrets
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.pruning.table import Section, sections

__all__ = ["draw"]

LEAST_SPEEDUPS, LEAST_ROWS = 3, 3


def draw(results: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """A picture for every section that has curves to show; file names by the names of the sections."""
    found = {}
    for section in sections(results):
        rows = section.rows(False)
        if len(section.speedups) >= LEAST_SPEEDUPS and len(rows) >= LEAST_ROWS and section.scale != "tiny":
            found[section.name] = f"pruning-{section.name}.svg"
            _draw(section, rows, folder / found[section.name])
    return found


def _draw(section: Section, rows: list[str], path: Path) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    from benchmarks.pruning.table import TITLES

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, row in enumerate(rows):
        found = [(s, v) for s in section.speedups if (v := section.accuracies(row, s))]
        if not found:
            continue
        axes.errorbar(
            [statistics.fmean(r["macs"] for r in section.results[row, s]) / 1e6 for s, _ in found],
            [statistics.fmean(values) for _, values in found],
            [statistics.stdev(values) if len(values) > 1 else 0.0 for _, values in found],
            label=TITLES.get(row, row),
            color=f"C{number}",
            marker="osD^vP*X"[number % 8],
            markersize=4,
            linewidth=1,
            capsize=2,
        )
    dense = section.accuracies("dense", 1.0)
    if dense:
        axes.axhline(statistics.fmean(dense), color="0.6", linewidth=0.8, label=TITLES["dense"])
    axes.set(xlabel="MACs, millions", ylabel="test accuracy, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="x-small", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(6)}.tmp")
    try:
        with matplotlib.rc_context({"svg.hashsalt": "pruning"}):
            figure.savefig(temporary, format="svg", metadata={"Date": None})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
