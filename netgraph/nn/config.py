"""The choices that make a metanetwork."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite, isqrt
from typing import Any

from netgraph.errors import UsageError

__all__ = ["MetanetworkConfig"]


@dataclass(frozen=True)
class MetanetworkConfig:
    """Size and strength of a `Metanetwork`.

    Attributes:
        hidden: features of a node and of an edge.
        layers: rounds of message passing.
        taps: weights that one edge holds, the square of an odd number: 9 is a 3x3 window. Larger kernels
            become parallel edges.
        rho: how far one pass moves a weight: `theta' = theta + rho * output`.

    Raises:
        UsageError: a value makes no sense.

    The paper takes hidden 64, layers 8, rho 0.01 for ResNet-56 (Liu et al. 2025, arXiv 2506.12041).

    >>> MetanetworkConfig(hidden=16, layers=3).to_dict()
    {'hidden': 16, 'layers': 3, 'taps': 9, 'rho': 0.01}
    """

    hidden: int = 64
    layers: int = 8
    taps: int = 9
    rho: float = 0.01

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "taps"):
            value: object = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(
                    f"MetanetworkConfig: expected {name} to be a positive integer, got {value!r}; "
                    f"the default is {type(self).__dataclass_fields__[name].default}"
                )
        if isqrt(self.taps) ** 2 != self.taps or self.taps % 2 == 0:
            raise UsageError(
                f"MetanetworkConfig: expected taps to be the square of an odd number, got {self.taps}; "
                "use 1, 9 or 25"
            )
        rho: object = self.rho
        if not isinstance(rho, int | float) or isinstance(rho, bool) or not isfinite(rho):
            raise UsageError(f"MetanetworkConfig: expected rho to be a finite number, got {rho!r}; try 0.01")

    def to_dict(self) -> dict[str, int | float]:
        """The fields as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MetanetworkConfig:
        """A configuration from plain values; fields left out keep their defaults.

        Raises:
            UsageError: an unknown field or a bad value.
        """
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise UsageError(f"MetanetworkConfig: expected fields among {known}, got {unknown}; remove them")
        return cls(**values)
