"""NBFNet on citation graphs: area under the ROC curve and average precision."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._cells import collect
from benchmarks.linkpred.planetoid import DATASETS, ROOT, split_of
from netgraph.linkpred import LinkPredictor


def run(
    data: Path,
    quick: bool,
    *,
    datasets: Sequence[str] = DATASETS,
    seeds: int = 3,
    epochs: int = 20,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train on 85 % of the links, choose the epoch on 5 %, test on 10 %, as many negatives as links.

    Args:
        data: the folder that holds `planetoid/`.
        quick: one epoch on Cora.
        datasets, seeds, epochs: which cells.
        earlier: what an earlier run returned; its cells are not run again.
    """
    if quick:
        datasets, seeds, epochs = ("Cora",), 1, 1
    cells = [{"dataset": d, "seed": s, "epochs": epochs} for s in range(seeds) for d in datasets]
    found = collect(
        cells,
        lambda cell: trained(data, **cell),
        path=None if quick else ROOT / "runs" / "linkpred" / "paths.jsonl",
        earlier=(earlier or {}).get("cells", ()),
        tell=lambda r: (
            f"nbfnet on {r['dataset']}, seed {r['seed']}: AUROC {r['auc']:.3f}, "
            f"AP {r['ap']:.3f}, {r['seconds']:.0f} s"
        ),
    )
    return {"cells": found}


def trained(data: Path, dataset: str, seed: int, epochs: int) -> dict[str, Any]:
    """One cell."""
    split = split_of(data, dataset, seed, 0.05, 0.1)
    start = time.perf_counter()
    predictor = LinkPredictor("nbfnet", epochs=epochs, metric="auc", random_state=seed).fit(split)
    return {
        **predictor.evaluate(split, "test", ["auc", "ap"]),
        "best_epoch": predictor.best_epoch_,
        "seconds": time.perf_counter() - start,
        "about": dict(split.about),
    }
