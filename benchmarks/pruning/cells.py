"""The cells of the table: what is to be run, what was run before, and one cell done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks._record import machine
from benchmarks.pruning.costs import multiplications
from benchmarks.pruning.data import Data
from benchmarks.pruning.methods import Job, run
from benchmarks.pruning.training import Schedule, Trainer, score
from netgraph.errors import BudgetError, TrainingError
from netgraph.pruning import compare_latency

__all__ = ["GIVEN", "Cell", "append", "do", "merged", "planned", "read"]

Result = dict[str, Any]

GIVEN = "given"
"""The row of a network as it was given: no step, no cut."""

LATENCY_REPEATS = {1: 50, 64: 10}
"""Timed calls by batch size."""


@dataclass(frozen=True)
class Cell:
    """What makes one result: the same cell is not run twice.

    Attributes:
        scale: the recipe.
        network: which is pruned.
        criterion: the row.
        speedup: how many times fewer MACs the result has at least.
        seed: of everything random.
        schedule: of the finetuning.
        weights: fingerprint of the metanetwork; None for other criteria.
    """

    scale: str
    network: str
    criterion: str
    speedup: float
    seed: int
    schedule: Schedule
    weights: str | None = None

    @property
    def key(self) -> str:
        """One text for all of it."""
        return key(asdict(self))

    @property
    def steps(self) -> int:
        """Steps of training that the cell takes."""
        return 0 if self.criterion == GIVEN or self.criterion.endswith(":pass") else self.schedule.steps


def key(cell: Mapping[str, Any]) -> str:
    """What tells a cell, or its result, from others."""
    return json.dumps([cell[name] for name in Cell.__dataclass_fields__], sort_keys=True)


def planned(
    scale: str,
    networks: Sequence[str],
    criteria: Sequence[str],
    speedups: Sequence[float],
    seeds: Sequence[int],
    schedule: Schedule,
    weights: Mapping[str, str],
) -> list[Cell]:
    """All cells of a table: network by network and seed by seed, all criteria at one speed-up in a row.

    What is not cut is no matter of a speed-up, and a network as it was given none of a seed.
    """
    found = []
    for network in networks:
        found.append(Cell(scale, network, GIVEN, 1.0, 0, schedule))
        for seed in seeds:
            if "dense" in criteria:
                found.append(Cell(scale, network, "dense", 1.0, seed, schedule))
            for speedup in speedups:
                for name in criteria:
                    if name != "dense":
                        mark = weights.get(name.partition(":")[0])
                        found.append(Cell(scale, network, name, speedup, seed, schedule, mark))
    return found


def do(
    cell: Cell,
    network: nn.Module,
    data: Data,
    metanetworks: Mapping[str, str],
    *,
    folder: Path | None = None,
    device: torch.device | None = None,
    tell: Callable[[int], None] = lambda spent: None,
) -> Result:
    """Run a cell; the test split is read once, when all is chosen.

    Args:
        cell: which.
        network: the trained network, on the CPU; left as it is.
        data: of the network, on the CPU.
        metanetworks: folders by name.
        folder: where trainings are kept in case the cell is interrupted; removed in the end.
        device: of the training.
        tell: is told the steps spent so far.

    Returns:
        The cell, and either what it found or the `error` for which it has nothing.
    """
    start = time.perf_counter()
    device = device or torch.device("cpu")
    there = data.to(device)
    place = None if folder is None else folder / hashlib.sha256(cell.key.encode()).hexdigest()[:16]
    trainer = Trainer(there, cell.schedule, cell.seed, place, tell)
    job = Job(network, data, trainer, cell.criterion, cell.speedup, cell.seed, metanetworks)
    found: Result = asdict(cell)
    try:
        module = network if cell.criterion == GIVEN else run(job)
        found |= {"steps": trainer.spent, **_figures(job, module)}
    except (BudgetError, TrainingError) as error:
        found["error"] = f"{type(error).__name__}: {error}"
    found |= {"seconds": time.perf_counter() - start, "device": _name(device), "machine": machine()}
    if place is not None:
        shutil.rmtree(place, ignore_errors=True)
    return found


def _figures(job: Job, module: nn.Module) -> Result:
    data, device = job.trainer.data, job.trainer.device
    step, validation, _ = job.trainer.chosen or (0, *score(module, data, data.validation))
    test, _ = score(module, data, data.test)
    example = job.example
    pair = [job.network.cpu(), module.cpu()]
    macs = [multiplications(m, example) for m in pair]
    params = [sum(p.numel() for p in m.parameters()) for m in pair]
    latency = {}
    for batch, repeats in LATENCY_REPEATS.items():
        there = [m.to(device) for m in pair]
        latency[str(batch)] = compare_latency(there, example.to(device), repeats=repeats, batch=batch)
    job.network.cpu()
    return {
        "step": step,
        "validation_accuracy": validation,
        "test_accuracy": test,
        "macs_before": macs[0],
        "macs": macs[1],
        "params_before": params[0],
        "params": params[1],
        "latency_ms": latency,
    }


def _name(device: torch.device) -> str:
    return "CPU" if device.type == "cpu" else torch.cuda.get_device_name(device)


def read(path: Path) -> Iterator[Result]:
    """Results kept as lines of JSON; a line that was cut off by a kill is left out."""
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                result = json.loads(line)
                key(result)
                yield result


def append(path: Path, result: Mapping[str, Any]) -> None:
    """Keep one more result, on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # the last line was cut off
                file.write(b"\n")
        file.write(json.dumps(result, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def merged(*sources: Iterable[Result]) -> dict[str, Result]:
    """Results of several sources by their keys; later ones replace earlier ones."""
    return {key(result): result for source in sources for result in source}
