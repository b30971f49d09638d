"""Residual branches against networks that are written without them."""

import itertools
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph.convert import apply_mask, to_graph
from netgraph.errors import GraphError
from netgraph.graph import (
    CostModel,
    EdgeMask,
    NeuralGraph,
    NodeMask,
    branches,
    load_graph,
    macs,
    params,
    permute,
    save_graph,
    select,
    select_structure,
)
from netgraph.zoo import CifarResNet, DigitsResNet, resnet8, resnet20
from tests.graph.networks import NETWORKS, graph, normed


class Block(nn.Module):
    """A transformer block; `order` says where the norms stand and how the two branches lie."""

    def __init__(self, order: str = "pre") -> None:
        super().__init__()
        self.order = order
        self.n1, self.n2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc1, self.fc2, self.drop = nn.Linear(8, 12), nn.Linear(12, 8), nn.Dropout(0.1)
        self.parts = {"attn", "mlp"}

    def attention(self, x: Tensor) -> Tensor:
        return self.attn(x, x, x, need_weights=False)[0] if "attn" in self.parts else torch.zeros_like(x)

    def mlp(self, x: Tensor) -> Tensor:
        return self.drop(self.fc2(self.fc1(x).relu())) if "mlp" in self.parts else torch.zeros_like(x)

    def forward(self, x: Tensor) -> Tensor:
        if self.order == "pre":
            x = x + self.attention(self.n1(x))
            return x + self.mlp(self.n2(x))
        if self.order == "post":
            x = self.n1(x + self.attention(x))
            return self.n2(self.mlp(x) + x)
        h = self.n1(x)
        return x + self.attention(h) + self.mlp(h)


class InPlace(nn.Module):
    """A block written as torchvision's are, and a value that is used again after the block wrote into it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2, self.norm2 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.present = True

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1.5
        if self.present:
            out = self.norm1(self.conv1(x)).relu_()
            out = self.norm2(self.conv2(out))
            out += x
        else:
            out = x.clone()
        out.relu_()
        return out - x


class Clobbered(nn.Module):
    """The stream itself is overwritten: before the branch reads it, and after the sum was made."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.present = True

    def forward(self, x: Tensor) -> Tensor:
        x = self.g(x)
        total = x + self.f(x.tanh_()) if self.present else x.tanh_().clone()
        x.mul_(3)
        return total + 2 * x


class Nested(nn.Module):
    """A branch with a branch inside, and one layer that serves inside and outside."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.tied = (nn.Linear(4, 4) for _ in range(4))
        self.outer = self.inner = True

    def forward(self, x: Tensor) -> Tensor:
        x = self.tied(x)
        if self.outer:
            h = self.a(x).tanh()
            if self.inner:
                h = h + self.b(self.tied(h))
            x = x + self.c(h).tanh()
        return x


class Recurrent(nn.Module):
    """One block that is called twice on the stream, and once in a branch of two calls."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.other, self.norm = nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.present = True

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.step(x)
        x = x + self.step(x)
        return x + self.norm(self.other(self.norm(self.other(x)))) if self.present else x


