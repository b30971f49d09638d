"""Time and memory of a metanetwork on ResNet-56: dense blocks against a plain PyTorch Geometric edge list.

Both sides hold the same weights and are timed in the same process; the other side, `tests/nn/oracle.py`, has
its flat graph built before the clock starts. Memory is the rise of the resident set's peak over one call,
before those that are timed.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from benchmarks._memory import peak_memory
from benchmarks._record import machine, options, say, seconds, spread, write_record
from netgraph.convert import to_graph
from netgraph.graph import NeuralGraph
from netgraph.nn import Metanetwork, MetanetworkConfig, message_plan
from netgraph.zoo import resnet8, resnet56

CONFIG = MetanetworkConfig(hidden=64, layers=8)
Run = Callable[[NeuralGraph], dict[str, Tensor]]


def convert(factory: Callable[[], torch.nn.Module]) -> NeuralGraph:
    """The graph of a freshly made network, always the same."""
    torch.manual_seed(0)
    return to_graph(factory().eval(), torch.zeros(1, 3, 32, 32))


def metanetwork(compile: bool = False) -> Metanetwork:
    """The metanetwork that is measured, always the same."""
    torch.manual_seed(1)
    return Metanetwork(CONFIG, compile=compile)


def oracle(meta: Metanetwork, graph: NeuralGraph) -> Run:
    """The same metanetwork in plain PyTorch Geometric, for one graph."""
    from tests.nn.oracle import OracleMetanetwork, flatten

    return OracleMetanetwork(meta, flatten(graph.structure, CONFIG.taps))


def forward(run: Run, graph: NeuralGraph) -> dict[str, Tensor]:
    """One pass without gradients."""
    with torch.no_grad():
        return run(graph)


def train(run: Run, graph: NeuralGraph) -> None:
    """One pass and its gradients."""
    torch.stack([v.square().sum() for v in run(graph).values()]).sum().backward()


PHASES: dict[str, Callable[[Run, NeuralGraph], object]] = {"forward": forward, "train": train}


def limit(edges: int) -> dict[str, float]:
    """What a forward pass cannot avoid: the state read and written once a layer, and the dense products."""
    moved = edges * CONFIG.hidden * 4 * 2 * (CONFIG.layers + 1)
    products = 2 * edges * CONFIG.hidden * (CONFIG.hidden + 2 * CONFIG.taps)
    state = torch.rand(edges * CONFIG.hidden)
    copy = torch.empty_like(state)
    left, right = torch.rand(CONFIG.hidden, CONFIG.hidden), torch.rand(CONFIG.hidden, 8192)
    times = seconds({"copy": lambda: copy.copy_(state), "product": lambda: left @ right}, 30)
    bandwidth = 2 * 4 * state.numel() / min(times["copy"])
    rate = 2 * left.numel() * right.shape[1] / min(times["product"])
    return {
        "moved_bytes": moved,
        "bandwidth_bytes_per_second": round(bandwidth),
        "dense_flop": products,
        "dense_flop_per_second": round(rate),
        "limit_seconds": moved / bandwidth + products / rate,
    }


def factorised_resnet50() -> dict[str, float]:
    """Time and memory of a factorised metanetwork on ResNet-50; nothing where torchvision is missing."""
    if find_spec("torchvision") is None:
        say("ResNet-50 is left out, since torchvision is not installed; make .venv/.dev installs it")
        return {}
    from benchmarks.factorised import resnet50

    say("ResNet-50, factorised ...")
    return resnet50(quick=True)[1]


def measure(quick: bool) -> dict[str, Any]:
    """Run everything and return one flat record."""
    facts = machine()
    sides = ["ours", "compiled", "oracle"]
    say("to_graph ...")
    convert(resnet8)
    start = time.perf_counter()
    graph = convert(resnet56)
    result: dict[str, Any] = {"to_graph_seconds": time.perf_counter() - start}
    meta = metanetwork()
    say("building ...")
    runs: dict[str, Run] = {
        "ours": meta,
        "compiled": metanetwork(compile=True),
        "oracle": oracle(meta, graph),
    }
    for call in PHASES.values():
        call(runs["compiled"], graph)
    outputs = {side: forward(run, graph) for side, run in runs.items()}
    result["max_abs_diff"] = max(
        float((outputs["oracle"][n] - outputs[side][n]).abs().max()) for side in sides for n in outputs[side]
    )
    del outputs
    # Buffers of the threads and gradients come into being on a small network, before anything is measured.
    small = convert(resnet8)
    for run in (meta, oracle(meta, small)):
        train(run, small)
    rounds = {"forward": (2, 4.0), "train": (1, 6.0)} if quick else {"forward": (15, 1e3), "train": (7, 1e3)}
    for phase, call in PHASES.items():
        say(f"{phase}, {' and '.join(sides)} in turn ...")
        peaks = {side: peak_memory(partial(call, runs[side], graph)) for side in sides}
        found = seconds({side: partial(call, runs[side], graph) for side in sides}, *rounds[phase])
        for side in sides:
            result[f"{phase}_{side}_seconds"] = statistics.median(found[side])
            result[f"{phase}_{side}_spread"] = spread(found[side])
            result[f"{phase}_{side}_bytes"] = peaks[side]
        for side in sides[:-1]:
            name = phase if side == "ours" else f"{phase}_{side}"
            for what, unit in (("speedup", "seconds"), ("memory_ratio", "bytes")):
                result[f"{name}_{what}"] = result[f"{phase}_oracle_{unit}"] / result[f"{phase}_{side}_{unit}"]
    if quick:
        result |= factorised_resnet50()
    plan = message_plan(graph.structure, CONFIG.taps)
    result |= {"nodes": plan.num_nodes, "edges": plan.num_edges, **CONFIG.to_dict(), **limit(plan.num_edges)}
    return result | {"command": "python -m benchmarks.engine" + " --quick" * quick, "machine": facts}


def table(result: dict[str, Any]) -> str:
    """The record as a page."""
    facts = result["machine"]
    lines = [
        "# The engine on ResNet-56",
        "",
        f"`{result['command']}` on {facts['cpus']} cores ({facts['vector_instructions']}), "
        f"{facts['threads']} threads, torch {facts['torch']}; "
        f"load average before the start {facts['load_at_start']}.",
        "",
        f"{result['nodes']:,} nodes, {result['edges']:,} edges, {result['layers']} layers, "
        f"{result['hidden']} features. Medians, with the least and the most in brackets. `oracle` is plain "
        "PyTorch Geometric message passing over the flattened graph (`tests/nn/oracle.py`) with the same "
        "weights in the same process; `compiled` is `Metanetwork(compile=True)`, building not counted. "
        "Memory is the rise of the peak resident set over one call, before those that are timed.",
        "",
        "| | time | times faster | peak memory | times less |",
        "|---|---|---|---|---|",
        f"| to_graph | {result['to_graph_seconds']:.2f} s | | | |",
    ]
    for phase, title in (("forward", "forward"), ("train", "forward + backward")):
        for side in ("oracle", "ours", "compiled"):
            if f"{phase}_{side}_seconds" in result:
                name = phase if side == "ours" else f"{phase}_{side}"
                ratios = (result.get(f"{name}_{what}") for what in ("speedup", "memory_ratio"))
                faster, less = ("" if r is None else f"{r:.1f}" for r in ratios)
                time_, size = result[f"{phase}_{side}_spread"], result[f"{phase}_{side}_bytes"] / 1e6
                lines.append(f"| {title}, {side} | {time_} | {faster} | {size:,.0f} MB | {less} |")
    return "\n".join([*lines, "", *_limits(result)])


def _limits(result: dict[str, Any]) -> list[str]:
    lines = [
        f"Largest difference of any output from the oracle's: {result['max_abs_diff']:.1e}.",
        "",
        "## How far from the limit",
        "",
        "A forward pass must read and write every edge's state once a layer, and make and decode it once: "
        f"{result['moved_bytes'] / 1e6:,.0f} MB, at the "
        f"{result['bandwidth_bytes_per_second'] / 1e9:.0f} GB/s at which this machine copies a tensor of "
        f"that size, and {result['dense_flop'] / 1e9:.2f} GFLOP of dense products in encoder and decoder at "
        f"{result['dense_flop_per_second'] / 1e9:.0f} GFLOP/s: together {result['limit_seconds']:.3f} s.",
        "",
    ]
    for side in ("ours", "compiled"):
        if f"forward_{side}_seconds" in result:
            times = result[f"forward_{side}_seconds"] / result["limit_seconds"]
            lines.append(f"- {side}: {times:.1f} times the limit")
    return [
        *lines,
        "",
        "Without a compiler a layer sweeps sixteen times over each piece of the state that fits into the "
        "cache: seven steps for the four reductions, each way, and two for the update. The compiled kernels "
        "read each piece twice, the second time from a near cache, and write it once; they make the first "
        "state as they first need it. The rest goes to the nodes: gates, row statistics, and joining them.",
        "",
        "With gradients, nothing of the edges' size is kept but the gradient of one edge state. The states "
        "of all layers are computed again from the taps: eager in two sweeps for each layer below, compiled "
        "in one visit to each row.",
    ]


def main() -> None:
    """Measure, print, and keep the record of a full run."""
    chosen = options("engine", __doc__ or "")
    result = measure(chosen.quick)
    page = table(result)
    print(page)
    if not chosen.quick:
        write_record("engine", result, page)
    if chosen.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
