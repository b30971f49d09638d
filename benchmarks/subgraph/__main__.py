"""Subgraph tests and networks: what they separate, count, predict and cost.

Each part keeps its own place in the record, so they can be run one at a time. Needs the folders
`expressivity` and `nasbench201` of the shared data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._parts import Benchmark
from benchmarks.subgraph import brec, counting, nas, networks, speed, verdicts
from benchmarks.subgraph.data import swl_pairs
from benchmarks.subgraph.table import page


def summary(record: Mapping[str, Any], data: Path) -> dict[str, float]:
    """Verdicts, counted per pair and test, and speeds."""
    found: dict[str, float] = {}
    if "verdicts" in record:
        expected = {name: separated for name, (_, _, separated) in swl_pairs(data).items()}
        right = [
            apart == (test in expected[pair])
            for pair, tests in record["verdicts"]["pair_verdicts"].items()
            for test, apart in tests.items()
        ]
        found |= {"pairs": len(right), "pairs_right": sum(right)}
    for figure in ("dense_speedup", "sparse_speedup"):
        if "speed" in record:
            found[figure] = record["speed"][figure]
    return found


BENCHMARK = Benchmark(
    name="subgraph",
    about=__doc__ or "",
    needs="expressivity",
    parts={
        "verdicts": verdicts.run,
        "networks": networks.run,
        "brec": brec.run,
        "counting": counting.run,
        "speed": speed.run,
        "nas": nas.run,
    },
    quick=("verdicts", "speed"),
    options={
        "models": {"nargs": "+", "help": "of the parts brec and counting"},
        "categories": {"nargs": "+", "choices": brec.CATEGORIES, "help": "of the part brec"},
        "epochs": {"type": int, "help": "of the parts counting and nas"},
    },
    page=page,
    summary=summary,
)

if __name__ == "__main__":
    BENCHMARK.run()
