"""The edge state of one metanetwork call: it exists once; what the backward pass needs is computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from netgraph.nn.aggregate import aggregate
from netgraph.nn.edge_gradient import edge_gradient
from netgraph.nn.edge_pass import StackFactors, chunk_elements, edge_pass, grow
from netgraph.nn.plan import MessagePlan
from netgraph.nn.stack import Stack

__all__ = ["BlockEdges"]


@final
class BlockEdges:
    """The edges of all stacked blocks, `e_0 = W w + b` for the taps `w` of each, and what layers do to them.

    A layer only ever multiplies an edge's state by a factor of its two nodes, so

        e_l = e_0 * prod_{k < l} (1 + A3_k(x_j) A4_k(x_i) + A4_k(x_j) A3_k(x_i)).

    Hence nothing of the edges' size is kept for the backward pass: it computes `e_l` again, piece by piece,
    from the taps and the factors of the nodes. In the autograd graph the edge state is represented by a
    tensor of its size but without memory; only its gradient is real. Gradients of first order only.

    In 16-bit types the states and their gradient are kept so; all work on them is done in single precision.

    Args:
        plan: of the structure.
        windows: taps of every stack's edges, `(n * D * S, K)`.
        weight: `(F, taps)`.
        bias: `(F,)`.
        fuse: run compiled kernels.

    Raises:
        RuntimeError: taps or encoder were changed in place before the backward pass.

    >>> from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
    >>> from netgraph.nn import message_plan
    >>> axes = Axis((Segment(0, 0, 2),)), Axis((Segment(1, 0, 3),))
    >>> spec = TensorSpec("w", (3, 2), "float32", "parameter", (1, 0), out_axis=0, in_axis=1)
    >>> plan = message_plan(Structure((Group("in", 2), Group("out", 3)), axes, (spec,)), taps=9)
    >>> edges = BlockEdges(plan, [torch.randn(6, 1)], torch.randn(4, 9), torch.zeros(4))
    >>> edges.step(torch.randn(5, 16)).shape
    torch.Size([5, 16])
    """

    def __init__(
        self, plan: MessagePlan, windows: Sequence[Tensor], weight: Tensor, bias: Tensor, fuse: bool = False
    ) -> None:
        self.plan = plan
        self.hidden = weight.shape[0]
        self.fuse = fuse
        self.tracked = torch.is_grad_enabled()
        self.factors: list[list[StackFactors]] = []
        self.states: list[Tensor] = []
        self.dtype = weight.dtype
        self.encoding = [_wide(t.detach()) for t in (*windows, weight, bias)]
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

    def start(self) -> None:
        """Compute `e_0` of all stacks."""
        for s, stack in enumerate(self.plan.stacks):
            taps, weight, bias = self.encoder(s)
            state = torch.addmm(bias.unsqueeze(1), weight, taps.t())
            self.states.append(state.to(self.dtype).view(-1, *stack.shape[1:]))

    def forward(self, rows: Tensor) -> Tensor:
        """Reduce the messages; the edge state moves on by one layer.

        Args:
            rows: `A1, A3, A4` of every row, `(R, 3F)`.

        Returns:
            The four statistics of every row and of the two that do not exist (see `MessagePlan`),
            `(R + 2, 4F)`.
        """
        stats = rows.new_empty(self.plan.num_rows + 2, 4 * self.hidden)
        stats[-2] = rows.new_tensor([0.0, 0.0, -torch.inf, torch.inf]).repeat_interleave(self.hidden)
        stats[-1] = 0
        layer = []
        for stack, state in zip(self.plan.stacks, self.states, strict=True):
            factors = StackFactors.of(*self.sheets(rows, stack), stack.loop)
            into, onto = edge_pass(stack, state, factors, self.fuse)
            for span, found in zip(stack.spans, (into, onto), strict=True):
                stats[span] = found.view(4 * self.hidden, -1).t()
            layer.append(factors)
        if self.tracked:
            self.factors.append(layer)
        return stats

    def backward(self, layer: int, grad: Tensor, stats: Tensor, grad_stats: Tensor) -> Tensor:
        """Gradient of `A1, A3, A4` of every row, `(R, 3F)`; `grad` moves back by one layer, in place."""
        grad_rows = stats.new_empty(self.plan.num_rows, 3 * self.hidden)
        for s, (stack, part) in enumerate(zip(self.plan.stacks, self.split(grad), strict=True)):
            found = edge_gradient(
                stack,
                partial(self.rebuild, s, layer),
                part,
                self.factors[layer][s],
                self.sheets(stats[:, : self.hidden], stack),
                self.sheets(grad_stats, stack),
                self.fuse,
            )
            for span, back in zip(stack.spans, found, strict=True):
                grad_rows[span] = back.view(3 * self.hidden, -1).t()
        return grad_rows

    def rebuild(self, s: int, layer: int, part: slice, out: Tensor, work: Tensor) -> None:
        """The state of some sheets of stack `s` as layer `layer` met it, into `out`."""
        stack, (taps, weight, bias) = self.plan.stacks[s], self.encoder(s)
        number = len(stack.tensors)
        features = slice(part.start // number, -(-part.stop // number))
        if len(out) % number:  # a part of one feature
            first = part.start % number
            taps = taps.view(number, -1, taps.shape[1])[first : first + len(out)].flatten(0, 1)
        torch.addmm(bias[features].unsqueeze(1), weight[features], taps.t(), out=out.view(-1, len(taps)))
        for factors in self.factors[:layer]:
            grow(out, factors[s].left[part], factors[s].right[part], stack.loop, work)

    def pieces(self, s: int) -> Iterator[tuple[slice, slice, Tensor]]:
        """The final state of stack `s` again, in pieces: weights, targets, and their state `(F, n, d, S)`."""
        stack, (taps, weight, bias) = self.plan.stacks[s], self.encoder(s)
        number, targets, _ = stack.shape
        table = taps.view(*stack.shape, -1)
        for weights, rows in _edge_chunks(stack, self.hidden, taps.device):
            used = table[weights, rows]
            state = torch.addmm(bias.unsqueeze(1), weight, used.flatten(0, 2).t()).view(-1, *used.shape[1:3])
            work = torch.empty_like(state)
            for layer in self.factors:
                left = layer[s].left.view(self.hidden, number, targets, -1)[:, weights, rows].flatten(0, 1)
                right = layer[s].right.unflatten(0, (self.hidden, number))[:, weights].flatten(0, 1)
                grow(state, left, right, stack.loop, work)
            yield weights, rows, state.view(self.hidden, *used.shape[:3])

    def sheets(self, rows: Tensor, stack: Stack) -> tuple[Tensor, Tensor]:
        """A row table `(R, k * F)` as sheets of a stack: targets `(k, B, D)` and sources `(k, B, S)`."""
        count = len(stack.tensors) * self.hidden
        target, source = (rows[span].t().contiguous() for span in stack.spans)
        return target.view(-1, count, stack.sides[0]), source.view(-1, count, stack.sides[1])

    def split(self, flat: Tensor) -> list[Tensor]:
        """A flat tensor over all edges and features as sheets, one `(B, D, S)` per stack."""
        sizes = [self.hidden * s.edges for s in self.plan.stacks]
        return [t.view(-1, *s.shape[1:]) for t, s in zip(flat.split(sizes), self.plan.stacks, strict=True)]

    def encoder(self, s: int) -> tuple[Tensor, Tensor, Tensor]:
        """Taps of stack `s`, and the encoder's weight for the taps of the window that it uses."""
        *windows, weight, bias = self.encoding
        columns = list(self.plan.stacks[s].columns)
        return windows[s], weight if len(columns) == weight.shape[1] else weight[:, columns], bias


