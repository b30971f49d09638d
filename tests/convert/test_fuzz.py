"""Networks drawn at random from the supported operators: exact round trip, permutation, cutting.

A hundred examples as a rule; `NETGRAPH_FUZZ=nightly` draws thousands.
"""

import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph import NodeMask, select, to_graph
from netgraph.errors import ConversionWarning
from netgraph.graph import permute, same_bytes
from tests.convert.cases import scramble

_COMMON: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("ci", max_examples=100, derandomize=True, **_COMMON)
settings.register_profile("nightly", max_examples=2000, **_COMMON)
PROFILE = settings.get_profile(os.environ.get("NETGRAPH_FUZZ", "ci"))

Draw = st.DrawFn
widths = st.sampled_from([2, 4, 6])
activations = st.sampled_from([nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Hardswish, nn.LeakyReLU, nn.ELU])


class Step(nn.Module):
    """A function over named children, for the description of a failing network."""

    def __init__(self, label: str, function: Callable[[Any, Tensor], Tensor], **children: nn.Module) -> None:
        super().__init__()
        self.label, self.function = label, function
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)

    def extra_repr(self) -> str:
        return self.label


# Steps over images `(batch, channels, height, width)` or sequences `(batch, channels, length)`.
# Each takes the width that comes in, and gives the step and the width that goes out.

Made = tuple[nn.Module, int]


