"""The cost of a network of which nodes are kept in part, differentiable in how much of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Final, TypeAlias, final

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.graph import Operator, Ref, Size, Structure

__all__ = ["soft_macs"]


def soft_macs(structure: Structure, gates: Mapping[str, Tensor]) -> Tensor:
    """Multiply-accumulates of one forward pass with expected widths, as `CostModel.macs` counts them.

    The width of a run of nodes is the sum of their gates. A product of widths is exact where gates of
    different groups are independent; where all gates are 0 or 1, the result equals
    `CostModel(structure).macs(mask)`.

    Args:
        structure: of the network.
        gates: by group, one value in [0, 1] per node `(size,)`, or a scalar: the expected number of nodes
            that the group keeps. Groups left out are whole.

    Returns:
        A scalar in double precision, through which gradients flow into the gates.

    Raises:
        UsageError: a group that does not exist, or another shape.

    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> structure = to_graph(net, torch.zeros(1, 4)).structure
    >>> float(soft_macs(structure, {"0": torch.tensor(4.5)}))  # 4 * 4.5 + 4.5 * 2
    27.0
    """
    for name, given in gates.items():
        index = structure.group_index.get(name)
        size = None if index is None else structure.groups[index].size
        if size is None or tuple(given.shape) not in ((), (size,)):
            raise UsageError(
                f"soft_macs: expected gates of shape ({size if size is not None else '...'},) or a width for "
                f"a group among {list(structure.group_index)[:5]}, got {tuple(given.shape)} for {name!r}; "
                "give one value per node"
            )
    terms = _terms(structure)
    widths = [given.double() for given in gates.values()]
    device = widths[0].device if widths else torch.device("cpu")
    sizes = [
        sum((_width(structure, gates, *segment) for segment in structure.axes[a].segments), start=0.0)
        for a in terms.axes
    ]
    one = torch.ones((), dtype=torch.float64, device=device)
    table = torch.stack([one, *(torch.as_tensor(s, dtype=torch.float64, device=device) for s in sizes)])
    factors = terms.factors.to(device)
    return (table[factors].prod(dim=1) * terms.constants.to(device)).sum()


def _width(
    structure: Structure, gates: Mapping[str, Tensor], group: int, start: int, length: int, repeat: int
) -> Tensor | float:
    found = structure.groups[group]
    given = gates.get(found.name)
    if given is None:
        return float(length * repeat)
    if given.dim() == 0:
        return given.double() * (length / found.size * repeat)
    return given[start : start + length].double().sum() * repeat


@final
@dataclass(frozen=True, eq=False)
class _Terms:
    """`MACs = sum_t constants[t] * prod_f table[factors[t, f]]`; the table holds 1 and the sizes of axes.

    Attributes:
        axes: numbers of the axes whose sizes stand in the table.
        constants: `(T,)` in double precision.
        factors: places in the table, `(T, F)`; 0 where a term has fewer factors.
    """

    axes: tuple[int, ...]
    constants: Tensor
    factors: Tensor


_Dim: TypeAlias = tuple[float, tuple[int, ...]]
"""A number times the sizes of some axes."""

_Shapes: TypeAlias = Callable[[Ref], tuple[_Dim, ...]]


@lru_cache(maxsize=256)
def _terms(structure: Structure) -> _Terms:
    examples = {s.name: s.example for s in structure.symbols}

    def shape(ref: Ref) -> tuple[_Dim, ...]:
        item = structure.tensor[ref.name] if ref.kind == "tensor" else structure.value[ref.name]
        dims: list[_Dim] = []
        for size, axis in zip(item.shape, item.axes, strict=True):
            if isinstance(size, Size):
                dims.append((size.factor, ()) if axis is None else (1 / examples[size.symbol], (axis,)))
            else:
                dims.append((size, ()) if axis is None else (1, (axis,)))
        return tuple(dims)

    found = [t for op in structure.operators if op.kind in FORMULAS for t in FORMULAS[op.kind](op, shape)]
    axes = tuple(dict.fromkeys(a for _, factors in found for a in factors))
    place = {a: i + 1 for i, a in enumerate(axes)}
    longest = max((len(factors) for _, factors in found), default=1)
    rows = [[place[a] for a in factors] + [0] * (longest - len(factors)) for _, factors in found]
    return _Terms(
        axes,
        torch.tensor([float(c) for c, _ in found], dtype=torch.float64),
        torch.tensor(rows, dtype=torch.int64).reshape(len(rows), longest),
    )


def _product(dims: tuple[_Dim, ...]) -> _Dim:
    return prod(c for c, _ in dims), tuple(a for _, axes in dims for a in axes)


def _conv(op: Operator, shape: _Shapes) -> list[_Dim]:
    weight, out = shape(op.args[1]), shape(Ref("value", op.results[0]))
    channel = len(out) - len(weight) + 1
    return [_product((*out[:channel], *out[channel + 1 :], *weight))]


def _conv_transpose(op: Operator, shape: _Shapes) -> list[_Dim]:
    return [_product((*shape(op.args[0]), *shape(op.args[1])[1:]))]


def _linear(op: Operator, shape: _Shapes) -> list[_Dim]:
    return [_product((*shape(op.args[0]), shape(op.args[1])[0]))]


def _matmul(op: Operator, shape: _Shapes) -> list[_Dim]:
    left = op.args[1] if op.kind in {"addmm", "baddbmm"} else op.args[0]
    return [_product((*shape(Ref("value", op.results[0])), shape(left)[-1]))]


def _attention(op: Operator, shape: _Shapes) -> list[_Dim]:
    query, key, value = (shape(a) for a in op.args[:3])
    return [_product((*query[:-1], key[-2], last)) for last in (query[-1], value[-1])]


def _einsum(op: Operator, shape: _Shapes) -> list[_Dim]:
    letters: dict[str, _Dim] = {}
    terms = str(op.args[0]).replace(" ", "").split("->")[0].split(",")
    for term, operand in zip(terms, op.args[1], strict=True):
        letters.update(zip(term, shape(operand), strict=False))
    return [_product(tuple(letters.values()))] if len(terms) > 1 else []


FORMULAS: Final[Mapping[str, Callable[[Operator, _Shapes], list[_Dim]]]] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv_transpose),
    "linear": _linear,
    **dict.fromkeys(("matmul", "mm", "bmm", "addmm", "baddbmm"), _matmul),
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
}
"""The terms of an operator's cost, by its kind."""
