"""Small networks, one per way in which channels can be tied together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Case:
    """A network, an input, and what its graph should look like.

    `hidden` are the sizes of the groups that may be cut. `exact`: no norm mixes channels of different nodes,
    so cutting equals masking.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Any
    hidden: tuple[int, ...]
    exact: bool = True
    product: str = "outer"

    def make(self) -> tuple[nn.Module, tuple[Any, ...]]:
        torch.manual_seed(0)
        module = scramble(self.build())
        inputs = self.inputs() if callable(self.inputs) else self.inputs
        return module.eval(), inputs if isinstance(inputs, tuple) else (inputs,)


def scramble(module: nn.Module) -> nn.Module:
    """Norms that were never trained are too regular to test with."""
    for m in module.modules():
        for name in ("weight", "running_var"):
            if "Norm" in type(m).__name__ and getattr(m, name, None) is not None:
                getattr(m, name).data.uniform_(0.5, 1.5)
        for name in ("bias", "running_mean"):
            if "Norm" in type(m).__name__ and getattr(m, name, None) is not None:
                getattr(m, name).data.normal_()
    return module


class Call(nn.Module):
    """A forward function over named children."""

    def __init__(self, function: Callable[..., Any], **children: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def image(channels: int = 3, size: int = 8) -> Callable[[], Tensor]:
    return lambda: torch.randn(2, channels, size, size)


def conv(a: int, b: int, kernel: int = 3, **kwargs: Any) -> nn.Conv2d:
    return nn.Conv2d(a, b, kernel, **kwargs)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 3))


def flatten() -> nn.Module:
    return nn.Sequential(
        conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 9, 5)
    )


def residual() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.norm(s.stem(x))
        return s.head(F.relu(h + s.up(F.relu(s.down(h)))).mean((2, 3)))

    return Call(
        forward,
        stem=conv(3, 8, padding=1),
        norm=nn.BatchNorm2d(8),
        down=conv(8, 12, padding=1),
        up=conv(12, 8, 1),
        head=nn.Linear(8, 4),
    )


def padded_shortcut() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.a(x)
        return s.head((F.pad(h[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)) + s.b(h)).mean((2, 3)))

    return Call(forward, a=conv(3, 4, padding=1), b=conv(4, 8, stride=2, padding=1), head=nn.Linear(8, 3))


def concat() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        return s.head(s.norm(s.c(torch.cat([s.a(x), s.b(x)], 1))).flatten(1))

    return Call(
        forward, a=conv(3, 8), b=conv(3, 4), c=conv(12, 6), norm=nn.BatchNorm2d(6), head=nn.Linear(96, 4)
    )


def dense_block() -> nn.Module:
    """Every layer reads the concatenation of all before it."""

    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.a(x)
        h = torch.cat([h, F.relu(s.b(s.n1(h)))], 1)
        h = torch.cat([h, F.relu(s.c(s.n2(h)))], 1)
        return s.head(h.mean((2, 3)))

    return Call(
        forward,
        a=conv(3, 8, padding=1),
        b=conv(8, 4, padding=1),
        c=conv(12, 4, padding=1),
        n1=nn.BatchNorm2d(8),
        n2=nn.BatchNorm2d(12),
        head=nn.Linear(16, 3),
    )


def chunked() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        left, right = s.a(x).chunk(2, 1)
        return s.head((s.c(left) + s.d(right)).flatten(1))

    return Call(forward, a=conv(3, 8), c=conv(4, 6), d=conv(4, 6), head=nn.Linear(96, 4))


def uneven_split() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        left, right = s.a(x).split([2, 6], 1)
        return s.head(torch.cat([s.c(right), left], 1).mean((2, 3)))

    return Call(forward, a=conv(3, 8), c=conv(6, 4, padding=1), head=nn.Linear(6, 3))


def gated() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 12), nn.GLU(), nn.Linear(6, 3))


def depthwise() -> nn.Module:
    return nn.Sequential(
        conv(3, 8, 1),
        conv(8, 8, groups=8, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU6(),
        conv(8, 5, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 2),
    )


def depth_multiplier() -> nn.Module:
    return nn.Sequential(conv(3, 4, 1), conv(4, 12, groups=4), nn.ReLU(), conv(12, 2, 1))


def grouped() -> nn.Module:
    return nn.Sequential(
        conv(3, 16, 1),
        conv(16, 24, groups=4, padding=1),
        nn.ReLU(),
        conv(24, 5, 1),
        nn.Flatten(),
        nn.Linear(320, 2),
    )


def group_norm() -> nn.Module:
    return nn.Sequential(conv(3, 16, 1), nn.GroupNorm(4, 16), nn.ReLU(), conv(16, 2, 1))


def transposed() -> nn.Module:
    return nn.Sequential(
        conv(3, 8, 1), nn.ConvTranspose2d(8, 6, 3, stride=2), nn.BatchNorm2d(6), nn.PReLU(6), conv(6, 2, 1)
    )


def transposed_groups() -> nn.Module:
    return nn.Sequential(
        conv(3, 16, 1), nn.ConvTranspose2d(16, 24, 3, groups=4, stride=2), nn.ReLU(), conv(24, 2, 1)
    )


def one_dimensional() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 8, 3, dilation=2),
        nn.InstanceNorm1d(8, affine=True, track_running_stats=True),
        nn.ReLU(),
        nn.Conv1d(8, 4, 3, stride=2),
        nn.BatchNorm1d(4),
        nn.AvgPool1d(2),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


