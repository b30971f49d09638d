"""More small networks: reparametrised weights, attention in its many spellings, experts, nested inputs."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils import _pytree as pytree

from tests.convert.cases import Call, Case, conv, image, tokens

# Weights that are computed from parameters.


def weight_norm() -> nn.Module:
    wrap = parametrizations.weight_norm
    return nn.Sequential(
        wrap(conv(3, 8)), nn.ReLU(), wrap(conv(8, 6, 1)), nn.Flatten(), wrap(nn.Linear(6 * 36, 2))
    )


def spectral_norm() -> nn.Module:
    wrap = parametrizations.spectral_norm
    return nn.Sequential(
        wrap(conv(3, 8)), nn.ReLU(), wrap(conv(8, 6, 1)), nn.Flatten(), wrap(nn.Linear(6 * 36, 2))
    )


def standardised() -> nn.Module:
    class Standardised(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            mean = self.weight.mean((1, 2, 3), keepdim=True)
            spread = self.weight.std((1, 2, 3), keepdim=True)
            return self._conv_forward(x, (self.weight - mean) / (spread + 1e-5), self.bias)

    return nn.Sequential(Standardised(3, 8, 3), nn.ReLU(), Standardised(8, 6, 3), nn.ReLU(), conv(6, 2, 1))


# Channels that are moved to space and back, or among one another.


def pixel_unshuffle() -> nn.Module:
    return nn.Sequential(
        conv(3, 4, padding=1), nn.PixelUnshuffle(2), conv(16, 5, 1), nn.ReLU(), nn.Flatten(), nn.Linear(80, 2)
    )


def super_resolution() -> nn.Module:
    return nn.Sequential(conv(3, 8, padding=1), nn.ReLU(), conv(8, 24, 1), nn.PixelShuffle(2), conv(6, 3, 1))


def to_output() -> nn.Module:
    return nn.Sequential(conv(3, 8, padding=1), nn.ReLU(), conv(8, 12, 1), nn.PixelShuffle(2))


def shuffle_unit(native: bool) -> nn.Module:
    """ShuffleNet: grouped, shuffled, depthwise, grouped."""

    def forward(s: Any, x: Tensor) -> Tensor:
        h = F.relu(s.a(s.stem(x)))
        b, c, height, width = h.shape
        if native:
            h = F.channel_shuffle(h, 2)
        else:
            h = h.view(b, 2, c // 2, height, width).transpose(1, 2).reshape(b, c, height, width)
        return s.head(s.b(s.depth(h)).mean((2, 3)))

    return Call(
        forward,
        stem=conv(3, 6, 1),
        a=conv(6, 12, 1, groups=2),
        depth=conv(12, 12, padding=1, groups=12),
        b=conv(12, 8, 1),
        head=nn.Linear(8, 3),
    )


def shuffled_halves() -> nn.Module:
    """ShuffleNet V2: one half is computed, the other passes, and the two are interleaved."""

    def forward(s: Any, x: Tensor) -> Tensor:
        left, right = s.stem(x).chunk(2, 1)
        h = torch.cat([left, F.relu(s.a(right))], 1)
        b, c, height, width = h.shape
        h = h.view(b, 2, c // 2, height, width).transpose(1, 2).reshape(b, c, height, width)
        return s.head(h.mean((2, 3)))

    return Call(forward, stem=conv(3, 8, 1), a=conv(4, 4, 1), head=nn.Linear(8, 3))


def windows_as_columns() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        columns = F.unfold(s.a(x), 2, stride=2)
        return s.c(F.fold(F.relu(s.b(columns)), (8, 8), 2, stride=2))

    return Call(forward, a=conv(3, 6, 1), b=nn.Conv1d(24, 20, 1), c=conv(5, 2, 1))


def several_resolutions() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        fine = F.relu(s.a(x))
        coarse = F.relu(s.b(F.max_pool2d(fine, 2)))
        parts = [fine.flatten(1), F.adaptive_avg_pool2d(fine, 2).flatten(1), coarse.flatten(1)]
        return s.head(F.relu(s.mix(torch.cat(parts, 1))))

    return Call(
        forward, a=conv(3, 5), b=conv(5, 4), mix=nn.Linear(5 * 36 + 5 * 4 + 4, 7), head=nn.Linear(7, 2)
    )


def u_net() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        top = F.relu(s.n(s.a(x)))
        low = F.relu(s.b(F.max_pool2d(top, 2)))
        return s.head(F.relu(s.c(torch.cat([s.up(low), top], 1))))

    return Call(
        forward,
        a=conv(3, 6, padding=1),
        n=nn.BatchNorm2d(6),
        b=conv(6, 10, padding=1),
        up=nn.ConvTranspose2d(10, 4, 2, stride=2),
        c=conv(10, 5, padding=1),
        head=conv(5, 2, 1),
    )


def transposed_depthwise() -> nn.Module:
    return nn.Sequential(
        conv(3, 6, 1),
        nn.ConvTranspose2d(6, 6, 3, stride=2, padding=1, output_padding=1, groups=6),
        nn.ReLU(),
        conv(6, 2, 1),
    )


def grouped_bottleneck() -> nn.Module:
    """ResNeXt."""

    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.stem(x)
        inside = F.relu(s.n2(s.b(F.relu(s.n1(s.a(h))))))
        return s.head(F.relu(h + s.c(inside)).mean((2, 3)))

    return Call(
        forward,
        stem=conv(3, 10, 1),
        a=conv(10, 12, 1),
        n1=nn.BatchNorm2d(12),
        b=conv(12, 12, padding=1, groups=4),
        n2=nn.BatchNorm2d(12),
        c=conv(12, 10, 1),
        head=nn.Linear(10, 2),
    )


# Attention.


class Attend(nn.Module):
    """Self-attention on a residual stream of ten channels, in the spelling asked for."""

    def __init__(
        self,
        *,
        heads: int = 3,
        shared: int | None = None,
        dim: int = 4,
        packing: str = "separate",
        copies: str = "expand",
        rotary: str | None = None,
        turned: int | None = None,
        tables: str = "buffer",
        norm: type[nn.Module] | None = None,
        core: str = "matmul",
        mask: str | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.shared, self.dim = heads, shared or heads, dim
        self.packing, self.copies, self.rotary, self.tables = packing, copies, rotary, tables
        self.core, self.mask, self.turned = core, mask, turned or dim
        self.stem, self.head = nn.Linear(3, 10), nn.Linear(10, 2)
        if packing == "separate":
            self.q = nn.Linear(10, heads * dim)
            self.k, self.v = nn.Linear(10, self.shared * dim), nn.Linear(10, self.shared * dim)
        else:
            self.qkv = nn.Linear(10, 3 * heads * dim, bias=False)
        self.out = nn.Linear(heads * dim, 10)
        self.nq, self.nk = (norm(dim), norm(dim)) if norm is not None else (nn.Identity(), nn.Identity())
        if tables == "buffer":
            self.register_buffer(
                "inv_freq", 1 / 10 ** (torch.arange(0, self.turned, 2) / self.turned), persistent=False
            )
        if mask == "buffer":
            self.register_buffer("causal", torch.ones(5, 5).tril().bool()[None, None])

    def split(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values `(batch, heads, tokens, dim)`."""
        b, n, _ = h.shape
        match self.packing:
            case "separate":
                parts = [self.q(h), self.k(h), self.v(h)]
                return tuple(p.view(b, n, -1, self.dim).transpose(1, 2) for p in parts)  # type: ignore[return-value]
            case "parts, heads, dim":
                q, k, v = self.qkv(h).view(b, n, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4)
            case "heads, parts, dim":
                q, k, v = self.qkv(h).view(b, n, self.heads, 3, self.dim).permute(3, 0, 2, 1, 4).unbind(0)
            case "heads, dim, parts":
                q, k, v = self.qkv(h).view(b, n, self.heads, self.dim, 3).permute(4, 0, 2, 1, 3).unbind(0)
            case "heads, then chunk":
                q, k, v = self.qkv(h).view(b, n, self.heads, 3 * self.dim).transpose(1, 2).chunk(3, -1)
            case _:
                parts = self.qkv(h).chunk(3, -1)
                return tuple(p.view(b, n, self.heads, self.dim).transpose(1, 2) for p in parts)  # type: ignore[return-value]
        return q, k, v

    def waves(self, n: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines `(tokens, half the turned entries)`."""
        if self.tables == "buffer":
            frequency = self.inv_freq
        else:
            frequency = 1 / 10 ** (torch.arange(0, self.turned, 2).float() / self.turned)
        angles = torch.outer(torch.arange(n).float(), frequency)
        return angles.cos(), angles.sin()

    def turn(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        if self.rotary == "half":
            cos, sin = torch.cat([cos, cos], -1), torch.cat([sin, sin], -1)
            first, second = x.chunk(2, -1)
            return x * cos + torch.cat([-second, first], -1) * sin
        if self.rotary == "interleaved":
            first, second = x[..., ::2], x[..., 1::2]
            return torch.stack([first * cos - second * sin, first * sin + second * cos], -1).flatten(-2)
        first, second = x[..., : self.turned // 2], x[..., self.turned // 2 : self.turned]
        turned = [first * cos - second * sin, second * cos + first * sin]
        return torch.cat([*turned, x[..., self.turned :]], -1)

    def forward(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h = self.stem(x)
        b, n, _ = h.shape
        q, k, v = self.split(h)
        q, k = self.nq(q), self.nk(k)
        if self.rotary:
            cos, sin = self.waves(n)
            q, k = self.turn(q, cos, sin), self.turn(k, cos, sin)
        if self.shared not in (1, self.heads) and self.copies != "sdpa":
            times = self.heads // self.shared
            if self.copies == "expand":
                k, v = (
                    t[:, :, None].expand(b, self.shared, times, n, self.dim).reshape(b, -1, n, self.dim)
                    for t in (k, v)
                )
            else:
                k, v = k.repeat_interleave(times, 1), v.repeat_interleave(times, 1)
        mixed = self.mix(q, k, v, given).transpose(1, 2)
        out: Tensor = self.head(h + self.out(mixed.reshape(b, n, self.heads * self.dim)))
        return out

    def mix(self, q: Tensor, k: Tensor, v: Tensor, given: Tensor | None) -> Tensor:
        mask = self.causal if self.mask == "buffer" else given
        if self.core == "sdpa":
            own = self.copies == "sdpa"
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=self.mask == "causal", enable_gqa=own
            )
        if self.core == "einsum":
            weights = torch.einsum("bhqd,bhkd->bhqk", q, k).mul(0.5).softmax(-1)
            return torch.einsum("bhqk,bhkd->bhqd", weights, v)
        scores = q @ k.transpose(-2, -1) / 2
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(-1) @ v


def attend(name: str, outer: tuple[int, ...], inner: tuple[int, ...], **options: Any) -> list[Case]:
    """Both products of one spelling; norms of heads do not mix heads, but mix the dimensions of a head."""
    exact = options.get("norm") is None
    return [
        Case(f"attention, {name}", lambda: Attend(**options), tokens, outer),
        Case(f"attention, {name}, inner", lambda: Attend(**options), tokens, inner, exact, "inner"),
    ]


def masked_attention() -> list[Case]:
    def given() -> tuple[Tensor, Tensor]:
        return tokens(), torch.randn(2, 1, 5, 5)

    return [
        Case("attention, a mask is given", lambda: Attend(core="sdpa"), given, (10, 3)),
        Case(
            "attention, a mask is given, inner", lambda: Attend(core="sdpa"), given, (10, 4, 4), True, "inner"
        ),
    ]


def cross_attention() -> nn.Module:
    def forward(s: Any, x: Tensor, y: Tensor) -> Tensor:
        h, memory = s.stem(x), s.other(y)
        return s.head(h + s.mix(h, memory, memory, need_weights=False)[0])

    return Call(
        forward,
        stem=nn.Linear(3, 12),
        other=nn.Linear(4, 10),
        mix=nn.MultiheadAttention(12, 3, kdim=10, vdim=10, batch_first=True),
        head=nn.Linear(12, 2),
    )


def linear_attention() -> nn.Module:
    """Keys meet values first: no matrix of scores, and no tie between dimensions of keys and of values."""

    def forward(s: Any, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = (f(x).view(b, n, 3, 4).transpose(1, 2) for f in (s.q, s.k, s.v))
        q, k = F.elu(q) + 1, F.elu(k) + 1
        mixed = q @ (k.transpose(-2, -1) @ v)
        return s.out(mixed.transpose(1, 2).flatten(2))

    return Call(forward, q=nn.Linear(3, 12), k=nn.Linear(3, 12), v=nn.Linear(3, 12), out=nn.Linear(12, 2))


def windowed_attention() -> nn.Module:
    """Swin: a rolled map, cut into windows, with a table of biases by relative position."""

    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads, self.side = 3, 2
            self.stem, self.norm, self.head = conv(3, 12, 1), nn.LayerNorm(12), nn.Linear(12, 2)
            self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)
            self.up, self.down = nn.Linear(12, 20), nn.Linear(20, 12)
            self.bias = nn.Parameter(torch.randn(9, 3))
            places = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
            apart = (places[:, :, None] - places[:, None]).permute(1, 2, 0) + 1
            self.register_buffer("apart", (apart[..., 0] * 3 + apart[..., 1]).flatten())

        def forward(self, x: Tensor) -> Tensor:
            h = self.stem(x).permute(0, 2, 3, 1)
            b, height, width, c = h.shape
            w = self.side
            rolled = torch.roll(self.norm(h), (-1, -1), (1, 2))
            rolled = rolled.view(b, height // w, w, width // w, w, c).transpose(2, 3).reshape(-1, w * w, c)
            q, k, v = self.qkv(rolled).reshape(-1, w * w, 3, self.heads, 4).permute(2, 0, 3, 1, 4)
            scores = q @ k.transpose(-2, -1) / 2
            bias = self.bias[self.apart].view(w * w, w * w, self.heads).permute(2, 0, 1)
            mixed = ((scores + bias[None]).softmax(-1) @ v).transpose(1, 2).reshape(-1, w * w, c)
            back = self.out(mixed).view(b, height // w, width // w, w, w, c).transpose(2, 3)
            h = h + torch.roll(back.reshape(b, height, width, c), (1, 1), (1, 2))
            h = h + self.down(F.gelu(self.up(h)))
            out: Tensor = self.head(h.mean((1, 2)))
            return out

    return Windows()


# Gates, scales and experts.


def layer_scale() -> nn.Module:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.a, self.b = conv(3, 8, 1), conv(8, 6, padding=1), conv(6, 8, 1)
            self.scale, self.head = nn.Parameter(torch.rand(8, 1, 1)), conv(8, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            h = self.stem(x)
            out: Tensor = self.head(h + self.scale * self.b(F.relu(self.a(h))))
            return out

    return Scaled()


def stochastic_depth() -> nn.Module:
    class Drop(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                return x
            return x * torch.empty(len(x), 1, 1, 1).bernoulli_(0.9) / 0.9

    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.stem(x)
        return s.head(h + s.drop(s.b(F.relu(s.a(h)))))

    return Call(
        forward, stem=conv(3, 8, 1), a=conv(8, 6, padding=1), b=conv(6, 8, 1), drop=Drop(), head=conv(8, 2, 1)
    )


def swiglu() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        h = s.stem(x)
        gate, up = s.pair(s.norm(h)).chunk(2, -1)
        return s.head(h + s.down(F.silu(gate) * up))

    return Call(
        forward,
        stem=nn.Linear(3, 10),
        norm=nn.RMSNorm(10),
        pair=nn.Linear(10, 24),
        down=nn.Linear(12, 10),
        head=nn.Linear(10, 2),
    )


class Experts(nn.Module):
    """Four experts with stacked weights `(experts, in, out)`."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.stem, self.gate, self.head = nn.Linear(3, 10), nn.Linear(10, 4), nn.Linear(10, 2)
        self.up, self.down = nn.Parameter(torch.randn(4, 10, 6)), nn.Parameter(torch.randn(4, 6, 10))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        gates = self.gate(h).softmax(-1)
        if self.way == "einsum":
            inside = torch.relu(torch.einsum("bi,eio->beo", h, self.up))
            mixed = torch.einsum("be,beo,eoj->bj", gates, inside, self.down)
        elif self.way == "bmm":
            inside = torch.relu(torch.bmm(h.expand(4, *h.shape), self.up))
            mixed = (torch.bmm(inside, self.down) * gates.t()[..., None]).sum(0)
        else:
            best = gates.argmax(-1)
            inside = torch.relu(torch.bmm(h[:, None], self.up[best]))
            mixed = torch.bmm(inside, self.down[best])[:, 0] * gates.gather(-1, best[:, None])
        out: Tensor = self.head(h + mixed)
        return out


# Nested inputs and outputs.


@dataclass
class Prediction:
    """An output of a class of its own."""

    logits: Tensor
    hidden: Tensor


pytree.register_dataclass(Prediction, serialized_type_name="tests.Prediction")


def named_output() -> nn.Module:
    def forward(s: Any, x: Tensor) -> Prediction:
        h = F.relu(s.a(x))
        return Prediction(s.b(h), s.c(h))

    return Call(forward, a=nn.Linear(3, 8), b=nn.Linear(8, 2), c=nn.Linear(8, 4))


def named_inputs() -> nn.Module:
    def forward(s: Any, batch: dict[str, Tensor], scale: Tensor) -> dict[str, Any]:
        h = F.relu(s.a(batch["x"]) * scale + s.b(batch["y"]))
        return {"first": (s.c(h), s.d(h)), "rest": [s.c(h * 2)]}

    return Call(forward, a=nn.Linear(3, 8), b=nn.Linear(5, 8), c=nn.Linear(8, 2), d=nn.Linear(8, 4))


def language_model() -> nn.Module:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.Embedding(11, 10), nn.Linear(10, 11, bias=False)
            self.up, self.down = nn.Linear(10, 16), nn.Linear(16, 10)
            self.head.weight = self.words.weight

        def forward(self, words: Tensor) -> Tensor:
            h = self.words(words)
            out: Tensor = self.head(h + self.down(F.gelu(self.up(h))))
            return out

    return Model()


def recurrent_stack(kind: type[nn.RNNBase]) -> nn.Module:
    def forward(s: Any, x: Tensor) -> Tensor:
        return s.head(s.second(torch.tanh(s.first(s.stem(x))[0]))[0])

    return Call(
        forward,
        stem=nn.Linear(3, 7),
        first=kind(7, 5, num_layers=3, bidirectional=True, batch_first=True),
        second=kind(10, 4, bidirectional=True, batch_first=True),
        head=nn.Linear(8, 2),
    )


def learned_states(kind: type[nn.RNNBase]) -> nn.Module:
    """Layers have places in the states that are not those of channels."""

    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = kind(3, 5, num_layers=2, bidirectional=True, batch_first=True)
            self.h, self.c = nn.Parameter(torch.randn(4, 1, 5)), nn.Parameter(torch.randn(4, 1, 5))
            self.head = nn.Linear(10, 2)

        def forward(self, x: Tensor) -> Tensor:
            h, c = (s.expand(-1, len(x), -1).contiguous() for s in (self.h, self.c))
            states: Any = (h, c) if kind is nn.LSTM else h + c
            out, ends = self.mix(x, states)
            ends = ends[0] if kind is nn.LSTM else ends
            return self.head(out) + ends.sum((0, 2)).view(-1, 1, 1)

    return Learned()


def channels_as_steps() -> nn.Module:
    """What runs along the steps of a recurrent layer is in an order."""

    def forward(s: Any, x: Tensor) -> Tensor:
        return s.head(s.mix(s.stem(x).transpose(1, 2))[0][:, -1])

    return Call(forward, stem=nn.Linear(3, 6), mix=nn.GRU(5, 4, batch_first=True), head=nn.Linear(4, 2))


NORM_OVER_INPUTS = (
    False  # a norm of a weight's rows: a dropped row has no direction, so masking gives no number
)

OPERATOR_CASES = [
    Case("weight norm", weight_norm, image(), (8, 6), exact=NORM_OVER_INPUTS),
    Case("spectral norm", spectral_norm, image(), (8, 6)),
    Case("standardised weights", standardised, image(), (8, 6), exact=False),
    Case("pixel unshuffle", pixel_unshuffle, image(), (4, 5)),
    Case("super-resolution", super_resolution, image(), (8, 6)),
    Case("pixel shuffle to the output", to_output, image(), (8,)),
    Case("shuffle unit", lambda: shuffle_unit(False), image(), (2, 8)),
    Case("shuffle unit, inner", lambda: shuffle_unit(False), image(), (3, 6, 8), product="inner"),
    Case("shuffle unit, native", lambda: shuffle_unit(True), image(), (2, 8)),
    Case("shuffle unit, native, inner", lambda: shuffle_unit(True), image(), (3, 6, 8), product="inner"),
    Case("shuffled halves", shuffled_halves, image(), (4, 4)),
    Case("unfold, fold", windows_as_columns, image(), (6, 5)),
    Case("several resolutions", several_resolutions, image(), (5, 4, 7)),
    Case("u-net", u_net, image(), (6, 10, 4, 5)),
    Case("transposed, depthwise", transposed_depthwise, image(), (6,)),
    Case("grouped bottleneck", grouped_bottleneck, image(), (10, 4)),
    Case("grouped bottleneck, inner", grouped_bottleneck, image(), (10, 3, 3), product="inner"),
    *attend("separate", (10, 3), (10, 4, 4)),
    *attend("3 x heads x dim", (10, 3), (10, 4), packing="parts, heads, dim"),
    *attend("heads x 3 x dim", (10, 3), (10, 4), packing="heads, parts, dim"),
    *attend("heads x dim x 3", (10, 3), (10, 4), packing="heads, dim, parts"),
    *attend("heads x (3 dim)", (10, 3), (10, 4, 4), packing="heads, then chunk"),
    *attend("in three chunks", (10, 3), (10, 4, 4), packing="chunk"),
    *attend("einsum", (10, 3), (10, 4, 4), core="einsum"),
    *attend("sdpa", (10, 3), (10, 4, 4), core="sdpa"),
    *attend("sdpa, causal", (10, 3), (10, 4, 4), core="sdpa", mask="causal"),
    *attend("sdpa, masked", (10, 3), (10, 4, 4), core="sdpa", mask="buffer"),
    *attend("masked", (10, 3), (10, 4, 4), mask="buffer"),
    *masked_attention(),
    *attend("shared keys, expanded", (10, 2), (10, 4, 4), heads=6, shared=2),
    *attend("shared keys, repeated", (10, 2), (10, 4, 4), heads=6, shared=2, copies="interleave"),
    *attend("shared keys, native", (10, 2), (10, 4, 4), heads=6, shared=2, copies="sdpa", core="sdpa"),
    *attend("one key", (10, 3), (10, 4, 4), shared=1),
    *attend("one key, sdpa", (10, 3), (10, 4, 4), shared=1, core="sdpa"),
    *attend("norm of heads", (10, 3), (10, 4, 4), norm=nn.RMSNorm),
    *attend("layer norm of heads", (10, 3), (10, 4, 4), norm=nn.LayerNorm),
    *attend("rotary", (10, 3), (10, 2, 4), rotary="half"),
    *attend("rotary, interleaved", (10, 3), (10, 2, 4), rotary="interleaved"),
    *attend("rotary, partial", (10, 3), (10, 2, 2, 6), dim=6, rotary="partial", turned=4),
    *attend("rotary, from constants", (10, 3), (10, 4), rotary="half", tables="constant"),
    *attend(
        "rotary, shared keys, normed", (10, 2), (10, 2, 4), heads=6, shared=2, rotary="half", norm=nn.RMSNorm
    ),
    Case("cross attention", cross_attention, lambda: (tokens(), torch.randn(2, 6, 4)), (12, 10, 3)),
    Case("linear attention", linear_attention, tokens, (3,)),
    Case("linear attention, inner", linear_attention, tokens, (4, 4), exact=False, product="inner"),
    Case("windowed attention", windowed_attention, image(), (12, 3, 20), exact=False),
    Case("windowed attention, inner", windowed_attention, image(), (12, 4, 20), exact=False, product="inner"),
    Case("layer scale", layer_scale, image(), (8, 6)),
    Case("stochastic depth", stochastic_depth, image(), (8, 6)),
    Case("swiglu", swiglu, tokens, (10, 12), exact=False),
    Case("experts, einsum", lambda: Experts("einsum"), lambda: torch.randn(5, 3), (10, 4, 6), exact=False),
    Case("experts, bmm", lambda: Experts("bmm"), lambda: torch.randn(5, 3), (10, 4, 6), exact=False),
    Case("experts, one each", lambda: Experts("gather"), lambda: torch.randn(5, 3), (10, 6)),
    Case("dataclass output", named_output, lambda: torch.randn(2, 3), (8,)),
    Case(
        "nested inputs and outputs",
        named_inputs,
        lambda: ({"x": torch.randn(2, 3), "y": torch.randn(2, 5)}, torch.randn(2, 1)),
        (8,),
    ),
    Case("language model", language_model, lambda: torch.randint(0, 11, (2, 5)), (10, 16)),
    Case("lstm stack", lambda: recurrent_stack(nn.LSTM), tokens, (7, 5, 4)),
    Case("gru stack", lambda: recurrent_stack(nn.GRU), tokens, (7, 5, 4)),
    Case("lstm, learned states", lambda: learned_states(nn.LSTM), tokens, (5,)),
    Case("gru, learned states", lambda: learned_states(nn.GRU), tokens, (5,)),
    Case("channels as steps", channels_as_steps, tokens, (4,)),
]
