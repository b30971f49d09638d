"""Networks put together at random: many kernels, residuals, concatenations, attention, recurrence."""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.graph import NeuralGraph

STEPS = ("conv", "depthwise", "grouped", "residual", "concat", "transposed")


class Images(nn.Module):
    """Convolutions of random kinds, then attention over what is left of the image, or a flattened map."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self.steps = draw.sample(STEPS, 3)
        self.end = draw.choice(("attention", "flatten", "mean"))
        width = 4
        self.stem = nn.Conv2d(2, width, self._kernel(draw), padding="same")
        self.parts = nn.ModuleList()
        self.norms = nn.ModuleList()
        for step in self.steps:
            kernel = self._kernel(draw)
            if step == "depthwise":
                part: nn.Module = nn.Conv2d(width, width, kernel, padding="same", groups=width)
            elif step == "grouped":
                part = nn.Conv2d(width, width, kernel, padding="same", groups=2, bias=False)
            elif step == "transposed":
                part = nn.ConvTranspose2d(width, width, 3, padding=1)
            else:
                part = nn.Conv2d(width, width, kernel, padding="same", dilation=draw.choice((1, 2)))
            self.parts.append(part)
            width *= 2 if step == "concat" else 1
            self.norms.append(draw.choice((nn.BatchNorm2d(width), nn.GroupNorm(2, width), nn.Identity())))
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width * (16 if self.end == "flatten" else 1), 3)

    @staticmethod
    def _kernel(draw: random.Random) -> tuple[int, int]:
        return draw.choice((1, 3, 5, 7)), draw.choice((1, 3, 5, 7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for step, part, norm in zip(self.steps, self.parts, self.norms, strict=True):
            y = part(F.relu(x))
            y = torch.cat([x, y], 1) if step == "concat" else x + y if step == "residual" else y
            x = norm(y)
        if self.end == "flatten":
            return self.head(x.flatten(1))
        x = x.flatten(2).transpose(1, 2)
        if self.end == "attention":
            x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(F.gelu(x.mean(1)))


class Tokens(nn.Module):
    """A table, a convolution over time, a recurrent layer, and sums of a few linear layers."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.time = nn.Conv1d(4, 4, draw.choice((1, 3, 5)), padding="same", groups=draw.choice((1, 4)))
        self.layers = nn.ModuleList(nn.Linear(4, 4, bias=draw.random() < 0.5) for _ in range(2))
        self.recurrent = draw.choice((nn.GRU, nn.LSTM))(4, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens)
        x = x + self.time(x.transpose(1, 2)).transpose(1, 2)
        for layer in self.layers:
            x = x + F.silu(layer(x))
        return self.head(self.recurrent(x)[0])


class Experts(nn.Module):
    """Two stacks of experts behind a router."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        number = draw.choice((2, 3))
        self.enter, self.router, self.leave = nn.Linear(3, 4), nn.Linear(4, number), nn.Linear(4, 2)
        self.up = nn.Parameter(torch.randn(number, 4, 5))
        self.down = nn.Parameter(torch.randn(number, 5, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        shares = self.router(x).softmax(-1)
        y = torch.einsum("bi,eij->bej", x, self.up).relu()
        y = torch.einsum("bej,eji->bei", y, self.down)
        return self.leave(x + (y * shares.unsqueeze(-1)).sum(1))


def random_network(seed: int) -> tuple[nn.Module, Tensor]:
    """A network and an input for it, always the same for a seed."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    if seed % 4 == 3:
        return Experts(draw).eval(), torch.randn(2, 3)
    if seed % 4 == 2:
        return Tokens(draw).eval(), torch.tensor([[1, 4, 2]])
    return Images(draw).eval(), torch.randn(1, 2, 4, 4)


def random_graph(seed: int, dtype: torch.dtype = torch.float64) -> NeuralGraph:
    """Its graph, with weights and statistics away from their first values."""
    module, inputs = random_network(seed)
    with torch.no_grad():
        for tensor in [*module.parameters(), *(b for n, b in module.named_buffers() if "running" in n)]:
            tensor.add_(torch.rand_like(tensor) * 0.3)
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    return to_graph(module.to(dtype), inputs)
