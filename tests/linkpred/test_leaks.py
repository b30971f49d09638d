"""Each leak, planted into a split without one, is found and named."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from netgraph.errors import GraphError
from netgraph.linkpred import LinkGraph, Links, LinkSplit
from netgraph.linkpred.assemble import read_graph
from netgraph.linkpred.leaks import check_split
from netgraph.linkpred.split import inductive_split, random_split

KINDS = ["undirected", "directed", "typed"]


def clean(kind: str, inductive: bool = False) -> LinkSplit:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(20, (2, 80), generator=generator)
    relation = torch.randint(2, (80,), generator=generator) if kind == "typed" else None
    graph = LinkGraph.from_edges(edges, 20, relation=relation, undirected=kind == "undirected")
    number = 3 if kind == "typed" else None
    if inductive:
        return inductive_split(graph, 0.5, 0.2, 0.4, num_negatives=number)
    return random_split(graph, 0.2, 0.2, num_negatives=number)


def base(split: LinkSplit) -> LinkGraph:
    """A graph of the same nodes and of relations without inverses."""
    graph = split.graph
    count = graph.num_relations if graph.undirected or graph.relation is None else graph.num_relations // 2
    relation = None if graph.relation is None else graph.relation[:0]
    none = torch.empty(2, 0, dtype=torch.long)
    return LinkGraph.from_edges(
        none, graph.num_nodes, relation=relation, num_relations=count, undirected=graph.undirected
    )


def added(links: Links, more: Links, *, reverse: bool = False) -> Links:
    """The links and one more, with the negatives of the first."""
    pairs = more.pairs[:, :1].flip(0) if reverse else more.pairs[:, :1]
    return Links(
        torch.cat((links.pairs, pairs), dim=1),
        None if links.relation is None else torch.cat((links.relation, more.relation[:1])),
        None,
    )


def with_negative(links: Links, pair: torch.Tensor) -> Links:
    """The links, with this pair in place of their first negative."""
    negatives = links.negatives.clone()
    negatives.reshape(2, -1)[:, 0] = pair
    return replace(links, negatives=negatives)


@pytest.mark.parametrize("inductive", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_clean_splits_pass(kind: str, inductive: bool) -> None:
    check_split(clean(kind, inductive))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("earlier", "later", "words"),
    [
        ("train", "valid", "validation links that are no training links"),
        ("train", "test", "test links that are no training links"),
        ("valid", "test", "test links that are no validation links"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_in_two_parts(kind: str, earlier: str, later: str, words: str, reverse: bool) -> None:
    split = clean(kind)
    first, second = split.links(earlier), split.links(later)  # type: ignore[arg-type]
    pairs = first.pairs[:, :1]
    broken = replace(split, **{later: added(second, first, reverse=reverse)}, known=None)
    if kind == "typed" and reverse:
        check_split(broken)  # the reverse of a triple is another fact
        return
    shown = pairs.flip(0) if reverse else pairs
    with pytest.raises(GraphError, match=words) as error:
        check_split(broken)
    head, tail = shown[:, 0].tolist()
    assert f"({head}, " in str(error.value) and f", {tail})" in str(error.value)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("graph", "stage", "words"),
    [
        ("graph", "valid", "validation links that the training graph does not show"),
        ("graph", "test", "test links that the training graph does not show"),
        ("valid_graph", "valid", "validation links that the validation graph does not show"),
        ("valid_graph", "test", "test links that the validation graph does not show"),
        ("test_graph", "test", "test links that the test graph does not show"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_a_graph_shows(kind: str, graph: str, stage: str, words: str, reverse: bool) -> None:
    split = clean(kind)
    link = split.links(stage)[:1]  # type: ignore[arg-type]
    if kind == "typed":
        # The reverse of a triple is another fact; its inverse is the triple itself.
        inverse = link.relation + 2 if reverse else link.relation
        edges, old = getattr(split, graph).edge_index, getattr(split, graph).edge_relation
        pairs = link.pairs.flip(0) if reverse else link.pairs
        leaky = LinkGraph.from_edges(
            torch.cat((edges, pairs), 1),
            20,
            relation=torch.cat((old, inverse)),
            num_relations=4,
            undirected=False,
        )
    else:
        leaky = read_graph(base(split), split.train, Links(link.pairs.flip(0) if reverse else link.pairs))
    with pytest.raises(GraphError, match=words):
        check_split(replace(split, **{graph: leaky}))


@pytest.mark.parametrize("source", ["train", "valid", "test"])
@pytest.mark.parametrize("stage", ["valid", "test"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_negative_that_is_true(kind: str, stage: str, source: str) -> None:
    split = clean(kind)
    links, true = split.links(stage), split.links(source)  # type: ignore[arg-type]
    place = 0
    if kind == "typed":
        place = int((true.relation == links.relation[0]).nonzero()[0])
    broken = replace(split, **{stage: with_negative(links, true.pairs[:, place])})
    word = {"train": "training", "valid": "validation", "test": "test"}
    with pytest.raises(GraphError, match=f"{word[stage]} negatives that are false.*{word[source]} link"):
        check_split(broken)
    if kind == "undirected":
        broken = replace(split, **{stage: with_negative(links, true.pairs[:, place].flip(0))})
        with pytest.raises(GraphError, match="negatives that are false"):
            check_split(broken)


def test_a_negative_that_is_an_edge_of_a_graph_alone() -> None:
    split = clean("undirected")
    pair = split.test.negatives[:, :1]
    graph = read_graph(base(split), split.train, Links(pair))
    with pytest.raises(GraphError, match=r"test negatives that are false.*training edge"):
        check_split(replace(split, graph=graph))


def first(links: Links, **changes: Any) -> Links:
    return replace(links, **changes)


PLANTS: dict[str, tuple[str, Callable[[LinkSplit], LinkSplit], str]] = {
    "a link twice": (
        "undirected",
        lambda s: replace(s, train=added(s.train, s.train, reverse=True)),
        "each training link once, got .* twice",
    ),
    "a directed link twice": (
        "directed",
        lambda s: replace(s, test=added(s.test, s.test)),
        "each test link once",
    ),
    "a triple twice": ("typed", lambda s: replace(s, test=added(s.test, s.test)), "each test link once"),
    "a loop": (
        "undirected",
        lambda s: replace(s, valid=Links(torch.tensor([[3], [3]]))),
        r"validation links of different nodes, got \(3, 3\)",
    ),
    "a node beyond": (
        "undirected",
        lambda s: replace(s, test=Links(torch.tensor([[3], [20]]))),
        r"nodes from 0 to 19 in test links, got \(3, 20\)",
    ),
    "a relation beyond": (
        "typed",
        lambda s: replace(s, test=Links(torch.tensor([[3], [2]]), torch.tensor([2]))),
        r"relations from 0 to 1 of test links, got \(3, 2, 2\)",
    ),
    "relations in one part": (
        "typed",
        lambda s: replace(s, valid=Links(s.valid.pairs)),
        "relations for the links of all parts or of none",
    ),
    "a negative twice": (
        "undirected",
        lambda s: replace(s, test=with_negative(s.test, s.test.negatives[:, 1].flip(0))),
        "test negatives that differ, got .* twice",
    ),
    "a loop among negatives": (
        "directed",
        lambda s: replace(s, test=with_negative(s.test, torch.tensor([4, 4]))),
        r"test negatives of different nodes, got \(4, 4\)",
    ),
    "a negative beyond": (
        "directed",
        lambda s: replace(s, valid=with_negative(s.valid, torch.tensor([4, 20]))),
        "nodes from 0 to 19 in validation negatives",
    ),
    "negatives of another number of links": (
        "typed",
        lambda s: replace(s, test=first(s.test, negatives=s.test.negatives[:, 1:])),
        "negatives of shape",
    ),
    "shared negatives of triples": (
        "typed",
        lambda s: replace(s, test=first(s.test, negatives=s.test.negatives[:, 0])),
        "negatives of their own",
    ),
    "a test link that is not known": (
        "undirected",
        lambda s: replace(s, known=Links(torch.cat((s.train.pairs, s.valid.pairs), 1))),
        "the test link .*, which is not; add it",
    ),
    "a training link that is not known": (
        "undirected",
        lambda s: replace(s, known=Links(torch.cat((s.valid.pairs, s.test.pairs), 1))),
        "the training link",
    ),
    "graphs of other nodes": (
        "undirected",
        lambda s: replace(s, test_graph=LinkGraph.from_edges(s.graph.edge_index, 21)),
        "graphs of the same nodes",
    ),
}


@pytest.mark.parametrize(("kind", "plant", "words"), PLANTS.values(), ids=PLANTS)
def test_what_else_is_found(kind: str, plant: Callable[[LinkSplit], LinkSplit], words: str) -> None:
    with pytest.raises(GraphError, match=words):
        check_split(plant(clean(kind)))


def test_a_graph_may_leave_training_links_out() -> None:
    split = clean("undirected")
    check_split(replace(split, graph=split.graph.without(split.train.pairs[:, :4])))
    leaky = read_graph(base(split), split.train, split.test)
    check_split(replace(split, test_graph=leaky.without(split.test.pairs)))


@pytest.mark.parametrize("kind", KINDS)
def test_leaks_of_an_inductive_split(kind: str) -> None:
    split = clean(kind, inductive=True)
    number = 2 if kind == "typed" else 1
    nodes = split.test_graph.num_nodes
    relation = None if kind != "typed" else torch.empty(0, dtype=torch.long)
    empty = LinkGraph.from_edges(
        torch.empty(2, 0, dtype=torch.long),
        nodes,
        relation=relation,
        num_relations=number,
        undirected=kind == "undirected",
    )
    with pytest.raises(GraphError, match="test links that the test graph does not show"):
        check_split(replace(split, test_graph=read_graph(empty, split.known)))
    broken = replace(split, valid=added(split.valid, split.train))
    with pytest.raises(GraphError, match="validation links that are no training links"):
        check_split(broken)
    with pytest.raises(GraphError, match="edge of the test graph"):
        check_split(replace(split, known=split.test))
    place = 0
    if kind == "typed":
        place = int((split.known.relation == split.test.relation[0]).nonzero()[0])
    broken = replace(split, test=with_negative(split.test, split.known.pairs[:, place]))
    with pytest.raises(GraphError, match="test negatives that are false"):
        check_split(broken)