class Dense(nn.Module):
    """Concatenation and sums, none of them residual."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (
            nn.Conv2d(3, 3, 1),
            nn.Conv2d(6, 3, 1),
            nn.Conv2d(9, 3, 1),
            nn.Conv2d(3, 3, 1),
        )
        self.position = nn.Parameter(torch.randn(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x, self.a(x)], 1)
        x = torch.cat([x, self.b(x)], 1)
        y = self.c(x)
        y = y + self.position  # broadcast, and no layer
        y = torch.add(y, self.d(y), alpha=2)  # a scaled sum
        return self.c(torch.cat([y, y, y], 1)) + self.d(y)  # a sum of two layers


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


def transformer(order: str) -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Linear(5, 8), Block(order), Block(order), nn.Linear(8, 3)), torch.randn(2, 4, 5)


def resnet(net: nn.Module, name: str) -> None:
    """`relu(0 + x)` is `relu(x)`."""
    stage, _, index = name.partition(".")
    getattr(net, stage)[int(index)] = nn.ReLU()


def without_part(net: nn.Module, name: str) -> None:
    index, _, layer = name.partition(".")
    net[int(index)].parts.discard("attn" if layer == "attn" else "mlp")  # type: ignore[index]


def absent(net: nn.Module, name: str) -> None:
    net.present = False


def inner_or_outer(net: nn.Module, name: str) -> None:
    setattr(net, "inner" if name == "b" else "outer", False)


CASES: dict[
    str,
    tuple[Callable[[], tuple[nn.Module, Tensor]], list[str], Callable[[nn.Module, str], None]],
] = {
    "resnet8": (lambda: (resnet8(), torch.randn(2, 3, 8, 8)), ["layer1.0"], resnet),
    "resnet20": (
        lambda: (resnet20(), torch.randn(2, 3, 8, 8)),
        ["layer1.0", "layer1.1", "layer1.2", "layer2.1", "layer2.2", "layer3.1", "layer3.2"],
        resnet,
    ),
    "option-b": (
        lambda: (CifarResNet(2, (3, 4, 5), shortcut="conv"), torch.randn(2, 3, 8, 8)),
        ["layer1.0", "layer1.1", "layer2.1", "layer3.1"],
        resnet,
    ),
    "digits": (
        lambda: (DigitsResNet(4), torch.randn(2, 1, 8, 8)),
        ["layer1.0", "layer1.1", "layer2.1"],
        resnet,
    ),
    "pre-norm": (lambda: transformer("pre"), ["1.attn", "1.fc1", "2.attn", "2.fc1"], without_part),
    "post-norm": (lambda: transformer("post"), ["1.attn", "1.fc1", "2.attn", "2.fc1"], without_part),
    "parallel": (lambda: transformer("parallel"), ["1.attn", "1.fc1", "2.attn", "2.fc1"], without_part),
    "in-place": (
        lambda: (nn.Sequential(InPlace(), nn.Conv2d(3, 2, 1)), torch.randn(2, 3, 5, 5)),
        ["0"],
        lambda net, name: absent(net[0], name),  # type: ignore[index]
    ),
    "clobbered": (lambda: (Clobbered(), torch.randn(2, 3, 5, 5)), ["f"], absent),
    "nested": (lambda: (Nested(), torch.randn(3, 4)), ["b", "a"], inner_or_outer),
    "reused": (lambda: (Recurrent(), torch.randn(3, 4)), ["other"], absent),
}


def make(name: str) -> tuple[nn.Module, Tensor]:
    """The same at every call."""
    torch.manual_seed(0)
    net, x = CASES[name][0]()
    return normed(net), x


@cache
def case(name: str) -> tuple[nn.Module, Tensor, NeuralGraph, list[str], Callable[[nn.Module, str], None]]:
    """Shared between tests: do not write into it."""
    net, x = make(name)
    return net, x, to_graph(net, x), *CASES[name][1:]


def subsets(names: list[str]) -> list[tuple[str, ...]]:
    """Each alone, all, and some pairs."""
    pairs = list(itertools.combinations(names, 2))
    return [*((n,) for n in names[:3]), *pairs[:: len(names)], tuple(names)]


@pytest.mark.parametrize("name", CASES)
def test_what_is_offered_and_what_it_leaves(name: str) -> None:
    _, x, converted, names, drop = case(name)
    assert [b.name for b in branches(converted.structure)] == names
    for skip in subsets(names):
        mask = NodeMask({}, frozenset(skip))
        small = select(converted, mask)
        small.validate()
        assert small.structure == select_structure(converted.structure, mask)
        reference = make(name)[0]
        for one in skip:
            drop(reference, one)
        expected = reference(x.clone())
        assert torch.allclose(small.to_module().eval()(x.clone()), expected, atol=1e-5), skip
        silent = mask.apply(converted)
        assert torch.allclose(silent.to_module().eval()(x.clone()), expected, atol=1e-5), skip
        assert [t.shape for t in silent.structure.tensors] == [t.shape for t in converted.structure.tensors]
        cost = CostModel(converted.structure)
        assert (cost.macs(mask), cost.params(mask)) == (macs(small), params(small))
        assert cost.params(mask) < cost.params()


def test_a_sum_that_is_written_into_stays_a_tensor_of_its_own() -> None:
    for name, copies in (("in-place", 1), ("clobbered", 1), ("resnet8", 0)):
        _, _, converted, names, _ = case(name)
        small = select(converted, NodeMask({}, frozenset(names)))
        assert sum(op.kind == "clone" for op in small.structure.operators) == copies


@pytest.mark.parametrize("training", [False, True])
def test_a_branch_takes_its_tensors_and_groups_and_no_others(training: bool) -> None:
    torch.manual_seed(0)
    net = normed(CifarResNet(2, (3, 4, 5))).train(training)
    x = torch.randn(2, 3, 8, 8)
    converted = to_graph(net, x)
    structure = converted.structure
    small = select(converted, NodeMask({}, frozenset({"layer2.1"})))
    gone = [n for n in structure.order if n.startswith("layer2.1.")]
    assert list(small.structure.order) == [n for n in structure.order if n not in gone]
    assert set(converted.state) - set(small.state) == set(gone)
    assert [g.name for g in structure.groups if g.name not in small.structure.group_index] == [
        "layer2.1.conv1"
    ]
    assert all(small.state[n] is converted.state[n] for n in small.state)
    net.layer2[1] = nn.ReLU()
    rebuilt = small.to_module().train(training)
    assert torch.allclose(rebuilt(x), net(x), atol=1e-5)
    assert all(torch.equal(t, rebuilt.state_dict()[n]) for n, t in net.state_dict().items())


def test_tied_tensors_stay_until_all_their_users_go() -> None:
    _, _, converted, _, _ = case("nested")
    inner, outer = branches(converted.structure)
    assert inner.tensors == ("b.weight", "b.bias")
    assert outer.tensors == ("a.weight", "a.bias", "b.weight", "b.bias", "c.weight", "c.bias")
    assert set(inner.operators) < set(outer.operators)
    _, _, parallel, _, _ = case("parallel")
    norm = {"1.n1.weight", "1.n1.bias"}
    assert norm <= set(select(parallel, NodeMask({}, frozenset({"1.attn"}))).state)
    assert norm <= set(select(parallel, NodeMask({}, frozenset({"1.fc1"}))).state)
    assert not norm & set(select(parallel, NodeMask({}, frozenset({"1.attn", "1.fc1"}))).state)


def test_aliases_go_with_their_tensor() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start, self.one, self.two = (nn.Linear(4, 4) for _ in range(3))
            self.two.weight = self.one.weight

        def forward(self, x: Tensor) -> Tensor:
            x = self.start(x)
            return x + self.two(self.one(x).tanh())

    converted = to_graph(Tied(), torch.randn(2, 4))
    (branch,) = branches(converted.structure)
    small = select(converted, NodeMask({}, frozenset({branch.name})))
    small.validate()
    assert list(small.to_module().state_dict()) == ["start.weight", "start.bias"]
    assert small.structure.aliases == ()


@pytest.mark.parametrize(
    ("net", "x"),
    [
        (Dense(), torch.randn(2, 3, 4, 4)),
        (Whole(), torch.randn(2, 3, 4, 4)),  # would leave no parameters
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(2, 3)),
        (CifarResNet(1, (3, 5, 7)).layer2, torch.randn(2, 3, 4, 4)),
        (CifarResNet(1, (3, 5, 7), shortcut="conv").layer2, torch.randn(2, 3, 4, 4)),
    ],
)
def test_nothing_to_offer(net: nn.Module, x: Tensor) -> None:
    converted = to_graph(net.eval(), x)
    assert branches(converted.structure) == ()
    with pytest.raises(GraphError, match="this network has none"):
        select(converted, NodeMask({}, frozenset({"a"})))


@pytest.mark.parametrize("name", NETWORKS)
def test_leaving_out_nothing_is_the_plain_selection(name: str) -> None:
    converted = graph(name)
    assert select(converted, NodeMask({}, frozenset())) == select(converted, NodeMask({})) == converted


@pytest.mark.parametrize("name", ["digits", "pre-norm", "parallel", "resnet8"])
def test_with_nodes_saved_and_permuted(name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    _, x, converted, names, _ = case(name)
    keep = {
        g.name: torch.arange(g.size) != 1
        for g in converted.structure.groups
        if g.role == "hidden" and g.size > 2
    }
    mask = NodeMask(keep, frozenset(names[::2]))
    small = select(converted, mask)
    small.validate()
    expected = small.to_module().eval()(x)
    if name not in ("pre-norm", "parallel"):  # a LayerNorm also counts the zeros
        assert torch.allclose(mask.apply(converted).to_module().eval()(x), expected, atol=1e-5)
    cost = CostModel(converted.structure)
    assert (cost.macs(mask), cost.params(mask)) == (macs(small), params(small))
    for order in (names[::2], names[::2][::-1]):  # one after the other
        by_join = {b.name: b.join for b in branches(converted.structure)}
        step = select(converted, NodeMask(keep))
        for one in order:
            now = {b.join: b.name for b in branches(step.structure)}
            step = select(step, NodeMask({}, frozenset({now[by_join[one]]})))
        assert step == small
    save_graph(small, tmp_path / "small.safetensors")
    assert load_graph(tmp_path / "small.safetensors") == small
    turned = permute(
        small, {g.name: torch.randperm(g.size) for g in small.structure.groups if g.role == "hidden"}
    )
    assert torch.allclose(turned.to_module().eval()(x), expected, atol=1e-5)


def test_masks_combine_compare_and_tell_their_weights() -> None:
    _, _, converted, _, _ = case("digits")
    one = NodeMask({"conv1": torch.tensor([True, True, False, True])}, frozenset({"layer1.0"}))
    two = NodeMask({}, frozenset({"layer1.1"}))
    both = one & two
    assert both.skip == {"layer1.0", "layer1.1"} and both.keep["conv1"].tolist() == [True, True, False, True]
    assert both == two & one and both != one and one != NodeMask(one.keep)
    assert NodeMask({}) == NodeMask({}, frozenset())
    weights = EdgeMask.from_nodes(converted.structure, two)
    zeroed = {n for n, v in weights.values.items() if not v.any()}
    own = set(branches(converted.structure)[1].tensors)
    assert zeroed == {n for n in own if converted.structure.tensor[n].kind == "parameter"}
    assert all(v.all() for n, v in weights.values.items() if n not in zeroed)


def test_errors() -> None:
    net, _, converted, _, _ = case("digits")
    wrong = NodeMask({}, frozenset({"layer9"}))
    for use in (
        lambda: select(converted, wrong),
        lambda: select_structure(converted.structure, wrong),
        lambda: wrong.validate(converted.structure),
        lambda: wrong.apply(converted),
        lambda: CostModel(converted.structure).macs(wrong),
        lambda: CostModel(converted.structure).params(wrong),
        lambda: apply_mask(net, converted, wrong),
    ):
        with pytest.raises(GraphError, match=r"got 'layer9'; branches are \['layer1.0', 'layer1.1'"):
            use()


def test_what_stays_after_a_branch_is_traced_alike() -> None:
    _, x, converted, _, _ = case("resnet20")
    small = select(converted, NodeMask({}, frozenset({"layer1.1", "layer3.2"})))
    fresh = to_graph(small.to_module().eval(), x)
    assert [(g.name, g.size, g.role) for g in fresh.structure.groups] == [
        (g.name, g.size, g.role) for g in small.structure.groups
    ]
    assert F.mse_loss(fresh.to_module().eval()(x), small.to_module().eval()(x)) == 0
