"""Programs: which operators they may call, and the module that runs them."""

import copy

import pytest
import torch
from torch import nn

from netgraph import to_graph
from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph
from netgraph.graph.program import resolve
from tests.graph.networks import NETWORKS, by_hand, network


@pytest.mark.parametrize("target", ["aten.conv2d.default", "aten.add_.Tensor", "aten.relu.default"])
def test_resolves(target: str) -> None:
    assert str(resolve(target)) == target


REFUSED = {
    "not aten": ("prims.add.default", "not of the form"),
    "another library": ("torchvision.nms.default", "not of the form"),
    "a module": ("os.path.join", "not of the form"),
    "no overload": ("aten.relu", "not of the form"),
    "too deep": ("aten.relu.default.x", "not of the form"),
    "empty": ("", "not of the form"),
    "unknown operator": ("aten.nonsense.default", "has no operator"),
    "unknown overload": ("aten.relu.nonsense", "has no operator"),
    "attribute that is no overload": ("aten.relu.__class__", "has no operator"),
    "attribute that is no operator": ("aten.__init__.__func__", "has no operator"),
    "reads files": ("aten.from_file.default", "reads files"),
}


@pytest.mark.parametrize(("target", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_operators(target: str, message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        resolve(target)
    assert str(caught.value).startswith("program: ")


@pytest.mark.parametrize("name", NETWORKS)
def test_module_computes_what_the_original_does(name: str) -> None:
    module, x, converted = network(name)
    rebuilt = converted.to_module().train(module.training)
    assert torch.equal(rebuilt(x), module(x))
    assert list(rebuilt.state_dict()) == list(module.state_dict())


def test_the_batch_is_open() -> None:
    module, _, converted = network("concat")
    x = torch.randn(3, 2, 5, 5)
    assert torch.allclose(converted.to_module().eval()(x), module(x))


def test_parameters_are_copies() -> None:
    hand = by_hand()
    module = hand.to_module()
    with torch.no_grad():
        module.get_parameter("a.bias").zero_()
    assert hand == by_hand()


def test_tied_parameters_are_one() -> None:
    module = network("language")[2].to_module()
    assert module.get_parameter("head.weight") is module.get_parameter("embed.weight")


def test_without_a_program() -> None:
    hand = by_hand()
    structure = hand.structure
    bare = type(structure)(structure.groups, structure.axes, structure.tensors, order=structure.order)
    with pytest.raises(GraphError, match="no program"):
        NeuralGraph(bare, hand.state).to_module()


def test_a_layer_called_like_an_attribute_of_fx_is_refused_by_name() -> None:
    class Unlucky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.graph(x)
            return out

    graph = to_graph(Unlucky(), torch.randn(2, 3))
    with pytest.raises(GraphError, match="'graph' is an attribute of every torch"):
        graph.to_module()


def test_deep_copies_keep_what_fx_forgets() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    module.register_parameter("unused", nn.Parameter(torch.ones(2), requires_grad=False))
    module.register_buffer("secret", torch.ones(2), persistent=False)
    rebuilt = to_graph(module, torch.randn(2, 3)).to_module().train()
    rebuilt.get_submodule("1").eval()
    twin = copy.deepcopy(rebuilt)
    assert list(twin.state_dict()) == list(module.state_dict())
    assert not twin.get_parameter("unused").requires_grad
    assert twin.training and not twin.get_submodule("1").training
    assert twin.get_parameter("0.weight").data_ptr() != rebuilt.get_parameter("0.weight").data_ptr()
