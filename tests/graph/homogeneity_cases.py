"""Networks, and the sign and scale symmetries that each must be found to have."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.graph import NeuralGraph
from netgraph.zoo import MLP, CifarResNet, DigitsResNet
from tests.convert.cases import Call, conv, scramble


def preactivation() -> nn.Module:
    """A stream whose norms may be rescaled one by one."""

    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.stem(x)
        h = h + s.a(F.relu(s.n1(h)))
        h = h + s.b(F.relu(s.n2(h)))
        return s.head(F.relu(s.n3(h)).mean((2, 3)))

    norms = {f"n{i}": nn.BatchNorm2d(4) for i in (1, 2, 3)}
    return Call(forward, stem=conv(3, 4), a=conv(4, 4, 1), b=conv(4, 4, 1), head=nn.Linear(4, 2), **norms)


def visible() -> nn.Module:
    """The first hidden activation is an output too."""

    def forward(s: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(s.a(x))
        return s.c(F.relu(s.b(h))), h

    return Call(forward, a=nn.Linear(3, 4), b=nn.Linear(4, 5), c=nn.Linear(5, 2))


def layer_scale(kind: type[nn.Module]) -> nn.Module:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)
            self.scale, self.act = nn.Parameter(torch.rand(4) + 0.5), kind()

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.act(self.a(x) * self.scale))

    return Scaled()


def queries_and_keys() -> nn.Module:
    """Separate projections for two heads."""

    def forward(s: Any, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = (p(x).view(b, n, 2, 3).transpose(1, 2) for p in (s.q, s.k, s.v))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return s.out(mixed.transpose(1, 2).reshape(b, n, 6))

    return Call(forward, **{n: nn.Linear(3, 6) for n in "qkv"}, out=nn.Linear(6, 2))


def product_of_linears() -> nn.Module:
    return Call(lambda s, x: s.c(s.a(x) * s.b(x)), a=nn.Linear(3, 4), b=nn.Linear(3, 4), c=nn.Linear(4, 2))


def swiglu() -> nn.Module:
    return Call(
        lambda s, x: s.c(F.silu(s.a(x)) * s.b(x)), a=nn.Linear(3, 4), b=nn.Linear(3, 4), c=nn.Linear(4, 2)
    )


def in_place() -> nn.Module:
    """What is read again has been written meanwhile."""

    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.a(x)
        view = h.view(-1, 2, 2)
        h.relu_()
        view.mul_(2)
        return s.b(h + view.flatten(1))

    return Call(forward, a=nn.Linear(3, 4), b=nn.Linear(4, 2))


def vgg() -> nn.Module:
    return nn.Sequential(
        *(conv(3, 4, padding=1), nn.ReLU(), nn.MaxPool2d(2), conv(4, 6, padding=1), nn.ReLU(inplace=True)),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 2)),
    )


def shuffled() -> nn.Module:
    """Units as in ShuffleNet: the labels of a half become one node long after the halves were taken."""

    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.stem(x)
        for unit in (s.a, s.b, s.c):
            left, right = h.chunk(2, 1)
            h = torch.cat([left, unit(right)], 1)
            n, _, height, width = h.shape
            h = h.view(n, 2, 3, height, width).transpose(1, 2).reshape(n, 6, height, width)
        return s.head(h)

    units = {n: nn.Sequential(conv(3, 3, 1), nn.ReLU()) for n in "abc"}
    return Call(forward, stem=conv(3, 6, 1), head=conv(6, 2, 1), **units)


def padded_piece() -> nn.Module:
    """What is padded is one node, and no longer shows it: that it is not zero must not be forgotten."""

    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.a(x)
        return s.c(F.pad(h[:, :2], (0, 0, 0, 0, 1, 1)) + s.b(x)) + s.d(F.relu(s.mix(h)))

    return Call(
        forward,
        a=conv(3, 4, 1),
        mix=conv(4, 4, 1, groups=2),
        d=conv(4, 2, 1),
        b=conv(3, 4, 1),
        c=conv(4, 2, 1),
    )


def wordy() -> nn.Module:
    """A table of words that is also the last layer."""

    def forward(s: Any, words: Tensor) -> Tensor:
        h = s.table(words)
        return F.linear(h + torch.tanh(s.mix(h)), s.table.weight)

    return Call(forward, table=nn.Embedding(7, 4), mix=nn.Linear(4, 4))


def between(act: Callable[[Tensor], Tensor], **modules: nn.Module) -> Callable[[], nn.Module]:
    """`b(act(a(x)))`: what the activation lets through is what the hidden group may do."""
    return lambda: Call(lambda s, x: s.b(act(s.a(x))), a=nn.Linear(3, 4), b=nn.Linear(4, 2), **modules)


def flat() -> Tensor:
    return torch.randn(12, 3)


def image() -> Tensor:
    return torch.randn(6, 3, 6, 6)


def tokens() -> Tensor:
    return torch.randn(3, 5, 3)


@dataclass(frozen=True)
class Declared:
    """A network and what it must be found to have: `(kind, group)` of every symmetry."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    scales: tuple[str, ...]
    signs: tuple[str, ...] = ()
    all_of_them: bool = True  # whether a Jacobian finds no more scales than these


