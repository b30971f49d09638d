"""Which operator uses a weight, and how."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from netgraph.graph import Operator, Ref, Structure
from netgraph.nn.stack import is_floating

__all__ = ["KINDS", "Use", "kind_numbers", "weight_uses"]

KINDS: Final = (
    *("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("embedding", "embedding_bag", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "bilinear"),
    *("add", "mul", "lstm", "gru", "rnn_tanh", "rnn_relu"),
)
"""Operator kinds that a metanetwork knows by default."""

_CONVOLUTION: Final[Mapping[str, int]] = MappingProxyType({"stride": 3, "dilation": 5, "groups": 6})
_TRANSPOSED: Final[Mapping[str, int]] = MappingProxyType({"stride": 3, "dilation": 7, "groups": 6})


class Use(NamedTuple):
    """The first operator that brings a weight and an activation together.

    Attributes:
        kind: of the operator.
        operator: its position in the program.
        stride, dilation: largest among the spatial dimensions; 1 where there is none.
        groups: of a convolution.
    """

    kind: str
    operator: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1


@lru_cache(maxsize=32)
def weight_uses(structure: Structure) -> Mapping[str, Use]:
    """Use of every floating-point parameter that an operator reads, by name.

    Operators that read weights alone (transposed, cut, cast, normalised weights) hand them on.

    >>> from netgraph.graph import Operator, Ref, Structure, TensorSpec
    >>> weight = TensorSpec("w", (3, 2), "float32", "parameter", (None, None))
    >>> call = Operator("y", "aten.linear.default", (Ref("value", "x"), Ref("tensor", "w")), (), ("y",))
    >>> dict(weight_uses(Structure((), (), (weight,), operators=(call,))))
    {'w': Use(kind='linear', operator=0, stride=1, dilation=1, groups=1)}
    """
    weights = {t.name for t in structure.tensors if t.kind == "parameter" and is_floating(t)}
    made_of: dict[str, frozenset[str]] = {}
    found: dict[str, Use] = {}
    for position, op in enumerate(structure.operators):
        values, tensors = list(op.refs()), list(op.refs("tensor"))
        read = {t for t in tensors if t in weights}.union(*(made_of.get(v, ()) for v in values))
        if not read:
            continue
        if all(v in made_of for v in values) and all(t in weights for t in tensors):
            made_of.update(dict.fromkeys(op.results, frozenset(read)))
            continue
        for name in sorted(read):
            found.setdefault(name, _use(op, position))
    return MappingProxyType(found)


def kind_numbers(structure: Structure, weights: Sequence[str], kinds: tuple[str, ...]) -> list[int]:
    """Place among `kinds` of the operator that uses each weight.

    Behind them come a place for other kinds, which are named in one warning, and one for no operator at all.
    """
    uses = weight_uses(structure)
    strange = {uses[w].kind: w for w in weights if w in uses and uses[w].kind not in kinds}
    if strange:
        named = ", ".join(f"{kind!r} (weight {name!r})" for kind, name in sorted(strange.items()))
        warnings.warn(
            f"FactorisedMetanetwork: weights are used by operators of kinds it never saw: {named}; they are "
            "read as 'other', expect less of what it says about them",
            UserWarning,
            stacklevel=5,
        )
    places = {kind: i for i, kind in enumerate(kinds)}
    return [places.get(uses[w].kind, len(kinds)) if w in uses else len(kinds) + 1 for w in weights]


def _use(op: Operator, position: int) -> Use:
    places: Mapping[str, int] = {}
    if op.kind.startswith("conv_transpose"):
        places = _TRANSPOSED
    elif op.kind.startswith("conv"):
        places = _CONVOLUTION
    given = dict(op.kwargs)
    read = {n: given.get(n, op.args[at] if at < len(op.args) else 1) for n, at in places.items()}
    return Use(op.kind, position, **{n: max(_integers(v), default=1) for n, v in read.items()})


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, Ref):
        return
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, int):
            yield item
