"""Evaluation of networks against loops over links and nodes."""

import pytest
import torch
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph, LinkNet, Links, LinkSplit
from netgraph.linkpred.evaluate import evaluate_net, score_pairs_of_net
from netgraph.linkpred.ranking import evaluate_scores
from netgraph.linkpred.split import random_split


class Table(LinkNet):
    """Scores from a table of heads, tails and relations."""

    def __init__(self, nodes: int, relations: int = 1) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(relations, nodes, nodes).round(decimals=1))
        self.chance = nn.Dropout(0.5)

    def encode(self, graph: LinkGraph) -> Tensor:
        return self.chance(torch.ones(graph.num_nodes, 1))

    def score(
        self, graph: LinkGraph, states: Tensor, pairs: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        kind = torch.zeros_like(pairs[0]) if relation is None else relation
        return self.table[kind, pairs[0], pairs[1]] * states[pairs[0], 0]


def plain_split(seed: int = 0) -> LinkSplit:
    edges = torch.randint(20, (2, 60), generator=torch.Generator().manual_seed(seed))
    return random_split(LinkGraph.from_edges(edges, 20), 0.2, 0.2, num_negatives=30)


def typed_split() -> LinkSplit:
    chance = torch.Generator().manual_seed(1)
    triples = {tuple(t) for t in torch.randint(8, (60, 3), generator=chance).remainder(8).tolist()}
    rows = torch.tensor(sorted((h, t, r % 3) for h, t, r in triples)).unique(dim=0).T
    rows = rows[:, torch.randperm(rows.size(1), generator=chance)]
    parts = [Links(part[:2], part[2]) for part in rows.split([rows.size(1) - 20, 10, 10], dim=1)]
    train = parts[0]
    ends = torch.cat((train.pairs, train.pairs.flip(0)), 1)
    kinds = torch.cat((train.relation, train.relation + 3))
    graph = LinkGraph.from_edges(ends, 8, relation=kinds, num_relations=6, undirected=False)
    return LinkSplit(*parts, graph, graph, graph)


def test_scores_come_in_batches_without_dropout_and_gradient() -> None:
    net, split = Table(20), plain_split()
    pairs = split.train.pairs
    scores = score_pairs_of_net(net, split.graph, pairs, batch_size=7)
    assert torch.equal(scores, net.table[0][pairs[0], pairs[1]]) and not scores.requires_grad
    assert score_pairs_of_net(net, split.graph, pairs[:, :0]).shape == (0,)


@pytest.mark.parametrize("stage", ["valid", "test"])
def test_links_with_negatives(stage: str) -> None:
    net, split = Table(20), plain_split()
    links = split.links(stage)
    expected = evaluate_scores(
        net.table[0][tuple(links.pairs)], net.table[0][tuple(links.negatives)], ["hits@5", "mrr", "auc", "ap"]
    )
    found = evaluate_net(net, split, stage, ["hits@5", "mrr", "auc", "ap"], batch_size=4)
    assert found == expected
    own = Links(links.pairs, None, links.negatives[:, torch.randint(30, (len(links), 6))])
    other = LinkSplit(split.train, own, own, split.graph, split.graph, split.graph)
    expected = evaluate_scores(
        net.table[0][tuple(own.pairs)], net.table[0][tuple(own.negatives)], ["mrr"], "pessimistic"
    )
    assert evaluate_net(net, other, stage, ["mrr"], "pessimistic") == expected


def filtered(net: Table, split: LinkSplit, head: int, tail: int, kind: int, true: set[int]) -> float:
    row = net.table[kind, head].tolist()
    others = [row[v] for v in range(8) if v not in true or v == tail]
    others.remove(row[tail])
    return 1 + sum(s > row[tail] for s in others) + sum(s == row[tail] for s in others) / 2


def test_triples_are_ranked_among_all_tails_and_all_heads() -> None:
    split, net = typed_split(), Table(8, 6)
    every = [
        t
        for part in (split.train, split.valid, split.test)
        for t in zip(*part.pairs.tolist(), part.relation.tolist(), strict=True)
    ]
    for stage in ("valid", "test"):
        links, ranks = split.links(stage), []
        for h, t, r in zip(*links.pairs.tolist(), links.relation.tolist(), strict=True):
            ranks.append(filtered(net, split, h, t, r, {b for a, b, k in every if (a, k) == (h, r)}))
            ranks.append(filtered(net, split, t, h, r + 3, {a for a, b, k in every if (b, k) == (t, r)}))
        found = evaluate_net(net, split, stage, ["mrr", "mr"], batch_size=3)
        assert found["mr"] == pytest.approx(sum(ranks) / len(ranks))
        assert found["mrr"] == pytest.approx(sum(1 / r for r in ranks) / len(ranks))


def test_without_negatives_links_of_one_relation_are_ranked_at_both_ends() -> None:
    split, net = plain_split(), Table(20)
    bare = LinkSplit(split.train, split.valid, Links(split.test.pairs), *[split.graph] * 3)
    parts = (split.train, split.valid, split.test)
    near: list[set[int]] = [set() for _ in range(20)]
    for a, b in torch.cat([p.pairs for p in parts], 1).T.tolist():
        near[a].add(b)
        near[b].add(a)
    ranks = []
    for a, b in (*split.test.pairs.T.tolist(), *split.test.pairs.flip(0).T.tolist()):
        row = net.table[0, a].tolist()
        others = [row[v] for v in range(20) if v not in near[a]]
        ranks.append(1 + sum(s > row[b] for s in others) + sum(s == row[b] for s in others) / 2)
    assert evaluate_net(net, bare, "test", ["mr"])["mr"] == pytest.approx(sum(ranks) / len(ranks))


def test_refusals() -> None:
    split, net = plain_split(), Table(20)
    empty = LinkSplit(split.train, split.valid[:0], split.test, *[split.graph] * 3)
    with pytest.raises(UsageError, match="links at stage valid, got none"):
        evaluate_net(net, empty, "valid")
    with pytest.raises(UsageError, match="'accuracy'"):
        evaluate_net(net, split, "valid", ["accuracy"])
