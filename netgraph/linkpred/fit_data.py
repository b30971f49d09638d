"""What a predictor learns from and keeps: splits made of graphs, on its device, and graphs of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.reading import as_link_graph
from netgraph.linkpred.split import random_split
from netgraph.linkpred.triples import Triples

__all__ = ["graph_of_tensors", "graph_tensors", "moved", "split_for_fit"]

_TENSORS: Final = ("indptr", "indices", "relation", "x", "kept")


def split_for_fit(data: Any, valid: float, seed: int) -> LinkSplit:
    """A split as it is; of triples or a graph, one without a test, whose test graph has all links.

    >>> graph = LinkGraph.from_edges(torch.stack((torch.arange(9), torch.arange(1, 10))), 10)
    >>> split = split_for_fit(graph, 0.2, 0)
    >>> len(split.train), len(split.valid), split.test_graph.num_edges
    (8, 1, 18)
    """
    if isinstance(data, LinkSplit):
        return data
    if isinstance(data, Triples):
        data = data.graph
    return random_split(as_link_graph(data), valid, 0.0, seed=seed, read_valid_edges=True)


def moved(split: LinkSplit, device: torch.device) -> LinkSplit:
    """The same split on another device; graphs that are one stay one."""
    graphs: dict[int, LinkGraph] = {}

    def graph(given: LinkGraph) -> LinkGraph:
        return graphs.setdefault(id(given), given if given.device == device else given.to(device))

    def links(given: Links) -> Links:
        return given.to(device)

    return replace(
        split,
        train=links(split.train),
        valid=links(split.valid),
        test=links(split.test),
        graph=graph(split.graph),
        valid_graph=graph(split.valid_graph),
        test_graph=graph(split.test_graph),
        known=None if split.known is None else links(split.known),
    )


def graph_tensors(graph: LinkGraph) -> dict[str, Tensor]:
    """The tensors of a graph by name."""
    return {name: value for name in _TENSORS if (value := getattr(graph, name)) is not None}


def graph_of_tensors(tensors: Mapping[str, Tensor], num_relations: int, undirected: bool) -> LinkGraph:
    """The graph of such tensors from a file, whose numbers may be anything.

    Raises:
        TypeError, ValueError: they are none of a graph.
    """
    graph = LinkGraph(**tensors, num_relations=int(num_relations), undirected=bool(undirected))
    nodes, edges = graph.num_nodes, len(graph.indices)
    whole = all(t.dtype == torch.long and t.dim() == 1 for t in (graph.indptr, graph.indices))
    if not whole or nodes < 0 or int(graph.indptr[0]) != 0 or int(graph.indptr[-1]) != edges:
        raise ValueError("rows that do not belong to their entries")
    if bool((graph.indptr.diff() < 0).any()) or bool(((graph.indices < 0) | (graph.indices >= nodes)).any()):
        raise ValueError("entries that are no nodes")
    kind = graph.relation
    if kind is not None and (
        kind.shape != graph.indices.shape or bool(((kind < 0) | (kind >= graph.num_relations)).any())
    ):
        raise ValueError("relations that there are not")
    if (graph.kept is not None and len(graph.kept) != edges) or (
        graph.x is not None and len(graph.x) != nodes
    ):
        raise ValueError("features or marks of another length")
    return graph
