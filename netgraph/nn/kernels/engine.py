"""The kernels as functions of tensors: memory for what they return, and pointers to what they read."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor

from netgraph.nn.kernels.build import load_kernels
from netgraph.nn.kernels.tables import kernel_tables
from netgraph.nn.plan import MessagePlan

__all__ = ["Engine"]


class Held(NamedTuple):
    """Memory full of addresses, and what must live as long as it does."""

    memory: ctypes.Array[ctypes.c_void_p] | ctypes.Structure
    owners: tuple[object, ...]


class CShape(ctypes.Structure):
    """`Shape` of `plan.h`."""

    _fields_ = [(name, ctypes.c_int64) for name in ("threads", "hidden", "blocks")]


class CPointers(ctypes.Structure):
    """`Encoder` of `plan.h` with the first two, `Decoder` of `decode.h` with all."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("a", "b", "c", "d", "e", "f")]


@final
class Engine:
    """The block engine for one structure and one encoder, float32 on a CPU.

    Features stand in blocks as wide as the machine's vectors, the last one filled up with zeros. The edge
    state is flat, tile by tile, and in each `(block, D, S, features)`; nobody outside looks into it.

    Args:
        plan: of the structure.
        windows: taps of every stack's edges, `(n * D * S, K)`.
        weight: `(F, taps)`.
        bias: `(F,)`.

    Raises:
        RuntimeError: there are no kernels.
    """

    def __init__(self, plan: MessagePlan, windows: Sequence[Tensor], weight: Tensor, bias: Tensor) -> None:
        library = load_kernels()
        if library is None:
            raise RuntimeError("Engine: expected built kernels, there are none; ask `load_kernels` first")
        self.library = library
        self.plan = plan
        self.tables = kernel_tables(plan)
        self.hidden = len(weight)
        self.vector = int(library.netgraph_width())
        self.width = _up(self.hidden, self.vector)
        self.shape = CShape(torch.get_num_threads(), self.hidden, self.width // self.vector)
        self.windows = [t.contiguous() for t in windows]
        self.columns = [list(stack.columns) for stack in plan.stacks]
        table = F.pad(torch.cat([weight.t(), bias.unsqueeze(0)]), (0, self.width - self.hidden))
        self.weights = [table[[*columns, -1]] for columns in self.columns]
        self.encoder = _structure(_pointers(self.windows), _pointers(self.weights))

    @property
    def size(self) -> int:
        """Numbers in the edge state."""
        return self.plan.num_edges * self.width

    def forward(
        self, gates: Tensor, state: Tensor, first: bool, stats: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Pass messages once; the state moves on, or is made where this is the first layer.

        Args:
            gates: `(N, 4F)`, as `widen` gives them.
            state: of the edges, flat; changed.
            first: whether this is the first layer.
            stats: memory for the statistics, those of another layer.

        Returns:
            Messages `(N, 4F)`, and the statistics that `backward` wants.
        """
        if stats is None:
            stats = gates.new_empty(len(self.tables.row_node) * 4 * self.width)
        messages = gates.new_empty(self.plan.num_nodes, 4 * self.width)
        self._call("forward", self.encoder, ctypes.c_bool(first), gates, state, stats, messages)
        return self.narrow(messages), stats

    def backward(self, gates: Sequence[Tensor], stats: Tensor, grad: Tensor, grad_state: Tensor) -> Tensor:
        """Gradient of the last of some layers' gates, `(N, 4F)`; `grad_state` moves back by one layer.

        Args:
            gates: of the layer and all before it, as `widen` gives them.
            stats: of the layer.
            grad: of its messages, `(N, 4F)`.
            grad_state: of the state that it left; changed.
        """
        grad_stats, grad_rows = torch.empty_like(stats), stats.new_empty(len(stats) // 4 * 3)
        grad_gates = torch.empty_like(gates[-1])
        layer = ctypes.c_long(len(gates) - 1)
        given = _pointers(gates), stats, self.widen(grad), grad_stats, grad_rows, grad_state, grad_gates
        self._call("backward", self.encoder, layer, *given)
        return self.narrow(grad_gates)

    def rebuild(self, gates: Sequence[Tensor], state: Tensor) -> None:
        """The state that some layers leave, from the taps, into `state`."""
        self._call("rebuild", self.encoder, ctypes.c_long(len(gates)), _pointers(gates), state)

    def decode(self, weights: Sequence[Tensor], state: Tensor) -> list[Tensor]:
        """New taps of every stack's edges, `(n * D * S, K)`."""
        found = [torch.empty_like(t) for t in self.windows]
        self._call("decode", self._decoder(weights), state, _pointers(found))
        return found

    def decode_backward(
        self, weights: Sequence[Tensor], grads: Sequence[Tensor], state: Tensor
    ) -> list[Tensor]:
        """Gradients of the decoder's weights; the final state becomes its own gradient."""
        first = (self.hidden + 1) * self.width
        sizes = [k * self.width + _up(k, self.vector) for k in self.tables.taps]
        places = first + torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)
        sums = state.new_zeros(self.shape.threads, int(places[-1]))
        given = _pointers([g.contiguous() for g in grads]), sums, ctypes.c_long(sums.shape[1]), places
        self._call("decode_backward", self._decoder(weights), state, *given)
        head, *parts = sums.sum(0).split([first, *sizes])
        table = head.view(-1, self.width)[:, : self.hidden]
        second, offset = (torch.zeros_like(w) for w in weights[2:])
        for part, columns in zip(parts, self.columns, strict=True):
            rows = part[: len(columns) * self.width].view(-1, self.width)
            second[columns] += rows[:, : self.hidden]
            offset[columns] += part[len(columns) * self.width :][: len(columns)]
        return [table[:-1].contiguous(), table[-1].contiguous(), second, offset]

    def encode_backward(
        self, weight: Tensor, grad: Tensor, taps: bool
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Gradients of the encoder's weight and bias, and where wanted of every stack's taps."""
        most = max(self.tables.taps, default=0) + 1
        sums = grad.new_zeros(len(self.tables.tiles), most, self.width)
        found = [torch.empty_like(t) for t in self.windows] if taps else []
        size = ctypes.c_long(most * self.width)
        self._call("encode_backward", self.encoder, grad, sums, size, _pointers(found) if taps else None)
        grad_weight, grad_bias = torch.zeros_like(weight), weight.new_zeros(self.hidden)
        for s, columns in enumerate(self.columns):
            part = sums[self.tables.tiles[:, 0] == s].sum(0)[:, : self.hidden]
            grad_weight[:, columns] += part[:-1][: len(columns)].t()
            grad_bias += part[len(columns)]
        return grad_weight, grad_bias, found

    def widen(self, table: Tensor) -> Tensor:
        """`(N, 4F)` with each of its four parts filled up to whole vectors."""
        if self.width == self.hidden:
            return table.contiguous()
        parts = table.reshape(-1, 4, self.hidden)
        return F.pad(parts, (0, self.width - self.hidden)).view(-1, 4 * self.width).contiguous()

    def narrow(self, table: Tensor) -> Tensor:
        """The way back from `widen`."""
        return table.view(-1, 4, self.width)[..., : self.hidden].reshape(-1, 4 * self.hidden)

    def _decoder(self, weights: Sequence[Tensor]) -> Held:
        first, shift, second, offset = weights
        wide = [self._padded(t) for t in (first.t(), first, shift)]
        heads = [second[columns] for columns in self.columns]
        by_stack = (
            [self._padded(head.t()) for head in heads],
            [self._padded(head) for head in heads],
            [self._padded(offset[columns]) for columns in self.columns],
        )
        return _structure(*wide, *(_pointers(tensors) for tensors in by_stack))

    def _padded(self, table: Tensor) -> Tensor:
        return F.pad(table, (0, -table.shape[-1] % self.vector)).contiguous()

    def _call(self, name: str, *given: object) -> None:
        self.shape.threads = torch.get_num_threads()
        plan = Held(self.tables.plan, ()), Held(self.shape, ())
        getattr(self.library, f"netgraph_{name}")(*(_argument(item) for item in (*plan, *given)))


def _up(count: int, step: int) -> int:
    return -(-count // step) * step


def _pointers(tensors: Sequence[Tensor]) -> Held:
    return Held((ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors)), tuple(tensors))


def _structure(*given: Tensor | Held) -> Held:
    addresses = (g.data_ptr() if isinstance(g, Tensor) else ctypes.addressof(g.memory) for g in given)
    return Held(CPointers(*addresses), given)


def _argument(given: object) -> object:
    if isinstance(given, Tensor):
        return ctypes.c_void_p(given.data_ptr())
    return ctypes.byref(given.memory) if isinstance(given, Held) else given
