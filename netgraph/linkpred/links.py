"""Links to learn and to test, and the graphs that may be read while doing so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self, final

import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.linkpred.graph import LinkGraph

__all__ = ["Links", "LinkSplit", "Stage", "check_pairs"]

Stage = Literal["train", "valid", "test"]


@final
@dataclass(frozen=True, eq=False)
class Links:
    """True links, and the false ones that they are ranked against.

    Attributes:
        pairs: head and tail of each link, `(2, P)`; an undirected link stands once.
        relation: of each link, `(P,)`, or None in a graph of one relation.
        negatives: false pairs: `(2, Q)` for all links together, or `(2, P, K)` for each link its own; None
            where they are drawn anew, or where every node is a candidate.

    >>> len(Links(torch.tensor([[0, 1], [1, 2]])))
    2
    """

    pairs: Tensor
    relation: Tensor | None = None
    negatives: Tensor | None = None

    def __len__(self) -> int:
        return self.pairs.size(1)

    def __getitem__(self, index: Tensor | slice) -> Self:
        """Some of the links, with the negatives that are their own."""
        own = self.negatives is not None and self.negatives.dim() == 3
        return type(self)(
            self.pairs[:, index],
            None if self.relation is None else self.relation[index],
            self.negatives[:, index] if own and self.negatives is not None else self.negatives,
        )

    def to(self, device: str | torch.device) -> Self:
        """The same links on another device."""
        moved = [None if t is None else t.to(device) for t in (self.relation, self.negatives)]
        return type(self)(self.pairs.to(device), *moved)


@final
@dataclass(frozen=True, eq=False)
class LinkSplit:
    """Links divided for training, validation and test, and what may be read at each stage.

    Attributes:
        train, valid, test: the links.
        graph: read while learning: the training links are its edges.
        valid_graph: read while the validation links are scored; mostly `graph`.
        test_graph: read while the test links are scored: `graph`, the same with validation links, or, in an
            inductive split, a graph of other nodes.
        known: all true links of the test graph, for filtered ranking, or None.
        about: what was split and how, in words and numbers, for the report.
    """

    train: Links
    valid: Links
    test: Links
    graph: LinkGraph
    valid_graph: LinkGraph
    test_graph: LinkGraph
    known: Links | None = None
    about: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def links(self, stage: Stage) -> Links:
        """The links of a stage."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[stage]

    def graph_at(self, stage: Stage) -> LinkGraph:
        """The graph that may be read at a stage."""
        return {"train": self.graph, "valid": self.valid_graph, "test": self.test_graph}[stage]


def check_pairs(operation: str, pairs: Tensor, nodes: int) -> None:
    """Refuse what are no pairs of nodes from 0 to `nodes` - 1.

    Raises:
        GraphError: naming the operation.
    """
    if pairs.dim() != 2 or pairs.size(0) != 2 or pairs.is_floating_point() or pairs.dtype == torch.bool:
        raise GraphError(
            f"{operation}: expected links as whole numbers of shape (2, P), got {pairs.dtype} of shape "
            f"{tuple(pairs.shape)}; pass heads above tails"
        )
    if pairs.numel() and (int(pairs.min()) < 0 or int(pairs.max()) >= nodes):
        odd = int(pairs[(pairs < 0) | (pairs >= nodes)][0])
        raise GraphError(
            f"{operation}: expected nodes from 0 to {nodes - 1}, got {odd}; number links as the graph does"
        )
