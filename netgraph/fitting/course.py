"""Where a training stands, as a checkpoint: weights of the last and of the best epoch, and the optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netgraph.fitting.checkpoint import Checkpoint

__all__ = ["freeze", "thaw"]


def freeze(
    fingerprint: str,
    counters: Mapping[str, Any],
    optimiser: torch.optim.Optimizer,
    last: Mapping[str, Tensor],
    best: Mapping[str, Tensor] | None,
) -> Checkpoint:
    """Pack a training that `thaw` goes on with.

    Args:
        fingerprint: of the run.
        counters: all that is no tensor, ready for JSON.
        optimiser: its state is kept, its settings are not.
        last: the network's `state_dict` after the last epoch.
        best: that of the best epoch; None if it is the last.

    >>> network = torch.nn.Linear(2, 1)
    >>> optimiser = torch.optim.Adam(network.parameters())
    >>> saved = freeze("mine", {"epoch": 3}, optimiser, network.state_dict(), None)
    >>> last, best = thaw(saved, network, optimiser)
    >>> sorted(last), best is last, saved.counters["epoch"]
    (['bias', 'weight'], True, 3)
    """
    tensors = {f"last.{n}": t for n, t in last.items()}
    tensors |= {f"best.{n}": t for n, t in (best or {}).items()}
    for index, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{n}": torch.as_tensor(t) for n, t in values.items()}
    return Checkpoint(fingerprint, tensors, counters)


def thaw(
    saved: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Put weights and the optimiser's state back; return the weights of the last and of the best epoch."""
    parts: dict[str, dict[str, Tensor]] = {"last": {}, "best": {}, "optimiser": {}}
    for name, tensor in saved.tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    network.load_state_dict(parts["last"])
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in parts["optimiser"].items():
        index, _, rest = name.partition(".")
        moments.setdefault(int(index), {})[rest] = tensor
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return parts["last"], parts["best"] or parts["last"]
