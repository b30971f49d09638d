"""Cut channels out of the user's own module: all or nothing."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils import _pytree as pytree

from netgraph.convert.attributes import refresh_layer
from netgraph.convert.configuration import Shapes, refresh_configuration, shapes_of
from netgraph.convert.numbers import Numbers, changed_constants
from netgraph.convert.optimizer_state import cut_optimizer_state
from netgraph.convert.skipped import Skipped, left_out, put
from netgraph.errors import SurgeryError, SurgeryWarning, UsageError
from netgraph.graph import NeuralGraph, NodeMask, Size, branches, select, to_dtype
from netgraph.graph.structure import Structure

M = TypeVar("M", bound=nn.Module)


def apply_mask(
    module: M,
    graph: NeuralGraph,
    mask: NodeMask,
    *,
    inplace: bool = False,
    optimizer: Optimizer | None = None,
) -> M:
    """Cut a module down to what a mask keeps; its class and its `forward` stay.

    Parameters, buffers, and the attributes that layers derive from their widths are changed; modules of
    branches that the mask leaves out are replaced by `Skipped`, which has no weights. The result is compared
    with `select(graph, mask).to_module()` on random inputs before anything is given back, so a module is
    either cut rightly or not at all.

    Args:
        module: the module that `graph` was made from (its weights may have been trained further since).
        graph: its graph.
        mask: the nodes to keep, and the branches to leave out.
        inplace: cut the module itself (parameters stay the same objects, without gradients) rather
            than a copy.
        optimizer: with `inplace`, an optimiser over the module's parameters: its state (momenta, say) is cut
            by the same indices, so that training goes on.

    Raises:
        UsageError: an optimiser, but not `inplace`.
        SurgeryError: the module's `forward` holds a size that no attribute holds, or cannot do without a
            branch, so that only the rebuilt module can be cut; nothing was touched.
        GraphError: the mask does not fit the graph.

    >>> import torch, netgraph
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    >>> graph = netgraph.to_graph(net, torch.zeros(1, 2))
    >>> mask = netgraph.NodeMask({"0": torch.tensor([True, False, False, True])})
    >>> netgraph.apply_mask(net, graph, mask)
    Sequential(
      (0): Linear(in_features=2, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=1, bias=True)
    )
    """
    if optimizer is not None and not inplace:
        raise UsageError(
            "apply_mask: expected inplace=True with an optimizer, got a copy to be cut, whose parameters the "
            "optimizer does not know; cut in place, or make a new optimizer for the copy"
        )
    current = _current(module, graph)
    bare = select(current, NodeMask({}, mask.skip))
    small = select(current, mask)
    stand_ins = _stand_ins(module, current, bare, mask.skip)
    trial = copy_module(module)
    put(trial, stand_ins)
    _cut(trial, bare, small)
    _settle(trial, module, bare, small)
    if not inplace:
        return trial
    before = dict(module.named_parameters())
    put(module, stand_ins)
    _transplant(trial, module)
    if optimizer is not None:
        cut_optimizer_state(optimizer, before, graph.structure, mask)
    return module


def _stand_ins(
    module: nn.Module, graph: NeuralGraph, bare: NeuralGraph, skip: frozenset[str]
) -> dict[str, Skipped]:
    """What takes the place of the submodules of branches."""
    if not skip:
        return {}
    chosen = [b for b in branches(graph.structure) if b.name in skip]
    found = left_out(
        copy_module(module), graph.structure, bare.structure, chosen, random_inputs(graph.structure)
    )
    lost = set(graph.structure.order) - set(bare.structure.order)
    staying = sorted(n for n in lost if not any(n.startswith(f"{path}.") for path in found))
    if staying:
        raise SurgeryError(_refusal(f"{staying[0]!r} belongs to a module that stays"))
    return found


def copy_module(module: M) -> M:
    """A deep copy.

    Raises:
        SurgeryError: the module holds what cannot be copied.
    """
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise SurgeryError(
            f"copy: the module cannot be copied, so it cannot be cut safely ({_first_line(error)}); nothing "
            "was changed. If its forward keeps activations in attributes, delete them or run it under "
            "torch.no_grad()"
        ) from error


def cuttable(module: nn.Module, graph: NeuralGraph) -> frozenset[str]:
    """Names of the hidden groups that surgery can cut without giving up the module's class.

    Found by trying: all groups at once, and one by one only if that fails.
    """
    hidden = [g for g in graph.structure.groups if g.role == "hidden"]
    # Neighbours lose different shares, so that a module that only works where two groups agree is found out.
    many = {g.name: _every(g.size, 3, 1) if i % 2 else _every(g.size, 2, 1) for i, g in enumerate(hidden)}
    one = {g.name: torch.arange(g.size) == 0 for g in hidden}
    if _works(module, graph, many) and _works(module, graph, one):
        return frozenset(many)
    return frozenset(n for n in many if all(_works(module, graph, {n: keep[n]}) for keep in (many, one)))


def droppable(module: nn.Module, graph: NeuralGraph) -> frozenset[str]:
    """Names of the branches that surgery can leave out without giving up the module's class.

    Found by trying: every second one and all of them, and one by one only if that fails.
    """
    names = [b.name for b in branches(graph.structure)]
    if all(_works(module, graph, {}, frozenset(some)) for some in (names[::2], names[1::2], names)):
        return frozenset(names)
    return frozenset(n for n in names if _works(module, graph, {}, frozenset({n})))


def _every(size: int, step: int, dropped: int) -> Tensor:
    """Keep all but one of every `step` nodes."""
    return torch.arange(size) % step != dropped


def _works(
    module: nn.Module, graph: NeuralGraph, keep: dict[str, Tensor], skip: frozenset[str] = frozenset()
) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SurgeryWarning)
            apply_mask(module, graph, NodeMask(keep, skip))
    except SurgeryError:
        return False
    return True


def _current(module: nn.Module, graph: NeuralGraph) -> NeuralGraph:
    """The graph with the module's present weights."""
    present = {n: t.detach() for n, t in module.state_dict(keep_vars=True).items() if isinstance(t, Tensor)}
    order = set(graph.structure.order)
    if set(present) != order:
        raise SurgeryError(
            f"apply_mask: the graph knows {sorted(order - set(present))[:3]} that the module lacks, and "
            f"lacks {sorted(set(present) - order)[:3]}; convert this module with to_graph first"
        )
    for spec in graph.structure.tensors:
        if spec.name in present and tuple(present[spec.name].shape) != spec.shape:
            raise SurgeryError(
                f"apply_mask: tensor {spec.name!r} is {list(present[spec.name].shape)} in the module and "
                f"{list(spec.shape)} in the graph; convert the module as it is now with to_graph first"
            )
    return graph.replace({n: t for n, t in present.items() if n in graph.structure.tensor})


