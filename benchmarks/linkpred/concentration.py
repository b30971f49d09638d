"""How well topological concentration, degree and density tell which nodes a predictor serves well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks._cells import collect
from benchmarks.linkpred.planetoid import DATASETS, ROOT, SETTINGS, split_of
from netgraph.linkpred import (
    LinkPredictor,
    approximate_concentration,
    correlations,
    distribution_shift,
    node_performance,
    ranks,
    subgraph_density,
    topological_concentration,
)

K = 100


def run(
    data: Path,
    quick: bool,
    *,
    models: Sequence[str] = ("gae", "ncn"),
    datasets: Sequence[str] = DATASETS,
    seeds: int = 3,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train as for HR@100, and correlate the share of a node's test links that are hits with its numbers.

    Args:
        data: the folder that holds `planetoid/`.
        quick: two epochs on Cora.
        models, datasets, seeds: which cells.
        earlier: what an earlier run returned; its cells are not run again.
    """
    if quick:
        models, datasets, seeds = ("gae",), ("Cora",), 1
    cells = [{"dataset": d, "model": m, "seed": s} for s in range(seeds) for d in datasets for m in models]
    found = collect(
        cells,
        lambda cell: related(data, quick=quick, **cell),
        path=None if quick else ROOT / "runs" / "linkpred" / "concentration.jsonl",
        earlier=(earlier or {}).get("cells", ()),
        tell=lambda r: (
            f"concentration, {r['model']} on {r['dataset']}, seed {r['seed']}: "
            f"{r['correlations']['TC']['spearman']:.3f}"
        ),
    )
    return {"k": K, "cells": found}


def related(data: Path, dataset: str, model: str, seed: int, quick: bool) -> dict[str, Any]:
    """One cell: correlations of numbers of the nodes with their HR@100, and the shift of concentration."""
    split = split_of(data, dataset, seed)
    given = {"epochs": 2} if quick else {}
    predictor = LinkPredictor(model, **SETTINGS.get((model, dataset), {}), **given, random_state=seed).fit(
        split
    )
    assert split.test.negatives is not None
    place = ranks(predictor.predict(split.test.pairs), predictor.predict(split.test.negatives))
    performance = node_performance(split.test, place, split.graph.num_nodes, k=K)
    generator = torch.Generator().manual_seed(seed)
    numbers = {
        "degree": split.graph.degree.double(),
        "density": subgraph_density(split.graph),
        "TC": topological_concentration(split.graph, split.test),
        "TC of training links": topological_concentration(split.graph, split.train, exclude_links=True),
        "ATC": approximate_concentration(split.graph, split.test, hops=2, generator=generator),
    }
    shift = distribution_shift(split)
    return {
        "correlations": {n: asdict(c) for n, c in correlations(numbers, performance.hits).items()},
        "shift": {
            "train": float(shift.train.nanmean()),
            "valid": float(shift.valid.nanmean()),
            "test": float(shift.test.nanmean()),
        },
    }
