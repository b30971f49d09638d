"""Time and memory of one step of Bellman-Ford against plain PyTorch Geometric over materialised messages."""

from __future__ import annotations

import math
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter

from benchmarks._memory import peak_memory
from benchmarks._record import say, seconds, spread
from netgraph.linkpred import LinkGraph, read_triples, with_inverses
from netgraph.linkpred.bellman_ford import Aggregate, propagate

FOLDER = "kg/FB15k-237"
DIM = 32
AGGREGATES: tuple[Aggregate, ...] = ("pna", "sum")

Given = tuple[Tensor, Tensor, Tensor]
"""States, relations and boundary."""


class PlainStep(MessagePassing):  # type: ignore[misc]
    """The same step, as one writes it with PyTorch Geometric: DistMult messages in memory, then scattered."""

    def __init__(self, how: str) -> None:
        super().__init__(aggr=None, node_dim=0)
        self.how = how

    def forward(self, given: Given, edge_index: Tensor, kind: Tensor) -> Tensor:
        states, relation, boundary = given
        w = relation.transpose(0, 1)
        return self.propagate(edge_index, x=states, w=w, kind=kind, boundary=boundary)

    def message(self, x_j: Tensor, w: Tensor, kind: Tensor) -> Tensor:
        return x_j * w.index_select(0, kind)

    def aggregate(self, inputs: Tensor, index: Tensor, boundary: Tensor) -> Tensor:
        nodes = len(boundary)
        inputs = torch.cat((inputs, boundary))
        index = torch.cat((index, torch.arange(nodes)))
        if self.how == "sum":
            return scatter(inputs, index, 0, nodes, "sum")
        mean, squares = (scatter(t, index, 0, nodes, "mean") for t in (inputs, inputs * inputs))
        most, least = (scatter(inputs, index, 0, nodes, how) for how in ("max", "min"))
        deviation = (squares - mean * mean).clamp(min=1e-6).sqrt()
        found = torch.cat((mean, most, least, deviation), -1)
        scale = torch.bincount(index, minlength=nodes).float().log()
        scale = (scale / scale.mean()).view(-1, 1, 1)
        return torch.cat((found, found * scale, found / scale.clamp(min=1e-2)), -1)


def run(data: Path, quick: bool) -> dict[str, Any]:
    """Forward and backward passes of one step on the training graph of FB15k-237 with reversed edges.

    Both sides get the same sorted edges, ready made. `chunks` is our path in plain torch, which in double
    precision is what all are compared with: it needs little memory, and the tests compare it with messages
    that stand in memory. The plain side takes a variance as a difference of squares, as such code does, and
    loses digits by that.

    Args:
        data: the shared data.
        quick: two samples instead of 16, and one round.

    Returns:
        `rows`: per aggregate and side the median `seconds`, their `spread`, the `bytes` by which memory rises
        over one call, and the largest `difference` from double precision over the result and all gradients,
        relative to the largest number there; `speedup` and `memory_ratio`, plain by ours, per aggregate; the
        least of these as `bellman_ford_speedup` and `bellman_ford_memory_ratio`; and `max_abs_diff`, the
        largest difference of ours.
    """
    batch, rounds, budget = (2, 3, 0.0) if quick else (16, 3, math.inf)
    graph = with_inverses(read_triples(data / FOLDER / "train.txt"))
    rows = {}
    for aggregate in AGGREGATES:
        say(f"bellman_ford_speed: {aggregate}, batch {batch}")
        rows[aggregate] = measure(graph, aggregate, batch, rounds, budget, chunks=not quick)
    return {
        "nodes": graph.num_nodes,
        "edges": graph.num_edges,
        "relations": graph.num_relations,
        "batch": batch,
        "dim": DIM,
        "rows": rows,
        "bellman_ford_speedup": min(row["speedup"] for row in rows.values()),
        "bellman_ford_memory_ratio": min(row["memory_ratio"] for row in rows.values()),
        "max_abs_diff": max(row["sides"]["ours"]["difference"] for row in rows.values()),
    }


def measure(
    graph: LinkGraph, aggregate: Aggregate, batch: int, rounds: int, budget: float, *, chunks: bool
) -> dict[str, Any]:
    """One aggregate, all sides in turn."""
    torch.manual_seed(0)
    shapes = ((graph.num_nodes, batch, DIM), (batch, graph.num_relations, DIM), (graph.num_nodes, batch, DIM))
    given: Given = tuple(torch.randn(*shape).requires_grad_() for shape in shapes)  # type: ignore[assignment]
    edge_index, kind = graph.edge_index, graph.edge_relation
    assert kind is not None
    plain = PlainStep(aggregate)
    sides = {
        "plain": lambda: plain(given, edge_index, kind),
        "ours": lambda: propagate(graph, *given, aggregate=aggregate),
    }
    if chunks:
        sides["chunks"] = lambda: propagate(graph, *given, aggregate=aggregate, compile=False)
    calls = {name: partial(_train, side, given) for name, side in sides.items()}
    double: Given = tuple(t.detach().double().requires_grad_() for t in given)  # type: ignore[assignment]
    exact = _train(lambda: propagate(graph, *double, aggregate=aggregate), double)
    peaks, differences = {}, {}
    for name, call in calls.items():
        results: list[Tensor] = []
        peaks[name] = peak_memory(lambda call=call, results=results: results.extend(call()))
        differences[name] = max(
            float((a - b).abs().max() / b.abs().max()) for a, b in zip(results, exact, strict=True)
        )
        results.clear()
    del exact
    times = seconds(calls, rounds, budget)
    found = {
        name: {
            "seconds": statistics.median(times[name]),
            "spread": spread(times[name]),
            "bytes": peaks[name],
            "difference": differences[name],
        }
        for name in calls
    }
    return {
        "sides": found,
        "speedup": found["plain"]["seconds"] / found["ours"]["seconds"],
        "memory_ratio": found["plain"]["bytes"] / found["ours"]["bytes"],
    }


def _train(side: Any, given: Given) -> list[Tensor]:
    """The result and the gradients of what went in."""
    out = side()
    return [out.detach(), *torch.autograd.grad(out, given, torch.ones(()).expand_as(out))]
