"""Running statistics that fit new weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from netgraph.errors import UsageError

__all__ = ["refresh_statistics"]


@torch.no_grad()
def refresh_statistics(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Measure the running means and variances of all norms anew: the plain average over some batches.

    A network whose weights were rewritten or cut still holds the old network's statistics. Training would
    replace them bit by bit; here nothing of the old is left after one pass.

    Args:
        module: any module, rebuilt ones included, that keeps its statistics in buffers called `running_mean`
            and `running_var`. Nothing else of it changes; it comes back in the mode it was in.
        batches: inputs, `(B, ...)`.

    Raises:
        UsageError: there is no batch.

    >>> norm = nn.BatchNorm1d(1).eval()
    >>> refresh_statistics(norm, [torch.tensor([[1.0], [3.0]]), torch.tensor([[4.0], [8.0]])])
    >>> round(float(norm.running_mean), 3), round(float(norm.running_var), 3), norm.training
    (4.0, 5.0, False)
    """
    buffers = dict(module.named_buffers())
    statistics = {n: b for n, b in buffers.items() if n.endswith(("running_mean", "running_var"))}
    counters = {n: b for n, b in buffers.items() if n.endswith("num_batches_tracked")}
    counted = {n: b.clone() for n, b in counters.items()}
    modes = [(part, part.training) for part in module.modules()]

    def after(inputs: Tensor) -> dict[str, Tensor]:
        for counter in counters.values():
            counter.zero_()
        module(inputs)
        return {n: b.clone() for n, b in statistics.items()}

    # A norm sets r to (1 - m) r + m s. From r = 0 that leaves m s; the same batch once more, (2 - m) m s.
    sums: dict[str, Tensor] = {}
    momentum: dict[str, Tensor] = {}
    total = 0
    module.train()
    try:
        for inputs in batches:
            for buffer in statistics.values():
                buffer.zero_()
            with torch.random.fork_rng(enabled=not total):
                once = after(inputs)
            if not total:
                momentum = {n: _momentum(once[n], again) for n, again in after(inputs).items()}
            sums = {n: sums[n] + once[n] for n in once} if total else once
            total += 1
    finally:
        for part, training in modes:
            part.training = training
        for name, counter in counters.items():
            counter.copy_(counted[name])
    if not total:
        raise UsageError("refresh_statistics: expected at least one batch of inputs, got none; pass some")
    for name, buffer in statistics.items():
        # a mean may be zero everywhere; the variance beside it tells the same momentum more exactly
        twin = name.replace("running_mean", "running_var")
        buffer.copy_(sums[name] / (momentum[twin if twin in momentum else name] * total))


def _momentum(once: Tensor, again: Tensor) -> Tensor:
    known = once != 0
    return (2 - again[known] / once[known]).median() if bool(known.any()) else torch.ones_like(once.sum())
