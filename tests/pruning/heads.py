"""A metanetwork of four numbers with every head, for tests that need to know what it says."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from netgraph.graph import NeuralGraph
from netgraph.pruning import l2


class Said(NamedTuple):
    values: dict[str, Tensor] | None
    scores: dict[str, Tensor] | None
    budgets: dict[str, Tensor] | None
    output: Tensor | None = None


class Heads(nn.Module):
    """Scales weights, scores nodes by their group norm, gives every group a share of its own."""

    def __init__(self, *heads: str) -> None:
        super().__init__()
        self.heads = heads
        self.scale = nn.Parameter(torch.tensor(0.9))
        self.norm = nn.Parameter(torch.tensor(3.0))
        self.group = nn.Parameter(torch.tensor(0.2))
        self.share = nn.Parameter(torch.tensor(0.3))

    def read(self, graph: NeuralGraph, *, target: float | None = None) -> Said:
        names = [g.name for g in graph.structure.groups if g.role == "hidden"]
        values = {
            t.name: graph.state[t.name] * self.scale for t in graph.structure.tensors if t.kind == "parameter"
        }
        norms = l2(graph)
        scores = {n: self.norm * norms[n] + self.group * i for i, n in enumerate(names)}
        wanted = 0.5 if target is None else target
        budgets = {n: torch.sigmoid(self.share - 0.1 * i + wanted) for i, n in enumerate(names)}
        return Said(
            values if "rewrite" in self.heads else None,
            scores if "scores" in self.heads else None,
            budgets if "budgets" in self.heads else None,
        )
