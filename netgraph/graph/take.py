"""Index every tensor of a graph along its axes of nodes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netgraph.graph.axis import IntArray
from netgraph.graph.neural_graph import NeuralGraph


def take(graph: NeuralGraph, positions: Sequence[IntArray | None]) -> dict[str, Tensor]:
    """The state with the given positions of each pooled axis, in their order; None leaves an axis as it is.

    Tensors none of whose axes is indexed are shared with `graph`.
    """
    sources = [None if p is None else torch.from_numpy(p) for p in positions]
    state = {}
    for spec in graph.structure.tensors:
        tensor = graph.state[spec.name]
        for dim, axis in enumerate(spec.axes):
            source = None if axis is None else sources[axis]
            if source is not None:
                tensor = tensor.index_select(dim, source.to(tensor.device))
        state[spec.name] = tensor
    return state
