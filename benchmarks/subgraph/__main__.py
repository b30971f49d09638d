"""Subgraph tests and networks: what they separate, count, predict and cost.

Each part keeps its own place in the record, so they can be run one at a time. Needs the folders
`expressivity` and `nasbench201` of the shared data.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch

from benchmarks._record import RESULTS, machine, say, write_record
from benchmarks.subgraph import brec, counting, nas, networks, speed, verdicts
from benchmarks.subgraph.data import swl_pairs
from benchmarks.subgraph.table import page

ROOT = Path(__file__).resolve().parents[2]
PARTS: Final[Mapping[str, Callable[..., dict[str, Any]]]] = MappingProxyType(
    {
        "verdicts": verdicts.run,
        "networks": networks.run,
        "brec": brec.run,
        "counting": counting.run,
        "speed": speed.run,
        "nas": nas.run,
    }
)
QUICK: Final = ("verdicts", "speed")
"""What a quick run does if it is not told which parts."""


def main() -> None:
    """Run the parts that were asked for; keep the record and write its page after each of a full run."""
    chosen = arguments()
    if chosen.quick:
        torch.set_num_threads(1)  # so that two cores are enough for steady times
    record: dict[str, Any] = {}
    path = RESULTS / "subgraph.json"
    if not chosen.quick and path.exists():
        record = json.loads(path.read_text("utf-8"))
    for name in [] if chosen.table else chosen.only or (QUICK if chosen.quick else PARTS):
        say(f"{name} ...")
        facts, start = machine(), time.perf_counter()
        kept = {"earlier": record.get(name)} if "earlier" in inspect.signature(PARTS[name]).parameters else {}
        result = PARTS[name](chosen.data, chosen.quick, **settings(name, chosen), **kept)
        record[name] = {
            "command": command(name, chosen),
            "seconds": time.perf_counter() - start,
            "machine": facts,
            **result,
        }
        if not chosen.quick:
            write_record("subgraph", record, page(record))
    if chosen.table:
        write_record("subgraph", record, page(record))
    print(page(record))
    if chosen.json:
        print(json.dumps(summary(record, chosen.data)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.subgraph", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{' and '.join(QUICK)} in little, no record; ends within 50 s"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be given again")
    parser.add_argument("--table", action="store_true", help="only write the page from the record")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="shared data")
    parser.add_argument("--models", nargs="+", help="of the parts brec and counting")
    parser.add_argument("--categories", nargs="+", choices=brec.CATEGORIES, help="of the part brec")
    parser.add_argument("--epochs", type=int, help="of the parts counting and nas")
    chosen = parser.parse_args()
    if not chosen.table and not (chosen.data / "expressivity").is_dir():
        sys.exit("subgraph: expected the folder expressivity in the shared data, found none; pass --data")
    return chosen


def settings(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """The options that were given and that the part has."""
    known = inspect.signature(PARTS[name]).parameters
    given = {option: getattr(chosen, option) for option in ("models", "categories", "epochs")}
    return {option: value for option, value in given.items() if value is not None and option in known}


def command(name: str, chosen: argparse.Namespace) -> str:
    """The command that makes this part again."""
    words = ["python -m benchmarks.subgraph", f"--only {name}"]
    words += ["--quick"] if chosen.quick else []
    for option, value in settings(name, chosen).items():
        values = value if isinstance(value, list) else [value]
        words.append(f"--{option} " + " ".join(f"'{v}'" if "(" in str(v) else str(v) for v in values))
    return " ".join(words)


def summary(record: Mapping[str, Any], data: Path) -> dict[str, float]:
    """The figures by which one run is compared with another: verdicts are counted per pair and test."""
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


if __name__ == "__main__":
    main()
