"""Splits of knowledge graphs whose triples come divided, maybe with other entities for the test."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred.assemble import assemble
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.triple_files import TriplesFolder
from netgraph.linkpred.triples import Triples, inverse_relations

__all__ = ["folder_split", "triples_split"]

Inverses = Literal["keep", "warn", "raise", "drop"]
Repeated = Literal["raise", "drop"]


def triples_split(
    train: Triples,
    valid: Triples,
    test: Triples,
    *,
    inference: Triples | None = None,
    also_true: Sequence[Triples] = (),
    repeated: Repeated = "raise",
    inverses: Inverses = "warn",
    threshold: float = 0.8,
    num_negatives: int | None = None,
    seed: int = 0,
    read_valid_edges: bool = False,
) -> LinkSplit:
    """A split of triples that are divided already, read with inverse relations.

    Training triples are the edges that are read; in an inductive split (Teru et al., ICML 2020) `inference`
    has those that are read for the test, over entities of their own but the same relations. Questions are
    ranked among all entities, filtered by `known_tails`, unless `num_negatives` asks for false ones.

    A triple *(h, r, t)* is given away if the graph that is read says it backwards, *(t, r', h)*, where
    `inverse_relations` of the training triples lists r and r' in either order (r' = r if it is symmetric).
    `about["given_away"]` counts such questions of validation and test.

    Args:
        train, valid, test: the triples; all of one vocabulary.
        inference: None, or the triples of the test graph, of the vocabulary of `test`.
        also_true: more triples over the entities of the test graph that are no false answers, such as
            the validation triples of an inference graph.
        repeated: `"raise"` if a validation or test triple is in an earlier part, or `"drop"` it and count.
        inverses: of questions that are given away, `"keep"` them in silence, or with a warning (`"warn"`),
            `"raise"`, or `"drop"` them from validation and test.
        threshold: the least share that makes an inverse.
        num_negatives: how many false triples each question of validation and test gets; None for none.
        seed: for these.
        read_valid_edges: read validation triples too while the test is scored; not with `inference`.

    Raises:
        UsageError: another word, or a flag that does not fit.
        GraphError: other vocabularies, a part without triples, repeated or given-away triples refused.

    >>> facts = [("a", "likes", "b"), ("b", "likes", "c"), ("c", "fears", "a"), ("a", "fears", "c")]
    >>> names = {"entities": ("a", "b", "c"), "relations": ("likes", "fears")}
    >>> train = Triples.of(facts[:2], **names)
    >>> split = triples_split(train, Triples.of(facts[2:3], **names), Triples.of(facts[3:], **names))
    >>> split.graph.num_relations, split.graph.num_edges, split.about["empty_relations"]
    (4, 4, 1)
    """
    _check_words(repeated, inverses, read_valid_edges and inference is not None)
    _check_vocabularies(train, valid, test, inference, also_true)
    shown = train if inference is None else inference
    earlier = [[train], [train, valid] if inference is None else [inference]]
    asked = [_first_asked(t, before, repeated) for t, before in zip((valid, test), earlier, strict=True)]
    found = inverse_relations(train, threshold)
    read = [[train.links], [shown.links, *([valid.links] if read_valid_edges else [])]]
    backwards = [_given_away(*each, found, train.num_relations) for each in zip(asked, read, strict=True)]
    given_away = [int(hit.sum()) for hit in backwards]
    _speak_up(given_away, list(map(len, asked)), inverses)
    kept, still_true = asked, []
    if inverses == "drop":
        # A question that is not asked is still a true answer; those of validation are of other nodes.
        still_true = asked if inference is None else asked[1:]
        kept = [links[(~hit).nonzero()[:, 0]] for links, hit in zip(asked, backwards, strict=True)]
    return assemble(
        train.graph,
        [train.links, *kept],
        operation="triples_split",
        shares=(float(len(valid) > 0), float(len(test) > 0)),
        negatives="random",
        num_negatives=num_negatives,
        generator=torch.Generator().manual_seed(seed),
        read_valid_edges=read_valid_edges,
        about={
            "split": "triples",
            "component": "whole",
            "test_nodes": test.num_entities,
            "relations": train.num_relations,
            "empty_relations": int((train.relation_counts == 0).sum()),
            "inverse_relations": len(found),
            "given_away": dict(zip(("valid", "test"), given_away, strict=True)),
            "repeated_dropped": {"valid": len(valid) - len(asked[0]), "test": len(test) - len(asked[1])},
            "duplicates_dropped": sum(t.duplicates for t in (train, valid, test)),
            "unseen_dropped": {"valid": valid.unseen, "test": test.unseen},
            "seed": seed,
        },
        held=None if inference is None else (inference.graph, inference.links),
        more_true=[*still_true, *(more.links for more in also_true)],
    )


def folder_split(
    folder: TriplesFolder,
    inference: TriplesFolder | None = None,
    *,
    repeated: Repeated = "raise",
    inverses: Inverses = "warn",
    threshold: float = 0.8,
    num_negatives: int | None = None,
    seed: int = 0,
    read_valid_edges: bool = False,
) -> LinkSplit:
    """A split of a folder of triples, tested on its own test triples or on those of an inference folder.

    With `inference`, its training triples are the graph that is read for the test, its test triples are
    the questions, and its validation triples are no false answers. Read it with the relations of the first
    folder.

    Args:
        folder: for training and validation, and for the test if there is no other.
        inference: the folder of the other entities.
        repeated: as for `triples_split`.
        inverses: as there.
        threshold: as there.
        num_negatives: as there.
        seed: as there.
        read_valid_edges: as there.

    Raises:
        UsageError, GraphError: as `triples_split`.

    >>> facts = Triples.of([("a", "likes", "b"), ("b", "likes", "c"), ("c", "likes", "d")])
    >>> split = folder_split(TriplesFolder(*(facts[i : i + 1] for i in range(3))))
    >>> split.test.pairs.tolist(), split.test_graph.num_nodes
    ([[2], [3]], 4)
    """
    last = folder if inference is None else inference
    return triples_split(
        folder.train,
        folder.valid,
        last.test,
        inference=None if inference is None else inference.train,
        also_true=() if inference is None else (inference.valid,),
        repeated=repeated,
        inverses=inverses,
        threshold=threshold,
        num_negatives=num_negatives,
        seed=seed,
        read_valid_edges=read_valid_edges,
    )


def _first_asked(questions: Triples, earlier: Sequence[Triples], repeated: Repeated) -> Links:
    """The questions that are no triple of an earlier part."""
    known = KnownTails.from_links(
        *(part.links for part in earlier),
        num_nodes=questions.num_entities,
        num_relations=questions.num_relations,
    )
    again = known.has(questions.pairs, questions.relation)
    if repeated == "raise" and bool(again.any()):
        place = int(again.nonzero()[0])
        head, tail = (questions.entities[int(n)] for n in questions.pairs[:, place])
        name = questions.relations[int(questions.relation[place])]
        raise GraphError(
            "triples_split: expected validation and test triples that are in no earlier part, got "
            f'({head}, {name}, {tail}); pass repeated="drop" to leave such triples out'
        )
    return questions.links[(~again).nonzero()[:, 0]]


def _given_away(
    links: Links, read: Sequence[Links], inverses: Sequence[tuple[int, int, float]], relations: int
) -> Tensor:
    """Which questions stand backwards in the graph that is read, by an inverse of their relation."""
    nodes = 1 + max((int(part.pairs.max()) for part in (links, *read) if len(part)), default=0)
    known = KnownTails.from_links(*read, num_nodes=nodes, num_relations=relations)
    hit = torch.zeros(len(links), dtype=torch.bool, device=links.pairs.device)
    assert links.relation is not None
    # Either of two relations of which one says the other backwards tells of the other.
    for one, other in {ways for r, s, _ in inverses for ways in ((r, s), (s, r))}:
        place = (links.relation == one).nonzero()[:, 0]
        said = torch.full_like(place, other)
        hit[place] |= known.has(links.pairs[:, place].flip(0), said)
    return hit


def _speak_up(given_away: Sequence[int], totals: Sequence[int], inverses: Inverses) -> None:
    if inverses in ("keep", "drop") or not any(given_away):
        return
    words = (
        f"{given_away[0]} of {totals[0]} validation triples and {given_away[1]} of {totals[1]} test triples "
        "that stand backwards in the graph that is read, by an inverse or a symmetric relation"
    )
    if inverses == "raise":
        raise GraphError(
            f"triples_split: expected questions that the graph does not answer, got {words}; "
            'pass inverses="drop" to leave them out'
        )
    warnings.warn(
        f'triples_split: found {words}; pass inverses="drop" to leave them out, or "keep" to say nothing',
        stacklevel=3,
    )


def _check_words(repeated: str, inverses: str, both_graphs: bool) -> None:
    for name, word, choices in (
        ("repeated", repeated, ("raise", "drop")),
        ("inverses", inverses, ("keep", "warn", "raise", "drop")),
    ):
        if word not in choices:
            raise UsageError(
                f"triples_split: expected {name} to be one of {', '.join(choices)}, got {word!r}; choose one"
            )
    if both_graphs:
        raise UsageError(
            "triples_split: expected no read_valid_edges with an inference graph, got both; "
            "validation triples are of other entities"
        )


def _check_vocabularies(
    train: Triples, valid: Triples, test: Triples, inference: Triples | None, also_true: Sequence[Triples]
) -> None:
    last = train if inference is None else inference
    pairs = [
        (train, valid, "validation"),
        (last, test, "test"),
        *((last, more, "also_true") for more in also_true),
    ]
    for first, second, name in pairs:
        if first.entities != second.entities:
            raise GraphError(
                f"triples_split: expected the entities of the graph for the {name} triples, got others; "
                "read all with the same vocabulary, as read_triples_folder does"
            )
    for part, name in (
        (valid, "validation"),
        (test, "test"),
        (last, "inference"),
        *((m, "also_true") for m in also_true),
    ):
        if part.relations != train.relations:
            raise GraphError(
                f"triples_split: expected the relations of training for the {name} triples, got others; "
                "read them with relations=train.relations"
            )
