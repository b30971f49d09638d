"""Accuracy of NAS-Bench-201 cells from their operator graphs: SSWL beside a GIN."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmarks._record import say
from examples.nas_accuracy import gin, read_cells, sswl


def run(
    data: Path,
    quick: bool,
    *,
    cells: Sequence[int] = (156, 781),
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int = 200,
) -> dict[str, Any]:
    """Kendall's tau between predicted and true accuracy on all cells that were not trained on.

    The last epoch counts; nothing is chosen by any held-out cell.

    Args:
        data: the folder that holds `nasbench201/`.
        quick: one seed, few epochs and cells.
        cells, seeds, epochs: of the full run; a seed draws cells and weights.

    Returns:
        `rows`: per network and number of cells its `parameters` and a `tau` for each seed.
    """
    graphs, accuracy = read_cells(data / "nasbench201" / "nb201.npz")
    if quick:
        cells, seeds, epochs = (156,), (0,), 5
    rows = []
    for count in cells:
        for name, fit in (("SSWL", sswl), ("GIN", gin)):
            taus = []
            for seed in seeds:
                order = np.random.default_rng(seed).permutation(len(graphs))
                train, test = order[:count], order[count : 500 if quick else None]
                predicted, parameters = fit(
                    [graphs[i] for i in train], accuracy[train], [graphs[i] for i in test], epochs, seed
                )
                taus.append(float(kendalltau(predicted, accuracy[test]).statistic))
                say(f"nas {name}, {count} cells, seed {seed}: tau {taus[-1]:.3f}")
            rows.append({"network": name, "cells": count, "parameters": parameters, "tau": taus})
    return {"epochs": epochs, "seeds": list(seeds), "rows": rows}
