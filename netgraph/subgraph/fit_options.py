"""Checks of the options of a fit, and the mark by which a checkpoint knows its own."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch_geometric.data import Data

from netgraph.errors import UsageError
from netgraph.subgraph.schedules import SCHEDULES

__all__ = ["check_options", "fingerprint"]

_SAME_RUN: Final = ("checkpoint", "device", "verbose", "compile", "random_state")
"""Options that may change between an interrupted fit and the one that goes on."""


def check_options(options: Mapping[str, Any], losses: Collection[str]) -> None:
    """Refuse options that make no sense; those of the network are checked by the network.

    Raises:
        UsageError: naming the first.
    """
    for name in ("epochs", "batch_size", "patience"):
        value = options[name]
        if not (name == "patience" and value is None) and not (_is_whole(value) and value >= 1):
            raise UsageError(f"fit: expected {name} as a whole number from 1, got {value!r}; change it")
    for name, most in (("lr", math.inf), ("weight_decay", math.inf), ("validation_fraction", 1.0)):
        value = options[name]
        if not isinstance(value, int | float) or not 0 <= value < most or (name == "lr" and value == 0):
            raise UsageError(f"fit: expected {name} from 0 to {most:g}, got {value!r}; change it")
    for name, known in (("schedule", SCHEDULES), ("loss", losses)):
        if options[name] not in known and not (name == "loss" and options[name] is None):
            raise UsageError(
                f"fit: expected {name} to be one of {', '.join(known)}, got {options[name]!r}; choose one"
            )
    if options["checkpoint"] is not None and not _is_whole(options["random_state"]):
        raise UsageError(
            f"fit: expected a number as random_state beside a checkpoint, got {options['random_state']!r}; "
            "chance that cannot be repeated cannot go on"
        )


def fingerprint(
    options: Mapping[str, Any], seed: int, train: Sequence[Data], validation: Sequence[Data]
) -> str:
    """One number for all that decides how a fit goes on.

    >>> fingerprint({"lr": 0.1}, 0, [], []) == fingerprint({"lr": 0.2}, 0, [], [])
    False
    """
    named = {name: str(value) for name, value in options.items() if name not in _SAME_RUN}
    mark = hashlib.sha256(json.dumps([named, seed, len(train)], sort_keys=True).encode())
    for data in (*train, *validation):
        for name in ("edge_index", "pair_index", "pair_start", "x", "edge_attr", "target"):
            value = data.get(name)
            if isinstance(value, Tensor):
                mark.update(f"{name}{list(value.shape)}{value.dtype}".encode())
                mark.update(value.contiguous().view(torch.uint8).numpy().tobytes())
    return mark.hexdigest()


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)