RESNET = ("conv1", "layer1.0.conv1", "layer2.0.conv1", "layer2.0.conv2", "layer3.0.conv1", "layer3.0.conv2")
DIGITS = ("conv1", "layer1.0.conv1", "layer2.0.conv1", "layer2.0.conv2")
TABLE = [
    Declared("relu mlp", lambda: MLP((3, 4, 5, 2)), flat, ("layers.0", "layers.1")),
    Declared("normed mlp", lambda: MLP((3, 4, 5, 2), norm=True), flat, ("layers.0", "layers.1")),
    Declared("tanh mlp", between(torch.tanh), flat, (), ("a",)),
    Declared("linear mlp", between(lambda h: h), flat, ("a",), ("a",)),
    Declared("vgg", vgg, image, ("0", "3", "7")),
    Declared("resnet, pad", lambda: CifarResNet(1, widths=(2, 4, 6)), image, RESNET),
    Declared("resnet, conv", lambda: CifarResNet(1, widths=(2, 4, 6), shortcut="conv"), image, RESNET),
    Declared("digits", lambda: DigitsResNet(2, (1, 1)), lambda: torch.randn(6, 1, 8, 8), DIGITS),
    Declared("preactivation", preactivation, image, ("stem",) * 3),
    Declared(
        "depthwise",
        lambda: nn.Sequential(conv(3, 4, 1), nn.ReLU(), conv(4, 4, 3, groups=4), nn.ReLU(), conv(4, 2, 1)),
        image,
        ("0", "0"),
    ),
    Declared(
        "depthwise, normed",
        lambda: nn.Sequential(
            conv(3, 4, 1), nn.ReLU(), conv(4, 4, groups=4), nn.BatchNorm2d(4), conv(4, 2, 1)
        ),
        image,
        ("0", "0"),
        ("0",),
    ),
    Declared("hidden value is an output", visible, flat, ("b",)),
    Declared("layer scale, relu", lambda: layer_scale(nn.ReLU), flat, ("scale", "scale"), ("scale",)),
    Declared("layer scale, tanh", lambda: layer_scale(nn.Tanh), flat, ("scale",), ("scale", "scale")),
    Declared("queries and keys", queries_and_keys, tokens, ("q", "q"), ("q", "q"), all_of_them=False),
    Declared("product", product_of_linears, flat, ("a",), ("a",), all_of_them=False),
    Declared("swiglu", swiglu, flat, ("a",), ("a",)),
    Declared("in place", in_place, flat, ("a",)),
    Declared("tied words", wordy, lambda: torch.randint(7, (8, 5)), (), ("table",)),
    Declared("leaky", between(F.leaky_relu), flat, ("a",)),
    Declared("clamp from 0", between(lambda h: h.clamp(min=0)), flat, ("a",)),
    Declared("relu6", between(F.relu6), flat, ()),
    Declared("hardtanh", between(lambda h: F.hardtanh(h)), flat, (), ("a",)),
    Declared("hardtanh, one-sided", between(lambda h: F.hardtanh(h, -0.2, 0.3)), flat, ()),
    Declared("clamp to a band", between(lambda h: h.clamp(-0.3, 0.3)), flat, (), ("a",)),
    Declared("softsign", between(F.softsign), flat, (), ("a",)),
    Declared("sin and erf", between(lambda h: torch.sin(h) + torch.erf(h)), flat, (), ("a",)),
    Declared("abs", between(torch.abs), flat, ("a",), ("a",)),
    Declared("square", between(lambda h: h * h), flat, (), ("a",), all_of_them=False),
    Declared("ratio", between(lambda h: h / (1 + h.abs().sum(1, keepdim=True))), flat, (), ("a",)),
    Declared("constant added", between(lambda h: torch.relu(h) + 1), flat, ()),
    Declared("maximum", between(lambda h: torch.maximum(h, 0.5 * h)), flat, ("a",)),
    Declared("maximum over nodes", between(lambda h: h - h.amax(1, keepdim=True)), flat, ()),
    Declared("zeros beside", between(lambda h: F.pad(h, (1, 1))[:, 1:-1]), flat, ("a",), ("a",)),
    Declared(
        "ones beside", between(lambda h: F.pad(h, (1, 1), value=1.0)[:, 1:-1]), flat, (), all_of_them=False
    ),
    Declared("gelu", between(F.gelu), flat, ()),
    Declared("silu", between(F.silu), flat, ()),
    Declared("elu", between(F.elu), flat, ()),
    Declared("softmax", between(lambda h: h.softmax(1)), flat, ()),
    Declared("sigmoid gate", between(lambda h: h * torch.sigmoid(h)), flat, ()),
    Declared("cast", between(lambda h: h.to(torch.int32).double()), flat, (), all_of_them=False),
    Declared(
        "layer norm",
        lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 2)),
        flat,
        (),
    ),
    Declared(
        "layer norm, no activation",
        lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)),
        flat,
        (),
        all_of_them=False,
    ),
    Declared("gru", lambda: Call(lambda s, x: s.h(s.r(x)[0]), r=nn.GRU(3, 4), h=nn.Linear(4, 2)), tokens, ()),
]


@cache
def make(declared: Declared) -> tuple[NeuralGraph, Tensor]:
    """The graph of a network, and inputs. Shared between tests: do not write into it."""
    torch.manual_seed(1)
    module, inputs = scramble(declared.build()).double().eval(), declared.inputs()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    return to_graph(module, inputs), inputs
