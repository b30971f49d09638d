"""How the learning rate moves over a fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

__all__ = ["SCHEDULES"]

_WARM_UP: Final = 0.1


def _constant(done: float) -> float:
    return 1.0


def _cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def _one_cycle(done: float) -> float:
    if done < _WARM_UP:
        return 0.04 + 0.96 * done / _WARM_UP
    return _cosine((done - _WARM_UP) / (1 - _WARM_UP))


SCHEDULES: Final[dict[str, Callable[[float], float]]] = {
    "constant": _constant,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
"""Factors of the learning rate by name: functions of the share of all updates that is done, from 0 to 1.

`one_cycle` rises during the first tenth and falls to zero along a cosine (Smith and Topin 2019,
arXiv 1708.07120).
"""
