"""The edge state of one metanetwork call, worked on by the kernels; the twin of `BlockEdges`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from netgraph.nn.kernels.engine import Engine
from netgraph.nn.plan import MessagePlan

__all__ = ["KernelEdges"]


@final
class KernelEdges:
    """What `BlockEdges` is and does, for float32 on a CPU, in C++.

    A layer reads each tile of the state twice, the second time from a near cache, and writes it once. The
    backward pass computes the states of all layers again, as `BlockEdges` does, so its memory does not grow
    with their number. Gradients of first order only.

    Args:
        plan, windows, weight, bias: as for `BlockEdges`.

    Raises:
        RuntimeError: there are no kernels; or taps or encoder were changed in place before the backward pass.
    """

    def __init__(self, plan: MessagePlan, windows: Sequence[Tensor], weight: Tensor, bias: Tensor) -> None:
        self.plan = plan
        self.engine = Engine(plan, [t.detach() for t in windows], weight.detach(), bias.detach())
        self.tracked = torch.is_grad_enabled()
        self.gates: list[Tensor] = []
        self.state: Tensor | None = None
        self.stats: Tensor | None = None
        self.encoding = [*(t.detach() for t in windows), weight.detach(), bias.detach()]
        self._graph: Tensor | None = _Encode.apply(  # type: ignore[no-untyped-call]
            self, weight, bias, *windows
        )

    def step(self, gates: Tensor) -> Tensor:
        """Pass messages once and carry the edges to the next layer.

        Args:
            gates: `A1, A2, A3, A4` of every node, `(N, 4F)`.

        Returns:
            The aggregates of every node, `(N, 4F)`; see `aggregate`.
        """
        messages: Tensor
        messages, self._graph = _Step.apply(self, self._graph, gates)  # type: ignore[no-untyped-call]
        return messages

    def decode(self, first: Tensor, shift: Tensor, second: Tensor, offset: Tensor) -> list[Tensor]:
        """`second SiLU(first LayerNorm(e) + shift) + offset` of every edge, only the taps that it uses.

        This ends the life of the edge state.

        Returns:
            Per stack `(n, D, S, K)`.
        """
        # Cut here, or the graph of this call would hold itself in memory.
        graph, self._graph = self._graph, None
        flat = _Decode.apply(self, graph, first, shift, second, offset)  # type: ignore[no-untyped-call]
        return [t.view(*s.shape, -1) for t, s in zip(flat, self.plan.stacks, strict=True)]

    def forward(self, gates: Tensor) -> tuple[Tensor, Tensor]:
        """One layer: its messages, and the statistics that the backward pass wants."""
        wide = self.engine.widen(gates.detach())
        first = self.state is None
        if self.state is None:
            self.state = wide.new_empty(self.engine.size)
        messages, stats = self.engine.forward(wide, self.state, first, self.stats)
        if self.tracked:
            self.gates.append(wide)
        else:
            self.stats = stats  # nobody reads them again
        return messages, stats

    def placeholder(self, like: Tensor) -> Tensor:
        """A tensor of the edge state's size that takes one number of memory."""
        return like.new_zeros(1).expand(self.engine.size)


class _Encode(Function):
    """Taps to edge state; the first layer does it."""

    @staticmethod
    def forward(ctx: Any, edges: KernelEdges, weight: Tensor, bias: Tensor, *windows: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(weight, *windows)
        ctx.set_materialize_grads(False)
        return edges.placeholder(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        weight, *windows = ctx.saved_tensors
        if grad is None:
            return (None,) * (3 + len(windows))
        wanted = ctx.needs_input_grad[3:]
        *found, taps = ctx.edges.engine.encode_backward(weight, grad.contiguous(), any(wanted))
        return None, *found, *(taps[s] if want else None for s, want in enumerate(wanted))


class _Step(Function):
    """One layer's messages; the edge state moves on."""

    @staticmethod
    def forward(ctx: Any, edges: KernelEdges, graph: Tensor, gates: Tensor) -> tuple[Tensor, Tensor]:
        messages, stats = edges.forward(gates)
        if edges.tracked:
            ctx.edges, ctx.layer = edges, len(edges.gates) - 1
            # The backward pass reads them again; saving them guards against changes in place.
            ctx.save_for_backward(gates, stats, *edges.encoding)
            ctx.set_materialize_grads(False)
        return messages, edges.placeholder(gates)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_graph: Tensor | None) -> tuple[Tensor | None, ...]:
        edges: KernelEdges = ctx.edges
        gates, stats = ctx.saved_tensors[:2]
        if grad is None:
            grad = torch.zeros_like(gates)
        # A gradient that came from the next layer is nobody else's: it is changed in place.
        grad_graph = stats.new_zeros(edges.engine.size) if grad_graph is None else grad_graph.contiguous()
        found = edges.engine.backward(edges.gates[: ctx.layer + 1], stats, grad, grad_graph)
        return None, grad_graph, found


class _Decode(Function):
    """Final edge state to new taps."""

    @staticmethod
    def forward(ctx: Any, edges: KernelEdges, graph: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.edges = edges
        ctx.save_for_backward(*weights, *edges.encoding)
        if edges.state is None:
            edges.state = weights[0].new_empty(edges.engine.size)
            edges.engine.rebuild([], edges.state)
        found = edges.engine.decode([w.detach() for w in weights], edges.state)
        edges.state = None
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        edges: KernelEdges = ctx.edges
        weights = ctx.saved_tensors[:4]
        state = weights[0].new_empty(edges.engine.size)
        edges.engine.rebuild(edges.gates, state)
        found = edges.engine.decode_backward(weights, grads, state)
        return None, state, *found
