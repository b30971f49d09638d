"""The kernels as functions of tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, final

import torch
from torch import Tensor

from netgraph.nn.kernels import find_compiler, load_kernels
from netgraph.subgraph.pairs import Pairs, Side

__all__ = ["KINDS", "PROGRAM", "Chunk", "Moments", "Term", "can_run", "chunks_of"]

PROGRAM: Final = Path(__file__).parent / "terms.cpp"

ROWS: Final = 64
"""As in `terms.cpp`."""

OWN, NEIGHBOURS, TOTAL, DIAGONAL = range(4)

KINDS: Final[Mapping[str, tuple[int, Side]]] = MappingProxyType(
    {
        "point_uv": (OWN, "u"),
        "point_uu": (DIAGONAL, "u"),
        "point_vv": (DIAGONAL, "v"),
        "global_u": (TOTAL, "u"),
        "global_v": (TOTAL, "v"),
        "local_u": (NEIGHBOURS, "u"),
        "local_v": (NEIGHBOURS, "v"),
    }
)
"""What the kernels have of each aggregation, and which node the pairs that it mixes share."""

CACHE: Final = 1 << 20
"""Bytes of a state in a chunk: a few of its like fit the caches of a core."""


class CTask(ctypes.Structure):
    """`Task` of `terms.cpp`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("threads", "features", "kind", "wide")),
        *((name, ctypes.c_int64) for name in ("from_group", "to_group", "from_row", "to_row")),
        ("scale", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("begin", "row", "node", "near_begin", "near")),
        *((name, ctypes.c_void_p) for name in ("ends", "pair", "diagonal")),
        *((name, ctypes.c_void_p) for name in ("y", "gain", "shift", "mean", "out", "sums")),
    ]


