"""Time and memory of both backends against plain PyTorch Geometric over materialised pairs.

The other side, `tests/subgraph/oracle.py`, computes the same with the same weights. It has the edges between
its pairs built before the clock starts; ours finds its neighbours within each pass.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import torch
from torch_geometric.data import Batch

from benchmarks._memory import peak_memory
from benchmarks._record import say, seconds, spread
from netgraph.subgraph import SubgraphNet

DEGREE = 5
"""That of the graphs with 30 nodes in the benchmark of substructure counting."""

SIZES = ((10, 128), (20, 128), (30, 128), (50, 64), (100, 16), (200, 4))
"""Nodes, and graphs in a batch: 128, or as many as keep the pairs of a batch below 160,000."""

DEGREES = (3, 9, 15)
"""Other degrees, at 30 nodes: matrix products over blocks cost the same for all, lists of edges do not."""

EGO_SIZES = ((200, 32), (1000, 8))
HOPS = 2

KEEP = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
"""Lets glibc keep memory that was freed, as other allocators do. Both sides make and drop states of tens of
megabytes, and by default the system hands out and clears each anew: for many users as for most rows here."""


def run(data: Path, quick: bool) -> dict[str, Any]:
    """Forward and backward passes of SSWL, all sides in turn.

    Args:
        data: not read; the graphs are random.
        quick: n = 30 alone, with fewer layers, channels and rounds.

    Returns:
        `rows`: per size the median `seconds`, their `spread`, and the `bytes` of each side; `kept_rows`: some
        of them with an allocator that keeps memory; and, for n = 30 and `DEGREE`, `dense_speedup` and
        `sparse_speedup`: the seconds of the straightforward side by ours.
    """
    hidden, layers, rounds, budget = (32, 3, 4, 12.0) if quick else (96, 6, 5, math.inf)
    cases: list[tuple[int, int, int, int | None]]
    cases = [(n, batch, DEGREE, None) for n, batch in SIZES if not quick or n == 30]
    if not quick:
        cases += [(n, batch, degree, None) for n, batch in SIZES if n == 30 for degree in DEGREES]
        cases += [(n, batch, DEGREE, HOPS) for n, batch in EGO_SIZES]
    rows = []
    for n, batch, degree, hops in cases:
        say(f"speed: n = {n}, batch {batch}, degree {degree}, hops {hops}")
        rows.append(measure(n, batch, degree, hops, hidden, layers, rounds, budget))
    kept = [] if quick else [_measure_kept(n, b, DEGREE, None, hidden, layers, rounds) for n, b in SIZES[2:4]]
    (thirty,) = (row for row in rows if row["nodes"] == 30 and row["degree"] == DEGREE)
    plain = thirty["sides"]["straightforward"]["seconds"]
    return {
        "hidden_channels": hidden,
        "layers": layers,
        "rows": rows,
        "kept_rows": kept,
        **{f"{side}_speedup": plain / thirty["sides"][side]["seconds"] for side in ("dense", "sparse")},
    }


def measure(
    n: int,
    batch_size: int,
    degree: int,
    hops: int | None,
    hidden: int,
    layers: int,
    rounds: int,
    budget: float,
) -> dict[str, Any]:
    """One size; dense blocks are left out for ego-nets, most of whose pairs are not there."""
    from tests.subgraph.oracle import Oracle, product_edges

    torch.manual_seed(0)
    networks = {
        backend: SubgraphNet(
            0, 1, model="SSWL", hidden_channels=hidden, num_layers=layers, hops=hops, backend=backend
        )
        for backend in (["sparse"] if hops else ["dense", "sparse"])
    }
    for network in networks.values():
        network.load_state_dict(networks["sparse"].state_dict())
    sparse = networks["sparse"]
    graphs = [sparse.transform(nx.random_regular_graph(degree, n, seed=seed)) for seed in range(batch_size)]
    batch = Batch.from_data_list(graphs)
    oracle, edges = Oracle(sparse), product_edges(graphs, sparse.aggregations)
    sides: dict[str, Callable[[], torch.Tensor]] = {
        "straightforward": partial(oracle, batch, edges),
        **{name: partial(network, batch) for name, network in networks.items()},
    }
    outputs = {name: side().detach() for name, side in sides.items()}
    largest = outputs["straightforward"].abs().max()
    calls = {name: partial(_train, side) for name, side in sides.items()}
    found: dict[str, Any] = {}
    peaks = {name: peak_memory(call) for name, call in calls.items()}
    times = seconds(calls, rounds, budget)
    for name in calls:
        difference = (outputs[name] - outputs["straightforward"]).abs().max() / largest
        found[name] = {
            "seconds": statistics.median(times[name]),
            "spread": spread(times[name]),
            "bytes": peaks[name],
            "difference": float(difference),
        }
    pairs = int(batch.pair_index.shape[1])
    facts = {"nodes": n, "batch": batch_size, "degree": degree, "hops": hops, "pairs": pairs}
    return facts | {"sides": found}


def _measure_kept(*case: int | None) -> dict[str, Any]:
    """`measure` in a process of its own, without a budget, as `KEEP` is read when a process begins."""
    say(f"speed: n = {case[0]}, memory kept")
    program = (
        "import json, sys, torch; from benchmarks.subgraph.speed import measure; "
        "threads, *case = json.loads(sys.argv[1]); torch.set_num_threads(threads); "
        "print(json.dumps(measure(*case, float('inf'))))"
    )
    given = json.dumps([torch.get_num_threads(), *case])
    done = subprocess.run(
        [sys.executable, "-c", program, given],
        env=os.environ | KEEP,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _train(side: Callable[[], torch.Tensor]) -> None:
    side().sum().backward()
