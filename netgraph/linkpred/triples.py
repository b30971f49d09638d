"""Triples of a knowledge graph: head, relation, tail, with their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Self, final

import torch
from torch import Tensor

from netgraph.errors import GraphError, InterchangeError, UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import Links

__all__ = ["Triples", "Unseen", "first_of_each", "inverse_relations", "with_inverses"]

Unseen = Literal["raise", "drop", "keep"]
_UNSEEN: Final = ("raise", "drop", "keep")


@final
@dataclass(frozen=True, eq=False)
class Triples:
    """Facts *(head, relation, tail)* as numbers, and what the numbers stand for.

    Attributes:
        pairs: head and tail of each, `(2, T)`.
        relation: of each, `(T,)`.
        entities: names of the nodes.
        relations: names of the relations; some may have no triple.
        duplicates: how many triples were left out because they stood there already.
        unseen: how many were left out because an entity or the relation is not in the vocabulary.

    >>> facts = Triples.of([("a", "likes", "b"), ("b", "likes", "c"), ("a", "likes", "b")])
    >>> len(facts), facts.entities, facts.duplicates, facts.relation_counts.tolist()
    (2, ('a', 'b', 'c'), 1, [2])
    """

    pairs: Tensor
    relation: Tensor
    entities: tuple[str, ...]
    relations: tuple[str, ...]
    duplicates: int = 0
    unseen: int = 0

    @classmethod
    def of(
        cls,
        rows: Iterable[tuple[str, str, str]],
        *,
        entities: Sequence[str] | None = None,
        relations: Sequence[str] | None = None,
        unseen: Unseen = "raise",
    ) -> Self:
        """Number names in the order in which they first come, and drop repetitions.

        Args:
            rows: head, relation and tail of each.
            entities: the vocabulary; None for those that come.
            relations: likewise.
            unseen: what to do with a name that is not in a vocabulary that is given: `"raise"`; `"drop"` the
                triple and count it; `"keep"` it and add the name at the end.

        Raises:
            UsageError: another policy, or a vocabulary with a name twice.
            InterchangeError: a name that is not in the vocabulary.

        >>> more = [("a", "hates", "c"), ("a", "likes", "d"), ("a", "likes", "c")]
        >>> facts = Triples.of(more, entities=("a", "b", "c"), relations=("likes",), unseen="drop")
        >>> facts.pairs.tolist(), facts.unseen
        ([[0], [2]], 2)
        """
        if unseen not in _UNSEEN:
            raise UsageError(
                f"Triples.of: expected unseen to be one of {', '.join(_UNSEEN)}, got {unseen!r}; choose one"
            )
        nodes, kinds = _numbers("entities", entities), _numbers("relations", relations)
        grow = entities is None or unseen == "keep", relations is None or unseen == "keep"
        found: dict[tuple[int, int, int], None] = {}
        repeated = strange = 0
        for head, kind, tail in rows:
            odd = _beyond(head, kind, tail, nodes, kinds, grow)
            if odd is not None and unseen == "raise":
                raise InterchangeError(
                    f"Triples.of: expected names of the vocabulary, got the {odd} in "
                    f'({head}, {kind}, {tail}); pass unseen="drop" or unseen="keep"'
                )
            if odd is not None:
                strange += 1
                continue
            key = (
                nodes.setdefault(head, len(nodes)),
                kinds.setdefault(kind, len(kinds)),
                nodes.setdefault(tail, len(nodes)),
            )
            if key in found:
                repeated += 1
            found[key] = None
        columns = torch.tensor(list(found), dtype=torch.long).reshape(-1, 3).T.contiguous()
        return cls(columns[[0, 2]], columns[1], tuple(nodes), tuple(kinds), repeated, strange)

    @classmethod
    def from_tensors(
        cls,
        pairs: Tensor,
        relation: Tensor,
        *,
        num_entities: int | None = None,
        num_relations: int | None = None,
    ) -> Self:
        """Triples that are numbers already; names are the numbers, and repetitions are dropped.

        Args:
            pairs: `(2, T)`, such as the `edge_index` of a graph.
            relation: `(T,)`.
            num_entities: None for one more than the largest.
            num_relations: likewise.

        Raises:
            GraphError: shapes or numbers that do not fit.
        """
        if pairs.dim() != 2 or pairs.size(0) != 2 or relation.shape != pairs.shape[1:]:
            raise GraphError(
                "Triples.from_tensors: expected shapes (2, T) and (T,), got "
                f"{tuple(pairs.shape)} and {tuple(relation.shape)}; pass edge_index and edge_type"
            )
        entities = _count("entities", pairs, num_entities)
        relations = _count("relations", relation, num_relations)
        kept = first_of_each(pairs, relation)
        return cls(
            pairs[:, kept],
            relation[kept],
            tuple(map(str, range(entities))),
            tuple(map(str, range(relations))),
            pairs.size(1) - len(kept),
        )

    def __len__(self) -> int:
        return self.pairs.size(1)

    def __getitem__(self, index: Tensor | slice) -> Self:
        """Some of the triples, of the same vocabulary."""
        return replace(
            self, pairs=self.pairs[:, index], relation=self.relation[index], duplicates=0, unseen=0
        )

    @property
    def num_entities(self) -> int:
        """N."""
        return len(self.entities)

    @property
    def num_relations(self) -> int:
        """R, without inverse relations."""
        return len(self.relations)

    @property
    def relation_counts(self) -> Tensor:
        """How many triples each relation has, `(R,)`."""
        return torch.bincount(self.relation, minlength=self.num_relations)

    @property
    def graph(self) -> LinkGraph:
        """The facts as they are, without inverse relations; `with_inverses` adds these."""
        return LinkGraph.from_edges(
            self.pairs,
            self.num_entities,
            relation=self.relation,
            num_relations=self.num_relations,
            undirected=False,
        )

    @property
    def links(self) -> Links:
        """The same as `Links`."""
        return Links(self.pairs, self.relation)


def with_inverses(triples: Triples, *, x: Tensor | None = None) -> LinkGraph:
    """The graph of some triples, with the edge *t → h* of relation *r* + R beside each *h → t* of *r*.

    So a network that reads edges in one direction sees both, and the heads of relation *r* are found as
    the tails of *r* + R.

    Args:
        triples: the facts, R relations.
        x: features of the entities, `(N, F)`.

    >>> graph = with_inverses(Triples.of([("a", "likes", "b"), ("b", "fears", "a")]))
    >>> graph.num_relations, graph.edge_index.tolist(), graph.edge_relation.tolist()
    (4, [[1, 1, 0, 0], [0, 0, 1, 1]], [1, 2, 0, 3])
    """
    return LinkGraph.from_edges(
        torch.cat((triples.pairs, triples.pairs.flip(0)), dim=1),
        triples.num_entities,
        relation=torch.cat((triples.relation, triples.relation + triples.num_relations)),
        num_relations=2 * triples.num_relations,
        x=x,
        undirected=False,
    )


def inverse_relations(triples: Triples, threshold: float = 0.8) -> list[tuple[int, int, float]]:
    """Pairs of relations of which one says the other backwards.

        share(r, r') = #{(h, r, t) : (t, r', h) is a triple} / #{(h, r, t)}

    Such pairs let a network answer a test question by looking the reverse up in the training graph
    (Toutanova and Chen, 2015). A symmetric relation is its own inverse. Relations without triples have none;
    triples of an entity with itself do not count.

    Args:
        triples: the facts.
        threshold: the least share that is listed, above 0 and up to 1.

    Returns:
        *(r, r', share)*, the largest shares first.

    Raises:
        UsageError: another threshold.

    >>> facts = [("a", "parent", "b"), ("b", "child", "a"), ("c", "parent", "d")]
    >>> inverse_relations(Triples.of(facts))
    [(1, 0, 1.0)]
    """
    if not 0 < threshold <= 1:
        raise UsageError(
            f"inverse_relations: expected a threshold above 0 and up to 1, got {threshold}; 0.8 is usual"
        )
    proper = triples.pairs[0] != triples.pairs[1]
    pairs, kind = triples.pairs[:, proper], triples.relation[proper]
    if not len(kind):
        return []
    # With pairs as nodes of an index, all relations between a tail and a head are found by bisection.
    key, back = (way[0] * triples.num_entities + way[1] for way in (pairs, pairs.flip(0)))
    order = key.argsort(stable=True)
    key, there = key[order], kind[order]
    first = torch.searchsorted(key, back)
    count = torch.searchsorted(key, back, right=True) - first
    start = torch.repeat_interleave(first - count.cumsum(0) + count, count)
    match = there[start + torch.arange(len(start), device=key.device)]
    relations = triples.num_relations
    code, shared = (kind.repeat_interleave(count) * relations + match).unique(return_counts=True)
    share = shared.double() / torch.bincount(kind, minlength=relations)[code // relations]
    listed = [
        (int(c) // relations, int(c) % relations, float(s))
        for c, s in zip(code, share, strict=True)
        if s >= threshold
    ]
    return sorted(listed, key=lambda entry: (-entry[2], entry[0], entry[1]))


def first_of_each(pairs: Tensor, relation: Tensor | None = None) -> Tensor:
    """Places of the links `(2, T)`, of relations `(T,)`, that do not stand earlier, in order.

    >>> first_of_each(torch.tensor([[0, 1, 0], [1, 0, 1]])).tolist()
    [0, 1]
    """
    columns = pairs if relation is None else torch.stack((*pairs, relation))
    order = torch.arange(pairs.size(1), device=pairs.device)
    for column in columns.flip(0):
        order = order[column[order].argsort(stable=True)]
    columns = columns[:, order]
    fresh = torch.ones_like(order, dtype=torch.bool)
    fresh[1:] = (columns[:, 1:] != columns[:, :-1]).any(0)
    return order[fresh].sort().values


def _beyond(
    head: str, kind: str, tail: str, nodes: dict[str, int], kinds: dict[str, int], grow: tuple[bool, bool]
) -> str | None:
    """The first name that is in no vocabulary and must not be added, in words."""
    if not grow[0] and (head not in nodes or tail not in nodes):
        return f"entity {(tail if head in nodes else head)!r}"
    return f"relation {kind!r}" if not grow[1] and kind not in kinds else None


def _numbers(what: str, names: Sequence[str] | None) -> dict[str, int]:
    numbers = {name: i for i, name in enumerate(names or ())}
    if len(numbers) != len(names or ()):
        raise UsageError(f"Triples.of: expected each of the {what} once, got one twice; drop repetitions")
    return numbers


def _count(what: str, values: Tensor, given: int | None) -> int:
    least, most = (int(values.min()), int(values.max())) if values.numel() else (0, -1)
    count = most + 1 if given is None else given
    if least < 0 or most >= count:
        raise GraphError(
            f"Triples.from_tensors: expected {what} from 0 to {count - 1}, got {least} to {most}; "
            f"number them from 0, or pass a larger num_{what}"
        )
    return count
