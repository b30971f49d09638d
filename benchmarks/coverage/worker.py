"""One network, one library, a process of its own: `python -m benchmarks.coverage.worker SIDE NAME SECONDS`.

Seconds are of the processor, so that a busy machine does not decide who is late.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from benchmarks.coverage.catalog import build
from netgraph.convert import apply_mask, to_graph
from netgraph.errors import SurgeryError
from netgraph.graph import (
    CostModel,
    NeuralGraph,
    NodeMask,
    branches,
    load_graph,
    permute,
    same_bytes,
    save_graph,
    select,
)
from tests.convert.masked import MaskedRun, at_example

Record = dict[str, Any]


def call(module: nn.Module, inputs: Any) -> list[Tensor]:
    """The tensors that a module returns."""
    if isinstance(inputs, dict):
        found = module(**inputs)
    else:
        found = module(*(inputs if isinstance(inputs, tuple) else (inputs,)))
    return [t for t in pytree.tree_leaves(found) if isinstance(t, Tensor)]


def distance(found: list[Tensor], expected: list[Tensor]) -> float:
    """Largest difference, as a share of the largest number expected of the same tensor."""
    if [f.shape for f in found] != [e.shape for e in expected]:
        return float("inf")
    shares = [
        float((f.double() - e.double()).abs().max() / e.double().abs().max().clamp(min=1e-12))
        for f, e in zip(found, expected, strict=True)
        if e.is_floating_point() and e.numel()
    ]
    return max(shares, default=0.0)


def train_step(module: nn.Module, inputs: Any) -> bool:
    """One step of gradient descent; every gradient there is must be finite."""
    module.train()
    if all(t.shape[0] == 1 for t in pytree.tree_leaves(inputs) if isinstance(t, Tensor)):
        # the statistics of one sample are none
        doubled = pytree.tree_map(lambda t: torch.cat([t, t]) if isinstance(t, Tensor) else t, inputs)
        with contextlib.suppress(RuntimeError), torch.no_grad():  # a batch that is written down stays
            call(module, doubled)
            inputs = doubled
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(parameters, lr=1e-4)
    outputs = [t for t in call(module, inputs) if t.is_floating_point() and t.requires_grad]
    loss = sum((t.float() ** 2).mean() for t in outputs)
    assert isinstance(loss, Tensor)
    loss.backward()
    optimiser.step()
    got = [p.grad for p in parameters if p.grad is not None]
    return bool(got) and all(bool(g.isfinite().all()) for g in got)


def halves(graph: NeuralGraph) -> NodeMask:
    """Drop every second node of every group that may be cut."""
    keep = {}
    for group in graph.structure.groups:
        if group.role == "hidden" and group.size > 1:
            keep[group.name] = torch.arange(group.size) % 2 == 0
    return NodeMask(keep)


def ours(name: str, record: Record) -> None:
    """Every check of ours, in order; `record` keeps how far they came."""
    module, inputs = build(name)
    record["params"] = sum(p.numel() for p in module.parameters())
    with torch.no_grad():
        expected = call(module, inputs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.process_time()
        graph = to_graph(module, inputs)
        record["to_graph_seconds"] = time.process_time() - start
    record["warnings"] = [str(w.message)[:300] for w in caught if "to_graph" in str(w.message)]
    groups = graph.structure.groups
    record["groups"] = len(groups)
    record["free"] = sum(g.size for g in groups if g.role == "hidden") / max(
        sum(g.size for g in groups if g.role in ("hidden", "fixed")), 1
    )
    if not graph.structure.operators:
        raise RuntimeError("no program")
    record["converted"] = True

    state = module.state_dict()
    back = graph.to_state_dict()
    same = list(state) == list(back) and all(same_bytes(back[n], state[n]) for n in state)
    rebuilt = graph.to_module().eval()
    with torch.no_grad():
        found = call(rebuilt, inputs)
    record["state_exact"] = same
    record["output_difference"] = distance(found, expected)
    outputs = len(found) == len(expected) and all(
        torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) for a, b in zip(found, expected, strict=True)
    )
    record["round_trip"] = same and outputs

    generator = torch.Generator().manual_seed(2)
    turns = {
        g.name: torch.randperm(g.size, generator=generator)
        for g in groups
        if g.role == "hidden" and g.size > 1
    }
    turned = permute(graph, turns).to_module().eval()
    with torch.no_grad():
        record["swap_difference"] = distance(call(turned, inputs), expected)
    record["swap"] = bool(turns) and record["swap_difference"] < 1e-3
    del turned, rebuilt

    mask = halves(graph)
    small = select(graph, mask)
    twin = MaskedRun(graph, mask)
    given = at_example(graph, inputs)
    args, kwargs = (
        ((), given) if isinstance(given, dict) else (given if isinstance(given, tuple) else (given,), {})
    )
    with torch.no_grad():
        record["masked_difference"] = distance(call(small.to_module().eval(), given), twin(*args, **kwargs))
    record["restricted"] = len(twin.restricted)
    record["equals_masked"] = record["masked_difference"] < 1e-3
    del twin
    record["params_after"] = CostModel(small.structure).params()
    record["macs"], record["macs_after"] = (
        CostModel(graph.structure).macs(),
        CostModel(small.structure).macs(),
    )
    try:
        pruned: nn.Module = apply_mask(module, graph, mask)
        record["keeps_class"] = True
    except SurgeryError as error:
        record["keeps_class"] = False
        record["surgery"] = str(error)[:300]
        pruned = small.to_module()
    with torch.no_grad():
        after = call(pruned.eval(), inputs)
    shapes = [t.shape for t in after] == [t.shape for t in expected]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.safetensors"
        save_graph(small, path)
        again = load_graph(path).to_module().eval()
    with torch.no_grad():
        record["reload_difference"] = distance(call(again, inputs), after)
    del again
    named = [b.name for b in branches(graph.structure)]
    record["branches"] = len(named)
    record["keeps_class_without_layers"] = _leaves_out(module, graph, named[::2]) if named else None
    fewer = record["params_after"] < record["params"]
    record["train"] = train_step(pruned, inputs)
    record["pruned"] = shapes and fewer and record["train"] and record["reload_difference"] < 1e-3


def _leaves_out(module: nn.Module, graph: NeuralGraph, names: list[str]) -> bool:
    """Whether the module's own class can do without these branches."""
    try:
        apply_mask(module, graph, NodeMask({}, frozenset(names)))
    except SurgeryError:
        return False
    return True


