"""How long networks take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from netgraph.convert.trace import Inputs, split_inputs
from netgraph.errors import UsageError

__all__ = ["compare_latency", "measure_latency"]


def measure_latency(
    module: nn.Module, inputs: Inputs, *, warmup: int = 3, repeats: int = 20, batch: int | None = None
) -> float:
    """Median milliseconds of one forward pass in eval mode, without gradients.

    Args:
        module: left in the mode it came in.
        inputs: a tensor, a tuple of positional or a dict of keyword arguments.
        warmup: calls before the clock starts.
        repeats: calls that are timed, each on its own.
        batch: repeat the tensors' first dimension to this size; None takes them as they are.

    Raises:
        UsageError: fewer than one repeat, a negative warm-up, or a batch below one.

    >>> 0 < measure_latency(torch.nn.Linear(2, 2), torch.zeros(1, 2), repeats=3, batch=4) < 1000
    True
    """
    return compare_latency([module], inputs, warmup=warmup, repeats=repeats, batch=batch)[0]


def compare_latency(
    modules: Sequence[nn.Module],
    inputs: Inputs,
    *,
    warmup: int = 3,
    repeats: int = 20,
    batch: int | None = None,
) -> list[float]:
    """Median milliseconds of several networks, timed in turns so that a busy machine slows all of them alike.

    Arguments and errors are those of `measure_latency`.

    >>> len(compare_latency([torch.nn.ReLU(), torch.nn.Tanh()], torch.zeros(3), repeats=2))
    2
    """
    if repeats < 1 or warmup < 0 or (batch is not None and batch < 1):
        raise UsageError(
            f"latency: expected repeats of at least 1, a warm-up of at least 0 and a batch of at least 1, "
            f"got repeats={repeats}, warmup={warmup}, batch={batch}; use e.g. repeats=20, warmup=3"
        )
    args, kwargs = split_inputs(inputs)
    args, kwargs = pytree.tree_map(lambda item: _resized(item, batch), (args, kwargs))
    on_cuda = any(isinstance(i, Tensor) and i.is_cuda for i in pytree.tree_leaves((args, kwargs)))
    modes = [(part, part.training) for module in modules for part in module.modules()]
    times: list[list[float]] = [[] for _ in modules]
    try:
        for module in modules:
            module.eval()
        with torch.inference_mode():
            for turn in range(warmup + repeats):
                for module, found in zip(modules, times, strict=True):
                    start = time.perf_counter_ns()
                    module(*args, **kwargs)
                    if on_cuda:
                        torch.cuda.synchronize()
                    if turn >= warmup:
                        found.append((time.perf_counter_ns() - start) / 1e6)
    finally:
        for part, training in modes:
            part.training = training
    return [statistics.median(t) for t in times]


def _resized(item: Any, batch: int | None) -> Any:
    if batch is None or not isinstance(item, Tensor) or item.dim() == 0:
        return item
    if not len(item):
        raise UsageError("latency: expected inputs with at least one sample, got an empty tensor; pass one")
    return item[torch.arange(batch, device=item.device) % len(item)]