def three_dimensional() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(3, 8, 3), nn.BatchNorm3d(8), nn.ReLU(), nn.Conv3d(8, 4, 1), nn.Flatten(), nn.Linear(32, 2)
    )


def squeeze_excite() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        h = F.relu(s.a(x))
        gate = torch.sigmoid(s.up(F.relu(s.down(h.mean((2, 3), keepdim=True)))))
        return s.head((h * gate).mean((2, 3)))

    return Call(forward, a=conv(3, 8), down=conv(8, 4, 1), up=conv(4, 8, 1), head=nn.Linear(8, 4))


def tied_embedding() -> nn.Module:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(11, 16), nn.Embedding(5, 16)
            self.norm = nn.LayerNorm(16)
            self.head = nn.Linear(16, 11, bias=False)
            self.head.weight = self.words.weight

        def forward(self, words: Tensor) -> Tensor:
            out: Tensor = self.head(self.norm(self.words(words) + self.places.weight))
            return out

    return Tied()


def reused() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        return s.head(F.relu(s.loop(F.relu(s.loop(F.relu(s.stem(x)))))))

    return Call(forward, stem=nn.Linear(3, 8), loop=nn.Linear(8, 8), head=nn.Linear(8, 2))


def attention(weights: bool) -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.stem(x)
        return s.head(s.mix(h, h, h, need_weights=weights)[0].mean(1))

    return Call(
        forward,
        stem=nn.Linear(3, 16),
        mix=nn.MultiheadAttention(16, 4, batch_first=True),
        head=nn.Linear(16, 2),
    )


def encoder() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 16),
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True),
        nn.Linear(16, 2),
    )


