"""Triples against lists and sets of them."""

import itertools

import pytest
import torch

from netgraph.errors import GraphError, InterchangeError, UsageError
from netgraph.linkpred.triples import Triples, first_of_each, inverse_relations, with_inverses

FACTS = [("a", "likes", "b"), ("b", "fears", "c"), ("a", "likes", "b"), ("c", "likes", "c")]


def named(triples: Triples) -> list[tuple[str, str, str]]:
    columns = (*triples.pairs.tolist(), triples.relation.tolist())
    return [
        (triples.entities[h], triples.relations[r], triples.entities[t])
        for h, t, r in zip(*columns, strict=True)
    ]


def random_triples(seed: int, nodes: int = 8, kinds: int = 4, count: int = 60) -> Triples:
    generator = torch.Generator().manual_seed(seed)
    return Triples.from_tensors(
        torch.randint(nodes, (2, count), generator=generator),
        torch.randint(kinds, (count,), generator=generator),
        num_entities=nodes,
        num_relations=kinds + 1,  # the last has no triple
    )


def test_names_are_numbered_as_they_come_and_repetitions_counted() -> None:
    triples = Triples.of(FACTS)
    assert named(triples) == [FACTS[0], FACTS[1], FACTS[3]]
    assert triples.entities == ("a", "b", "c") and triples.relations == ("likes", "fears")
    assert triples.duplicates == 1 and triples.unseen == 0
    assert triples.relation_counts.tolist() == [2, 1]
    assert named(triples[1:]) == [FACTS[1], FACTS[3]] and triples[1:].duplicates == 0
    assert len(triples.links) == 3 and len(Triples.of([])) == 0


def test_names_beyond_the_vocabulary() -> None:
    rows = [("a", "likes", "c"), ("a", "likes", "d"), ("e", "hates", "a"), ("b", "hates", "c")]
    book = {"entities": ("c", "b", "a"), "relations": ("fears", "likes")}
    dropped = Triples.of(rows, **book, unseen="drop")
    assert named(dropped) == rows[:1] and dropped.unseen == 3
    assert dropped.entities == book["entities"] and dropped.relation_counts.tolist() == [0, 1]
    kept = Triples.of(rows, **book, unseen="keep")
    assert named(kept) == rows and kept.unseen == 0
    assert kept.entities == ("c", "b", "a", "d", "e") and kept.relations == ("fears", "likes", "hates")
    for some, words in (
        (rows[1:2], "the entity 'd' in"),
        (rows[2:3], "the entity 'e'"),
        (rows[3:], "the relation 'hates'"),
    ):
        with pytest.raises(InterchangeError, match=words):
            Triples.of(some, **book)
    assert Triples.of(rows[1:2], relations=("likes",)).entities == ("a", "d")
    with pytest.raises(UsageError, match="raise, drop, keep, got 'guess'"):
        Triples.of(rows, unseen="guess")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="each of the entities once"):
        Triples.of(rows, entities=("a", "a"))


def test_from_tensors() -> None:
    pairs, kind = torch.tensor([[0, 2, 0, 0], [1, 0, 1, 1]]), torch.tensor([0, 1, 0, 2])
    triples = Triples.from_tensors(pairs, kind)
    assert named(triples) == [("0", "0", "1"), ("2", "1", "0"), ("0", "2", "1")] and triples.duplicates == 1
    assert Triples.from_tensors(pairs, kind, num_entities=9, num_relations=5).num_relations == 5
    for bad, words in (
        ((pairs, kind[1:]), r"\(2, 4\) and \(3,\)"),
        ((pairs[0], kind), "shapes"),
        ((pairs - 1, kind), "entities from 0"),
    ):
        with pytest.raises(GraphError, match=words):
            Triples.from_tensors(*bad)
    with pytest.raises(GraphError, match="relations from 0 to 1, got 0 to 2"):
        Triples.from_tensors(pairs, kind, num_relations=2)


@pytest.mark.parametrize("seed", range(4))
def test_first_of_each_against_a_set(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(4, (2, 50), generator=generator)
    kind = torch.randint(2, (50,), generator=generator)
    for relation in (None, kind):
        columns = pairs.tolist() + ([] if relation is None else [relation.tolist()])
        seen: set[tuple[int, ...]] = set()
        expected = []
        for place, row in enumerate(zip(*columns, strict=True)):
            if row not in seen:
                expected.append(place)
            seen.add(row)
        assert first_of_each(pairs, relation).tolist() == expected


def test_inverses_of_edges() -> None:
    triples = random_triples(0)
    graph = with_inverses(triples, x=torch.ones(8, 2))
    facts = set(zip(*triples.pairs.tolist(), triples.relation.tolist(), strict=True))
    expected = facts | {(t, h, r + 5) for h, t, r in facts}
    assert set(zip(*graph.edge_index.tolist(), graph.edge_relation.tolist(), strict=True)) == expected
    assert graph.num_edges == len(expected) and graph.num_relations == 10 and not graph.undirected
    assert graph.x is not None


@pytest.mark.parametrize("threshold", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_inverse_relations_against_loops(seed: int, threshold: float) -> None:
    triples = random_triples(seed, nodes=5)
    facts = [
        (h, r, t)
        for h, t, r in zip(*triples.pairs.tolist(), triples.relation.tolist(), strict=True)
        if h != t
    ]
    expected = {}
    for r, s in itertools.product(range(5), repeat=2):
        mine = [(h, t) for h, kind, t in facts if kind == r]
        shared = sum((t, s, h) in facts for h, t in mine)
        if mine and shared / len(mine) >= threshold:
            expected[r, s] = shared / len(mine)
    found = inverse_relations(triples, threshold)
    assert {(r, s): share for r, s, share in found} == pytest.approx(expected)
    assert [share for *_, share in found] == sorted((share for *_, share in found), reverse=True)


def test_no_inverse_relations() -> None:
    assert inverse_relations(Triples.of([])) == []
    assert inverse_relations(Triples.of([("a", "is", "a")])) == []
    for threshold in (0.0, 1.1):
        with pytest.raises(UsageError, match="threshold above 0 and up to 1"):
            inverse_relations(Triples.of(FACTS), threshold)
