"""Cutting the user's own module: right or not at all."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraph import NodeMask, apply_mask, select, to_graph
from netgraph.convert import cuttable
from netgraph.errors import GraphError, SurgeryError
from netgraph.graph import NeuralGraph, same_bytes
from netgraph.zoo import DigitsResNet, resnet8
from tests.convert.cases import CASES, Case

UNCUTTABLE = {
    # nn.MultiheadAttention derives its head size from the width of its input
    "attention": {"stem", "mix"},
    "attention, weights asked for": {"stem", "mix"},
    "attention, inner": {"stem", "mix"},
    "encoder": {"0", "1.self_attn", "2.self_attn"},
    "encoder, inner": {"0", "1.self_attn", "2.self_attn"},
    # sizes written down in the forward: pad widths, split sizes
    "padded shortcut": {"b"},
    "chunk": {"a", "a~2"},
    "split": {"a", "a~2"},
}


def mask_of(graph: NeuralGraph, names: Any) -> NodeMask:
    sizes = {g.name: g.size for g in graph.structure.groups}
    return NodeMask({n: torch.randperm(sizes[n]) < max(1, sizes[n] // 2) for n in names})


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_cuttable_groups_can_be_cut_and_no_others(case: Case) -> None:
    module, inputs = case.make()
    graph = to_graph(module, inputs, product=case.product)
    hidden = {g.name for g in graph.structure.groups if g.role == "hidden"}
    found = cuttable(module, graph)
    assert hidden - found == UNCUTTABLE.get(case.name, set())
    for name in found:
        small = select(graph, mask := mask_of(graph, [name]))
        cut = apply_mask(module, graph, mask)
        assert type(cut) is type(module)
        assert cut.state_dict().keys() == module.state_dict().keys()
        for key, tensor in cut.state_dict().items():
            assert same_bytes(tensor, small.to_state_dict()[key])


@pytest.mark.parametrize("make", [DigitsResNet, resnet8], ids=["digits", "padded shortcuts"])
def test_a_residual_network_is_cut_in_all_groups_at_once(make: Any) -> None:
    module = make().eval()
    x = torch.randn(2, 1 if make is DigitsResNet else 3, 16, 16)
    graph = to_graph(module, x)
    mask = mask_of(graph, [g.name for g in graph.structure.groups if g.role == "hidden"])
    cut = apply_mask(module, graph, mask)
    torch.testing.assert_close(cut(x), mask.apply(graph).to_module().eval()(x), rtol=1e-4, atol=1e-5)
    for layer in cut.modules():
        if isinstance(layer, nn.Conv2d):
            assert (layer.out_channels, layer.in_channels) == tuple(layer.weight.shape[:2])
    cut.train()(x).sum().backward()


def test_in_place_keeps_the_parameter_objects() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).train()
    graph = to_graph(module, torch.randn(3, 4))
    parameters = list(module.parameters())
    given = apply_mask(module, graph, NodeMask({"0": torch.arange(8) < 3}), inplace=True)
    assert given is module and all(a is b for a, b in zip(parameters, module.parameters(), strict=True))
    assert (module[0].out_features, module[1].num_features, module[3].in_features) == (3, 3, 3)
    assert module.training
    module(torch.randn(5, 4)).sum().backward()


def test_the_weights_of_today_are_cut() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    graph = to_graph(module, torch.randn(3, 4)).clone()
    with torch.no_grad():
        module[0].weight.fill_(5)
    cut = apply_mask(module, graph, NodeMask({"0": torch.arange(8) < 3}))
    assert bool((cut[0].weight == 5).all())


class Hard(nn.Module):
    """Its forward knows the width of its hidden layer by heart."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(self.a(x).view(-1, 8))
        return out


