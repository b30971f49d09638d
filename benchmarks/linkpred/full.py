"""NBFNet on FB15k-237 and WN18RR in full: what an epoch of training, and ranking the test, take."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks._memory import _peak, _reset_peak
from benchmarks._record import say
from benchmarks.linkpred.knowledge import split_of
from netgraph.linkpred import LinkPredictor

DATASETS: Final = ("FB15k-237", "WN18RR")
BATCH: Final = 16
BATCHES: Final = 6
QUERIES: Final = 32


def run(data: Path, quick: bool, *, datasets: Sequence[str] = DATASETS) -> dict[str, Any]:
    """Some batches of each, times how many there are.

    Args:
        data: the folder that holds `kg/`.
        quick: two batches.
        datasets: which.
    """
    return {"rows": [measured(data, name, 2 if quick else BATCHES) for name in datasets]}


def measured(data: Path, dataset: str, batches: int) -> dict[str, Any]:
    """Training and ranking with the default settings, in small batches, the first of which is not counted."""
    split = split_of(data, dataset)
    order = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(0))
    some = {
        n: dataclasses.replace(split, train=split.train[order[: n * BATCH]], valid=split.valid[:0])
        for n in (1, batches)
    }
    predictor = LinkPredictor("nbfnet", batch_size=BATCH, epochs=1, random_state=0).fit(some[1])
    _reset_peak()
    predictor.fit(some[batches])
    seconds, peak = predictor.history_[0].seconds / batches, _peak()
    start = time.perf_counter()
    predictor.evaluate(dataclasses.replace(split, test=split.test[:QUERIES]), "test", ["mrr"])
    ranking = (time.perf_counter() - start) / (2 * QUERIES)
    count = -(-len(split.train) // BATCH)
    say(f"{dataset}: {seconds:.2f} s per batch, {count:,} batches, {1e3 * ranking:.0f} ms per query")
    return {
        "dataset": dataset,
        "entities": split.graph.num_nodes,
        "training triples": len(split.train),
        "test triples": len(split.test),
        "batch size": BATCH,
        "seconds per batch": seconds,
        "hours per epoch": seconds * count / 3600,
        "peak memory in GiB": peak / 2**30,
        "seconds per query": ranking,
        "hours for the test": ranking * 2 * len(split.test) / 3600,
    }
