"""Whether a split gives answers away."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final, NoReturn

import torch
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.links import Links, LinkSplit, Stage
from netgraph.linkpred.triples import first_of_each

__all__ = ["check_split"]

_STAGES: Final[tuple[Stage, ...]] = ("train", "valid", "test")
_WORDS: Final = {"train": "training", "valid": "validation", "test": "test"}


def check_split(split: LinkSplit) -> None:
    """Refuse a split in which an answer can be read, or counts as false.

    What must hold, in the order in which it is checked:

    1. Links join nodes of their graph, by relations of it; links without relations join no node with itself.
    2. No link stands twice in a part. No validation link is a training link, and no test link is either of
       both; without relations, nor is its reverse.
    3. No graph that is read before or while a link is scored has that link or its reverse among its edges;
       with relations, neither the link nor its inverse.
    4. No negative is a link of any part or an edge of any graph, none joins a node with itself, and none
       that all links share stands twice.
    5. `known` has all links and edges of the test graph.

    In an inductive split (`about["inductive"]`) nodes of the test graph are not those of the others, and are
    not compared with them. A test triple that follows from an inverse relation in the training graph is
    a matter of the data, not of the split: `inverse_relations` finds it.

    Raises:
        GraphError: with the first link that breaks a rule.

    >>> from netgraph.linkpred.split import random_split
    >>> ring = LinkGraph.from_edges(torch.stack((torch.arange(9), torch.arange(1, 10) % 9)), 9)
    >>> check_split(random_split(ring, 0.2, 0.3))
    """
    inductive = bool(split.about.get("inductive", False))
    typed = {split.links(stage).relation is not None for stage in _STAGES if len(split.links(stage))}
    if len(typed) > 1:
        _fail("relations for the links of all parts or of none", "some of each", "number the relations")
    if not inductive and len({split.graph_at(stage).num_nodes for stage in _STAGES}) > 1:
        _fail("graphs of the same nodes", "others", 'set about["inductive"] if the test has its own nodes')
    for stage in _STAGES:
        _check_links(split.links(stage), split.graph_at(stage), stage)
    _check_overlap(split, inductive)
    for graphs, stage in _readers(split, inductive):
        for name, graph in graphs:
            _check_unseen(split.links(stage), graph, stage, name)
    for stage in _STAGES:
        _check_negatives(split, stage, inductive)
    _check_known(split, inductive)


def _check_links(links: Links, graph: LinkGraph, stage: Stage) -> None:
    _check_nodes(links.pairs, graph, f"{_WORDS[stage]} links")
    if links.relation is None:
        loops = links.pairs[0] == links.pairs[1]
        if bool(loops.any()):
            _fail(f"{_WORDS[stage]} links of different nodes", _shown(links, loops), "drop self-loops")
    else:
        count = _base_relations(graph)
        beyond = (links.relation < 0) | (links.relation >= count)
        if bool(beyond.any()):
            _fail(
                f"relations from 0 to {count - 1} of {_WORDS[stage]} links",
                _shown(links, beyond),
                "number them as the graph does, without inverse ones",
            )
    ends = links.pairs.sort(dim=0).values if graph.undirected else links.pairs
    again = torch.ones(len(links), dtype=torch.bool, device=ends.device)
    again[first_of_each(ends, links.relation)] = False
    if bool(again.any()):
        _fail(f"each {_WORDS[stage]} link once", f"{_shown(links, again)} twice", "drop repetitions")


def _check_overlap(split: LinkSplit, inductive: bool) -> None:
    for earlier, later in combinations(_STAGES, 2):
        if inductive and later == "test":
            continue
        links, graph = split.links(later), split.graph_at(later)
        both = links.relation is None or graph.undirected
        known = _index([split.links(earlier)], graph, undirected=both)
        found = known.has(links.pairs, links.relation)
        if bool(found.any()):
            _fail(
                f"{_WORDS[later]} links that are no {_WORDS[earlier]} links",
                f"{_shown(links, found)}, which is one{' in either direction' if both else ''}",
                "keep all links between two nodes in one part",
            )


def _readers(split: LinkSplit, inductive: bool) -> Iterator[tuple[list[tuple[str, LinkGraph]], Stage]]:
    """Which graphs must not show the links of a stage."""
    train, valid, test = (
        ("training", split.graph),
        ("validation", split.valid_graph),
        ("test", split.test_graph),
    )
    yield [train, valid], "valid"
    yield [test] if inductive else [train, valid, test], "test"


def _check_unseen(links: Links, graph: LinkGraph, stage: Stage, name: str) -> None:
    found = _is_edge(graph, links.pairs, links.relation)
    if links.relation is None:
        found |= _is_edge(graph, links.pairs.flip(0), None)
    elif not graph.undirected:
        found |= _is_edge(graph, links.pairs.flip(0), links.relation + _base_relations(graph))
    if bool(found.any()):
        _fail(
            f"{_WORDS[stage]} links that the {name} graph does not show",
            f"{_shown(links, found)}, which is an edge of it",
            "read graph.without(links.pairs)",
        )


def _check_negatives(split: LinkSplit, stage: Stage, inductive: bool) -> None:
    links, graph = split.links(stage), split.graph_at(stage)
    if links.negatives is None:
        return
    own = links.negatives.dim() == 3
    if (own and links.negatives.shape[:2] != links.pairs.shape) or links.negatives.size(0) != 2:
        _fail(
            f"negatives of shape (2, Q) or (2, {len(links)}, K)",
            tuple(links.negatives.shape),
            "draw them anew",
        )
    kind = links.relation
    if own and kind is not None:
        kind = kind[:, None].expand(links.negatives.shape[1:]).reshape(-1)
    elif not own and kind is not None:
        _fail("negatives of their own for links with relations", "shared ones", "use corrupt")
    negatives = Links(links.negatives.reshape(2, -1), kind)
    word = f"{_WORDS[stage]} negatives"
    _check_nodes(negatives.pairs, graph, word)
    loops = negatives.pairs[0] == negatives.pairs[1]
    if kind is None and bool(loops.any()):
        _fail(f"{word} of different nodes", _shown(negatives, loops), "drop self-loops")
    if not own and len(negatives):
        ends = negatives.pairs.sort(dim=0).values if graph.undirected else negatives.pairs
        again = torch.ones(len(negatives), dtype=torch.bool, device=ends.device)
        again[first_of_each(ends)] = False
        if bool(again.any()):
            _fail(f"{word} that differ", f"{_shown(negatives, again)} twice", "use uniform_negatives")
    for other in _STAGES:
        if inductive and (other == "test") != (stage == "test"):
            continue
        known = _index([split.links(other)], graph, undirected=graph.undirected)
        found = known.has(negatives.pairs, negatives.relation)
        edge = _is_edge(split.graph_at(other), negatives.pairs, negatives.relation)
        for hit, what in ((found, "link"), (edge, "edge")):
            if bool(hit.any()):
                _fail(
                    f"{word} that are false",
                    f"{_shown(negatives, hit)}, which is a {_WORDS[other]} {what}",
                    "draw them avoiding all links",
                )


def _check_known(split: LinkSplit, inductive: bool) -> None:
    if split.known is None:
        return
    graph = split.test_graph
    known = _index([split.known], graph, undirected=graph.undirected)
    relation = graph.edge_relation
    edges = Links(graph.edge_index, relation)
    if relation is not None and not graph.undirected:
        edges = edges[(relation < _base_relations(graph)).nonzero()[:, 0]]
    parts = [(split.test, "test link"), (edges, "edge of the test graph")]
    if not inductive:
        parts[1:1] = [(split.train, "training link"), (split.valid, "validation link")]
    for links, what in parts:
        absent = ~known.has(links.pairs, links.relation)
        if bool(absent.any()):
            _fail(
                "all true links among the known",
                f"the {what} {_shown(links, absent)}, which is not",
                "add it, or ranks count it as a false answer",
            )


def _index(links: list[Links], graph: LinkGraph, *, undirected: bool) -> KnownTails:
    count = graph.num_relations if links[0].relation is None else _base_relations(graph)
    return KnownTails.from_links(
        *links, num_nodes=graph.num_nodes, num_relations=count, undirected=undirected
    )


def _is_edge(graph: LinkGraph, pairs: Tensor, relation: Tensor | None) -> Tensor:
    if relation is None:
        return graph.has(pairs)
    return KnownTails.from_graph(graph).has(pairs, relation)


def _base_relations(graph: LinkGraph) -> int:
    """How many relations links may have; a directed graph has as many inverse ones."""
    return graph.num_relations if graph.undirected else graph.num_relations // 2


def _check_nodes(pairs: Tensor, graph: LinkGraph, what: str) -> None:
    beyond = ((pairs < 0) | (pairs >= graph.num_nodes)).any(0)
    if bool(beyond.any()):
        odd = tuple(pairs[:, beyond][:, 0].tolist())
        _fail(f"nodes from 0 to {graph.num_nodes - 1} in {what}", odd, "number nodes as the graph does")


def _shown(links: Links, where: Tensor) -> str:
    place = int(where.nonzero()[0])
    head, tail = links.pairs[:, place].tolist()
    return (
        f"({head}, {tail})" if links.relation is None else f"({head}, {int(links.relation[place])}, {tail})"
    )


def _fail(expected: str, came: object, remedy: str) -> NoReturn:
    raise GraphError(f"check_split: expected {expected}, got {came}; {remedy}")
