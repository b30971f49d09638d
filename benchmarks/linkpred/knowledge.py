"""NBFNet on knowledge graphs: filtered ranking among all entities, and among fifty negatives."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import torch

from benchmarks._cells import collect
from benchmarks.linkpred.planetoid import ROOT
from netgraph.linkpred import (
    LinkPredictor,
    LinkSplit,
    filtered_ranks,
    folder_split,
    known_tails,
    read_triples_folder,
    sampled_hits,
)

TRANSDUCTIVE: Final = ("umls", "kinships", "nations")
INDUCTIVE: Final = ("fb237_v1", "WN18RR_v1")
DATASETS: Final = (*TRANSDUCTIVE, *INDUCTIVE)
SETTINGS: Final[Mapping[str, dict[str, Any]]] = MappingProxyType(
    {
        # Nearly all pairs of these entities are joined by some relation.
        **{name: {"remove_targets": "links"} for name in TRANSDUCTIVE},
        "fb237_v1": {"temperature": 0.5},
        "WN18RR_v1": {"temperature": 1.0},
    }
)


def run(
    data: Path,
    quick: bool,
    *,
    datasets: Sequence[str] = DATASETS,
    seeds: int = 3,
    epochs: int = 20,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train on the training triples, choose the epoch by the filtered MRR of validation, test once.

    Args:
        data: the folder that holds `kg/`.
        quick: one epoch on Nations.
        datasets, seeds, epochs: which cells.
        earlier: what an earlier run returned; its cells are not run again.
    """
    if quick:
        datasets, seeds, epochs = ("nations",), 1, 1
    cells = [{"dataset": d, "seed": s, "epochs": epochs} for s in range(seeds) for d in datasets]
    found = collect(
        cells,
        lambda cell: trained(data, **cell),
        path=None if quick else ROOT / "runs" / "linkpred" / "knowledge.jsonl",
        earlier=(earlier or {}).get("cells", ()),
        tell=lambda r: (
            f"nbfnet on {r['dataset']}, seed {r['seed']}: MRR {r['mrr']:.3f}, {r['seconds']:.0f} s"
        ),
    )
    return {"cells": found}


def split_of(data: Path, dataset: str) -> LinkSplit:
    """The published split; of the inductive ones, the test graph is another."""
    folder = data / "kg"
    if dataset not in INDUCTIVE:
        return folder_split(read_triples_folder(folder / dataset, unseen="keep"), inverses="keep")
    train = read_triples_folder(folder / f"grail_{dataset}")
    other = read_triples_folder(
        folder / f"grail_{dataset}_ind", relations=train.train.relations, unseen="drop"
    )
    return folder_split(train, other, inverses="keep")


def trained(data: Path, dataset: str, seed: int, epochs: int) -> dict[str, Any]:
    """One cell: ranks among all entities, and for inductive splits among 50 corruptions of each triple."""
    split = split_of(data, dataset)
    start = time.perf_counter()
    predictor = LinkPredictor("nbfnet", **SETTINGS.get(dataset, {}), epochs=epochs, random_state=seed).fit(
        split
    )
    seconds = time.perf_counter() - start
    found: dict[str, Any] = predictor.evaluate(split, "test", ["mrr", "hits@1", "hits@10"])
    if dataset in INDUCTIVE:
        found["hits@10 of 50"] = among_fifty(predictor, split)
    return {
        **found,
        "best_epoch": predictor.best_epoch_,
        "seconds": seconds,
        "test_links": len(split.test),
        "about": {k: v for k, v in split.about.items() if isinstance(v, int | float | str | bool)},
    }


def among_fifty(predictor: LinkPredictor, split: LinkSplit) -> float:
    """HR@10 among 50 candidates, the true answer one of them, drawn from those that are no answer.

    The protocol of GraIL (Teru et al., ICML 2020) for heads and tails, in expectation over the
    draws.
    """
    graph, known = split.test_graph, known_tails(split)
    back = graph.num_relations // 2
    assert split.test.relation is not None
    ranks, others = [], []
    with torch.no_grad():
        states = predictor.network_.encode(graph)
        for some in torch.arange(len(split.test)).split(64):
            (heads, tails), kind = split.test.pairs[:, some], split.test.relation[some]
            for source, target, asked, end in (
                (heads, tails, kind, "tail"),
                (tails, heads, kind + back, "head"),
            ):
                scores = predictor.network_.score_all(graph, states, source, asked)
                true = known.mask(source, kind, end=end)
                ranks.append(filtered_ranks(scores, target, true))
                others.append(graph.num_nodes - torch.bincount(true[0], minlength=len(some)))
    return sampled_hits(torch.cat(ranks), torch.cat(others), 10)
