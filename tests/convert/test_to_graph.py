"""Conversion: bijective, and its groups are symmetries of the function."""

import warnings
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from netgraph import NodeMask, select, to_graph
from netgraph.convert import RULES, rule
from netgraph.errors import ConversionError, ConversionWarning, GraphError
from netgraph.graph import NeuralGraph, macs, params, permute, same_bytes
from tests.convert.cases import CASES, Call, Case, conv, scramble
from tests.convert.masked import MaskedRun, at_example
from tests.convert.operator_cases import OPERATOR_CASES

cases = pytest.mark.parametrize("case", [*CASES, *OPERATOR_CASES], ids=lambda c: c.name)


@cache  # the tests below change neither
def convert(case: Case) -> tuple[nn.Module, tuple[Any, ...], NeuralGraph]:
    module, inputs = case.make()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        graph = to_graph(module, inputs, product=case.product)
    graph.validate()
    return module, inputs, graph


def assert_near(given: Any, expected: Any) -> None:
    for a, b in zip(pytree.tree_leaves(given), pytree.tree_leaves(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * max(1.0, float(b.detach().abs().max())))


def random_mask(graph: NeuralGraph) -> NodeMask:
    return NodeMask(
        {
            g.name: torch.randperm(g.size) < max(1, g.size // 2)
            for g in graph.structure.groups
            if g.role == "hidden"
        }
    )


@cases
def test_state_comes_back_bit_for_bit(case: Case) -> None:
    module, _, graph = convert(case)
    expected, given = module.state_dict(), graph.to_state_dict()
    assert list(given) == list(expected)
    assert all(same_bytes(given[n], t) for n, t in expected.items())


@cases
def test_every_scalar_sits_in_the_graph_exactly_once(case: Case) -> None:
    module, _, graph = convert(case)
    in_blocks = sum(graph.block_weights(b).numel() for b in graph.structure.blocks)
    elsewhere = sum(t.numel for t in graph.structure.tensors if t.placement != "block")
    made = sum(t.numel for t in graph.structure.tensors if t.kind == "constant" or not t.persistent)
    storages = {t.data_ptr(): t.numel() for t in module.state_dict(keep_vars=True).values()}
    assert in_blocks + elsewhere - made == sum(storages.values())


@cases
def test_rebuilt_module_computes_the_same_bits(case: Case) -> None:
    module, inputs, graph = convert(case)
    rebuilt = graph.to_module().eval()
    for a, b in zip(pytree.tree_leaves(rebuilt(*inputs)), pytree.tree_leaves(module(*inputs)), strict=True):
        assert torch.equal(a, b)
    names = [n for n, _ in module.named_parameters()]
    assert sorted(names) == sorted(n for n, _ in rebuilt.named_parameters())


@cases
def test_groups_are_as_expected(case: Case) -> None:
    _, _, graph = convert(case)
    assert tuple(g.size for g in graph.structure.groups if g.role == "hidden") == case.hidden


@cases
def test_permuting_nodes_leaves_the_function_unchanged(case: Case) -> None:
    module, inputs, graph = convert(case)
    turns = {g.name: torch.randperm(g.size) for g in graph.structure.groups if g.role == "hidden"}
    turned = permute(graph, turns)
    assert turned != graph or all(torch.equal(p, torch.arange(len(p))) for p in turns.values())
    assert_near(turned.to_module().eval()(*inputs), module(*inputs))


@cases
def test_cutting_equals_masking(case: Case) -> None:
    _, inputs, graph = convert(case)
    mask = random_mask(graph)
    small = select(graph, mask)
    small.validate()
    cut = small.to_module().eval()(*inputs)
    if case.exact:
        assert_near(cut, mask.apply(graph).to_module().eval()(*inputs))
    given = at_example(graph, inputs)
    assert_near(small.to_module().eval()(*given), MaskedRun(graph, mask)(*given))
    assert (macs(small), params(small)) == (macs(graph, mask), params(graph, mask))


def test_the_masked_twin_knows_which_channels_are_cut_and_restricts_norms() -> None:
    (case,) = (c for c in CASES if c.name == "vision transformer")
    _, inputs, graph = convert(case)
    halves = {g.name: torch.arange(g.size) % 2 == 0 for g in graph.structure.groups if g.role == "hidden"}
    others = {name: ~keep if len(keep) % 2 == 0 else keep for name, keep in halves.items()}
    small, twin = select(graph, NodeMask(halves)).to_module().eval(), MaskedRun(graph, NodeMask(others))
    given = at_example(graph, inputs)
    with pytest.raises(AssertionError):
        assert_near(small(*given), twin(*given))
    assert twin.restricted
    with pytest.raises(AssertionError):  # zeros in a norm are not absent channels
        assert_near(small(*given), NodeMask(halves).apply(graph).to_module().eval()(*given))


@cases
def test_the_cut_network_trains(case: Case) -> None:
    _, inputs, graph = convert(case)
    module = select(graph, random_mask(graph)).to_module().train()
    loss = sum(leaf.square().mean() for leaf in pytree.tree_leaves(module(*inputs)))
    loss.backward()
    assert any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in module.parameters())


@cases
def test_a_converted_rebuilt_module_has_the_same_graph(case: Case) -> None:
    _, inputs, graph = convert(case)
    again = to_graph(graph.to_module(), inputs, product=case.product)
    assert [(g.size, g.role) for g in again.structure.groups] == [
        (g.size, g.role) for g in graph.structure.groups
    ]
    assert len(again.structure.blocks) == len(graph.structure.blocks)


def test_batch_size_stays_open() -> None:
    module = nn.Sequential(conv(3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    rebuilt = to_graph(module, torch.randn(1, 3, 8, 8)).to_module().eval()
    x = torch.randn(7, 3, 8, 8)
    assert torch.equal(rebuilt(x), module(x))


def test_training_mode_is_kept_and_followed() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)).train()
    module[1].eval()
    x = torch.randn(16, 4)
    graph = to_graph(module, x)
    assert module.training and module[0].training and not module[1].training
    rebuilt, twin = graph.to_module().train(), module.train()
    torch.manual_seed(3)
    a = rebuilt(x)
    torch.manual_seed(3)
    b = twin(x)
    assert torch.equal(a, b)
    assert same_bytes(rebuilt.state_dict()["1.running_var"], twin.state_dict()["1.running_var"])
    assert int(rebuilt.state_dict()["1.num_batches_tracked"]) == 1
    assert not torch.equal(rebuilt(x), rebuilt(x)), "dropout draws anew"
    rebuilt.eval()(x)
    assert int(rebuilt.state_dict()["1.num_batches_tracked"]) == 3, "evaluation counts no batch"


def test_state_is_the_modules_own_storage() -> None:
    module = nn.Linear(3, 2)
    graph = to_graph(module, torch.zeros(1, 3))
    with torch.no_grad():
        module.weight.fill_(7)
    assert bool((graph.state["weight"] == 7).all())
    assert graph.clone().state["weight"].data_ptr() != module.weight.data_ptr()


def test_keyword_inputs_and_nested_outputs() -> None:
    def forward(s: Any, x: Tensor, *, scale: Tensor) -> Any:
        return {"out": (s.a(x) * scale, None)}

    class Keyword(Call):
        def forward(self, x: Tensor, *, scale: Tensor) -> Any:
            return self.function(self, x, scale=scale)

    module = Keyword(forward, a=nn.Linear(3, 4))
    x, scale = torch.randn(2, 3), torch.randn(2, 1)
    rebuilt = to_graph(module, {"x": x, "scale": scale}).to_module()
    given = rebuilt(x=x, scale=scale)
    assert given["out"][1] is None and torch.equal(given["out"][0], module(x, scale=scale)["out"][0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_other_precisions(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to(dtype).eval()
    x = torch.randn(3, 4, dtype=dtype)
    graph = to_graph(module, x)
    assert torch.equal(graph.to_module()(x), module(x))
    assert {t.dtype for t in graph.structure.tensors} == {str(dtype).removeprefix("torch.")}


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c(torch.cummax(self.b(torch.relu(self.a(x))), dim=-1)[0])
        return out


def test_unknown_operators_freeze_what_they_touch_and_are_named() -> None:
    module, x = Unknown().eval(), torch.randn(3, 4)
    with pytest.warns(ConversionWarning, match=r"aten\.cummax\.default"):
        graph = to_graph(module, x)
    roles = {g.name: g.role for g in graph.structure.groups}
    assert roles["a"] == "hidden" and roles["b"] == "fixed"
    assert torch.equal(graph.to_module()(x), module(x))
    assert_near(permute(graph, {"a": torch.randperm(6)}).to_module()(x), module(x))


def test_a_rule_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "cummax", RULES["softmax"])
    del RULES["cummax"]

    @rule("cummax")
    def cummax(p: Any, op: Any) -> Any:
        return [p.fields(op.args[0]), p.fields(op.args[0])]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = to_graph(Unknown(), torch.randn(3, 4))
    assert {g.name: g.role for g in graph.structure.groups}["b"] == "hidden"
    with pytest.raises(ConversionError, match="has a rule already"):
        rule("cummax")(cummax)


class Outside(nn.Module):
    """It leaves torch on the way: cannot be exported."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        out: Tensor = self.b(h * float(h.detach().numpy().sum()))
        return out


def test_what_cannot_be_traced_is_still_converted() -> None:
    module = Outside()
    with pytest.warns(ConversionWarning, match="cannot be traced"):
        graph = to_graph(module, torch.randn(3, 4))
    graph.validate()
    assert all(same_bytes(graph.to_state_dict()[n], t) for n, t in module.state_dict().items())
    assert graph.num_edges == 4 * 6 + 6 * 2
    assert all(g.role == "fixed" for g in graph.structure.groups)
    with pytest.raises(GraphError, match="no program"):
        graph.to_module()


class Extra(nn.Linear):
    def get_extra_state(self) -> Any:
        return {"version": 1}

    def set_extra_state(self, state: Any) -> None: ...


REFUSED = [
    ("not a module", lambda: (lambda x: x, torch.zeros(1, 3)), "expected a torch.nn.Module"),
    (
        "wrong shape",
        lambda: (nn.Linear(3, 2), torch.zeros(1, 4)),
        r"cannot run on its example inputs .*\[1, 4\]",
    ),
    ("wrong type", lambda: (nn.Embedding(3, 2), torch.zeros(1, 4)), "cannot run on its example inputs"),
    ("no inputs", lambda: (nn.Linear(3, 2), ()), "cannot run on its example inputs"),
    ("a number", lambda: (nn.Linear(3, 2), 3), "expected example_inputs to be a tensor"),
    ("extra state", lambda: (Extra(3, 2), torch.zeros(1, 3)), "drop the module's extra state"),
]


@pytest.mark.parametrize(("make", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_bad_input_is_refused(make: Any, message: str) -> None:
    module, inputs = make()
    with pytest.raises(ConversionError, match=message):
        to_graph(module, inputs)


def test_unknown_product_is_refused() -> None:
    with pytest.raises(ConversionError, match="'outer' or 'inner'"):
        to_graph(nn.Linear(3, 2), torch.zeros(1, 3), product="both")  # type: ignore[arg-type]


def test_sparse_tensors_are_refused() -> None:
    module = nn.Linear(3, 2)
    module.register_buffer("mask", torch.eye(3).to_sparse())
    with pytest.raises(ConversionError, match="sparse"):
        to_graph(module, torch.zeros(1, 3))


# Networks drawn at random from layers, joins and widths.

widths = st.sampled_from([2, 4, 6, 8])


@st.composite
def networks(draw: st.DrawFn) -> nn.Module:
    """A stack of random blocks over feature maps."""

    class Block(nn.Module):
        def __init__(self, kind: str, inside: int, outside: int) -> None:
            super().__init__()
            self.kind = kind
            self.a = conv(inside, outside, padding=1)
            self.b = conv(outside, outside, padding=1, groups=outside if kind == "depthwise" else 1)
            self.norm = nn.GroupNorm(2, outside) if kind == "group norm" else nn.BatchNorm2d(outside)
            self.narrow = conv(2 * outside, outside, 1)

        def forward(self, x: Tensor) -> Tensor:
            h = torch.relu(self.norm(self.a(x)))
            match self.kind:
                case "residual" | "group norm":
                    return h + self.b(h)
                case "concat":
                    return self.narrow(torch.cat([self.b(h), h], 1))  # type: ignore[no-any-return]
                case "chunk":
                    first, second = self.b(h).chunk(2, 1)
                    return torch.cat([second * first, first], 1)
                case "gate":
                    return h * torch.sigmoid(self.b(h).mean((2, 3), keepdim=True))
                case "pad":
                    return nn.functional.pad(self.b(h), (0, 0, 0, 0, 1, 1))[:, 1:-1] + h
                case _:
                    return self.b(h)  # type: ignore[no-any-return]

    layers: list[nn.Module] = []
    width = 3
    kinds = ["plain", "residual", "concat", "chunk", "gate", "depthwise", "group norm", "pad"]
    for _ in range(draw(st.integers(1, 4))):
        after = draw(widths)
        layers.append(Block(draw(st.sampled_from(kinds)), width, after))
        width = after
    if draw(st.booleans()):
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 3)]
    else:
        layers += [conv(width, 2, 1)]
    torch.manual_seed(draw(st.integers(0, 10**6)))
    return scramble(nn.Sequential(*layers)).eval()


@settings(deadline=None, max_examples=50)
@given(networks())
def test_random_networks_round_trip_permute_and_cut(module: nn.Module) -> None:
    x = torch.randn(2, 3, 6, 6)
    graph = to_graph(module, x)
    graph.validate()
    assert all(same_bytes(graph.to_state_dict()[n], t) for n, t in module.state_dict().items())
    assert torch.equal(graph.to_module().eval()(x), module(x))
    hidden = [g for g in graph.structure.groups if g.role == "hidden"]
    turned = permute(graph, {g.name: torch.randperm(g.size) for g in hidden})
    assert_near(turned.to_module().eval()(x), module(x))
    mask = random_mask(graph)
    assert_near(select(graph, mask).to_module().eval()(x), mask.apply(graph).to_module().eval()(x))
