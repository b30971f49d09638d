"""What all splits share: the graph that is read, the negatives, and the parts put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import torch
from torch import Tensor

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.hard import hard_negatives
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.negatives import corrupt, uniform_negatives

__all__ = ["NegativeKind", "assemble", "check_shares", "divide", "graph_links", "joined", "read_graph"]

NegativeKind = Literal["random", "hard"]
_HARD: Final = 500
"""Hard negatives per link, as HeaRT has it."""


def graph_links(graph: LinkGraph) -> Links:
    """The links of a graph, each once: an undirected one with the smaller node first.

    >>> graph_links(LinkGraph.from_edges(torch.tensor([[2, 1], [1, 0]]), 3)).pairs.tolist()
    [[0, 1], [1, 2]]
    """
    edges, relation = graph.edge_index, graph.edge_relation
    if not graph.undirected:
        return Links(edges, relation)
    once = edges[0] < edges[1]
    return Links(edges[:, once], None if relation is None else relation[once])


def read_graph(base: LinkGraph, *links: Links) -> LinkGraph:
    """A graph of some links, with the nodes and features of `base`.

    If `base` is directed and has relations, each link gets its inverse, of relation r + R.
    """
    all_links = joined(*links)
    pairs, relation = all_links.pairs, all_links.relation
    count = base.num_relations
    if relation is not None and not base.undirected:
        pairs = torch.cat((pairs, pairs.flip(0)), dim=1)
        relation = torch.cat((relation, relation + count))
        count *= 2
    return LinkGraph.from_edges(
        pairs,
        base.num_nodes,
        relation=relation,
        num_relations=count,
        x=base.x,
        undirected=base.undirected,
    )


def divide(links: Links, valid: int, test: int, generator: torch.Generator) -> list[Links]:
    """Links for training, validation and test, by chance; all links between two nodes in one part.

    Validation and test get at most `valid` and `test` links, and exactly that many where no two links join
    the same nodes. Links keep their order.
    """
    ends = links.pairs.sort(dim=0).values
    group = _numbered(ends)
    count = int(group.max()) + 1 if len(group) else 0
    order = torch.randperm(count, generator=generator).to(group.device)
    reach = torch.bincount(group, minlength=count)[order].cumsum(0)
    part = torch.empty_like(order)
    # What does not fit into the test as a whole begins the validation, and so on.
    in_test = reach <= test
    taken = int(reach[in_test][-1]) if bool(in_test.any()) else 0
    part[order] = torch.where(in_test, 2, torch.where(reach - taken <= valid, 1, 0))
    return [links[(part[group] == stage).nonzero()[:, 0]] for stage in range(3)]


def joined(*links: Links) -> Links:
    """The links of several parts, without negatives."""
    typed = links[0].relation is not None
    kinds = [part.relation for part in links if part.relation is not None]
    return Links(torch.cat([part.pairs for part in links], dim=1), torch.cat(kinds) if typed else None)


def check_shares(operation: str, valid: float, test: float) -> None:
    """Refuse shares that are none, or that leave nothing for training."""
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise UsageError(
            f"{operation}: expected shares for validation and test from 0 to below 1 in all, got {valid} and "
            f"{test}; 0.1 and 0.2, say, leave 0.7 for training"
        )


def assemble(
    base: LinkGraph,
    parts: Sequence[Links],
    *,
    operation: str,
    shares: tuple[float, float],
    negatives: NegativeKind,
    num_negatives: int | None,
    generator: torch.Generator,
    read_valid_edges: bool,
    about: Mapping[str, Any],
    held: tuple[LinkGraph, Links] | None = None,
    more_true: Sequence[Links] = (),
) -> LinkSplit:
    """Graphs, negatives and the words about them, for links that are divided already.

    Args:
        base: nodes, features and relations of the training graph.
        parts: links for training, validation and test.
        operation: the caller, for messages.
        shares: of validation and test; above zero, the part must not be empty.
        negatives, num_negatives, generator, read_valid_edges: as for `random_split`.
        about: what the caller knows.
        held: for links of the test among other nodes: base of their graph, and the links that it shows.
        more_true: links over the nodes of the test graph that are no negatives either.

    Raises:
        UsageError: an unknown kind of negatives.
        GraphError: an empty part, or too few pairs for the negatives.
    """
    if negatives not in ("random", "hard"):
        raise UsageError(f'{operation}: expected negatives "random" or "hard", got {negatives!r}; choose one')
    for name, links, share in zip(("training", "validation", "test"), parts, (1.0, *shares), strict=True):
        if not len(links) and share > 0:
            raise GraphError(
                f"{operation}: expected some links for each part, got none for {name} of "
                f"{sum(map(len, parts))}; change the shares, or take a larger graph"
            )
    train, valid, test = parts
    graph = read_graph(base, train)
    if held is None:
        test_base, test_graph = base, read_graph(base, train, valid) if read_valid_edges else graph
        true = true_of_test = joined(*parts, *more_true)
    else:
        test_base, shown = held
        test_graph = read_graph(test_base, shown)
        true, true_of_test = joined(train, valid), joined(shown, test, *more_true)
    scored = [
        _with_negatives(links, read, own_base, all_true, negatives, num_negatives, generator)
        for links, read, own_base, all_true in (
            (valid, graph, base, true),
            (test, test_graph, test_base, true_of_test),
        )
    ]
    known = {
        "nodes": base.num_nodes,
        "links": sum(map(len, parts)),
        "undirected": base.undirected,
        "inductive": held is not None,
        "negatives": negatives if scored[1].negatives is not None else "all nodes",
        "read_valid_edges": read_valid_edges,
    }
    return LinkSplit(
        train,
        scored[0],
        scored[1],
        graph,
        graph,
        test_graph,
        true_of_test,
        MappingProxyType({**known, **about}),
    )


def _with_negatives(
    links: Links,
    graph: LinkGraph,
    base: LinkGraph,
    true: Links,
    kind: NegativeKind,
    number: int | None,
    generator: torch.Generator,
) -> Links:
    """The links with false ones; `true` are all links over the nodes of `graph`."""
    typed = links.relation is not None
    if kind == "random" and not typed:
        count = len(links) if number is None else number
        drawn = uniform_negatives(
            base.num_nodes, count, avoid=true.pairs, generator=generator, undirected=base.undirected
        )
    elif typed and kind == "random" and number is None:
        return links
    else:
        known = KnownTails.from_links(
            true, num_nodes=base.num_nodes, num_relations=base.num_relations, undirected=base.undirected
        )
        if kind == "random":
            drawn = corrupt(links, known, number or 0, generator=generator)
        else:
            drawn = hard_negatives(
                graph, links, _HARD if number is None else number, known=known, generator=generator
            )
    return Links(links.pairs, links.relation, drawn)


def _numbered(pairs: Tensor) -> Tensor:
    """A number from 0 for each different pair, `(P,)`."""
    order = pairs[1].argsort(stable=True)
    order = order[pairs[0][order].argsort(stable=True)]
    fresh = torch.zeros_like(order)
    fresh[1:] = (pairs[:, order[1:]] != pairs[:, order[:-1]]).any(0).long()
    number = torch.empty_like(order)
    number[order] = fresh.cumsum(0)
    return number
