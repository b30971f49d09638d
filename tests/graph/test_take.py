"""Indexing a graph's tensors along its axes, against indexing each by hand."""

import numpy as np
import torch

from netgraph import to_graph
from netgraph.graph.take import take


def test_positions_of_an_axis_are_taken_from_every_tensor_that_has_it() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    graph = to_graph(module, torch.randn(2, 3))
    hidden = graph.structure.tensor["0.bias"].axes[0]
    order = np.array([3, 1, 1])
    positions = [order if i == hidden else None for i in range(len(graph.structure.axes))]
    state = take(graph, positions)
    assert torch.equal(state["0.weight"], module[0].weight[order])
    assert torch.equal(state["0.bias"], module[0].bias[order])
    assert torch.equal(state["2.weight"], module[2].weight[:, order])
    assert state["2.bias"] is graph.state["2.bias"]
