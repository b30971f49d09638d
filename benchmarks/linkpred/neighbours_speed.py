"""Time and memory of sums over common neighbours, against SciPy and against plain PyTorch Geometric."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.utils import scatter

from benchmarks._memory import peak_memory
from benchmarks._record import say, seconds, spread
from netgraph.linkpred import LinkGraph
from netgraph.linkpred.neighbours import common_neighbours, gather_sum

FEATURES = 64

SIZES = (
    (2_700, 5_300, 2_304),
    (20_000, 44_000, 4_096),
    (20_000, 200_000, 20_000),
    (200_000, 2_000_000, 200_000),
)
"""Nodes, edges and pairs: batches on graphs as small as Cora and PubMed, and larger graphs and lists."""

QUICK = SIZES[2:3]

SKEW = 0.6
"""Node number n gets edges with a probability as n^-SKEW: degrees are spread widely, as in most networks."""


ROUNDS = 101
"""At most: short calls need many, for the machine is never all ours."""


def run(quick: bool) -> dict[str, Any]:
    """Find the common neighbours of pairs and add up their features, all sides in turn.

    Half of the pairs are edges. The straightforward side lists both rows of every pair, keeps what
    `torch.isin` finds in both, gathers the features and scatters them. SciPy multiplies rows of the adjacency
    elementwise, and the result with the features; it has no gradients, so `ours_forward` stands beside it.
    Ours lays out a table of the graph once enough has been asked of it, within the first calls, which are not
    timed.

    Args:
        quick: one size, and less time.

    Returns:
        `rows`: per size the median `seconds`, their `spread`, and the `bytes` by which memory rises over the
        first call, of each side; `speedup` and `memory_ratio`, straightforward by ours, both forward and
        backward; and `scipy_speedup`, SciPy by ours, both forward. The least `speedup` as
        `common_neighbour_speedup`, the least `scipy_speedup`, and `max_abs_diff` over sums and gradients.
    """
    budget = 2.0 if quick else 60.0
    rows = []
    for nodes, edges, pairs in QUICK if quick else SIZES:
        say(f"neighbours_speed: {nodes} nodes, {edges} edges, {pairs} pairs")
        rows.append(measure(nodes, edges, pairs, budget))
    return {
        "features": FEATURES,
        "rows": rows,
        "common_neighbour_speedup": min(row["speedup"] for row in rows),
        "scipy_speedup": min(row["scipy_speedup"] for row in rows),
        "max_abs_diff": max(row["max_abs_diff"] for row in rows),
    }


def clustered_graph(nodes: int, edges: int) -> LinkGraph:
    """A random graph of widely spread degrees, half of whose edges close triangles."""
    share = (torch.arange(1, nodes + 1, dtype=torch.float64) ** -SKEW).cumsum(0)
    ends = torch.searchsorted(share, torch.rand(2, edges // 2, dtype=torch.float64) * share[-1])
    open_graph = LinkGraph.from_edges(torch.randperm(nodes)[ends.clamp(max=nodes - 1)], nodes)
    one = torch.randint(len(open_graph.indices), (edges - edges // 2,))
    row = open_graph.rows[one]
    other = open_graph.indptr[row] + (torch.rand(len(row)) * open_graph.degree[row]).long()
    closed = open_graph.indices[torch.stack((one, other))]
    return LinkGraph.from_edges(torch.cat((open_graph.edge_index, closed), dim=1), nodes)


def measure(nodes: int, edges: int, count: int, budget: float) -> dict[str, Any]:
    """One size."""
    torch.manual_seed(0)
    graph = clustered_graph(nodes, edges)
    x = torch.randn(nodes, FEATURES, requires_grad=True)
    linked = graph.edge_index[:, torch.randint(graph.num_edges, (count // 2,))]
    pairs = torch.cat((linked, torch.randint(nodes, (2, count - count // 2))), dim=1)
    rows, columns = graph.keys // nodes, graph.indices
    adjacency = sp.csr_array(
        (np.ones(len(columns), np.float32), (rows.numpy(), columns.numpy())), shape=(nodes, nodes)
    )
    pull = torch.randn(count, FEATURES)
    sides: dict[str, Callable[[], Any]] = {
        "straightforward": partial(_train, partial(straightforward, graph, pairs, x), x, pull),
        "scipy": partial(by_scipy, adjacency, pairs.numpy(), x.detach().numpy()),
        "ours": partial(_train, partial(ours, graph, pairs, x), x, pull),
        "ours_forward": partial(ours, graph, pairs, x.detach()),
    }
    peaks = {name: peak_memory(call) for name, call in sides.items()}
    expected = sides["straightforward"]()
    difference = float((torch.from_numpy(sides["scipy"]()) - expected[0]).abs().max())
    for found, right in zip(sides["ours"](), expected, strict=True):
        difference = max(difference, float((found - right).abs().max()))
    del expected
    times = seconds(sides, ROUNDS, budget)
    found = {
        name: {
            "seconds": statistics.median(times[name]),
            "spread": spread(times[name]),
            "bytes": peaks[name],
        }
        for name in sides
    }
    plain, mine = found["straightforward"], found["ours"]
    return {
        "nodes": nodes,
        "edges": graph.num_edges // 2,
        "pairs": count,
        "found": len(common_neighbours(graph, pairs).node),
        "sides": found,
        "speedup": plain["seconds"] / mine["seconds"],
        "memory_ratio": plain["bytes"] / mine["bytes"],
        "scipy_speedup": found["scipy"]["seconds"] / found["ours_forward"]["seconds"],
        "max_abs_diff": difference,
    }


def ours(graph: LinkGraph, pairs: Tensor, x: Tensor) -> Tensor:
    """Sums `(P, F)`."""
    return gather_sum(x, common_neighbours(graph, pairs))


def straightforward(graph: LinkGraph, pairs: Tensor, x: Tensor) -> Tensor:
    """The same with all neighbours of all pairs listed, and the features of the common ones in memory."""
    (first, node), (second, other) = _rows(graph, pairs[0]), _rows(graph, pairs[1])
    common = torch.isin(first * graph.num_nodes + node, second * graph.num_nodes + other, assume_unique=True)
    return scatter(x[node[common]], first[common], 0, pairs.size(1), "sum")


def by_scipy(adjacency: sp.csr_array, pairs: Any, x: Any) -> Any:
    """The same as a sparse product, without gradients."""
    return adjacency[pairs[0]].multiply(adjacency[pairs[1]]) @ x


def _rows(graph: LinkGraph, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Which of the nodes each listed neighbour belongs to, and the neighbour."""
    count = graph.indptr.diff()[nodes]
    place = torch.repeat_interleave(count)
    entry = torch.arange(len(place)) + (graph.indptr[nodes] - count.cumsum(0) + count)[place]
    return place, graph.indices[entry]


def _train(side: Callable[[], Tensor], x: Tensor, pull: Tensor) -> list[Tensor]:
    out = side()
    return [out.detach(), *torch.autograd.grad(out, x, pull)]
