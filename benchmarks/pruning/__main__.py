"""Pruning criteria at equal budgets of finetuning: accuracy, MACs, parameters and latency.

Every row gets the same trained network, the same number of training steps (whatever it spends them on) and
the same images in the same order. The step whose weights are kept is chosen on images cut off from the
training set; the test set is read once, after that. Finished cells are kept one by one: an interrupted run
goes on where it stopped, with the same result (on a GPU up to rounding), and further rows join the record
without running the others again. Scales: `tiny` (digits, minutes), `small` (ResNet-20 on CIFAR-10, a few
hundred steps), `full` (ResNet-56 and ResNet-20, 100 epochs; takes a GPU where there is one). CIFAR-10 and its
networks are read from the folders `cifar10` and `trained_cifar10` of the shared data.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch

from benchmarks._record import RESULTS, say, write_record
from benchmarks.pruning import methods
from benchmarks.pruning.cells import GIVEN, Cell, append, do, key, merged, planned, read
from benchmarks.pruning.data import RUNS
from benchmarks.pruning.networks import NETWORKS, fingerprint, load_data, load_network
from benchmarks.pruning.picture import draw
from benchmarks.pruning.table import page
from benchmarks.pruning.training import Schedule
from netgraph.errors import HubError

ROOT = Path(__file__).resolve().parents[2]
SPEEDUPS: Final = (1.5, 2.1, 2.5, 3.0)
SHIPPED: Final = ("metanetwork", "digits-metanetwork")


@dataclass(frozen=True)
class Scale:
    """What a scale runs if it is not told otherwise."""

    networks: tuple[str, ...]
    schedule: Schedule


SCALES: Final[Mapping[str, Scale]] = MappingProxyType(
    {
        "tiny": Scale(("digits-resnet",), Schedule(steps=170, batch=64, lr=0.02, every=17)),
        "small": Scale(("resnet20",), Schedule(steps=400, batch=128, lr=0.05, every=100)),
        "full": Scale(("resnet56", "resnet20"), Schedule(steps=35_100, batch=128, lr=0.05, every=351)),
    }
)
QUICK: Final = Schedule(steps=40, batch=64, lr=0.02, every=20)


def main() -> None:
    """Run the cells that are not there yet, and write the record and its page."""
    chosen = arguments()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    path = RUNS / "cells.jsonl"
    kept: Any = [] if chosen.quick else merged(recorded(), read(path)).values()
    if chosen.table:
        write(kept)
        return
    cells = plan(chosen)
    keys = {cell.key for cell in cells}
    if chosen.fresh:
        kept = [result for result in kept if key(result) not in keys]
    if chosen.quick:
        found = list(sweep(cells, {}, chosen, None))
    else:
        found = list(sweep(cells, merged(kept), chosen, path))
        write(merged(kept, found).values())
    print(page(found))
    if chosen.json:
        print(json.dumps(summary(found)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pruning", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2x of scale tiny, no record; ends within 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--table", action="store_true", help="only write the page from the record")
    parser.add_argument("--fresh", action="store_true", help="run the chosen cells again")
    parser.add_argument("--scale", choices=list(SCALES), default="tiny")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, help="of the scale, unless given")
    parser.add_argument("--criteria", nargs="+", help="; ".join([*methods.CRITERIA, methods.LATE, "NAME"]))
    parser.add_argument("--speedups", nargs="+", type=float, default=SPEEDUPS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    for option, kind in (("steps", int), ("batch", int), ("lr", float), ("every", int), ("before", float)):
        parser.add_argument(f"--{option}", type=kind, help="of the scale's schedule")
    parser.add_argument(
        "--metanetwork",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a row NAME by the metanetwork in a folder; may be given again",
    )
    ablations = "; ".join(f"NAME:{name}: {text}" for name, text in methods.ABLATIONS.items())
    parser.add_argument("--ablations", action="store_true", help=f"rows {methods.LATE} and {ablations}")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="shared data")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.scale, chosen.networks, chosen.speedups, chosen.seeds = "tiny", None, (2.0,), (0,)
        chosen.threads = chosen.threads or 1  # so that a busy machine does not make it late
    chosen.metanetworks = folders(chosen)
    rows = chosen.criteria or [*methods.CRITERIA, *chosen.metanetworks]
    if chosen.quick and not chosen.criteria:
        rows.remove("dense")  # which is not what a quick run compares
    if chosen.ablations:
        rows = [*rows, methods.LATE, *(f"{n}:{a}" for n in chosen.metanetworks for a in methods.ABLATIONS)]
    for row in rows:
        if not methods.known(row, tuple(chosen.metanetworks)):
            sys.exit(
                f"pruning: there is no criterion {row!r}; choose among {[*methods.CRITERIA, 'l1']}, "
                f"{methods.LATE!r} and metanetworks given with --metanetwork NAME=FOLDER"
            )
        if methods.missing(row):
            if chosen.criteria:
                sys.exit(f"pruning: {row} needs torch-pruning; make bench BENCH=pruning installs it")
            say(f"{row} is left out: it needs torch-pruning; make bench BENCH=pruning installs it")
    chosen.criteria = [row for row in dict.fromkeys(rows) if not methods.missing(row)]
    return chosen


def folders(chosen: argparse.Namespace) -> dict[str, str]:
    """Folders of the metanetworks by name; the shipped one for digits where none is given."""
    given = [text.partition("=") for text in chosen.metanetwork]
    for name, _, folder in given:
        if not name or not folder or ":" in name or methods.known(name):
            sys.exit(f"pruning: expected --metanetwork NAME=FOLDER with a new name, got {name!r}={folder!r}")
    found = {name: folder for name, _, folder in given}
    return found or (dict([SHIPPED]) if chosen.scale == "tiny" else {})


def plan(chosen: argparse.Namespace) -> list[Cell]:
    """The cells that were asked for."""
    scale = SCALES[chosen.scale]
    given = {n: getattr(chosen, n) for n in ("steps", "batch", "lr", "every", "before")}
    schedule = replace(
        QUICK if chosen.quick else scale.schedule, **{n: v for n, v in given.items() if v is not None}
    )
    try:
        weights = {name: fingerprint(folder) for name, folder in chosen.metanetworks.items()}
    except (HubError, OSError) as error:
        sys.exit(f"pruning: {error}")
    return planned(
        "quick" if chosen.quick else chosen.scale,
        chosen.networks or scale.networks,
        chosen.criteria,
        chosen.speedups,
        chosen.seeds,
        schedule,
        weights,
    )


def sweep(
    cells: list[Cell], done: Mapping[str, Any], chosen: argparse.Namespace, path: Path | None
) -> Iterable[dict[str, Any]]:
    """Results of all cells, those that are done already included."""
    left = [cell for cell in cells if cell.key not in done]
    if len(left) < len(cells):
        say(f"{len(cells) - len(left)} of {len(cells)} cells are done already")
    yield from (done[cell.key] for cell in cells if cell.key in done)
    clock = Clock(sum(cell.steps for cell in left))
    loaded: tuple[str, Any, Any] = ("", None, None)
    for number, cell in enumerate(left):
        if loaded[0] != cell.network:
            network, data = load_network(cell.network, chosen.data), load_data(cell.network, chosen.data)
            loaded = (cell.network, network, data)
        title = (
            f"[{number + 1}/{len(left)}] {cell.network} {cell.criterion} {cell.speedup:g}x seed {cell.seed}"
        )

        def tell(spent: int, title: str = title, steps: int = cell.steps) -> None:
            clock.tell(f"{title}: {spent} of {steps} steps", spent)

        folder = None if path is None else path.parent / "parts"
        try:
            result = do(
                cell,
                loaded[1],
                loaded[2],
                chosen.metanetworks,
                folder=folder,
                device=torch.device(chosen.device),
                tell=tell,
            )
        except KeyboardInterrupt:
            sys.exit("pruning: interrupted; the same command goes on from here")
        clock.add(cell.steps)
        if path is not None:
            append(path, result)
        says = result.get("error") or f"test {100 * result['test_accuracy']:.2f} %"
        say(f"{title}: {says} ({result['seconds']:.0f} s){clock.left(0)}")
        yield result


class Clock:
    """Says how long the steps that are left will take, from those done since the start."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done = steps, 0
        self.start = self.told = time.monotonic()

    def add(self, steps: int) -> None:
        """So many steps more are done."""
        self.done += steps

    def left(self, spent: int) -> str:
        """In words; `spent` are steps of the cell that is being run."""
        done = self.done + spent
        if not done or done >= self.steps:
            return ""
        seconds = (time.monotonic() - self.start) / done * (self.steps - done)
        return f", about {seconds / 60:.0f} min left" if seconds < 7200 else f", {seconds / 3600:.1f} h left"

    def tell(self, text: str, spent: int) -> None:
        """At most every half minute."""
        if time.monotonic() - self.told >= 30:
            self.told = time.monotonic()
            say(text + self.left(spent))


def recorded() -> list[dict[str, Any]]:
    """Results in the record."""
    path = RESULTS / "pruning.json"
    return json.loads(path.read_text("utf-8"))["cells"] if path.exists() else []


def write(results: Iterable[dict[str, Any]]) -> None:
    """The record, the page, and a picture per table."""
    every = sorted(results, key=key)
    pictures = draw(every, RESULTS)
    write_record("pruning", {"cells": every}, page(every, pictures), RESULTS)


def summary(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The figures by which one run is compared with another: accuracies at the first speed-up, means."""
    found: dict[str, list[float]] = {}
    speedups: dict[str, float] = {}
    for result in results:
        name = result["criterion"]
        if "error" not in result and speedups.setdefault(name, result["speedup"]) == result["speedup"]:
            found.setdefault(name, []).append(result["test_accuracy"])
    means = {name: statistics.fmean(values) for name, values in found.items()}
    dense = means.pop(GIVEN, None)
    reached = {s for n, s in speedups.items() if n not in (GIVEN, "dense")}
    label = f"accuracy_{min(reached):g}x" if reached else "accuracy"
    return {"dense_accuracy": dense, label: means}


if __name__ == "__main__":
    main()
