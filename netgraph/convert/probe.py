"""What the nodes of a network do on a few real inputs."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from netgraph.convert.trace import Inputs, split_inputs
from netgraph.errors import ConversionError, UsageError
from netgraph.graph import NeuralGraph, Operator, Ref, Size, Structure, TorchConstant, Value
from netgraph.graph.program import resolve

__all__ = ["PROBE_FEATURES", "probe_features"]

PROBE_FEATURES: Final = ("mean", "std", "positive", "rms")
"""What `probe_features` measures, in order."""


@torch.no_grad()
def probe_features(graph: NeuralGraph, inputs: Inputs, *, features: int = 4) -> dict[str, Tensor]:
    """Statistics of every hidden node's activations: mean, deviation, share of positives, root mean square.

    They are taken over samples and positions (space, time, the dimensions of a head that is one node), of
    every activation that a weight of the next layer reads, as it reads it: after the norm and the activation
    function. Of a group that is read several times, as the stream of a residual network, the statistics are
    the means over its readers' inputs, each different input counted once. Groups that no weight reads
    (queries and keys) are measured wherever they flow; nodes of groups that never flow have zeros.

    The network runs operator by operator in evaluation mode, without gradients. Reordering the nodes of a
    group reorders its statistics alike.

    Args:
        graph: a graph with a program.
        inputs: as for `to_graph`: a tensor, a tuple of arguments, or a dict of keyword arguments.
        features: how many of the four statistics, in their order.

    Returns:
        Per hidden group, in the order of the structure, `(size, features)` in single precision.

    Raises:
        UsageError: not 1 to 4 features.
        ConversionError: the graph has no program, the program cannot run on the inputs, or an activation is
            not finite.

    >>> import torch, netgraph
    >>> from netgraph.convert.probe import probe_features
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))
    >>> _ = net[0].bias.data.zero_()
    >>> x = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    >>> probe_features(netgraph.to_graph(net, x), x)["0"]  # relu of (1, 3), (2, -4) and (-3, 1)
    tensor([[2.0000, 1.0000, 1.0000, 2.2361],
            [1.0000, 1.0000, 0.5000, 1.4142],
            [0.5000, 0.5000, 0.5000, 0.7071]])
    """
    if features not in (1, 2, 3, 4):
        raise UsageError(
            f"probe_features: expected 1 to {len(PROBE_FEATURES)} features, got {features!r}; they are "
            f"{', '.join(PROBE_FEATURES)}, in this order"
        )
    structure = graph.structure
    wanted = _measured(structure)
    device = next((t.device for t in graph.state.values()), torch.device("cpu"))
    totals = {g: torch.zeros(structure.groups[g].size, 4, dtype=torch.float64) for g in _hidden(structure)}
    counts = dict.fromkeys(totals, 0)
    for name, value in _run(graph, inputs, wanted, device):
        for group in wanted[name]:
            totals[group] += _statistics(structure, name, group, value)
            counts[group] += 1
    return {
        structure.groups[g].name: (total / max(counts[g], 1))[:, :features].float().to(device)
        for g, total in totals.items()
    }


def _hidden(structure: Structure) -> list[int]:
    return [i for i, g in enumerate(structure.groups) if g.role == "hidden"]


def _measured(structure: Structure) -> dict[str, list[int]]:
    """Per value the groups that are measured on it: what a weight reads, else all that carry the group."""
    read: dict[int, dict[str, None]] = {g: {} for g in _hidden(structure)}
    carried: dict[int, dict[str, None]] = {g: {} for g in _hidden(structure)}
    for value in structure.values:
        for group in _along(structure, value.name) if "float" in value.dtype else ():
            if group in carried:
                carried[group][value.name] = None
    computed: dict[str, set[int]] = {}  # what weights read that are turned or cast first
    for op in structure.operators:
        sources = _sources(structure, op).union(*(computed.get(n, ()) for n in op.refs()))
        if all(n in computed for n in op.refs()):
            computed.update(dict.fromkeys(op.results, sources))
            for names in carried.values():
                for name in op.results:
                    names.pop(name, None)
        for name in op.refs():
            for group in sources:
                if name in carried.get(group, ()):
                    read[group][name] = None
    out: dict[str, list[int]] = {}
    for group, names in read.items():
        for name in names or carried[group]:
            out.setdefault(name, []).append(group)
    return out


def _along(structure: Structure, value: str) -> dict[int, int]:
    """The groups on a value, each with the dimension it runs along."""
    found: dict[int, int] = {}
    for dim, axis in enumerate(structure.value[value].axes):
        if axis is not None:
            found.update(dict.fromkeys(structure.axes[axis].group_ids, dim))
    return found


def _sources(structure: Structure, op: Operator) -> set[int]:
    """The groups that the weights of an operator's own read."""
    found: set[int] = set()
    for name in op.refs("tensor"):
        spec = structure.tensor[name]
        if spec.placement == "block" and spec.in_axis is not None:
            found.update(structure.axis_of(spec, spec.in_axis).group_ids)
    return found


