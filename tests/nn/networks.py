"""Small networks that between them have every kind of axis, block and tensor that a graph can hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.graph import NeuralGraph
from netgraph.zoo import MLP, CifarResNet, DigitsResNet


class Concat(nn.Module):
    """Two branches side by side, as in a DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 5, 1)
        self.norm, self.join = nn.BatchNorm2d(8), nn.Conv2d(8, 4, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.join(F.relu(self.norm(torch.cat([self.left(x), self.right(x)], 1))))


class Attention(nn.Module):
    """Packed projections, heads, and a position table."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, 5, 8) * 0.1)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.positions
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return self.head(x.mean(1))


class Scaled(nn.Module):
    """Parameters with further axes on nodes, a scalar, a buffer that is no weight, and an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.scale = nn.Parameter(torch.randn(1, 4, 1, 1))
        self.power = nn.Parameter(torch.tensor(1.5))
        self.second = nn.Conv2d(4, 2, 1)
        self.register_buffer("mask", torch.full((6, 6), -torch.inf).triu(1))
        self.register_buffer("steps", torch.tensor(3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x)) * self.scale * self.power
        return self.second(x + torch.exp(self.mask))


class Recurrence(nn.Module):
    """One weight used twice, from a group to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.turn, self.leave = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.enter(x))
        x = x + torch.tanh(self.turn(x))
        return self.leave(x + torch.tanh(self.turn(x)))


class Words(nn.Module):
    """An embedding whose table is also the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.mix = nn.Linear(4, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(F.relu(self.mix(self.table(tokens))), self.table.weight)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "mlp": lambda: (MLP((4, 6, 5, 3)), torch.randn(2, 4)),
    "cifar_resnet_pad": lambda: (CifarResNet(1, widths=(4, 6, 8)), torch.randn(1, 3, 8, 8)),
    "cifar_resnet_conv": lambda: (CifarResNet(1, widths=(4, 6, 8), shortcut="conv"), torch.randn(1, 3, 8, 8)),
    "digits_resnet": lambda: (DigitsResNet(width=4), torch.randn(1, 1, 8, 8)),
    "depthwise": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6, padding=1), nn.Conv2d(6, 2, 1)
        ),
        torch.randn(1, 3, 5, 5),
    ),
    "grouped": lambda: (
        nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(8, 2, 1)
        ),
        torch.randn(1, 3, 5, 5),
    ),
    "flatten": lambda: (
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5)),
        torch.randn(1, 1, 4, 4),
    ),
    "large_kernels": lambda: (
        nn.Sequential(nn.Conv2d(2, 3, 7, padding=3), nn.ReLU(), nn.Conv2d(3, 2, (5, 2))),
        torch.randn(1, 2, 8, 8),
    ),
    "one_and_three_dimensions": lambda: (
        nn.Sequential(nn.Conv1d(2, 4, 5), nn.ReLU(), nn.Unflatten(2, (2, 2, 1)), nn.Conv3d(4, 3, (2, 2, 1))),
        torch.randn(1, 2, 8),
    ),
    "transposed": lambda: (
        nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ConvTranspose2d(4, 3, 2, stride=2)
        ),
        torch.randn(1, 2, 6, 6),
    ),
    "concat": lambda: (Concat(), torch.randn(1, 2, 4, 4)),
    "attention": lambda: (Attention(), torch.randn(2, 5, 8)),
    "encoder_layer": lambda: (
        nn.TransformerEncoderLayer(8, 2, dim_feedforward=12, batch_first=True),
        torch.randn(2, 3, 8),
    ),
    "scaled": lambda: (Scaled(), torch.randn(1, 2, 6, 6)),
    "recurrence": lambda: (Recurrence(), torch.randn(2, 3)),
    "words": lambda: (Words(), torch.tensor([[1, 4, 2]])),
    "no_blocks": lambda: (nn.BatchNorm2d(3), torch.randn(2, 3, 4, 4)),
    "no_vectors": lambda: (nn.Linear(3, 2, bias=False), torch.randn(1, 3)),
    "no_parameters": lambda: (nn.ReLU(), torch.randn(1, 3)),
}


def build(name: str, dtype: torch.dtype = torch.float32) -> NeuralGraph:
    """The graph of a network of the table, with weights and statistics away from their first values."""
    torch.manual_seed(sum(map(ord, name)))
    module, inputs = NETWORKS[name]()
    module.eval()
    with torch.no_grad():
        for tensor in [*module.parameters(), *(b for n, b in module.named_buffers() if "running" in n)]:
            tensor.add_(torch.rand_like(tensor) * 0.3)
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    return to_graph(module.to(dtype), inputs)
