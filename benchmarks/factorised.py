"""Time and memory of a factorised metanetwork, and how they grow with the parameters of the network it reads.

All four heads are computed, new weights included; memory is the rise of the peak resident set over one call,
and *above* is what is left of it without those new weights. The peer is `tests/nn/factorised/oracle.py`: the
same layer with the same parameters, as in PyTorch Geometric gathered and scattered scalar by scalar.

Needs torchvision and transformers (`make bench BENCH=factorised`).
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks._memory import peak_memory
from benchmarks._record import machine, options, say, seconds, spread, write_record
from benchmarks.conversion import Built, Chain, _llama, _vision
from netgraph.convert import to_graph
from netgraph.graph import NeuralGraph, to_dtype
from netgraph.nn.factorised import (
    HEADS,
    FactorisedConfig,
    FactorisedMetanetwork,
    Weights,
    factorised_plan,
)
from netgraph.zoo import resnet20

READER = FactorisedConfig(hidden=32, layers=4, heads=HEADS)
TRAINED = FactorisedConfig(hidden=16, layers=6, heads=HEADS)
GIB = 2**30


def graph_of(built: Built) -> NeuralGraph:
    """The graph of a network; a network without memory for its weights gets random ones in bfloat16."""
    module, inputs = built
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = to_graph(module.eval(), inputs)
    if not any(t.is_meta for t in graph.state.values()):
        return graph
    state = {}
    for spec in graph.structure.tensors:
        floating = "float" in spec.dtype
        tensor = torch.zeros(spec.shape, dtype=torch.bfloat16 if floating else to_dtype(spec.dtype))
        state[spec.name] = tensor.normal_(0, 0.02) if floating else tensor
    return NeuralGraph(graph.structure, state)


def metanetwork(config: FactorisedConfig) -> FactorisedMetanetwork:
    """The metanetwork that is measured, always the same."""
    torch.manual_seed(1)
    return FactorisedMetanetwork(config)


def parameters_gib(graph: NeuralGraph) -> float:
    """Memory of the floating-point parameters, which new weights take once more."""
    specs = [t for t in graph.structure.tensors if t.kind == "parameter" and "float" in t.dtype]
    return sum(graph.state[t.name].nbytes for t in specs) / GIB


def forward(meta: FactorisedMetanetwork, graph: NeuralGraph) -> None:
    """One pass without gradients."""
    with torch.no_grad():
        meta.read(graph, target=0.5)


def train(meta: FactorisedMetanetwork, graph: NeuralGraph) -> None:
    """One pass and the gradients of all that the heads say."""
    values, scores, budgets, output = meta.read(graph, target=0.5)
    parts: list[Tensor] = [v.square().sum() for v in (values or {}).values()]
    parts += [v.sum() for found in (scores, budgets) for v in (found or {}).values()]
    assert output is not None
    torch.stack([*parts, output.sum()]).sum().backward()


def measured(call: Callable[[], object], rounds: int, budget: float) -> dict[str, Any]:
    """Memory of one call, then durations of some; processor seconds as well, which a busy machine leaves."""
    extra = peak_memory(call) / GIB
    start = time.process_time()
    found = seconds({"call": call}, rounds, budget)["call"]
    cpu = (time.process_time() - start) / (len(found) + 1)
    return {
        "seconds": statistics.median(found),
        "spread": spread(found),
        "cpu_seconds": cpu,
        "peak_gib": extra,
    }


def read(graph: NeuralGraph, rounds: int = 5, budget: float = 60.0) -> dict[str, Any]:
    """What one reading costs."""
    found = measured(partial(forward, metanetwork(READER), graph), rounds, budget)
    return found | {
        "parameters": graph.num_parameters,
        "nodes": graph.num_nodes,
        "extra_gib": max(found["peak_gib"] - parameters_gib(graph), 0.0),
    }


def peer(rounds: int) -> dict[str, Any]:
    """One layer on ResNet-20, by products and by gathering and scattering, both sides in turn."""
    from tests.nn.factorised.oracle import Oracle

    torch.manual_seed(0)
    graph = graph_of((resnet20(), torch.zeros(1, 3, 32, 32)))
    meta = metanetwork(READER)
    oracle, plan = Oracle(meta, graph.structure), factorised_plan(graph.structure)
    layer = meta.layers[0]
    with torch.no_grad():
        values, scales, states = oracle.given(graph.state)
        matrices = [w.matrix(graph.state[w.name]) for w in plan.weights]
        weights = Weights(matrices, torch.stack(scales), torch.stack(states))
        nodes = torch.randn(graph.num_nodes, READER.hidden)
        sides: dict[str, Callable[[], Tensor]] = {
            "ours": lambda: layer(nodes, weights, plan),
            "gather_scatter": lambda: oracle.layer(layer, nodes, values, scales, states),
        }
        difference = float((sides["ours"]() - sides["gather_scatter"]()).abs().max())
        memory = {name: peak_memory(call) / GIB for name, call in sides.items()}
        times = {name: statistics.median(t) for name, t in seconds(sides, rounds).items()}
    return {
        "max_abs_diff": difference,
        "parameters": graph.num_parameters,
        **{f"{name}_seconds": t for name, t in times.items()},
        **{f"{name}_gib": m for name, m in memory.items()},
        "speedup": times["gather_scatter"] / times["ours"],
    }


NETWORKS: dict[str, tuple[str, Callable[[], Built]]] = {
    "resnet50": ("ResNet-50", lambda: _vision("resnet50")),
    "vit_b_16": ("ViT-B/16", lambda: _vision("vit_b_16")),
    "llama_1b": ("Llama, 1.24 billion parameters, bfloat16", _llama),
}
CURVES: dict[str, tuple[str, Callable[[int], Built], tuple[int, ...]]] = {
    "width": (
        "Width: ten residual blocks of two linear layers",
        lambda n: (Chain(10, n), torch.zeros(2, n)),
        (64, 128, 256, 512, 1024, 2048),
    ),
    "depth": (
        "Depth: residual blocks of two linear layers, width 256",
        lambda n: (Chain(n, 256), torch.zeros(2, 256)),
        (1, 3, 10, 32, 100),
    ),
}


def resnet50(quick: bool) -> tuple[dict[str, Any], dict[str, float]]:
    """ResNet-50 read and trained on: the record, and the keys that a quick run is asked for."""
    graph = graph_of(NETWORKS["resnet50"][1]())
    found = read(graph, rounds=1 if quick else 10, budget=5.0 if quick else 60.0)
    keys = {
        "factorised_resnet50_seconds": found["seconds"],
        "factorised_resnet50_extra_gib": found["extra_gib"],
    }
    if not quick:
        trained = measured(partial(train, metanetwork(TRAINED), graph), 3, 60.0)
        found["train"] = trained
        keys |= {
            "factorised_resnet50_train_seconds": trained["seconds"],
            "factorised_resnet50_train_gib": trained["peak_gib"],
        }
    return found, keys


def measure(quick: bool) -> dict[str, Any]:
    """Everything, one network after another; a small one goes first and is not counted."""
    facts = machine()
    small = graph_of(CURVES["width"][1](8))
    train(metanetwork(TRAINED), small)
    say("ResNet-50 ...")
    found, result = resnet50(quick)
    record: dict[str, Any] = {**result, "resnet50": found}
    say("the same layer, gathered and scattered ...")
    record["peer"] = peer(2 if quick else 7)
    for name, (_, build) in NETWORKS.items():
        if name not in record and not quick:
            say(f"{name} ...")
            record[name] = read(graph_of(build()), 3, 20.0)
    for curve, (_, build_one, sizes) in CURVES.items():
        record[curve] = {}
        for size in sizes[:2] if quick else sizes:
            say(f"{curve} {size} ...")
            record[curve][str(size)] = read(graph_of(build_one(size)), 3, 20.0)
    return record | {"command": "python -m benchmarks.factorised" + " --quick" * quick, "machine": facts}


def table(record: dict[str, Any]) -> str:
    """The record as a page."""
    facts, peer_ = record["machine"], record["peer"]
    lines = [
        "# The factorised metanetwork",
        "",
        f"`{record['command']}` on {facts['cpus']} cores ({facts['vector_instructions']}), "
        f"{facts['threads']} threads, torch {facts['torch']}; load average before the start "
        f"{facts['load_at_start']}.",
        "",
        f"One reading with all heads, {READER.hidden} features, {READER.layers} layers: medians, with the "
        "least and the most in brackets; processor time is what all threads used together. *Memory* is the "
        "rise of the peak resident set over one call without the new weights that it returns.",
        "",
        "| network | parameters | nodes | time | processor time | memory |",
        "|---|---|---|---|---|---|",
    ]
    for name, (title, _) in NETWORKS.items():
        if name in record:
            lines.append(f"| {title} {_row(record[name])}")
    if "train" in record["resnet50"]:
        t = record["resnet50"]["train"]
        lines += [
            "",
            f"Training on ResNet-50 ({TRAINED.hidden} features, {TRAINED.layers} layers, loss on all heads): "
            f"{t['spread']}, peak {t['peak_gib']:.2f} GiB with the new weights and their gradients.",
        ]
    lines += [
        "",
        "## The same layer, gathered and scattered",
        "",
        f"One layer on ResNet-20 for CIFAR-10 ({peer_['parameters']:,} parameters), same weights, both "
        f"sides in turn: {1e3 * peer_['ours_seconds']:.1f} ms and {peer_['ours_gib']:.2f} GiB here, "
        f"{1e3 * peer_['gather_scatter_seconds']:.0f} ms and {peer_['gather_scatter_gib']:.2f} GiB with one "
        f"message per scalar, which is {peer_['speedup']:.0f} times slower; largest difference "
        f"{peer_['max_abs_diff']:.1e}.",
    ]
    for curve, (title, _, _) in CURVES.items():
        lines += ["", f"## {title}", ""]
        lines += [
            f"| {curve} | parameters | nodes | time | processor time | memory | per million parameters |",
            "|---|---|---|---|---|---|---|",
        ]
        for size, r in record[curve].items():
            lines.append(f"| {size} {_row(r)} {1e9 * r['cpu_seconds'] / r['parameters']:.1f} ms |")
    return "\n".join(lines)


def _row(r: dict[str, Any]) -> str:
    return (
        f"| {r['parameters']:,} | {r['nodes']:,} | {r['spread']} | {r['cpu_seconds']:.3f} s | "
        f"{r['extra_gib']:.2f} GiB |"
    )


def main() -> None:
    """Measure, print, and keep the record of a full run."""
    chosen = options("factorised", __doc__ or "")
    record = measure(chosen.quick)
    page = table(record)
    print(page)
    if not chosen.quick:
        write_record("factorised", record, page)
    if chosen.json:
        print(json.dumps(record))


if __name__ == "__main__":
    main()