class Space:
    """The layers of one or two dimensions."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.conv: Any = [nn.Conv1d, nn.Conv2d][rank - 1]
        self.transposed: Any = [nn.ConvTranspose1d, nn.ConvTranspose2d][rank - 1]
        self.batch_norm: Any = [nn.BatchNorm1d, nn.BatchNorm2d][rank - 1]
        self.instance_norm: Any = [nn.InstanceNorm1d, nn.InstanceNorm2d][rank - 1]
        self.pool: Any = [nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d][rank - 1]
        self.places = tuple(range(2, 2 + rank))


def conv(draw: Draw, s: Space, width: int) -> Made:
    out, kernel = draw(widths), draw(st.sampled_from([1, 3]))
    return s.conv(width, out, kernel, padding=kernel // 2, bias=draw(st.booleans())), out


def grouped(draw: Draw, s: Space, width: int) -> Made:
    out = draw(widths)
    layer = s.transposed if draw(st.booleans()) else s.conv
    return layer(width, out, 3, padding=1, groups=2), out


def depthwise(draw: Draw, s: Space, width: int) -> Made:
    return s.conv(width, width * draw(st.sampled_from([1, 2])), 3, padding=1, groups=width), 0


def transposed(draw: Draw, s: Space, width: int) -> Made:
    out = draw(widths)
    return s.transposed(width, out, 3, padding=1), out


def norm(draw: Draw, s: Space, width: int) -> Made:
    kind = draw(st.sampled_from(["batch", "instance", "none", "group", "layer"]))
    if kind == "batch":
        return s.batch_norm(width), width
    if kind == "instance":
        return s.instance_norm(width, affine=True, track_running_stats=draw(st.booleans())), width
    if kind == "group":
        return nn.GroupNorm(draw(st.sampled_from([1, 2])), width), width
    if kind == "layer":

        def forward(m: Any, x: Tensor) -> Tensor:
            return m.norm(x.movedim(1, -1)).movedim(-1, 1)

        return Step("layer norm", forward, norm=nn.LayerNorm(width)), width
    return nn.Identity(), width


def activation(draw: Draw, s: Space, width: int) -> Made:
    return draw(activations)(), width


def residual(draw: Draw, s: Space, width: int) -> Made:
    inside = draw(widths)
    out = draw(st.sampled_from([width, 4]))
    short = nn.Identity() if out == width else s.conv(width, out, 1)

    def forward(m: Any, x: Tensor) -> Tensor:
        return torch.relu(m.short(x) + m.b(torch.relu(m.a(x))))

    return (
        Step(
            "residual", forward, a=s.conv(width, inside, 3, padding=1), b=s.conv(inside, out, 1), short=short
        ),
        out,
    )


def concat(draw: Draw, s: Space, width: int) -> Made:
    more, first = draw(widths), draw(st.booleans())

    def forward(m: Any, x: Tensor) -> Tensor:
        return torch.cat([m.a(x), x] if first else [x, m.a(x)], 1)

    return Step("concat", forward, a=s.conv(width, more, 1)), width + more


def halves(draw: Draw, s: Space, width: int) -> Made:
    way = draw(st.sampled_from(["product", "swap", "one", "split", "glu"]))

    def forward(m: Any, x: Tensor) -> Tensor:
        if way == "glu":
            return F.glu(x, 1)
        if way == "split":
            a, b = x.split([1, width - 1], 1)
            return torch.cat([m.a(b), a], 1)
        a, b = x.chunk(2, 1)
        if way == "product":
            return torch.sigmoid(a) * b
        return torch.cat([b, torch.relu(a)], 1) if way == "swap" else a + b * 2

    out = {"swap": width, "split": 3}.get(way, width // 2)
    children = {"a": s.conv(width - 1, 2, 1)} if way == "split" else {}
    return Step(f"halves, {way}", forward, **children), out


def gate(draw: Draw, s: Space, width: int) -> Made:
    inside = draw(widths)

    def forward(m: Any, x: Tensor) -> Tensor:
        return x * torch.sigmoid(m.up(torch.relu(m.down(x.mean(s.places, keepdim=True)))))

    return Step("gate", forward, down=s.conv(width, inside, 1), up=s.conv(inside, width, 1)), width


def pad_or_cut(draw: Draw, s: Space, width: int) -> Made:
    way = draw(st.sampled_from(["pad", "first", "last", "middle"]))

    def forward(m: Any, x: Tensor) -> Tensor:
        if way == "pad":
            return F.pad(x, (0, 0) * s.rank + (1, 1)) + m.a(x)
        return {"first": x[:, :2], "last": x[:, -2:], "middle": x[:, 1:-1] if width > 2 else x}[way]

    if way == "pad":
        return Step("pad of channels", forward, a=s.conv(width, width + 2, 1)), width + 2
    children: dict[str, nn.Module] = {}
    out = {"middle": width - 2 if width > 2 else width}.get(way, min(2, width))
    return Step(f"{way} of channels", forward, **children), out


def shuffle(draw: Draw, s: Space, width: int) -> Made:
    if draw(st.booleans()) and s.rank == 2:
        return nn.ChannelShuffle(2), width

    def forward(m: Any, x: Tensor) -> Tensor:
        b, c = x.shape[:2]
        return x.view(b, 2, c // 2, *x.shape[2:]).transpose(1, 2).reshape(b, c, *x.shape[2:])

    return Step("shuffle", forward), width


def to_space(draw: Draw, s: Space, width: int) -> Made:
    if s.rank == 1:
        return s.pool(4), width
    if draw(st.booleans()):
        return nn.Sequential(nn.PixelUnshuffle(2), nn.Upsample(scale_factor=2)), 4 * width
    return nn.Sequential(s.conv(width, 8, 1), nn.PixelShuffle(2), nn.AvgPool2d(2)), 2


def attention(draw: Draw, s: Space, width: int) -> Made:
    """Over places, on a residual stream; two heads of two."""
    packing = draw(st.sampled_from(["3hd", "h3d", "hd3", "chunk", "separate", "module"]))
    fused = draw(st.booleans())

    def forward(m: Any, x: Tensor) -> Tensor:
        h = m.stem(x.flatten(2).transpose(1, 2))
        b, n, _ = h.shape
        if packing == "module":
            mixed = m.mix(h, h, h, need_weights=False)[0]
        else:
            if packing == "3hd":
                q, k, v = m.qkv(h).view(b, n, 3, 2, 3).permute(2, 0, 3, 1, 4)
            elif packing == "h3d":
                q, k, v = m.qkv(h).view(b, n, 2, 3, 3).permute(3, 0, 2, 1, 4).unbind(0)
            elif packing == "hd3":
                q, k, v = m.qkv(h).view(b, n, 2, 3, 3).permute(4, 0, 2, 1, 3).unbind(0)
            else:
                parts = m.qkv(h).chunk(3, -1) if packing == "chunk" else [m.q(h), m.k(h), m.v(h)]
                q, k, v = (p.view(b, n, 2, 3).transpose(1, 2) for p in parts)
            if fused:
                mixed = F.scaled_dot_product_attention(q, k, v)
            else:
                mixed = (q @ k.transpose(-2, -1) * 0.5).softmax(-1) @ v
            mixed = m.out(mixed.transpose(1, 2).reshape(b, n, 6))
        return (h + mixed).transpose(1, 2).unflatten(2, tuple(x.shape[2:]))

    children: dict[str, nn.Module] = {"stem": nn.Linear(width, 6)}
    if packing == "module":
        children["mix"] = nn.MultiheadAttention(6, 2, batch_first=True)
    elif packing == "separate":
        children |= {n: nn.Linear(6, 6) for n in "qkv"}
    else:
        children["qkv"] = nn.Linear(6, 18, bias=draw(st.booleans()))
    if packing != "module":
        children["out"] = nn.Linear(6, 6)
    return Step(f"attention, {packing}, {'fused' if fused else 'spelled out'}", forward, **children), 6


def recurrent(draw: Draw, s: Space, width: int) -> Made:
    kind = draw(st.sampled_from([nn.GRU, nn.LSTM, nn.RNN]))
    both = draw(st.booleans())
    layer = kind(width, 3, num_layers=draw(st.sampled_from([1, 2])), bidirectional=both, batch_first=True)

    def forward(m: Any, x: Tensor) -> Tensor:
        out = m.mix(x.flatten(2).transpose(1, 2))[0]
        return out.transpose(1, 2).unflatten(2, tuple(x.shape[2:]))

    return Step("recurrent", forward, mix=layer), 6 if both else 3


STEPS = [
    conv,
    norm,
    activation,
    conv,
    grouped,
    depthwise,
    transposed,
    residual,
    concat,
    halves,
    gate,
    pad_or_cut,
    shuffle,
    to_space,
    attention,
    recurrent,
]


@st.composite
def networks(draw: Draw) -> tuple[nn.Module, Tensor, str]:
    """A network in evaluation mode and double precision, an input, and a product."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    s = Space(draw(st.sampled_from([1, 2])))
    layers: list[nn.Module] = []
    sizes = (4,) * s.rank
    if s.rank == 1 and draw(st.booleans()):
        width = draw(widths)

        def embed(m: Any, x: Tensor) -> Tensor:
            return m.table(x).transpose(1, 2)

        layers.append(Step("embedding", embed, table=nn.Embedding(7, width)))
        x = torch.randint(0, 7, (2, 4))
    else:
        width, x = 3, torch.randn(2, 3, *sizes, dtype=torch.float64)
        layers.append(conv(draw, s, 3)[0])
        width = layers[0].out_channels
    for _ in range(draw(st.integers(1, 5))):
        make = draw(st.sampled_from(STEPS))
        if (width % 2 and make in (grouped, halves, shuffle, norm)) or width > 16:
            make = conv
        layer, out = make(draw, s, width)
        layers.append(layer)
        width = out or layer.out_channels
    tail = draw(st.sampled_from(["flatten", "pool", "conv"]))
    if tail == "flatten":
        size = nn.Sequential(*layers).double().eval()(x).shape[1:].numel()
        layers += [nn.Flatten(), nn.Linear(size, 2)]
    elif tail == "pool":
        layers += [s.pool(1), nn.Flatten(), nn.Linear(width, 2)]
    else:
        layers += [s.conv(width, 2, 1)]
    return scramble(nn.Sequential(*layers)).double().eval(), x, draw(st.sampled_from(["outer", "inner"]))


