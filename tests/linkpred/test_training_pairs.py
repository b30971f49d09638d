"""Batches of links with false pairs: every link once, negatives of the kind that was asked for."""

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph, Links, LinkSplit
from netgraph.linkpred.split import random_split
from netgraph.linkpred.training_pairs import TrainingPairs


def plain_split() -> LinkSplit:
    edges = torch.randint(20, (2, 60), generator=torch.Generator().manual_seed(0))
    return random_split(LinkGraph.from_edges(edges, 20), 0.1, 0.1)


def typed_split(inverses: bool = True) -> LinkSplit:
    chance = torch.Generator().manual_seed(1)
    pairs = torch.randint(15, (2, 40), generator=chance)
    kind = torch.randint(3, (40,), generator=chance)
    ends, kinds = torch.cat((pairs, pairs.flip(0)), 1), torch.cat((kind, kind + 3))
    if not inverses:
        ends, kinds = pairs, kind
    graph = LinkGraph.from_edges(
        ends, 15, relation=kinds, num_relations=6 if inverses else 3, undirected=False
    )
    none = Links(pairs[:, :0], kind[:0])
    return LinkSplit(Links(pairs, kind), none, none, graph, graph, graph)


def listed(links: Links) -> list[tuple[int, ...]]:
    rows = [links.pairs.flatten(1)] + ([] if links.relation is None else [links.relation.flatten()[None]])
    return [tuple(row) for row in torch.cat(rows).T.tolist()]


def first(links: Links) -> Links:
    return Links(links.pairs[:, :, 0], None if links.relation is None else links.relation[:, 0])


@pytest.mark.parametrize("sampling", ["uniform", "strict", "corrupt"])
def test_every_link_stands_once_in_another_order_each_time(sampling: str) -> None:
    split = plain_split()
    source = TrainingPairs(split, 3, sampling)
    orders = []
    for _ in range(2):
        batches = list(source.batches(7))
        assert [b.pairs.shape for b in batches[:-1]] == [(2, 7, 4)] * (len(batches) - 1)
        orders.append([tuple(sorted(p)) for b in batches for p in listed(first(b))])
        assert sorted(orders[-1]) == sorted(listed(split.train))
    assert orders[0] != orders[1]


def test_strict_negatives_are_different_pairs_that_are_no_edges() -> None:
    split = plain_split()
    for batch in TrainingPairs(split, 2, "strict").batches(20):
        false = batch.pairs[:, :, 1:].flatten(1)
        assert not split.graph.has(false).any() and (false[0] != false[1]).all()
        assert len({tuple(p) for p in false.T.tolist()}) == false.size(1)


def test_a_graph_with_few_free_pairs_repeats_them() -> None:
    pairs = torch.combinations(torch.arange(5)).T
    graph = LinkGraph.from_edges(pairs[:, :9], 5)
    none = Links(pairs[:, :0])
    split = LinkSplit(Links(pairs[:, :9]), none, none, graph, graph, graph)
    (batch,) = TrainingPairs(split, 2, "strict").batches(50)
    assert {tuple(p) for p in batch.pairs[:, :, 1:].flatten(1).T.tolist()} == {(3, 4)}
    full = LinkSplit(Links(pairs), none, none, *[LinkGraph.from_edges(pairs, 5)] * 3)
    with pytest.raises(UsageError, match="pairs that are no links, got none"):
        next(TrainingPairs(full, 1, "strict").batches(50))


def test_uniform_negatives_take_every_node_at_both_ends() -> None:
    split = plain_split()
    false = torch.cat([b.pairs[:, :, 1:].flatten(1) for b in TrainingPairs(split, 40).batches(9)], dim=1)
    assert false[0].unique().tolist() == false[1].unique().tolist() == list(range(20))


def test_corrupted_links_keep_one_end_and_the_relation_in_both_directions() -> None:
    split = typed_split()
    true = set(listed(split.train))
    every = true | {(t, h, r + 3) for h, t, r in true}
    turned = 0
    for batch in TrainingPairs(split, 4, "corrupt").batches(11):
        assert batch.relation.shape == batch.pairs.shape[1:]
        assert (batch.pairs[0] == batch.pairs[0, :, :1]).all()
        assert (batch.relation == batch.relation[:, :1]).all()
        assert set(listed(first(batch))) <= every
        false = Links(batch.pairs[:, :, 1:], batch.relation[:, 1:])
        assert not set(listed(false)) & every
        turned += int((batch.relation[:, 0] >= 3).sum())
    assert 5 < turned < 35


def test_without_inverse_relations_only_tails_change() -> None:
    split = typed_split(inverses=False)
    for batch in TrainingPairs(split, 4, "corrupt").batches(11):
        assert set(listed(first(batch))) <= set(listed(split.train))
        assert not set(listed(Links(batch.pairs[:, :, 1:], batch.relation[:, 1:]))) & set(listed(split.train))


def test_undirected_links_are_corrupted_at_either_end() -> None:
    split = plain_split()
    assert (split.train.pairs[0] < split.train.pairs[1]).all()
    turned = torch.cat(
        [b.pairs[0, :, 0] > b.pairs[1, :, 0] for b in TrainingPairs(split, 1, "corrupt").batches(9)]
    )
    assert turned.any() and not turned.all()
    for batch in TrainingPairs(split, 3, "corrupt").batches(50):
        assert not split.graph.has(batch.pairs[:, :, 1:].flatten(1)).any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"sampling": "hard"}, "one of uniform, strict, corrupt"), ({"negatives": 0}, "negatives from 1")],
)
def test_refusals(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TrainingPairs(plain_split(), **changes)


def test_relations_need_corruption() -> None:
    with pytest.raises(UsageError, match="sampling='corrupt' for links with relations, got 'uniform'"):
        TrainingPairs(typed_split())


def test_an_end_without_a_false_answer_stays_and_links_without_any_go() -> None:
    # 0 → everyone in relation 0, so only heads can be replaced; all pairs of relation 1 are true.
    every = torch.cartesian_prod(torch.arange(3), torch.arange(3)).T
    every = every[:, every[0] != every[1]]
    pairs = torch.cat((torch.tensor([[0, 0], [1, 2]]), every), dim=1)
    kind = torch.tensor([0, 0] + [1] * 6)
    links = Links(pairs, kind)
    graph = LinkGraph.from_edges(
        torch.cat((pairs, pairs.flip(0)), dim=1),
        3,
        relation=torch.cat((kind, kind + 2)),
        num_relations=4,
        undirected=False,
    )
    none = links[:0]
    source = TrainingPairs(LinkSplit(links, none, none, graph, graph, graph), 2, "corrupt")
    assert len(source.links) == 2
    true = set(zip(*pairs.tolist(), kind.tolist(), strict=True))
    for seed in range(5):
        torch.manual_seed(seed)
        (batch,) = source.batches(8)
        assert (batch.relation == 2).all()  # the inverse of relation 0: heads are asked for
        for tail, head in batch.pairs[:, :, 1:].flatten(1).T.tolist():
            assert (head, tail, 0) not in true
