"""The two primitives against what one would write without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.linkpred import bellman_ford_speed, neighbours_speed


def run(data: Path, quick: bool) -> dict[str, Any]:
    """Common neighbours and a step of Bellman-Ford, each against its peers in one run."""
    paths, near = bellman_ford_speed.run(data, quick), neighbours_speed.run(quick)
    return {
        "bellman_ford": paths,
        "neighbours": near,
        "summary": {
            "bellman_ford_memory_ratio": paths["bellman_ford_memory_ratio"],
            "bellman_ford_speedup": paths["bellman_ford_speedup"],
            "common_neighbour_speedup": near["common_neighbour_speedup"],
            "max_abs_diff": max(paths["max_abs_diff"], near["max_abs_diff"]),
        },
    }