def _endings(module: nn.Module, outputs: list[Tensor]) -> list[nn.Module]:
    """The last layers that are as wide as the outputs, as many as there are: a user tells Torch-Pruning to
    leave them whole."""
    layers = [m for m in module.modules() if isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))]
    found: list[nn.Module] = []
    for output in outputs:
        width = output.shape[-1] if output.dim() < 4 else output.shape[1]
        alike = [m for m in layers if getattr(m, "out_features", getattr(m, "out_channels", None)) == width]
        found += [m for m in reversed(alike) if m not in found][:1]
    return found


def peer(name: str, record: Record) -> None:
    """Torch-Pruning with its defaults: half of every group by L2 norm, forward, one training step."""
    import torch_pruning as tp

    module, inputs = build(name)
    record["params"] = before = sum(p.numel() for p in module.parameters())
    with torch.no_grad():
        expected = call(module, inputs)
    start = time.process_time()
    pruner = tp.pruner.MagnitudePruner(
        module,
        inputs,
        importance=tp.importance.MagnitudeImportance(p=2),
        pruning_ratio=0.5,
        ignored_layers=_endings(module, expected),
        output_transform=lambda out: [t for t in pytree.tree_leaves(out) if isinstance(t, Tensor)],
    )
    pruner.step()
    record["seconds_to_prune"] = time.process_time() - start
    with torch.no_grad():
        after = call(module.eval(), inputs)
    record["params_after"] = sum(p.numel() for p in module.parameters())
    shapes = [t.shape for t in after] == [t.shape for t in expected]
    record["train"] = train_step(module, inputs)
    record["pruned"] = shapes and record["params_after"] < before and record["train"]


_LATE: list[bool] = []


def _late(*_: object) -> None:
    if not _LATE:  # the signal comes every second from now on
        _LATE.append(True)
        raise TimeoutError


def main() -> None:
    """Run one side on one network and print its record."""
    side, name, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    record: Record = {"name": name, "side": side}
    signal.signal(signal.SIGXCPU, _late)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 20))
    try:
        {"ours": ours, "peer": peer}[side](name, record)
    except Exception as error:
        late = f"took longer than {limit} s"
        record["error"] = late if _LATE else f"{type(error).__name__}: {str(error).strip()[:400]}"
        record["where"] = traceback.format_exc().strip().splitlines()[-6:]
    record["seconds"] = time.process_time()
    record["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(record))


if __name__ == "__main__":
    main()
