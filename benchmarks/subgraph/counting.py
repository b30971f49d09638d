"""How well networks count substructures: six targets at once, on the graphs of Chen et al. and Zhao et al."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks._record import say
from benchmarks.subgraph.data import counting_graphs
from netgraph.subgraph import SUBSTRUCTURES, EpochRecord, SubgraphRegressor, count_substructures
from netgraph.subgraph.fit import Report

RUNS = Path(__file__).resolve().parents[2] / "runs" / "subgraph"
SPLITS = ("train", "val", "test")


def run(
    data: Path,
    quick: bool,
    *,
    models: Sequence[str] = ("SSWL", "SSWL+"),
    epochs: int = 100,
    seeds: Sequence[int] = (0,),
    hidden: int = 96,
    layers: int = 6,
    batch_size: int = 128,
    lr: float = 2e-3,
) -> dict[str, Any]:
    """Train each model on the 1,500 graphs, choose the epoch on 1,000, and test on 2,500.

    A run that was killed goes on from its last epoch. The settings are those of the paper but for the epochs
    and for one network that predicts all six counts, where the paper trains one for each.

    Args:
        data: the folder that holds `expressivity/`.
        quick: a few graphs and one epoch of a small network, only to see it run.
        models, epochs, seeds, hidden, layers, batch_size, lr: of the full run.

    Returns:
        `runs`: per model and seed the mean absolute error of each count on the test graphs, divided by the
        deviation of the count on the training graphs, at the best epoch and at the last one.
    """
    graphs, splits = counting_graphs(data)
    if quick:
        splits = {name: splits[name][:40] for name in SPLITS}
        models, epochs, hidden, layers = models[:1], 1, 8, 2
    used = {name: [graphs[i] for i in splits[name]] for name in SPLITS}
    targets = {
        name: np.array([list(count_substructures(g).values()) for g in used[name]], dtype=np.float64)
        for name in SPLITS
    }
    runs = []
    for seed in seeds:
        for model in models:
            settings = f"{model}-{hidden}-{layers}-{batch_size}-{lr}-{epochs}-{seed}"
            regressor = SubgraphRegressor(
                model,
                hidden_channels=hidden,
                num_layers=layers,
                epochs=epochs,
                lr=lr,
                batch_size=batch_size,
                compile=not quick,
                checkpoint=None if quick else RUNS / f"counting-{settings}.pt",
                random_state=seed,
            )
            regressor.fit(
                used["train"], targets["train"], (used["val"], targets["val"]), report=_tell(model, epochs)
            )
            runs.append(
                {
                    "model": model,
                    "seed": seed,
                    "parameters": sum(p.numel() for p in regressor.network_.parameters()),
                    "best_epoch": regressor.best_epoch_,
                    "validation_best": regressor.history_[regressor.best_epoch_ - 1].validation_loss,
                    "validation_last": regressor.history_[-1].validation_loss,
                    "test_best": _errors(regressor, used["test"], targets),
                    "test_last": _errors(_at_last_epoch(regressor), used["test"], targets),
                    "seconds": sum(r.seconds for r in regressor.history_),
                }
            )
    return {
        "epochs": epochs,
        "hidden_channels": hidden,
        "layers": layers,
        "batch_size": batch_size,
        "lr": lr,
        "graphs": {name: len(used[name]) for name in SPLITS},
        "targets": list(SUBSTRUCTURES),
        "deviation": targets["train"].std(0).tolist(),
        "runs": runs,
    }


def _errors(
    regressor: SubgraphRegressor, graphs: Sequence[Any], targets: dict[str, npt.NDArray[np.float64]]
) -> list[float]:
    error = np.abs(regressor.predict(graphs) - targets["test"]).mean(0)
    return [float(e) for e in error / targets["train"].std(0)]


def _at_last_epoch(regressor: SubgraphRegressor) -> SubgraphRegressor:
    regressor.network_.load_state_dict(regressor.last_state_)
    return regressor


def _tell(model: str, epochs: int) -> Report:
    def report(done: float, history: Sequence[EpochRecord]) -> None:
        if history and done == history[-1].epoch:
            record = history[-1]
            left = (epochs - record.epoch) * statistics.median(r.seconds for r in history)
            say(
                f"counting {model}: epoch {record.epoch} of {epochs}, training {record.train_loss:.4f}, "
                f"validation {record.validation_loss:.4f}, about {left / 60:.0f} min left"
            )

    return report