def vision_transformer() -> nn.Module:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out, self.heads = nn.Linear(16, 48), nn.Linear(16, 16), 4

        def forward(self, x: Tensor) -> Tensor:
            b, n, _ = x.shape
            q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            weights = (q @ k.transpose(-2, -1) * 0.5).softmax(-1)
            out: Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
            return out

    class Vision(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = conv(3, 16, 4, stride=4)
            self.token, self.place = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 5, 16))
            self.norm, self.mix, self.scale = nn.LayerNorm(16), Attention(), nn.Parameter(torch.randn(16))
            self.up, self.down, self.head = nn.Linear(16, 32), nn.Linear(32, 16), nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.patch(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
            x = x + self.scale * self.mix(self.norm(x))
            x = x + self.down(F.gelu(self.up(x)))
            out: Tensor = self.head(x[:, 0])
            return out

    return Vision()


def leftovers() -> nn.Module:
    """Unused parameters, buffers of both kinds, scalars, and a tensor constant made in the forward."""

    class Leftovers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.unused, self.head = nn.Linear(3, 8), nn.Linear(4, 4), nn.Linear(8, 2)
            self.temperature = nn.Parameter(torch.tensor(0.7))
            self.register_buffer("scale", torch.rand(8))
            self.register_buffer("secret", torch.rand(8), persistent=False)
            self.register_buffer("steps", torch.tensor(12345678901))

        def forward(self, x: Tensor) -> Tensor:
            h = self.stem(x) * self.scale + self.secret
            out: Tensor = self.head(h) * self.temperature + torch.tensor([1.0, 2.0])
            return out

    return Leftovers()


def pixel_shuffle() -> nn.Module:
    return nn.Sequential(conv(3, 16), nn.PixelShuffle(2), conv(4, 3, 1))


def channel_shuffle() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.a(x)
        b, c, height, width = h.shape
        h = h.view(b, 2, c // 2, height, width).transpose(1, 2).reshape(b, c, height, width)
        return s.head(s.b(h).mean((2, 3)))

    return Call(forward, a=conv(3, 8), b=conv(8, 6, 1), head=nn.Linear(6, 3))


def single_channels() -> nn.Module:
    return nn.Sequential(conv(1, 8), nn.ReLU(), conv(8, 1, 1), nn.BatchNorm2d(1), conv(1, 2, 1))


def two_inputs() -> nn.Module:
    def forward(s: Any, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        h = F.relu(s.a(x) + s.b(y))
        return {"sum": s.head(h), "hidden": s.tail(h)}

    return Call(forward, a=nn.Linear(3, 8), b=nn.Linear(5, 8), head=nn.Linear(8, 2), tail=nn.Linear(8, 4))


def matrix_products() -> nn.Module:
    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.randn(3, 8)), nn.Parameter(torch.randn(6, 8))
            self.bias, self.c = nn.Parameter(torch.randn(6)), nn.Parameter(torch.randn(6, 2))

        def forward(self, x: Tensor) -> Tensor:
            h = torch.addmm(self.bias, F.relu(x @ self.a), self.b.t())
            return torch.einsum("bi,io->bo", F.relu(h), self.c)

    return Products()


def recurrent(kind: type[nn.RNNBase], **kwargs: Any) -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        out = s.mix(torch.relu(s.stem(x)))[0]
        return s.head(out)

    width = kwargs.get("proj_size", 5) * (2 if kwargs.get("bidirectional") else 1)
    return Call(
        forward, stem=nn.Linear(3, 6), mix=kind(6, 5, batch_first=True, **kwargs), head=nn.Linear(width, 2)
    )


def last_state() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        _, (h, c) = s.mix(x)
        return s.head(torch.cat([h[-1], c[-1]], -1))

    return Call(forward, mix=nn.LSTM(3, 5, num_layers=2), head=nn.Linear(10, 2))


def tokens() -> Tensor:
    return torch.randn(2, 5, 3)


CASES = [
    Case("mlp", mlp, lambda: torch.randn(5, 4), (8, 6)),
    Case("flatten", flatten, image(), (8,)),
    Case("batch of one", flatten, lambda: torch.randn(1, 3, 8, 8), (8,)),
    Case("residual", residual, image(), (8, 12)),
    Case("padded shortcut", padded_shortcut, image(), (4, 4)),
    Case("concat", concat, image(), (8, 4, 6)),
    Case("dense block", dense_block, image(), (8, 4, 4)),
    Case("chunk", chunked, image(), (4, 4, 6)),
    Case("split", uneven_split, image(), (2, 6, 4)),
    Case("glu", gated, lambda: torch.randn(5, 4), (6,)),
    Case("depthwise", depthwise, image(), (8, 5)),
    Case("depth multiplier", depth_multiplier, image(), (4,)),
    Case("grouped", grouped, image(), (4, 5)),
    Case("grouped, inner", grouped, image(), (4, 6, 5), product="inner"),
    Case("group norm", group_norm, image(), (4,)),
    Case("group norm, inner", group_norm, image(), (4,), exact=False, product="inner"),
    Case("transposed", transposed, image(), (8, 6)),
    Case("transposed, grouped", transposed_groups, image(), (4,)),
    Case("transposed, grouped, inner", transposed_groups, image(), (4, 6), product="inner"),
    Case("1-D", one_dimensional, lambda: torch.randn(2, 3, 16), (8, 4)),
    Case("3-D", three_dimensional, lambda: torch.randn(2, 3, 4, 4, 4), (8, 4)),
    Case("squeeze-excite", squeeze_excite, image(), (8, 4)),
    Case("tied embedding", tied_embedding, lambda: torch.randint(0, 11, (2, 5)), (16,), exact=False),
    Case("reused module", reused, lambda: torch.randn(2, 3), (8,)),
    Case("attention", lambda: attention(False), tokens, (16, 4, 16)),
    Case("attention, weights asked for", lambda: attention(True), tokens, (16, 4, 16)),
    Case("attention, inner", lambda: attention(False), tokens, (16, 4, 16), product="inner"),
    Case("encoder", encoder, tokens, (16, 4, 32, 4, 32), exact=False),
    Case("encoder, inner", encoder, tokens, (16, 4, 32, 4, 32), exact=False, product="inner"),
    Case("vision transformer", vision_transformer, image(), (16, 4, 32), exact=False),
    Case("vision transformer, inner", vision_transformer, image(), (16, 4, 32), exact=False, product="inner"),
    Case("lstm", lambda: recurrent(nn.LSTM), tokens, (6, 5)),
    Case(
        "lstm, two layers, two ways",
        lambda: recurrent(nn.LSTM, num_layers=2, bidirectional=True),
        tokens,
        (6, 5),
    ),
    Case("lstm, projected", lambda: recurrent(nn.LSTM, num_layers=2, proj_size=4), tokens, (6,)),
    Case("lstm, last state", last_state, tokens, (5,)),
    Case("gru", lambda: recurrent(nn.GRU, num_layers=2, bidirectional=True, dropout=0.1), tokens, (6, 5)),
    Case("rnn", lambda: recurrent(nn.RNN, bias=False), tokens, (6, 5)),
    Case("leftovers", leftovers, lambda: torch.randn(2, 3), (8,)),
    Case("pixel shuffle", pixel_shuffle, image(), (4,)),
    Case("channel shuffle", channel_shuffle, image(), (4, 6)),
    Case("single channels", single_channels, image(1), (8, 1)),
    Case("two inputs, dict output", two_inputs, lambda: (torch.randn(2, 3), torch.randn(2, 5)), (8,)),
    Case("matrix products", matrix_products, lambda: torch.randn(4, 3), (8, 6)),
]
