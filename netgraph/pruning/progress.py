"""Telling a user how far long work has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Progress", "silent"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a stage, the steps of it that are done, and their total (0: not known yet)."""


def silent(stage: str, done: int, total: int) -> None:
    """Nobody asked.

    >>> silent("cut", 1, 2)
    """
