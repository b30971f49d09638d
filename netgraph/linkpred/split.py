"""Links divided for training, validation and test: by chance, by time, by nodes."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.assemble import NegativeKind, assemble, check_shares, divide, graph_links
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.reading import as_link_graph, induced_subgraph, largest_component, read_edges
from netgraph.linkpred.triples import first_of_each

__all__ = ["inductive_split", "random_split", "time_split"]


def random_split(
    data: Any,
    valid: float = 0.1,
    test: float = 0.2,
    *,
    negatives: NegativeKind = "random",
    num_negatives: int | None = None,
    seed: int = 0,
    read_valid_edges: bool = False,
    undirected: bool | None = None,
    component: Literal["whole", "largest"] = "whole",
) -> LinkSplit:
    """Divide the links of a graph by chance.

    All links between two nodes stay together: both directions of an undirected link, (u, v) and (v, u) of a
    directed graph, and all relations. Training links are the edges that are read; validation links are too
    while the test links are scored if `read_valid_edges` says so. Negatives are no edges of any part. A
    seed gives the same split on every device, whatever the order of the edges.

    A directed graph with relations is read with inverse relations (`with_inverses`), and has no negatives
    unless `num_negatives` asks for them: rank among all nodes, filtered by `known_tails`.

    Args:
        data: whatever `as_link_graph` reads.
        valid: share of the links for validation, rounded down.
        test: share of the links for the test, rounded down.
        negatives: `"random"` for different pairs that all links of a part share (`uniform_negatives`), or, of
            typed links, for some of each link (`corrupt`); `"hard"` for those of `hard_negatives`.
        num_negatives: how many each part has, or, if each link has its own, how many each link has; None for
            as many as links, for 500 hard ones of each, and for none of typed links.
        seed: of the division and the negatives.
        read_valid_edges: see above.
        undirected: as for `as_link_graph`.
        component: `"largest"` splits the largest component alone, with nodes renumbered in their order.

    Raises:
        UsageError: shares below 0 or that leave nothing for training, another word.
        GraphError: too few links for the shares, or too few pairs for the negatives.
        InterchangeError: `data` cannot be read.

    >>> import networkx as nx
    >>> split = random_split(nx.karate_club_graph(), 0.1, 0.2)
    >>> len(split.train), len(split.valid), len(split.test), split.test.negatives.shape
    (56, 7, 15, torch.Size([2, 15]))
    >>> split.test_graph.num_edges, bool(split.graph.has(split.test.pairs).any())
    (112, False)
    """
    check_shares("random_split", valid, test)
    if component not in ("whole", "largest"):
        raise UsageError(
            f'random_split: expected component "whole" or "largest", got {component!r}; choose one'
        )
    graph = whole = as_link_graph(data, undirected=undirected)
    if component == "largest":
        graph, _ = largest_component(graph)
    generator = torch.Generator().manual_seed(seed)
    links = graph_links(graph)
    return assemble(
        graph,
        divide(links, _rounded(valid, links), _rounded(test, links), generator),
        operation="random_split",
        shares=(valid, test),
        negatives=negatives,
        num_negatives=num_negatives,
        generator=generator,
        read_valid_edges=read_valid_edges,
        about={
            "split": "random",
            "component": component,
            "input_nodes": whole.num_nodes,
            "input_links": len(graph_links(whole)),
            "valid_share": valid,
            "test_share": test,
            "seed": seed,
        },
    )


def time_split(
    data: Any,
    time: Tensor,
    valid: float = 0.1,
    test: float = 0.2,
    *,
    negatives: NegativeKind = "random",
    num_negatives: int | None = None,
    seed: int = 0,
    read_valid_edges: bool = False,
    undirected: bool | None = None,
) -> LinkSplit:
    """Divide the links of a graph by time: the last ones are the test, those before them the validation.

    A link that stands several times, in either direction if it has none, counts when it first came. Links
    of equal time are in one part, the later one. In a directed graph without relations, a validation or
    test link is dropped if its reverse is in an earlier part.

    Args:
        data: whatever `as_link_graph` reads.
        time: of each edge in the order of `data`, `(E,)`; an edge of an undirected NetworkX graph stands in
            both directions, first all in one, then all in the other.
        valid: share of the links for validation.
        test: share of the links for the test.
        negatives: as for `random_split`.
        num_negatives: as there.
        seed: as there.
        read_valid_edges: as there.
        undirected: as there.

    Raises:
        UsageError: as `random_split`; times that are not one finite number per edge.
        GraphError: too few different times for the shares, or too few pairs for the negatives.
        InterchangeError: `data` cannot be read.

    >>> from torch_geometric.data import Data
    >>> path = Data(edge_index=torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]), num_nodes=6)
    >>> split = time_split(path, torch.tensor([5, 1, 2, 3, 4]), 0.2, 0.2, num_negatives=1, undirected=True)
    >>> split.train.pairs.tolist(), split.valid.pairs.tolist(), split.test.pairs.tolist()
    ([[1, 2, 3], [2, 3, 4]], [[4], [5]], [[0], [1]])
    """
    check_shares("time_split", valid, test)
    edges, nodes, relation, x, undirected = read_edges(data, undirected=undirected)
    if time.shape != edges.shape[1:] or not bool(torch.isfinite(time).all()):
        came = "infinity or NaN" if time.shape == edges.shape[1:] else f"shape {tuple(time.shape)}"
        raise UsageError(
            f"time_split: expected one finite time per edge, ({edges.size(1)},), got {came}; "
            "order them as the edges of the input"
        )
    base = LinkGraph.from_edges(edges, nodes, relation=relation, x=x, undirected=undirected)
    time = time.to(edges.device)
    if undirected:
        edges = edges.sort(dim=0).values
    order = time.argsort(stable=True)
    if undirected or relation is None:
        order = order[edges[0, order] != edges[1, order]]
    order = order[first_of_each(edges[:, order], None if relation is None else relation[order])]
    links = Links(edges[:, order], None if relation is None else relation[order])
    parts, bounds = _by_time(links, time[order], valid, test)
    before = sum(map(len, parts))
    if not undirected and relation is None:
        parts = _without_reverses(parts, nodes)
    return assemble(
        base,
        parts,
        operation="time_split",
        shares=(valid, test),
        negatives=negatives,
        num_negatives=num_negatives,
        generator=torch.Generator().manual_seed(seed),
        read_valid_edges=read_valid_edges,
        about={
            "split": "time",
            "component": "whole",
            "valid_share": valid,
            "test_share": test,
            "seed": seed,
            "valid_from": bounds[0],
            "test_from": bounds[1],
            "reverses_dropped": before - sum(map(len, parts)),
        },
    )


def inductive_split(
    data: Any,
    test_nodes: float | Tensor = 0.3,
    valid: float = 0.1,
    test: float = 0.2,
    *,
    negatives: NegativeKind = "random",
    num_negatives: int | None = None,
    seed: int = 0,
    undirected: bool | None = None,
) -> LinkSplit:
    """Hold nodes out: learn and validate on the links among some nodes, test on those among the others.

    The two graphs have no node in common, and each numbers its own from 0, in their order. Links between
    them are dropped. Of the held-out nodes, the links that are not asked for are read. `about["inductive"]`
    tells other functions that nodes of the test graph are not those of the others.

    Args:
        data: whatever `as_link_graph` reads.
        test_nodes: share of the nodes that are held out, drawn by chance; or which ones, `(M,)`.
        valid: share of the links among the other nodes that is for validation.
        test: share of the links among the held-out nodes that is asked for.
        negatives: as for `random_split`.
        num_negatives: as there.
        seed: as there.
        undirected: as there.

    Raises:
        UsageError: as `random_split`; a share of nodes not between 0 and 1.
        GraphError: too few links among either nodes, or nodes that are not there.
        InterchangeError: `data` cannot be read.

    >>> import networkx as nx
    >>> split = inductive_split(nx.karate_club_graph(), 0.4, 0.1, 0.5)
    >>> split.graph.num_nodes, split.test_graph.num_nodes, split.valid_graph is split.graph
    (21, 13, True)
    """
    check_shares("inductive_split", valid, 0.0)
    check_shares("inductive_split", 0.0, test)
    graph = as_link_graph(data, undirected=undirected)
    generator = torch.Generator().manual_seed(seed)
    if isinstance(test_nodes, Tensor):
        held = test_nodes.to(graph.device).unique()
    elif 0 < test_nodes < 1:
        shuffled = torch.randperm(graph.num_nodes, generator=generator)
        held = shuffled[: int(test_nodes * graph.num_nodes + 1e-9)].sort().values.to(graph.device)
    else:
        raise UsageError(
            f"inductive_split: expected a share of nodes between 0 and 1, got {test_nodes}; pass 0.3, say"
        )
    outer = induced_subgraph(graph, held)
    other = torch.ones(graph.num_nodes, dtype=torch.bool, device=graph.device)
    other[held] = False
    inner = induced_subgraph(graph, other.nonzero()[:, 0])
    links, asked = graph_links(inner), graph_links(outer)
    train, validation, _ = divide(links, _rounded(valid, links), 0, generator)
    shown, _, questions = divide(asked, 0, _rounded(test, asked), generator)
    return assemble(
        inner,
        [train, validation, questions],
        operation="inductive_split",
        shares=(valid, test),
        negatives=negatives,
        num_negatives=num_negatives,
        generator=generator,
        read_valid_edges=False,
        about={
            "split": "inductive",
            "component": "whole",
            "input_nodes": graph.num_nodes,
            "input_links": len(graph_links(graph)),
            "test_nodes": outer.num_nodes,
            "links_between_dropped": len(graph_links(graph)) - len(links) - len(asked),
            "valid_share": valid,
            "test_share": test,
            "seed": seed,
        },
        held=(outer, shown),
    )


def _rounded(share: float, links: Links) -> int:
    return int(share * len(links) + 1e-9)  # 0.7 * 10 is a little less than 7


def _by_time(links: Links, time: Tensor, valid: float, test: float) -> tuple[list[Links], list[float | None]]:
    """Cut links that are sorted by time; the bounds are the first times of validation and test."""
    total, begin, bounds = len(links), [len(links)] * 2, list[float | None]([None, None])
    ends = total - _rounded(test, links) - _rounded(valid, links), total - _rounded(test, links)
    for i, place in enumerate(ends):
        if place < total:
            bounds[i] = time[place].item()
            begin[i] = int(torch.searchsorted(time, time[place]))
    return [links[: begin[0]], links[begin[0] : begin[1]], links[begin[1] :]], bounds


def _without_reverses(parts: list[Links], nodes: int) -> list[Links]:
    """The parts without links whose reverse is in an earlier one."""
    kept = [parts[0]]
    for part in parts[1:]:
        earlier = KnownTails.from_links(*kept, num_nodes=nodes)
        kept.append(part[(~earlier.has(part.pairs.flip(0))).nonzero()[:, 0]])
    return kept
