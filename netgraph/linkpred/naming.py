"""Names of nodes and relations, and what callers say in place of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, final

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.triples import Triples

__all__ = ["Names", "read_names"]

Name: TypeAlias = str | int


def read_names(
    data: Any, nodes: Sequence[Name] | None = None, relations: Sequence[Name] | None = None
) -> Names:
    """The names that data brings along, unless others are given.

    Triples name entities and relations; a `networkx.Graph` names its nodes, if all are words or whole
    numbers other than 0, 1, 2, ... in their order.

    >>> read_names(nx.Graph([("a", "b")])).node_names
    ['a', 'b']
    """
    if isinstance(data, Triples):
        nodes = data.entities if nodes is None else nodes
        relations = data.relations if relations is None else relations
    elif isinstance(data, nx.Graph) and nodes is None:
        labels = list(data.nodes)
        if all(type(label) in (str, int) for label in labels) and labels != list(range(len(labels))):
            nodes = labels
    return Names(None if nodes is None else list(nodes), None if relations is None else list(relations))


@final
@dataclass(frozen=True, eq=False)
class Names:
    """Names in the order of the numbers they stand for.

    Attributes:
        node_names: None if nodes have none.
        relation_names: without those of inverse relations; None if relations have none.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0], [1]]), 2)
    >>> Names(["a", "b"]).pairs("predict", [("b", "a")], graph).tolist()
    [[1], [0]]
    """

    node_names: list[Name] | None = None
    relation_names: list[Name] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"node_names": self.node_names, "relation_names": self.relation_names}

    def check(self, graph: LinkGraph) -> None:
        """Refuse names that are not those of a graph.

        Raises:
            UsageError: another number of names than there are nodes or relations, or a name twice.
        """
        relations = {graph.num_relations}
        if graph.relation is not None and not graph.undirected and graph.num_relations % 2 == 0:
            relations.add(graph.num_relations // 2)  # the others are inverse
        for what, names, counts in (
            ("nodes", self.node_names, {graph.num_nodes}),
            ("relations", self.relation_names, relations),
        ):
            if names is not None and (len(names) not in counts or len(set(names)) != len(names)):
                raise UsageError(
                    f"fit: expected names of {max(counts)} {what}, each once, got {len(names)} names, "
                    f"{len(set(names))} different; name all {what} in their order"
                )

    def nodes(self, operation: str, given: Any, graph: LinkGraph) -> Tensor:
        """Numbers of nodes `(B,)`.

        Raises:
            UsageError: none, or some that the graph does not have.
        """
        if isinstance(given, Tensor | np.ndarray):
            numbers = _whole(operation, given, "(B,)", 1)
        else:
            numbers = self._numbers(operation, "node", list(given), self._node_number)
        if not len(numbers):
            raise UsageError(f"{operation}: expected nodes, got none; pass at least one")
        return _within(operation, "nodes", numbers, graph.num_nodes)

    def pairs(self, operation: str, given: Any, graph: LinkGraph) -> Tensor:
        """Numbers of heads and tails `(2, P)`.

        Raises:
            UsageError: none, or some that the graph does not have.
        """
        if isinstance(given, Tensor | np.ndarray):
            numbers = _whole(operation, given, "(2, P)", 2)
        else:
            listed = list(given)
            if any(
                isinstance(pair, str) or not hasattr(pair, "__len__") or len(pair) != 2 for pair in listed
            ):
                raise UsageError(
                    f"{operation}: expected a sequence of (head, tail), got {str(listed)[:80]}; "
                    "pass pairs, or numbers of shape (2, P) as a tensor"
                )
            flat = [end for pair in listed for end in pair]
            numbers = self._numbers(operation, "node", flat, self._node_number).view(-1, 2).T
        if not numbers.size(1):
            raise UsageError(f"{operation}: expected pairs, got none; pass at least one")
        return _within(operation, "nodes", numbers, graph.num_nodes)

    def relations(self, operation: str, given: Any, graph: LinkGraph, count: int) -> Tensor | None:
        """Numbers of relations `(count,)`, or None for a graph of one relation.

        Raises:
            UsageError: none where the graph has several or some where it has one, another number of them, or
                some that the graph does not have.
        """
        if (given is None) != (graph.relation is None):
            wanted, came = ("a relation", "none") if given is None else ("no relation", "some")
            raise UsageError(
                f"{operation}: expected {wanted} for each pair of a graph of {graph.num_relations}, "
                f"got {came}; see relation_names_"
            )
        if given is None:
            return None
        if isinstance(given, str | int):
            given = [given]
        if isinstance(given, Tensor | np.ndarray):
            numbers = _whole(operation, given, f"({count},)", 1)
        else:
            numbers = self._numbers(operation, "relation", list(given), self._relation_number)
        if len(numbers) not in (1, count):
            raise UsageError(
                f"{operation}: expected a relation for each of {count}, or one for all, got {len(numbers)}; "
                "pass as many as pairs"
            )
        return _within(operation, "relations", numbers.expand(count), graph.num_relations)

    @cached_property
    def _node_number(self) -> dict[Name, int] | None:
        names = self.node_names
        return None if names is None else {name: i for i, name in enumerate(names)}

    @cached_property
    def _relation_number(self) -> dict[Name, int] | None:
        names = self.relation_names
        return None if names is None else {name: i for i, name in enumerate(names)}

    def _numbers(
        self, operation: str, what: str, given: list[Any], numbers: dict[Name, int] | None
    ) -> Tensor:
        if numbers is None:
            if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in given):
                raise UsageError(
                    f"{operation}: expected numbers of {what}s, which have no names, got {str(given)[:80]}; "
                    f"name the {what}s in fit, or pass numbers"
                )
            return torch.tensor(given, dtype=torch.long)
        for name in given:
            if name not in numbers:
                raise UsageError(
                    f"{operation}: expected {what}s of the graph, got the unknown {what} {name!r}; "
                    f"see {what}_names_"
                )
        return torch.tensor([numbers[name] for name in given], dtype=torch.long)


def _whole(operation: str, given: Any, shape: str, dims: int) -> Tensor:
    numbers = torch.as_tensor(given)
    fits = numbers.dim() == dims and (dims == 1 or numbers.size(0) == 2)
    if not fits or numbers.is_floating_point() or numbers.dtype == torch.bool:
        raise UsageError(
            f"{operation}: expected whole numbers of shape {shape}, got {numbers.dtype} of shape "
            f"{tuple(numbers.shape)}; pass numbers, or names as a sequence"
        )
    return numbers.long()


def _within(operation: str, what: str, numbers: Tensor, count: int) -> Tensor:
    odd = numbers[(numbers < 0) | (numbers >= count)]
    if len(odd):
        raise UsageError(
            f"{operation}: expected {what} from 0 to {count - 1}, got {int(odd[0])}; "
            "ask for those of the graph only"
        )
    return numbers
