"""Reads the graphs that an estimator is given, with the features it expects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor
from torch_geometric.data import Data

from netgraph.convert import as_data
from netgraph.errors import UsageError
from netgraph.subgraph.transform import SubgraphData, SubgraphTransform

__all__ = ["Features", "check_features", "learn_features", "list_pairs", "read_graphs"]

_NAMES: Final = (("x", "node"), ("edge_attr", "edge"))


@final
@dataclass(frozen=True)
class Features:
    """What nodes, or edges, carry.

    Attributes:
        count: numbers per row, or how many categories there are; 0 for nothing.
        categories: whether each row is one whole number, the number of its category.
    """

    count: int = 0
    categories: bool = False


def read_graphs(operation: str, graphs: Any) -> list[Data]:
    """Each graph as a `Data` of nothing but nodes, edges, `x` and `edge_attr`.

    Features are floats `(rows, F)`, or whole numbers `(rows,)` for categories. What a `SubgraphTransform`
    made keeps its pairs.

    Args:
        operation: for messages.
        graphs: several NetworkX, PyG or DGL graphs.

    Raises:
        UsageError: no graphs, or a graph without nodes.
        InterchangeError: something that is no simple undirected graph.

    >>> import networkx as nx
    >>> read_graphs("fit", [nx.path_graph(3)])
    [Data(edge_index=[2, 4], num_nodes=3)]
    """
    if isinstance(graphs, Data) or hasattr(graphs, "adj") or not isinstance(graphs, Iterable):
        raise UsageError(
            f"{operation}: expected a list of graphs, got one {type(graphs).__name__}; put it into a list"
        )
    read = [_plain(as_data(graph)) for graph in graphs]
    if not read:
        raise UsageError(f"{operation}: expected at least one graph, got none; pass some")
    for index, data in enumerate(read):
        if data.num_nodes == 0:
            raise UsageError(
                f"{operation}: expected nodes in each graph, got none in graph {index}; leave it out"
            )
    return read


def learn_features(graphs: Sequence[Data]) -> tuple[Features, Features]:
    """What the nodes and the edges of all these graphs carry, as the first that has any of them tells.

    >>> import networkx as nx
    >>> graph = nx.path_graph(2)
    >>> nx.set_node_attributes(graph, {0: 4, 1: 2}, "x")
    >>> learn_features(read_graphs("fit", [graph]))[0]
    Features(count=5, categories=True)
    """
    found = []
    for name, _ in _NAMES:
        values = [data[name] for data in graphs if name in data and data[name].numel()]
        if not values:
            found.append(Features())
        elif values[0].is_floating_point():
            found.append(Features(values[0].size(1)))
        else:
            found.append(Features(int(max(value.max() for value in values)) + 1, categories=True))
    return found[0], found[1]


def check_features(operation: str, graphs: Sequence[Data], wanted: tuple[Features, Features]) -> None:
    """Refuse graphs with other features; a graph without edges gets empty ones where it has none.

    Raises:
        UsageError: one has more, fewer or others.
    """
    for index, data in enumerate(graphs):
        for (name, what), features in zip(_NAMES, wanted, strict=True):
            value = data.get(name)
            if what == "edge" and data.num_edges == 0:
                # NetworkX cannot tell what edges would carry if there were any.
                value = _nothing(features)
                if value is not None:
                    data[name] = value
                elif name in data:
                    del data[name]
            if not _fits(value, features):
                raise UsageError(
                    f"{operation}: expected {_say(features)} for each {what}, got {_say_value(value)} in "
                    f"graph {index}; give all graphs the {name} of those in fit"
                )


def list_pairs(graphs: Iterable[Data], transform: SubgraphTransform) -> list[SubgraphData]:
    """Apply the transform to those graphs that it has not made itself."""
    return [data if data.get("subgraph_policy") == repr(transform) else transform(data) for data in graphs]


def _plain(data: Data) -> Data:
    kept = SubgraphData() if "pair_index" in data else Data()
    for name in ("edge_index", "num_nodes", "pair_index", "pair_start", "subgraph_policy"):
        if name in data:
            kept[name] = data[name]
    for name, _ in _NAMES:
        value = data.get(name)
        if value is None:
            continue
        if value.is_floating_point() or value.dtype == torch.bool or value.dim() > 2 or value[:1].numel() > 1:
            kept[name] = value.float().flatten(1) if value.dim() > 1 else value.float().unsqueeze(1)
        else:
            kept[name] = value.long().reshape(-1)
    return kept


def _fits(value: Tensor | None, features: Features) -> bool:
    if value is None or features.count == 0:
        return value is None and features.count == 0
    if features.categories:
        inside = (value >= 0) & (value < features.count)
        return not value.is_floating_point() and bool(inside.all())
    return value.is_floating_point() and value.size(1) == features.count


def _nothing(features: Features) -> Tensor | None:
    if features.count == 0:
        return None
    if features.categories:
        return torch.zeros(0, dtype=torch.int64)
    return torch.zeros(0, features.count)


def _say(features: Features) -> str:
    if features.categories:
        return f"a category from 0 to {features.count - 1}"
    return f"{features.count} features" if features.count else "no features"


def _say_value(value: Tensor | None) -> str:
    if value is None:
        return "none"
    if value.is_floating_point():
        return f"{value.size(1)} features"
    return f"categories from {int(value.min())} to {int(value.max())}" if value.numel() else "none"
