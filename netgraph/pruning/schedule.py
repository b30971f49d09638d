"""How a cut is spread over several steps."""

from __future__ import annotations

from netgraph.errors import UsageError

__all__ = ["geometric_schedule"]


def geometric_schedule(original: float, target: float, steps: int) -> list[float]:
    """Costs to reach after each of `steps` cuts that all shrink the network by the same factor.

    `c_i = c_0 (t / c_0)^(i / steps)` for `i = 1 .. steps`; the last one is the target itself. A target at or
    above the original needs no cut and is the whole schedule.

    Args:
        original: cost before, in any unit.
        target: cost after, in the same unit.
        steps: number of cuts.

    Raises:
        UsageError: fewer than one step.

    >>> geometric_schedule(original=1600.0, target=400.0, steps=2)
    [800.0, 400.0]
    """
    if isinstance(steps, bool) or steps < 1:
        raise UsageError(f"schedule: expected at least 1 step, got {steps!r}; pass steps=1 to cut at once")
    if target >= original:
        return [target]
    ratio = target / original
    return [*(original * ratio ** (i / steps) for i in range(1, steps)), target]
