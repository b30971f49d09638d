"""Small networks that between them have every kind of block, join and tensor."""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.graph import (
    Axis,
    Group,
    NeuralGraph,
    Operator,
    Ref,
    Segment,
    Size,
    Structure,
    Symbol,
    TensorSpec,
    Value,
)


class Concat(nn.Module):
    """Two branches side by side, and a residual around the layer that joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 4, 1)
        self.norm = nn.BatchNorm2d(7)
        self.join = nn.Conv2d(7, 4, 1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        right = self.right(x)
        both = self.norm(torch.cat([self.left(x), right], 1)).relu()
        return self.head(self.join(both) + right)


class Grouped(nn.Module):
    """Depthwise and grouped convolutions, a GroupNorm, and a classifier on a flattened feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Conv2d(2, 6, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.grouped = nn.Conv2d(6, 8, 1, groups=2)
        self.norm = nn.GroupNorm(2, 8)
        self.flat_norm = nn.BatchNorm1d(8 * 4)
        self.out = nn.Linear(8 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.grouped(self.depthwise(self.up(x)).relu()))
        return self.out(self.flat_norm(F.adaptive_avg_pool2d(x, 2).flatten(1)))


class Shuffle(nn.Module):
    """Interleaved channels (an axis of many short segments) into a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1)
        self.norm, self.up = nn.BatchNorm2d(6), nn.ConvTranspose2d(6, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.stack([self.left(x), self.right(x)], 2).flatten(1, 2)
        return self.up(self.norm(both).relu())


class Language(nn.Module):
    """An embedding, attention, and a head that is tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(tokens)))


class Odds(nn.Module):
    """What else a `state_dict` may hold: scalars, integers, wide floats, empty and unused tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.tensor(-0.0))
        self.unused = nn.Parameter(torch.randn(2, 3, 4))
        self.register_buffer("table", torch.arange(6).reshape(2, 3))
        self.register_buffer("flags", torch.tensor([True, False, True]))
        self.register_buffer("wide", torch.randn(4, dtype=torch.float64))
        self.register_buffer("narrow", torch.randn(4).to(torch.bfloat16))
        self.register_buffer("batch_index", torch.tensor(3, dtype=torch.int8))
        self.register_buffer("empty", torch.zeros(0, 5))
        self.register_buffer(
            "nan", torch.tensor([0x7FC12345, -0x80000000], dtype=torch.int32).view(torch.float32)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x).relu()) * (1 + self.scale)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))


def normed(module: nn.Module) -> nn.Module:
    """Running statistics that are not those of a fresh network."""
    for m in module.modules():
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(m.running_mean, std=0.2)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
            nn.init.normal_(m.weight)
            nn.init.normal_(m.bias)
    return module.eval()


NETWORKS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "mlp": lambda: (mlp(), torch.randn(4, 3)),
    "concat": lambda: (normed(Concat()), torch.randn(2, 2, 5, 5)),
    "grouped": lambda: (normed(Grouped()), torch.randn(2, 2, 4, 4)),
    "shuffle": lambda: (normed(Shuffle()), torch.randn(2, 2, 3, 3)),
    "language": lambda: (Language().eval(), torch.randint(7, (2, 5))),
    "odds": lambda: (Odds(), torch.randn(2, 3)),
    "half": lambda: (mlp().to(torch.bfloat16), torch.randn(2, 3, dtype=torch.bfloat16)),
}


@cache
def network(name: str) -> tuple[nn.Module, Tensor, NeuralGraph]:
    """A network, an input and its graph. Shared between tests: do not write into it."""
    torch.manual_seed(0)
    module, x = NETWORKS[name]()
    return module, x, to_graph(module, x)


def graph(name: str) -> NeuralGraph:
    """The graph of a network. Shared between tests: do not write into it."""
    return network(name)[2]


def by_hand() -> NeuralGraph:
    """An MLP 2 -> 3 -> 1 written down record by record."""
    axes = tuple(Axis((Segment(g, 0, n),)) for g, n in enumerate((2, 3, 1)))
    structure = Structure(
        groups=(Group("in", 2, "input"), Group("hidden", 3), Group("out", 1, "output")),
        axes=axes,
        tensors=(
            TensorSpec("a.weight", (3, 2), "float32", "parameter", (1, 0), 0, 1),
            TensorSpec("a.bias", (3,), "float32", "parameter", (1,), 0),
            TensorSpec("b.weight", (1, 3), "float32", "parameter", (2, 1), 0, 1),
        ),
        values=(
            Value("x", (Size(1, "n"), 2), "float32", (None, 0)),
            Value("h", (Size(1, "n"), 3), "float32", (None, 1)),
            Value("r", (Size(1, "n"), 3), "float32", (None, 1)),
            Value("y", (Size(1, "n"), 1), "float32", (None, 2)),
        ),
        operators=(
            Operator(
                "a",
                "aten.linear.default",
                (Ref("value", "x"), Ref("tensor", "a.weight"), Ref("tensor", "a.bias")),
                (),
                ("h",),
            ),
            Operator("relu", "aten.relu.default", (Ref("value", "h"),), (), ("r",)),
            Operator("b", "aten.linear.default", (Ref("value", "r"), Ref("tensor", "b.weight")), (), ("y",)),
        ),
        inputs=("x",),
        outputs=(Ref("value", "y"),),
        symbols=(Symbol("n", "x", 0, 4),),
        order=("a.weight", "a.bias", "b.weight"),
    )
    generator = torch.Generator().manual_seed(1)
    state = {t.name: torch.randn(t.shape, generator=generator) for t in structure.tensors}
    return NeuralGraph(structure, state)
