"""One layer's work on the edges of a stack as plain differentiable formulas, and stacks to try it on."""

from __future__ import annotations

import torch
from torch import Tensor

from netgraph.nn.edge_pass import StackFactors
from netgraph.nn.stack import Stack

SHAPES = {
    "square": (2, 4, 4, False),
    "one_weight": (1, 3, 5, False),
    "one_target": (3, 1, 6, False),
    "one_source": (2, 7, 1, False),
    "one_edge": (2, 1, 1, False),
    "long_rows": (2, 3, 40, False),
    "loop": (2, 5, 3, True),
    "single_loop": (1, 4, 1, True),
}
HIDDEN = 3


class Case:
    """A stack with random state, factors and gradients, in double precision."""

    def __init__(self, name: str, seed: int = 0) -> None:
        number, targets, sources, self.loop = SHAPES[name]
        generator = torch.Generator().manual_seed(seed)

        def random(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        names = tuple(f"w{i}" for i in range(number))
        self.stack = Stack(names, (), targets, sources, self.loop, (4,), 0, number * targets)
        sheets = HIDDEN * number
        self.state = random(sheets, targets, sources)
        self.target = random(3, sheets, targets)
        self.source = self.target.clone() if self.loop else random(3, sheets, sources)
        self.grad_state = random(*self.state.shape)
        self.grad_into = random(4, sheets, targets)
        self.grad_onto = random(4, sheets, targets if self.loop else sources)

    @property
    def factors(self) -> StackFactors:
        return StackFactors.of(self.target, self.source, self.loop)


def formula(state: Tensor, target: Tensor, source: Tensor, loop: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Statistics of targets and sources, and the next state. In a loop both ends are the target."""

    def reduce(u: Tensor, dim: int) -> Tensor:
        mean = u.mean(dim, keepdim=True)
        return torch.stack([mean.squeeze(dim), (u - mean).square().sum(dim), u.amax(dim), u.amin(dim)])

    (a, p, q), (b, r, s) = target.unsqueeze(-1), source.unsqueeze(-1 if loop else -2)
    into = reduce(b * state, -1)
    onto = reduce(a * state, -1 if loop else -2)
    return into, onto, state * (1 + r * q + s * p)
