"""Link prediction: how well predictors rank, on which nodes they fail, and what the primitives cost.

Each part keeps its own place in the record, and its cells are run once. Needs the folders `planetoid` and
`kg` of the shared data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._parts import Benchmark
from benchmarks.linkpred import concentration, full, knowledge, large, paths, planetoid, speed
from benchmarks.linkpred.table import page


def summary(record: Mapping[str, Any], data: Path) -> dict[str, float]:
    """Ratios of the speed part."""
    return dict(record["speed"]["summary"]) if "speed" in record else {}


BENCHMARK = Benchmark(
    name="linkpred",
    about=__doc__ or "",
    needs="planetoid",
    parts={
        "planetoid": planetoid.run,
        "paths": paths.run,
        "knowledge": knowledge.run,
        "full": full.run,
        "concentration": concentration.run,
        "speed": speed.run,
        "large": large.run,
    },
    quick=("speed",),
    options={
        "models": {"nargs": "+", "help": "of the parts planetoid and concentration"},
        "datasets": {"nargs": "+", "help": "of all parts but speed and large"},
        "seeds": {"type": int, "help": "how many, of all parts but speed and large"},
        "epochs": {"type": int, "help": "of the parts paths and knowledge"},
    },
    page=page,
    summary=summary,
)

if __name__ == "__main__":
    BENCHMARK.run()
