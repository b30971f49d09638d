import torch
from torch import nn

from netgraph.pruning import shuffled_batches
from netgraph.pruning.fingerprint import fingerprint
from tests.pruning.nets import make_graph


def test_changes_with_everything_that_shapes_a_run() -> None:
    graph = make_graph("mlp")
    other = graph.replace({"layers.0.bias": graph.state["layers.0.bias"] + 1})
    batches = shuffled_batches(torch.zeros(4), torch.zeros(4), 2)
    other_batches = shuffled_batches(torch.ones(4), torch.zeros(4), 2)
    net = nn.Linear(2, 2)
    base = fingerprint(net, [graph], [batches], {"seed": 0})
    assert base == fingerprint(nn.Linear(2, 2), [graph], [batches], {"seed": 0})
    changed = [
        fingerprint(nn.Linear(2, 3), [graph], [batches], {"seed": 0}),
        fingerprint(net, [other], [batches], {"seed": 0}),
        fingerprint(net, [graph, graph], [batches], {"seed": 0}),
        fingerprint(net, [make_graph("mlp-norm")], [batches], {"seed": 0}),
        fingerprint(net, [graph], [other_batches], {"seed": 0}),
        fingerprint(net, [graph], [batches], {"seed": 1}),
        fingerprint(net, [graph], [batches, other_batches], {"seed": 0}),
    ]
    assert len({base, *changed}) == 8