class CGradient(ctypes.Structure):
    """`Gradient` of `terms.cpp`."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("a", "b", "c", "grad", "into", "scale")]


class Chunk(NamedTuple):
    """Whole graphs of a batch: a range of nodes, and that of their pairs."""

    from_node: int
    to_node: int
    from_row: int
    to_row: int

    @property
    def rows(self) -> slice:
        return slice(self.from_row, self.to_row)


class Moments(NamedTuple):
    """Mean and inverse deviation of each feature, `(F,)`, of what a norm was given."""

    mean: Tensor
    inverse: Tensor


def can_run(names: Iterable[str], pairs: Pairs, like: Tensor) -> bool:
    """Whether there are kernels for these aggregations of such states; the first time, they are built."""
    if like.device.type != "cpu" or like.dtype not in (torch.float32, torch.float64):
        return False
    for name in names:
        if name not in KINDS:
            return False
        kind, keep = KINDS[name]
        if kind == NEIGHBOURS and not pairs.complete:
            lists = pairs.triples_u if keep == "u" else pairs.triples_v
            if lists is None or lists.pair.dtype != torch.int32:
                return False
    return find_compiler() is not None and load_kernels(PROGRAM) is not None


def chunks_of(pairs: Pairs, width: int) -> list[Chunk]:
    """The batch in parts of whole graphs, each a few as a near cache holds, or one.

    Args:
        pairs: of the batch.
        width: bytes of a row of the states.
    """
    ends = torch.bincount(pairs.graph, minlength=pairs.num_graphs).cumsum(0)
    found: list[Chunk] = []
    node = row = 0
    for to_node, to_row in zip(ends.tolist(), pairs.pairs_of[ends].tolist(), strict=True):
        if found and (to_row - found[-1].from_row) * width <= CACHE:
            found[-1] = found[-1]._replace(to_node=to_node, to_row=to_row)
        else:
            found.append(Chunk(node, to_node, row, to_row))
        node, row = to_node, to_row
    return found


@final
class Term:
    """`ReLU(Norm( (1 + eps) y + a(y) ))`, a chunk at a time.

    States are contiguous. Those that stand for a chunk alone are told by their length.

    Args:
        name: of the aggregation, one of `KINDS`.
        pairs: of the batch.
        y: `(P, F)`.
        scale: `1 + eps`.
    """

    def __init__(self, name: str, pairs: Pairs, y: Tensor, scale: float) -> None:
        library = load_kernels(PROGRAM)
        if library is None:
            raise RuntimeError("Term: expected built kernels, there are none; ask `can_run` first")
        self.library, self.y = library, y
        self.kind, keep = KINDS[name]
        task = self._task = CTask(torch.get_num_threads(), y.shape[1], self.kind, y.dtype == torch.float64)
        task.scale, task.y = scale, y.data_ptr()
        if self.kind != OWN:
            task.begin = pairs.pairs_of.data_ptr()
        if keep == "v":
            task.row = pairs.transposed.data_ptr()
        if self.kind == DIAGONAL and pairs.diagonal is not None:
            task.diagonal = pairs.diagonal.data_ptr()
        if self.kind == NEIGHBOURS and pairs.complete:
            task.node, task.near_begin = pairs.v.data_ptr(), pairs.edges_of.data_ptr()
            task.near = pairs.edge_index[1].data_ptr()
        elif self.kind == NEIGHBOURS:
            lists = pairs.triples(keep)
            task.ends, task.pair = lists.ends.data_ptr(), lists.pair.data_ptr()

    @property
    def mixes(self) -> bool:
        return self.kind != OWN

    def statistics(self, chunk: Chunk, about: Tensor, sums: Tensor) -> None:
        """Add to `sums` `(2, F)` those of `z - about` and of its square, in float64."""
        self._call("statistics", chunk, mean=about, sums=sums)

    def activation(self, chunk: Chunk, gain: Tensor, shift: Tensor, out: Tensor) -> None:
        """Write `ReLU(gain z + shift)`."""
        self._call("activation", chunk, gain=gain, shift=shift, out=out)

    def gradient_sums(
        self,
        chunk: Chunk,
        gain: Tensor,
        shift: Tensor,
        mean: Tensor,
        grad: Tensor,
        out: Tensor | None,
        sums: Tensor,
    ) -> None:
        """Add to `sums` those of the gradient before the ReLU, and of that times `z - mean`.

        Args:
            chunk: which rows.
            gain, shift, mean: `(F,)`.
            grad: after the ReLU.
            out: memory for the term; None if nobody reads it.
            sums: `(2, F)` in float64.
        """
        gradient = CGradient(grad=self._at(grad, chunk))
        self._call("gradient_sums", chunk, gradient, gain=gain, shift=shift, mean=mean, out=out, sums=sums)

    def gradient_rows(
        self,
        chunk: Chunk,
        gain: Tensor,
        shift: Tensor,
        coefficients: tuple[Tensor, Tensor, Tensor],
        grad: Tensor,
        into: Tensor,
        scale: Tensor,
    ) -> None:
        """Write the gradient of y, and add to `scale` `(2, F)` what sums up to that of `1 + eps`.

        Args:
            chunk: which rows.
            gain, shift: `(F,)`.
            coefficients: a, b and c, `(F,)`: `a g + b z + c` is the gradient of z, of g before the ReLU.
            grad: after the ReLU.
            into: memory; may be `grad`.
            scale: in float64.
        """
        gradient = CGradient(*(t.data_ptr() for t in coefficients))
        gradient.grad, gradient.into = self._at(grad, chunk), self._at(into, chunk)
        gradient.scale = scale.data_ptr()
        self._call("gradient_rows", chunk, gradient, gain=gain, shift=shift)

    def _call(self, name: str, chunk: Chunk, gradient: CGradient | None = None, **tensors: Any) -> None:
        task = self._task
        task.from_row, task.to_row = chunk.from_row, chunk.to_row
        task.from_group, task.to_group = chunk.from_node, chunk.to_node
        if self.kind == OWN:
            task.from_group, task.to_group = 0, -(-(chunk.to_row - chunk.from_row) // ROWS)
        out = tensors.pop("out", None)
        task.out = None if out is None else self._at(out, chunk)
        for field, tensor in tensors.items():
            setattr(task, field, tensor.data_ptr())
        structures = (task,) if gradient is None else (task, gradient)
        getattr(self.library, f"netgraph_term_{name}")(*(ctypes.byref(s) for s in structures))

    def _at(self, state: Tensor, chunk: Chunk) -> int:
        """Where row 0 is, or would be if the state did not begin at a chunk."""
        if len(state) == len(self.y):
            return state.data_ptr()
        return state.data_ptr() - chunk.from_row * state.stride(0) * state.element_size()