def decode_edges(edges: Tensor, first: Tensor, shift: Tensor, second: Tensor, offset: Tensor) -> Tensor:
    """New taps from final edge states, `(F, m)` to `(m, K)`: features stay in front, nothing is turned."""
    centered = edges - edges.mean(0)
    normal = centered * torch.rsqrt(centered.square().mean(0) + 1e-5)
    mixed = F.silu(torch.addmm(shift.unsqueeze(1), first, normal))
    return torch.addmm(offset.unsqueeze(1), second, mixed).t()


class _Backward(Protocol):
    def __call__(self, ctx: Any, *grad_outputs: Any) -> Any: ...


def _full_precision(backward: Callable[..., Any]) -> _Backward:
    """A backward pass that an autocast region around `loss.backward()` leaves alone."""

    def run(ctx: Any, *grad_outputs: Any) -> Any:
        with torch.autocast(ctx.edges.encoding[-1].device.type, enabled=False):
            return backward(ctx, *grad_outputs)

    return run


class _Encode(Function):
    """Taps to edge state."""

    @staticmethod
    def forward(ctx: Any, edges: BlockEdges, weight: Tensor, bias: Tensor, *windows: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(weight, *windows)
        ctx.set_materialize_grads(False)
        edges.start()
        return _placeholder(edges, weight)

    @staticmethod
    @_full_precision
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        edges: BlockEdges = ctx.edges
        weight, *windows = ctx.saved_tensors
        if grad is None:
            return (None,) * (3 + len(windows))
        grad_weight, grad_bias = torch.zeros_like(_wide(weight)), _wide(weight).new_zeros(edges.hidden)
        grad_windows: list[Tensor | None] = []
        for s, part in enumerate(edges.split(grad)):
            taps, used, _ = edges.encoder(s)
            flat = _wide(part).view(edges.hidden, -1)
            grad_weight[:, list(edges.plan.stacks[s].columns)] += flat @ taps
            grad_bias += flat.sum(1)
            wanted = ctx.needs_input_grad[3 + s]
            grad_windows.append((flat.t() @ used).to(weight) if wanted else None)
        return None, grad_weight.to(weight), grad_bias.to(weight), *grad_windows


class _Step(Function):
    """One layer's messages; the edge state moves on."""

    @staticmethod
    def forward(ctx: Any, edges: BlockEdges, graph: Tensor, gates: Tensor) -> tuple[Tensor, Tensor]:
        own, others = _own_and_others(_wide(gates))
        stats = edges.forward(others.index_select(0, edges.plan.row_node))
        if edges.tracked:
            ctx.edges, ctx.layer = edges, len(edges.factors) - 1
            # The backward pass reads taps and encoder again; saving them guards against changes in place.
            ctx.save_for_backward(gates, stats, *edges.encoding)
            ctx.set_materialize_grads(False)
        return aggregate(stats, own, edges.plan).to(gates), _placeholder(edges, gates)

    @staticmethod
    @_full_precision
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_graph: Tensor | None) -> tuple[Tensor | None, ...]:
        edges: BlockEdges = ctx.edges
        gates, stats = ctx.saved_tensors[:2]
        hidden = edges.hidden
        grad_stats, grad_own = torch.zeros_like(stats), stats.new_zeros(len(gates), hidden)
        if grad is not None:
            own = _own_and_others(_wide(gates))[0].detach().requires_grad_()
            leaf = stats.detach().requires_grad_()
            with torch.enable_grad():
                messages = aggregate(leaf, own, edges.plan)
            grad_stats, grad_own = torch.autograd.grad(messages, (leaf, own), _wide(grad))
        if grad_graph is None:
            grad_graph = gates.new_zeros(hidden * edges.plan.num_edges)
        grad_rows = edges.backward(ctx.layer, grad_graph, stats, grad_stats)
        others = grad_rows.new_zeros(len(gates), 3 * hidden).index_add_(0, edges.plan.row_node, grad_rows)
        grad_gates = torch.cat([others[:, :hidden], grad_own, others[:, hidden:]], 1)
        return None, grad_graph, grad_gates.to(gates)