def _cut(module: nn.Module, graph: NeuralGraph, small: NeuralGraph) -> None:
    touched = set()
    for spec in graph.structure.tensors:
        new = small.structure.tensor[spec.name]
        if spec.kind == "constant" or new.shape == spec.shape:
            continue
        path, _, leaf = spec.name.rpartition(".")
        owner = module.get_submodule(path)
        getattr(owner, leaf).data = small.state[spec.name].clone()
        touched.add(path)
        touched.update(n.rpartition(".")[0] for n, first in graph.structure.aliases if first == spec.name)
    modules = dict(module.named_modules(remove_duplicate=False))
    for path in touched:
        refresh_layer(modules[path])


def _settle(module: nn.Module, original: nn.Module, graph: NeuralGraph, small: NeuralGraph) -> None:
    """Set the numbers in attributes, trying until the module does what the cut graph does."""
    args, kwargs = random_inputs(small.structure)
    with torch.no_grad():
        expected = pytree.tree_leaves(small.to_module().eval()(*args, **kwargs))
    numbers = Numbers(module, changed_constants(graph.structure, small.structure))
    reason = ""
    for _ in range(_TRIALS):
        why, where = _try(module, args, kwargs, expected)
        if why is None:
            _check_training(module, original, graph, args, kwargs)
            _describe(
                module, shapes_of(original), lambda other: _try(other, args, kwargs, expected)[0] is None
            )
            return
        reason = reason or why
        # a failure says where to begin; a wrong result does not
        kinds = numbers.alternatives(where) if where is not None else []
        kinds += [kind for kind in numbers.kinds.values() if kind not in kinds]
        if not any(kind.advance() for kind in kinds):  # like the wheels of a counter
            break
    raise SurgeryError(_refusal(reason))


_TRIALS = 200


def _near(a: Tensor, b: Tensor) -> bool:
    """Both run the same operators on the same numbers, so little more than the last bits may differ."""
    if not b.is_floating_point():
        return torch.equal(a, b)
    slack = 64 * torch.finfo(b.dtype).eps * float(b.nan_to_num().abs().max()) if b.numel() else 0.0
    return torch.allclose(a.double(), b.double(), rtol=0.0, atol=slack, equal_nan=True)


