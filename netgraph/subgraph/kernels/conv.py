"""The training step of a layer on a CPU, in parts that a near cache holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from netgraph.subgraph.kernels.terms import Chunk, Moments, Term, chunks_of
from netgraph.subgraph.pairs import Pairs

__all__ = ["kernel_conv"]


def kernel_conv(
    h: Tensor,
    pairs: Pairs,
    names: Sequence[str],
    first: Sequence[Tensor],
    second: Sequence[Tensor],
    scales: Sequence[Tensor],
    norms: Sequence[nn.BatchNorm1d],
) -> Tensor:
    """As `fused_conv`; what stands between the linear maps is done by the kernels.

    A norm needs the whole batch, so a layer is two walks over it each way: up to the norm's statistics, and
    from there on. Each walk goes from chunk to chunk of whole graphs, and what it makes on the way, linear
    maps included, does not leave the cache. `W_a h` per aggregation and the sum over all are kept for the
    backward pass, which needs one more state per aggregation.
    """
    flat = [*first, *second, *scales, *(norm.weight for norm in norms), *(norm.bias for norm in norms)]
    return _KernelConv.apply(h, pairs, tuple(names), tuple(norms), *flat)  # type: ignore[no-untyped-call]


class _KernelConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        pairs: Pairs,
        names: tuple[str, ...],
        norms: tuple[nn.BatchNorm1d, ...],
        *flat: Tensor,
    ) -> Tensor:
        k, h = len(names), h.contiguous()
        first, second, scales = flat[:k], flat[k : 2 * k], [float(s) for s in flat[2 * k : 3 * k]]
        total = h.new_empty(len(h), len(first[0]))
        states = [torch.empty_like(total) for _ in names]
        chunks = chunks_of(pairs, total.shape[1] * total.element_size())
        whole = Chunk(0, pairs.num_nodes, 0, len(h))
        terms = [Term(*given) for given in zip(names, [pairs] * k, states, scales, strict=True)]
        outer = Term("point_uv", pairs, total, 1.0)

        collected = [_Statistics(norm, len(h)) for norm in norms]
        for chunk in chunks:
            for weight, y, term, found in zip(first, states, terms, collected, strict=False):
                torch.mm(h[chunk.rows], weight.T, out=y[chunk.rows])
                found.add(term, chunk)
        moments = [found.moments() for found in collected[:k]]
        gains = [_affine(norm.weight, norm.bias, m) for norm, m in zip(norms, moments, strict=False)]
        room = _room(chunks, total)
        for chunk in chunks:
            r = room[: chunk.to_row - chunk.from_row]
            for a, term in enumerate(terms):
                term.activation(chunk, *gains[a], r)
                _add_product(total[chunk.rows], r, second[a].T, fresh=a == 0)
            collected[k].add(outer, chunk)
        moments.append(collected[k].moments())
        out = torch.empty_like(total)
        outer.activation(whole, *_affine(norms[k].weight, norms[k].bias, moments[k]), out)
        ctx.pairs, ctx.names, ctx.chunks, ctx.scales = pairs, names, chunks, scales
        ctx.save_for_backward(h, total, *states, *flat, *(m for pair in moments for m in pair))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        pairs, names, chunks = ctx.pairs, ctx.names, ctx.chunks
        k, grad = len(names), grad.contiguous()
        h, total, *saved = ctx.saved_tensors
        states, flat, rest = saved[:k], saved[k : 6 * k + 2], saved[6 * k + 2 :]
        first, second = flat[:k], flat[k : 2 * k]
        weights, biases = flat[3 * k : 4 * k + 1], flat[4 * k + 1 :]
        given = zip((*names, "point_uv"), (*states, total), (*ctx.scales, 1.0), strict=True)
        moments = map(Moments, rest[::2], rest[1::2])
        every = [
            _Back(Term(name, pairs, y, scale), *norm)
            for (name, y, scale), *norm in zip(given, weights, biases, moments, strict=True)
        ]
        outer, terms = every[k], every[:k]

        outer.add(Chunk(0, pairs.num_nodes, 0, len(h)), grad, None)
        inner = [pairs.buffer(a, total) for a in range(k)]
        room_outer, room_r = _room(chunks, total), _room(chunks, total)
        grad_first, grad_second = [torch.zeros_like(w) for w in first], [torch.zeros_like(w) for w in second]
        for chunk in chunks:
            rows = chunk.to_row - chunk.from_row
            before, r = room_outer[:rows], room_r[:rows]
            outer.rows(chunk, grad, before)
            for a, term in enumerate(terms):
                torch.mm(before, second[a], out=inner[a][chunk.rows])
                term.add(chunk, inner[a], r)
                grad_second[a].addmm_(before.T, r)
        grad_h = torch.empty_like(h)
        for chunk in chunks:
            for a, term in enumerate(terms):
                term.rows(chunk, inner[a], inner[a])
                grad_first[a].addmm_(inner[a][chunk.rows].T, h[chunk.rows])
                _add_product(grad_h[chunk.rows], inner[a][chunk.rows], first[a], fresh=a == 0)
        flat_grads = [*grad_first, *grad_second, *(term.scale() for term in terms)]
        flat_grads += [term.weight() for term in every] + [term.bias() for term in every]
        return grad_h, None, None, None, *flat_grads


class _Statistics:
    """Mean and deviation of a term before its norm, added up chunk by chunk.

    Squares are those of the distance to the mean of the first chunk. In those of the distance to zero the
    deviation might drown.
    """

    def __init__(self, norm: nn.BatchNorm1d, count: int) -> None:
        self.norm, self.count = norm, count
        self.about: Tensor | None = None
        self.sums = torch.zeros(2, norm.num_features, dtype=torch.float64)

    def add(self, term: Term, chunk: Chunk) -> None:
        rows = chunk.to_row - chunk.from_row
        if not rows:
            return
        if self.about is None:
            sums, zero = torch.zeros_like(self.sums), term.y.new_zeros(term.y.shape[1])
            term.statistics(chunk, zero, sums)
            self.about = (sums[0] / rows).to(term.y.dtype)
        term.statistics(chunk, self.about, self.sums)

    def moments(self) -> Moments:
        """What the norm divides by; its running statistics move on."""
        assert self.about is not None, "a batch without pairs"
        off, square = self.sums / self.count
        mean, variance = off + self.about, (square - off * off).clamp(min=0)
        self._move_on(mean, variance * self.count / max(self.count - 1, 1))
        inverse = (variance + self.norm.eps).rsqrt()
        return Moments(mean.to(self.about.dtype), inverse.to(self.about.dtype))

    def _move_on(self, mean: Tensor, variance: Tensor) -> None:
        norm, momentum = self.norm, self.norm.momentum
        if momentum is None:  # the plain average over all batches
            seen = norm.num_batches_tracked
            momentum = 0.0 if seen is None else 1 / int(seen)
        for running, found in ((norm.running_mean, mean), (norm.running_var, variance)):
            if running is not None:
                running.lerp_(found.to(running.dtype), momentum)


class _Back:
    """A term and its norm on the way back: sums over all rows first, then the gradient of each row."""

    def __init__(self, term: Term, weight: Tensor, bias: Tensor, moments: Moments) -> None:
        self.term, self.moments, self.count = term, moments, len(term.y)
        self.affine = _affine(weight, bias, moments)
        self.sums, self.scales = torch.zeros(2, 2, len(weight), dtype=torch.float64)
        self.coefficients: tuple[Tensor, Tensor, Tensor] | None = None

    def add(self, chunk: Chunk, grad: Tensor, out: Tensor | None) -> None:
        self.term.gradient_sums(chunk, *self.affine, self.moments.mean, grad, out, self.sums)

    def rows(self, chunk: Chunk, grad: Tensor, into: Tensor) -> None:
        if self.coefficients is None:
            (mean, inverse), (gain, _), (shift, slope) = self.moments, self.affine, self.sums / self.count
            slope = -gain * inverse * inverse * slope
            rest = -gain * shift - slope * mean
            self.coefficients = gain, slope.to(gain.dtype), rest.to(gain.dtype)
        self.term.gradient_rows(chunk, *self.affine, self.coefficients, grad, into, self.scales)

    def scale(self) -> Tensor | None:
        """The gradient of `1 + eps`; a term that mixes nothing has none."""
        return self.scales.sum().to(self.moments.mean.dtype) if self.term.mixes else None

    def weight(self) -> Tensor:
        return (self.sums[1] * self.moments.inverse).to(self.moments.mean.dtype)

    def bias(self) -> Tensor:
        return self.sums[0].to(self.moments.mean.dtype)


def _affine(weight: Tensor, bias: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
    """A norm as `gain z + shift`."""
    gain = weight * moments.inverse
    return gain, bias - moments.mean * gain


def _room(chunks: Sequence[Chunk], like: Tensor) -> Tensor:
    """A state of the largest chunk."""
    return like.new_empty(max(chunk.to_row - chunk.from_row for chunk in chunks), like.shape[1])


def _add_product(total: Tensor, left: Tensor, right: Tensor, *, fresh: bool) -> None:
    if fresh:
        torch.mm(left, right, out=total)
    else:
        total.addmm_(left, right)