class _Decode(Function):
    """Final edge state to new taps."""

    @staticmethod
    def forward(ctx: Any, edges: BlockEdges, graph: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.edges = edges
        ctx.save_for_backward(*weights, *edges.encoding)
        found = []
        for state, stack in zip(edges.states, edges.plan.stacks, strict=True):
            used = _used_taps([_wide(w) for w in weights], stack)
            step = max(1, chunk_elements(state.device, buffers=4) // edges.hidden)
            pieces = state.view(edges.hidden, -1).split(step, 1)
            found.append(torch.cat([decode_edges(_wide(piece), *used).to(state) for piece in pieces]))
        edges.states.clear()
        return tuple(found)

    @staticmethod
    @_full_precision
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        edges: BlockEdges = ctx.edges
        given = ctx.saved_tensors[:4]
        weights = [_wide(w) for w in given]
        grad_graph = given[0].new_empty(edges.hidden * edges.plan.num_edges)
        grad_weights = [torch.zeros_like(w) for w in weights]
        for s, (part, grad) in enumerate(zip(edges.split(grad_graph), grads, strict=True)):
            stack = edges.plan.stacks[s]
            used = [w.detach().requires_grad_() for w in _used_taps(weights, stack)]
            room, table = part.view(edges.hidden, *stack.shape), grad.view(*stack.shape, -1)
            for span, rows, state in edges.pieces(s):
                leaf = state.flatten(1).requires_grad_()
                with torch.enable_grad():
                    taps = decode_edges(leaf, *used)
                back, *found = torch.autograd.grad(
                    taps, (leaf, *used), _wide(table[span, rows]).flatten(0, 2)
                )
                room[:, span, rows] = back.view(state.shape)
                for total, one, rows_of in zip(grad_weights, found, (None, None, stack, stack), strict=True):
                    total[list(rows_of.columns) if rows_of else ...] += one
        return None, grad_graph, *(total.to(w) for total, w in zip(grad_weights, given, strict=True))


def _wide(tensor: Tensor) -> Tensor:
    """In single precision where it has less."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def _placeholder(edges: BlockEdges, like: Tensor) -> Tensor:
    """A tensor of the edge state's size that takes one number of memory."""
    return like.new_zeros(1).expand(edges.hidden * edges.plan.num_edges)


def _own_and_others(gates: Tensor) -> tuple[Tensor, Tensor]:
    """`A2` of every node, `(N, F)`, and `A1, A3, A4`, `(N, 3F)`."""
    first, own, third, fourth = gates.chunk(4, 1)
    return own, torch.cat([first, third, fourth], 1)


def _used_taps(weights: Sequence[Tensor], stack: Stack) -> tuple[Tensor, ...]:
    """The decoder's weights for the taps that a stack's edges use."""
    first, shift, second, offset = weights
    columns = list(stack.columns)
    return first, shift, second[columns], offset[columns]


def _edge_chunks(stack: Stack, hidden: int, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Cut a stack into weights and target positions whose edges, with all features, fit into the cache."""
    limit = chunk_elements(device, buffers=4)
    number, targets, sources = stack.shape
    rows = max(1, min(targets, limit // (hidden * sources)))
    weights = max(1, min(number, limit // (hidden * sources * targets)))
    for n in range(0, number, weights):
        for d in range(0, targets, rows):
            yield slice(n, min(n + weights, number)), slice(d, min(d + rows, targets))