def _check_training(
    module: nn.Module, original: nn.Module, graph: NeuralGraph, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Heads that only training uses are not in the program: see that training still runs, if it did."""
    read = {name for op in graph.structure.operators for name in op.refs("tensor")}
    unread = [t.name for t in graph.structure.tensors if t.kind == "parameter" and t.name not in read]
    why = _fails_in_training(module, args, kwargs) if unread else None
    if why is not None and _fails_in_training(original, args, kwargs) is None:
        raise SurgeryError(_refusal(f"its forward fails in training, where it uses {unread[0]!r}: {why}"))


def _fails_in_training(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    trial = copy_module(module).train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trial(*args, **kwargs)
    except Exception as error:
        return _first_line(error)
    return None


def _describe(module: nn.Module, before: Shapes, same: Callable[[nn.Module], bool]) -> None:
    if refresh_configuration(module, before, same) is False:
        warnings.warn(
            f"apply_mask: no configuration describes the cut {type(module).__name__} (layers of one kind "
            "have different widths, say), so from_pretrained cannot rebuild it; keep it with save_graph, or "
            "prune with ranking='uniform'",
            SurgeryWarning,
            stacklevel=4,
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _try(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], expected: list[Any]
) -> tuple[str | None, str | None]:
    """What is wrong with a cut module (None if nothing), and in which submodule it fails, if it does."""
    modes = [(m, m.training) for m in module.modules()]
    entered: list[str] = []
    hooks = []

    def leave(*_: object) -> None:
        entered.pop()

    for path, m in module.named_modules():
        hooks.append(m.register_forward_pre_hook(lambda *_, path=path: entered.append(path)))
        hooks.append(m.register_forward_hook(leave))
    try:
        with torch.no_grad():
            given = pytree.tree_leaves(module.eval()(*args, **kwargs))
    except Exception as error:
        return f"its forward fails: {_first_line(error)}", entered[-1] if entered else ""
    finally:
        for hook in hooks:
            hook.remove()
        for m, mode in modes:
            m.training = mode
    if len(given) != len(expected):
        return f"its forward returns {len(given)} values where the cut graph returns {len(expected)}", None
    for a, b in zip(given, expected, strict=True):
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            near = a.shape == b.shape and _near(a.detach(), b.detach())
            if not near:
                return "its forward computes something else than the cut graph", None
    return None, None


def _refusal(why: str) -> str:
    return (
        f"apply_mask: the module cannot be cut and keep its class, because {why}; nothing was changed. "
        "Use the rebuilt module instead: select(graph, mask).to_module(), or prune(..., rebuild=True)"
    )


def random_inputs(structure: Structure) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of the shapes and types that a program takes: noise, or zeros and ones for integers."""
    examples = {s.name: s.example for s in structure.symbols}
    generator = torch.Generator().manual_seed(0)
    flat: list[Any] = []
    for name in structure.inputs:
        value = structure.value[name]
        if value.dtype == "constant":
            flat.append(None)
            continue
        shape = [d.factor * examples[d.symbol] if isinstance(d, Size) else d for d in value.shape]
        dtype = to_dtype(value.dtype)
        if dtype.is_floating_point:
            flat.append(torch.randn(shape, generator=generator).to(dtype))
        else:
            flat.append(torch.randint(0, 2, shape, generator=generator).to(dtype))
    if not structure.in_spec:
        return tuple(flat), {}
    args, kwargs = pytree.tree_unflatten(flat, pytree.treespec_loads(structure.in_spec))
    return tuple(args), dict(kwargs)


def _transplant(source: nn.Module, target: nn.Module) -> None:
    """Give a module the widths and attributes of its cut copy; parameters stay the same objects."""
    for new, old in zip(source.modules(), target.modules(), strict=True):
        for name, tensor in [*new._parameters.items(), *new._buffers.items()]:
            own = getattr(old, name)
            if tensor is not None and own.shape != tensor.shape:
                own.data, own.grad = tensor.data, None
        for name, value in vars(new).items():
            if name.startswith("_"):
                continue
            if isinstance(value, (int, tuple, list)) and vars(old).get(name) != value:
                setattr(old, name, value)
            elif name == "config" and hasattr(value, "__dict__"):
                vars(vars(old)[name]).update(
                    {n: v for n, v in vars(value).items() if isinstance(v, (int, tuple, list))}
                )
