import pytest
import torch

from netgraph.convert import cuttable, to_graph
from netgraph.graph import NodeMask, select
from netgraph.pruning.working_copy import WorkingCopy, composed, read_state
from tests.pruning.nets import NAMES, make


def test_composition_is_one_cut_after_the_other() -> None:
    net, x = make("digits")
    graph = to_graph(net, x)
    first = NodeMask({"conv1": torch.tensor([True, False, True, True])})
    second = NodeMask(
        {
            "conv1": torch.tensor([False, True, True]),
            "layer1.0.conv1": torch.tensor([True, False, False, True]),
        }
    )
    both = composed(first, second)
    assert both.keep["conv1"].tolist() == [False, False, True, True]
    assert select(select(graph, first), second) == select(graph, both)
    assert first.keep["conv1"].tolist() == [True, False, True, True]


@pytest.mark.parametrize("rebuild", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_module_and_graph_stay_in_step(name: str, rebuild: bool) -> None:
    net, x = make(name)
    work = WorkingCopy(net, to_graph(net, x), rebuild)
    allowed = cuttable(net, work.graph)
    if name == "attention":  # its width and its heads must agree, so surgery cuts them together or not at all
        allowed = frozenset(["layer.linear1"])
    for group in work.graph.structure.groups:
        if group.role != "hidden" or group.size < 2 or not (rebuild or group.name in allowed):
            continue
        work.cut(NodeMask({group.name: torch.arange(group.size) > 0}))
    with torch.no_grad():
        for parameter in work.module.parameters():
            parameter.add_(0.01)
    work.refresh()
    assert torch.allclose(work.module(x), work.graph.to_module().eval()(x), atol=1e-5)
    assert (type(work.module) is type(net)) is not rebuild


def test_reading_shares_the_modules_storage() -> None:
    net, x = make("mlp")
    graph = read_state(net, to_graph(net, x).clone())
    assert graph.state["layers.0.weight"].data_ptr() == net.layers[0].weight.data_ptr()