def _statistics(structure: Structure, name: str, group: int, value: Tensor) -> Tensor:
    """The four statistics of one group's nodes on one value, `(size, 4)`."""
    dim = _along(structure, name)[group]
    axis = structure.axis_of(structure.value[name], dim)
    size = structure.groups[group].size
    here = torch.from_numpy(axis.groups == group)
    nodes = torch.from_numpy(axis.indices)[here]
    rows = value.detach().movedim(dim, 0).reshape(value.shape[dim], -1).to("cpu", torch.float64)[here]
    entries = torch.stack([rows, (rows > 0).double(), rows.square()]).mean(2)  # (3, positions)
    total = torch.zeros(3, size, dtype=torch.float64).index_add(1, nodes, entries)
    times = torch.bincount(nodes, minlength=size)
    mean, positive, square = total / times.clamp(min=1)
    centred = (rows - mean[nodes, None]).square().mean(1)
    spread = torch.zeros(size, dtype=torch.float64).index_add(0, nodes, centred) / times.clamp(min=1)
    return torch.stack([mean, spread.sqrt(), positive, square.sqrt()], 1)


def _run(
    graph: NeuralGraph, inputs: Inputs, wanted: Container[str], device: torch.device
) -> Iterator[tuple[str, Tensor]]:
    """The wanted activations, as soon as they are made; values that nobody reads any more are dropped."""
    structure = graph.structure
    if not structure.outputs:
        raise ConversionError(
            "probe_features: expected a graph with a program, got one whose module could not be traced; "
            "nothing can be run"
        )
    env = _given(structure, inputs, device)
    sizes = {s.name: env[s.value].shape[s.dim] for s in structure.symbols}
    tensors = {n: t.detach().clone() for n, t in graph.state.items()}  # the program may write into buffers
    last = {name: i for i, op in enumerate(structure.operators) for name in op.refs()}
    for i, op in enumerate(structure.operators):
        try:
            result = _call(op, env, tensors, sizes)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise ConversionError(
                f"probe_features: operator {op.name!r} cannot run on these inputs "
                f"({(str(error).splitlines() or [''])[0][:200]}); pass inputs like those of to_graph"
            ) from error
        for name, value in zip(op.results, result if op.unpack else (result,), strict=False):
            env[name] = value
            if isinstance(value, Tensor) and value.is_floating_point():
                _refuse(value.isnan(), op, structure.value[name])
                if name in wanted:
                    _refuse(value.isinf(), op, structure.value[name])  # elsewhere it may be a mask's
                    yield name, value
        for name in [n for n in op.refs() if last[n] == i]:
            env.pop(name, None)


def _given(structure: Structure, inputs: Inputs, device: torch.device) -> dict[str, Any]:
    args, kwargs = split_inputs(inputs)
    flat = pytree.tree_leaves((args, kwargs))
    if len(flat) != len(structure.inputs):
        raise ConversionError(
            f"probe_features: expected {len(structure.inputs)} inputs {list(structure.inputs)}, got "
            f"{len(flat)}; pass inputs like those of to_graph"
        )
    env: dict[str, Any] = {}
    for name, item in zip(structure.inputs, flat, strict=True):
        rank = len(structure.value[name].shape)
        if structure.value[name].dtype != "constant" and (not isinstance(item, Tensor) or item.dim() != rank):
            raise ConversionError(
                f"probe_features: input {name!r} should be a tensor of {rank} dimensions, got "
                f"{list(item.shape) if isinstance(item, Tensor) else type(item).__name__}; pass inputs like "
                "those of to_graph"
            )
        if isinstance(item, Tensor) and item.is_floating_point() and bool(item.isnan().any()):
            raise ConversionError(
                f"probe_features: input {name!r} holds NaN, expected real inputs; look at it"
            )
        env[name] = item.detach().to(device, copy=True) if isinstance(item, Tensor) else item
    return env


def _call(
    op: Operator, env: Mapping[str, Any], tensors: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> Any:
    def read(item: Any) -> Any:
        if isinstance(item, Ref):
            if item.kind == "training":
                return False
            return env[item.name] if item.kind == "value" else tensors[item.name]
        if isinstance(item, Size):
            return sizes[item.symbol] * item.factor
        if isinstance(item, TorchConstant):
            return torch.device(item.name) if item.kind == "device" else getattr(torch, item.name)
        return [read(i) for i in item] if isinstance(item, tuple) else item

    return resolve(op.target)(*(read(a) for a in op.args), **{k: read(v) for k, v in op.kwargs})


def _refuse(bad: Tensor, op: Operator, value: Value) -> None:
    if any(axis is not None for axis in value.axes) and bool(bad.any()):
        raise ConversionError(
            f"probe_features: expected finite activations, operator {op.name!r} of module {op.module!r} "
            f"gives NaN or infinity for {int(bad.sum())} of {bad.numel()} numbers; look at weights and inputs"
        )
