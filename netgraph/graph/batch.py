"""A zoo of networks of equal structure as one stacked state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.graph.neural_graph import NeuralGraph
from netgraph.graph.structure import Structure


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Graphs of one structure: every tensor of the state has one more leading dimension, `(B, ...)`."""

    structure: Structure
    state: Mapping[str, Tensor]

    def __len__(self) -> int:
        return next((t.shape[0] for t in self.state.values()), 0)

    def __getitem__(self, index: int) -> NeuralGraph:
        if not -len(self) <= index < len(self):
            raise IndexError(f"graph {index} of a batch of {len(self)}")
        return NeuralGraph(self.structure, {n: t[index] for n, t in self.state.items()})


def stack(graphs: Sequence[NeuralGraph]) -> GraphBatch:
    """Stack graphs of equal structure.

    Raises:
        GraphError: no graph was given, or two structures differ.
    """
    if not graphs:
        raise GraphError("stack: expected at least one graph, got none")
    first = graphs[0].structure
    for i, graph in enumerate(graphs):
        if graph.structure != first:
            raise GraphError(
                f"stack: graph {i} has another structure than graph 0; stack graphs of one architecture only"
            )
    return GraphBatch(first, {n: torch.stack([g.state[n] for g in graphs]) for n in graphs[0].state})


def unstack(batch: GraphBatch) -> list[NeuralGraph]:
    """The graphs of a batch, as views of it."""
    return [batch[i] for i in range(len(batch))]