class Told(Hard):
    """The same, but an attribute holds the width."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 8

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(self.a(x).view(-1, self.width))
        return out


def test_a_forward_with_a_size_of_its_own_is_refused_untouched() -> None:
    module = Hard()
    graph = to_graph(module, torch.randn(3, 4))
    before = copy.deepcopy(module.state_dict())
    mask = NodeMask({"a": torch.arange(8) < 3})
    with pytest.raises(SurgeryError, match=r"nothing was changed.*select\(graph, mask\)\.to_module"):
        apply_mask(module, graph, mask, inplace=True)
    assert all(same_bytes(t, before[n]) for n, t in module.state_dict().items())
    assert module.a.out_features == 8
    assert select(graph, mask).to_module()(torch.randn(5, 4)).shape == (5, 2)


def test_an_attribute_that_holds_the_size_is_updated() -> None:
    module = Told()
    graph = to_graph(module, torch.randn(3, 4))
    cut = apply_mask(module, graph, NodeMask({"a": torch.arange(8) < 3}))
    assert cut.width == 3 and module.width == 8


def test_two_attributes_of_one_number_may_get_different_ones() -> None:
    module = resnet8().eval()
    x = torch.randn(2, 3, 32, 32)
    graph = to_graph(module, x)
    widths = {g.name: g.size for g in graph.structure.groups}
    padded = graph.structure.axis_of(graph.structure.tensor["layer2.0.bn2.weight"], 0)
    # the stream of the second stage is pads, the first stage's channels, pads; drop one of the pads in front
    first = padded.segments[0]
    name = graph.structure.groups[first.group].name
    keep = torch.ones(widths[name], dtype=torch.bool)
    keep[first.start] = False
    cut = apply_mask(module, graph, NodeMask({name: keep}))
    expected = NodeMask({name: keep}).apply(graph).to_module().eval()(x)
    torch.testing.assert_close(cut(x), expected, rtol=1e-4, atol=1e-5)


def test_a_graph_of_something_else_is_refused() -> None:
    graph = to_graph(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), torch.randn(3, 4))
    mask = NodeMask({"0": torch.arange(8) < 3})
    with pytest.raises(SurgeryError, match="convert this module with to_graph first"):
        apply_mask(nn.Linear(4, 8), graph, mask)
    with pytest.raises(SurgeryError, match=r"'0.weight' is \[9, 4\] in the module and \[8, 4\] in the graph"):
        apply_mask(nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 2)), graph, mask)
    with pytest.raises(GraphError, match="no group 'x'"):
        apply_mask(
            nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), graph, NodeMask({"x": torch.ones(8).bool()})
        )


class Scaled(nn.Module):
    """Runs with any width, but computes something else with each."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(torch.relu(self.a(x))) / self.b.in_features**0.5
        return out


def test_a_cut_that_runs_but_computes_something_else_is_refused() -> None:
    module, x = Scaled().eval(), torch.randn(4, 3)
    graph = to_graph(module, x)
    with pytest.raises(SurgeryError, match="computes something else"):
        apply_mask(module, graph, NodeMask({"a": torch.arange(8) < 4}))
    assert cuttable(module, graph) == frozenset()


class Auxiliary(nn.Module):
    """A second head that only training uses reads the same channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head, self.extra = nn.Linear(3, 8), nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        out: Tensor = self.head(x) + (self.extra(x) if self.training else 0)
        return out


def test_a_cut_that_only_evaluation_survives_is_refused() -> None:
    module, x = Auxiliary().eval(), torch.randn(4, 3)
    graph = to_graph(module, x)
    with pytest.raises(SurgeryError, match=r"fails in training, where it uses 'extra\.weight'"):
        apply_mask(module, graph, NodeMask({"stem": torch.arange(8) < 4}))
    assert module.stem.out_features == 8 and not module.training


class Demanding(nn.Module):
    """Training fails on what evaluation takes, before and after a cut: that is no reason to refuse one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head, self.extra = nn.Linear(3, 8), nn.Linear(8, 2), nn.Linear(5, 2)

    def forward(self, x: Tensor, targets: Tensor | None = None) -> Tensor:
        if self.training and targets is None:
            raise ValueError("targets are needed in training")
        out: Tensor = self.head(torch.relu(self.stem(x)))
        return out


def test_training_that_failed_before_is_not_held_against_a_cut() -> None:
    module, x = Demanding().eval(), torch.randn(4, 3)
    cut = apply_mask(module, to_graph(module, x), NodeMask({"stem": torch.arange(8) < 4}))
    assert cut.stem.out_features == 4
