"""HR@100 on citation graphs: every predictor on the same splits, ten seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from benchmarks._cells import collect
from netgraph.linkpred import LinkPredictor, LinkSplit, random_split

ROOT = Path(__file__).resolve().parents[2]
DATASETS: Final = ("Cora", "CiteSeer", "PubMed")
LEARNED: Final = ("gae", "ncn", "ncnc")
HEURISTICS: Final = (
    "common_neighbours",
    "adamic_adar",
    "resource_allocation",
    "jaccard",
    "preferential_attachment",
    "shortest_path",
    "katz",
    "pagerank",
)

_NCN: Final[Mapping[str, dict[str, Any]]] = {
    "Cora": {"batch_size": 1152, "lr": 0.0043, "predictor_lr": 0.0024},
    "CiteSeer": {"batch_size": 384, "lr": 0.0085, "predictor_lr": 0.0078},
    "PubMed": {"batch_size": 2048, "lr": 0.0097, "predictor_lr": 0.002},
}
_NETWORK: Final[Mapping[str, dict[str, Any]]] = {
    "Cora": {
        "encoder": {"name": "puregcn", "x_dropout": 0.7, "tail_dropout": 0.3, "dropout": 0.05},
        "edge_dropout": 0.4,
        "dropout": 0.05,
    },
    "CiteSeer": {
        "encoder": {"name": "puregcn", "x_dropout": 0.4, "dropout": 0.75},
        "deep": True,
        "dropout": 0.55,
    },
    "PubMed": {"encoder": {"name": "puregcn", "x_dropout": 0.3, "dropout": 0.1}, "dropout": 0.05},
}
_COMPLETION: Final[Mapping[str, dict[str, Any]]] = {
    "Cora": {"pt": 0.75, "scale": 4.3, "offset": 2.8},
    "CiteSeer": {"pt": 0.75, "scale": 6.5, "offset": 4.4, "alpha": 0.4},
    "PubMed": {"pt": 0.5, "scale": 5.3, "offset": 0.5, "alpha": 0.3},
}
SETTINGS: Final[Mapping[tuple[str, str], dict[str, Any]]] = MappingProxyType(
    {("ncn", name): {**_NCN[name], "options": _NETWORK[name]} for name in DATASETS}
    | {("ncnc", name): {**_NCN[name], "options": _NETWORK[name] | _COMPLETION[name]} for name in DATASETS}
)
"""What differs from the defaults of a predictor: the settings that Wang et al. publish with their program."""


def run(
    data: Path,
    quick: bool,
    *,
    models: Sequence[str] = (*HEURISTICS, *LEARNED),
    datasets: Sequence[str] = DATASETS,
    seeds: int = 10,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train on 70 % of the links, choose the epoch on 10 %, test on 20 %; a fresh split for each seed.

    Args:
        data: the folder that holds `planetoid/`.
        quick: one seed of two predictors on Cora, a few epochs.
        models, datasets, seeds: which cells.
        earlier: what an earlier run returned; its cells are not run again.
    """
    if quick:
        models, datasets, seeds = ("resource_allocation", "ncn"), ("Cora",), 1
    cells = [{"dataset": d, "model": m, "seed": s} for s in range(seeds) for d in datasets for m in models]
    found = collect(
        cells,
        lambda cell: trained(data, quick=quick, **cell),
        path=None if quick else ROOT / "runs" / "linkpred" / "planetoid.jsonl",
        earlier=(earlier or {}).get("cells", ()),
        tell=lambda r: (
            f"{r['model']} on {r['dataset']}, seed {r['seed']}: {100 * r['test']:.2f}, {r['seconds']:.0f} s"
        ),
    )
    return {"cells": found}


def trained(data: Path, dataset: str, model: str, seed: int, quick: bool) -> dict[str, Any]:
    """One cell: HR@100 on validation and test links, and what it took."""
    split = split_of(data, dataset, seed)
    given = {"epochs": 2} if quick else {}
    start = time.perf_counter()
    predictor = LinkPredictor(model, **SETTINGS.get((model, dataset), {}), **given, random_state=seed)
    predictor.fit(split)
    seconds = time.perf_counter() - start
    found = {
        stage: predictor.evaluate(split, stage, ["hits@100"], "pessimistic")["hits@100"]
        for stage in ("valid", "test")
    }
    return {
        **found,
        "best_epoch": predictor.best_epoch_,
        "epochs": len(predictor.history_),
        "parameters": sum(p.numel() for p in predictor.network_.parameters()),
        "seconds": seconds,
        "about": dict(split.about),
    }


@cache
def graph_of(data: Path, dataset: str) -> Any:
    """A citation graph as PyTorch Geometric reads it."""
    from torch_geometric.datasets import Planetoid

    return Planetoid(str(data / "planetoid"), dataset)[0]


def split_of(data: Path, dataset: str, seed: int, valid: float = 0.1, test: float = 0.2) -> LinkSplit:
    """The whole graph, as many random negatives for both as test links; validation links are not read.

    With as many negatives for validation as for the test, HR@100 asks the same of both, as in the program of
    Wang et al.
    """
    graph = graph_of(data, dataset)
    return random_split(graph, valid, test, num_negatives=int(test * graph.num_edges / 2), seed=seed)