def mixes_channels(module: nn.Module) -> bool:
    """Whether statistics of a norm run over several channels, so that masking is not cutting."""
    return any(isinstance(m, (nn.GroupNorm, nn.LayerNorm)) for m in module.modules())


def assert_close(given: Tensor, expected: Tensor, tolerance: float) -> None:
    size = max(1.0, float(expected.detach().abs().max()))
    torch.testing.assert_close(given, expected, rtol=tolerance, atol=tolerance * size)


@pytest.mark.slow
@settings(PROFILE)
@given(networks())
def test_random_networks_round_trip_permute_and_cut(drawn: tuple[nn.Module, Tensor, str]) -> None:
    module, x, product = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        graph = to_graph(module, x, product=product)  # type: ignore[arg-type]
    graph.validate()
    assert all(same_bytes(graph.to_state_dict()[n], t) for n, t in module.state_dict().items())
    expected = module(x)  # with gradients: without, some modules take another way
    assert torch.equal(graph.to_module().eval()(x), expected)
    hidden = [g for g in graph.structure.groups if g.role == "hidden"]
    turned = permute(graph, {g.name: torch.randperm(g.size) for g in hidden})
    assert_close(turned.to_module().eval()(x), expected, 1e-6)
    mask = NodeMask({g.name: torch.randperm(g.size) < max(1, g.size // 2) for g in hidden})
    small = select(graph, mask)
    small.validate()
    cut = small.to_module().eval()(x)
    if not mixes_channels(module):
        assert_close(cut, mask.apply(graph).to_module().eval()(x), 1e-5)
