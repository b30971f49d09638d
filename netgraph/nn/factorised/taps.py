"""Kernels of any size as a few linear views: coefficients from where a tap lies."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.nn.factorised.plan import Kernel

__all__ = ["TapEncoder", "tap_positions"]

NUM_POSITIONS = 9
"""Numbers that say where a tap lies."""


def tap_positions(kernel: Kernel) -> Tensor:
    """Where each tap lies, `(T, 9)`, for up to three kernel dimensions of size `k`.

    A tap at distance `d` from the centre has `2 d / k`, `sign(d) log(1 + |d|)` and `log(k)` per dimension;
    dimensions that a kernel lacks have size one. Parallel copies of a kernel lie in the same places.

    >>> tap_positions(Kernel(1, (1, 1, 3)))[:, 2].tolist()
    [-0.6666666666666666, 0.0, 0.6666666666666666]
    """
    sizes = torch.tensor(kernel.size, dtype=torch.float64)
    index = torch.cartesian_prod(*(torch.arange(k, dtype=torch.float64) for k in kernel.size)).view(-1, 3)
    away = index - (sizes - 1) / 2
    logs = sizes.log().expand_as(away)
    found = torch.cat([2 * away / sizes, away.sign() * away.abs().log1p(), logs], dim=1)
    return found.repeat(kernel.parallel, 1)


@final
class TapEncoder(nn.Module):
    """Coefficients of every tap of a kernel, a small MLP of where the tap lies.

    A kernel `w` has the views `v_k = sum_t c_k(t) w_t`. Kernels of all sizes share the MLP; for a kernel of
    one tap the views are that tap times constants.

    Args:
        width: coefficients per tap.

    Shapes: a kernel of T taps to `(T, width)`.

    >>> TapEncoder(4)(Kernel(1, (1, 3, 3))).shape
    torch.Size([9, 4])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(NUM_POSITIONS, 32)
        self.out = nn.Linear(32, width)

    def forward(self, kernel: Kernel) -> Tensor:
        coefficients: Tensor = self.out(F.silu(self.mix(tap_positions(kernel).to(self.mix.weight))))
        return coefficients
