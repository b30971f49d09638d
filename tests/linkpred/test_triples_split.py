"""Splits of knowledge graphs: what is read, what is known, what is given away."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred.known import known_tails
from netgraph.linkpred.leaks import check_split
from netgraph.linkpred.triple_files import TriplesFolder, read_triples_folder
from netgraph.linkpred.triples import Triples
from netgraph.linkpred.triples_split import folder_split, triples_split

NAMES: dict[str, Any] = {"entities": tuple("abcdef"), "relations": ("likes", "liked by", "married to", "odd")}
TRAIN = [
    ("a", "likes", "b"),
    ("b", "liked by", "a"),
    ("c", "likes", "d"),
    ("d", "liked by", "c"),
    ("e", "likes", "f"),
    ("a", "married to", "c"),
    ("c", "married to", "a"),
    ("b", "married to", "d"),
    ("d", "married to", "b"),
    ("f", "liked by", "e"),
    ("e", "married to", "b"),
    ("c", "likes", "a"),
]
# Backwards in the training: (a, liked by, c) and (b, married to, e); not so the others.
VALID = [("a", "liked by", "c"), ("a", "likes", "d")]
TEST = [("b", "married to", "e"), ("e", "odd", "a"), ("d", "likes", "a")]


def of(rows: list[tuple[str, str, str]], **names: Any) -> Triples:
    return Triples.of(rows, **(NAMES | names))


def edges(graph: Any) -> set[tuple[int, ...]]:
    return set(zip(*graph.edge_index.tolist(), graph.edge_relation.tolist(), strict=True))


def facts(triples: Triples) -> set[tuple[int, ...]]:
    return set(zip(*triples.pairs.tolist(), triples.relation.tolist(), strict=True))


def test_what_is_read_and_what_is_known() -> None:
    train, valid, test = of(TRAIN), of(VALID), of(TEST)
    for read_valid in (False, True):
        split = triples_split(train, valid, test, inverses="keep", read_valid_edges=read_valid)
        check_split(split)
        read = facts(train)
        assert edges(split.graph) == edges(split.valid_graph) == read | {(t, h, r + 4) for h, t, r in read}
        read |= facts(valid) if read_valid else set()
        assert edges(split.test_graph) == read | {(t, h, r + 4) for h, t, r in read}
    assert facts_of(split.known) == facts(train) | facts(valid) | facts(test)
    assert split.test.negatives is None and split.graph.num_relations == 8
    assert split.about["empty_relations"] == 1 and split.about["negatives"] == "all nodes"
    assert not split.about["inductive"] and split.about["links"] == 17
    known = known_tails(split)
    assert known.num_relations == 4 and known.has(split.test.pairs, split.test.relation).all()


def facts_of(links: Any) -> set[tuple[int, ...]]:
    return set(zip(*links.pairs.tolist(), links.relation.tolist(), strict=True))


def test_questions_that_are_given_away() -> None:
    train, valid, test = of(TRAIN), of(VALID), of(TEST)
    words = "1 of 2 validation triples and 1 of 3 test triples that stand backwards"
    with pytest.warns(UserWarning, match=words):
        split = triples_split(train, valid, test)
    assert split.about["given_away"] == {"valid": 1, "test": 1}
    assert split.about["inverse_relations"] == 2 and len(split.test) == 3
    with pytest.raises(GraphError, match=words):
        triples_split(train, valid, test, inverses="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        less = triples_split(train, valid, test, inverses="drop")
        assert triples_split(train, valid, test, inverses="keep").about["given_away"]["test"] == 1
        strict = triples_split(train, valid, test, inverses="keep", threshold=1.0)
        triples_split(train, of(VALID[1:]), of(TEST[1:]))
    assert strict.about["given_away"] == {"valid": 1, "test": 0}
    check_split(less)
    assert facts_of(less.valid) == facts(of(VALID[1:])) and facts_of(less.test) == facts(of(TEST[1:]))
    # They are true all the same.
    assert facts_of(less.known) == facts(train) | facts(valid) | facts(test)


def test_validation_triples_that_are_read_give_away_too() -> None:
    train, valid, test = of(TRAIN), of([("f", "married to", "a")]), of([("a", "married to", "f")])
    assert triples_split(train, valid, test, inverses="keep").about["given_away"]["test"] == 0
    split = triples_split(train, valid, test, inverses="keep", read_valid_edges=True)
    assert split.about["given_away"]["test"] == 1


def test_triples_that_are_in_two_parts() -> None:
    train, valid, test = of(TRAIN), of([*VALID, TRAIN[0]]), of([*TEST, TRAIN[1], VALID[1]])
    with pytest.raises(GraphError, match=r'in no earlier part, got \(a, likes, b\); pass repeated="drop"'):
        triples_split(train, valid, test)
    with pytest.raises(GraphError, match=r"\(b, liked by, a\)"):
        triples_split(train, of(VALID), test)
    split = triples_split(train, valid, test, repeated="drop", inverses="keep")
    check_split(split)
    assert split.about["repeated_dropped"] == {"valid": 1, "test": 2}
    assert facts_of(split.valid) == facts(of(VALID)) and facts_of(split.test) == facts(of(TEST))


def inference() -> dict[str, Triples]:
    names = {"entities": tuple("uvwx")}
    return {
        "train": of([("u", "likes", "v"), ("v", "married to", "w")], **names),
        "valid": of([("u", "likes", "w")], **names),
        "test": of([("w", "married to", "v"), ("x", "odd", "u")], **names),
    }


def test_an_inductive_split() -> None:
    other = inference()
    folder = TriplesFolder(of(TRAIN), of(VALID), of(TEST))
    split = folder_split(folder, TriplesFolder(**other), inverses="keep")
    check_split(split)
    assert split.graph.num_nodes == 6 and split.test_graph.num_nodes == 4
    assert split.graph.num_relations == split.test_graph.num_relations == 8
    read = facts(other["train"])
    assert edges(split.test_graph) == read | {(t, h, r + 4) for h, t, r in read}
    assert facts_of(split.test) == facts(other["test"])
    assert facts_of(split.known) == read | facts(other["valid"]) | facts(other["test"])
    assert split.about["inductive"] and split.about["test_nodes"] == 4 and split.about["nodes"] == 6
    assert split.about["given_away"] == {"valid": 1, "test": 1}
    assert known_tails(split, "valid").num_nodes == 6
    tails = known_tails(split).mask(torch.tensor([0]), torch.tensor([0]))[1]
    assert tails.tolist() == [1, 2]  # u likes v and w
    less = folder_split(folder, TriplesFolder(**other), inverses="drop")
    check_split(less)
    assert len(less.test) == 1 and facts_of(less.known) == facts_of(split.known)


def test_negatives_of_each_question() -> None:
    split = triples_split(of(TRAIN), of(VALID), of(TEST), inverses="keep", num_negatives=4, seed=1)
    check_split(split)
    again = triples_split(of(TRAIN), of(VALID), of(TEST), inverses="keep", num_negatives=4, seed=1)
    assert split.test.negatives.shape == (2, 3, 4)
    assert torch.equal(split.test.negatives, again.test.negatives)


def test_what_was_left_out_while_reading_is_told() -> None:
    valid = of([*VALID, ("z", "likes", "a"), VALID[0]], unseen="drop")
    split = triples_split(of([*TRAIN, TRAIN[0]]), valid, of(TEST), inverses="keep")
    assert split.about["unseen_dropped"] == {"valid": 1, "test": 0} and split.about["duplicates_dropped"] == 2


def test_refusals() -> None:
    train, valid, test = of(TRAIN), of(VALID), of(TEST)
    for words in ({"inverses": "hide"}, {"repeated": "keep"}):
        with pytest.raises(UsageError, match="to be one of"):
            triples_split(train, valid, test, **words)  # type: ignore[arg-type]
    other = inference()
    with pytest.raises(UsageError, match="no read_valid_edges with an inference graph"):
        triples_split(train, valid, other["test"], inference=other["train"], read_valid_edges=True)
    with pytest.raises(GraphError, match="the entities of the graph for the test triples"):
        triples_split(train, valid, other["test"])
    with pytest.raises(GraphError, match="the entities of the graph for the also_true triples"):
        triples_split(train, valid, test, also_true=(other["valid"],))
    with pytest.raises(GraphError, match="the relations of training for the validation triples"):
        triples_split(train, Triples.of(VALID, entities=NAMES["entities"]), test)
    with pytest.raises(GraphError, match="got none for training"):
        triples_split(of([]), valid, test)


@pytest.mark.parametrize("name", ["umls", "nations", "kinships"])
def test_published_folders(shared_data: Path, name: str) -> None:
    split = folder_split(read_triples_folder(shared_data / "kg" / name), inverses="keep")
    check_split(split)
    assert split.about["given_away"]["test"] == {"umls": 17, "nations": 55, "kinships": 0}[name]


def test_a_published_inductive_folder(shared_data: Path) -> None:
    folder = read_triples_folder(shared_data / "kg" / "grail_WN18RR_v1")
    other = read_triples_folder(
        shared_data / "kg" / "grail_WN18RR_v1_ind", relations=folder.train.relations, unseen="keep"
    )
    split = folder_split(folder, other)
    check_split(split)
    assert (
        split.test_graph.num_nodes == 922 and len(split.test) == 188 and len(split.known) == 1618 + 185 + 188
    )
