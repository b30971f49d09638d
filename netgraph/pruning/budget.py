"""What a pruned network may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, final

from netgraph.errors import BudgetError
from netgraph.graph import CostModel

__all__ = ["Budget", "CostKind"]

CostKind = Literal["macs", "params", "latency_ms"]


@final
@dataclass(frozen=True)
class Budget:
    """An upper bound on what a network costs: exactly one of four.

    Attributes:
        macs: multiply-accumulates of one forward pass (batch of one where the batch is open). Up to 1 it is a
            share of the original's, above 1 a number.
        params: scalars in parameters; up to 1 a share of the original's, above 1 a number.
        latency_ms: measured milliseconds of one forward pass on the example inputs.
        speedup: how many times fewer MACs: `speedup=2.0` is `macs=0.5`.

    Raises:
        BudgetError: none or more than one is given, a value is not positive and finite, or a speedup is
            below 1.

    >>> Budget(macs=0.5).kind, Budget(speedup=4.0).value
    ('macs', 0.25)
    >>> Budget(macs=0.5, params=0.5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    netgraph.errors.BudgetError: Budget: expected one of macs, params, latency_ms, speedup, got macs, ...
    """

    macs: float | None = None
    params: float | None = None
    latency_ms: float | None = None
    speedup: float | None = None

    def __post_init__(self) -> None:
        given = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        if len(given) != 1:
            names = ", ".join(f.name for f in fields(self))
            raise BudgetError(
                f"Budget: expected one of {names}, got {', '.join(given) or 'none'}; "
                f"{'keep one' if given else 'pass e.g. macs=0.5 to keep half of the MACs'}"
            )
        name, value = next(iter(given.items()))
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
            or value <= 0
        ):
            raise BudgetError(
                f"Budget: expected a positive, finite {name}, got {value!r}; pass e.g. macs=0.5"
            )
        if name == "speedup" and value < 1:
            raise BudgetError(
                f"Budget: expected a speedup of at least 1, got {value!r}; pass e.g. speedup=2.0"
            )

    @property
    def kind(self) -> CostKind:
        """What is counted; a speedup counts MACs."""
        if self.params is not None:
            return "params"
        return "latency_ms" if self.latency_ms is not None else "macs"

    @property
    def value(self) -> float:
        """The bound as given, a speedup as its share of the MACs."""
        if self.speedup is not None:
            return 1 / self.speedup
        given = (self.macs, self.params, self.latency_ms)
        return next(float(v) for v in given if v is not None)

    def target(self, cost: CostModel) -> float:
        """The bound in absolute units: MACs, parameters, or milliseconds."""
        if self.kind == "latency_ms" or self.value > 1:
            return self.value
        return self.value * (cost.macs() if self.kind == "macs" else cost.params())
