"""Scores of links and of their negatives by a network, and the measures made of them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.known import known_tails
from netgraph.linkpred.links import Links, LinkSplit, Stage
from netgraph.linkpred.net import LinkNet
from netgraph.linkpred.ranking import Ties, evaluate_ranks, evaluate_scores, filtered_ranks

__all__ = ["evaluate_net", "inverse_offset", "score_pairs_of_net"]


def score_pairs_of_net(
    net: LinkNet,
    graph: LinkGraph,
    pairs: Tensor,
    relation: Tensor | None = None,
    *,
    states: Tensor | None = None,
    batch_size: int = 1 << 13,
) -> Tensor:
    """Logits of pairs `(2, P)`, batch by batch, without gradients and dropout, `(P,)`.

    Args:
        net: put into evaluation mode.
        graph: what it reads.
        pairs: heads and tails.
        relation: of each pair, `(P,)`.
        states: what the network's `encode` gives for the graph; None to ask it.
        batch_size: pairs in a batch.
    """
    net.eval()
    with torch.no_grad():
        states = net.encode(graph) if states is None else states
        starts = range(0, pairs.size(1), batch_size)
        parts = [
            net.score(
                graph,
                states,
                pairs[:, i : i + batch_size],
                None if relation is None else relation[i : i + batch_size],
            )
            for i in starts
        ]
        return torch.cat(parts) if parts else states.new_empty(0)


def evaluate_net(
    net: LinkNet,
    split: LinkSplit,
    stage: Stage = "test",
    metrics: Iterable[str] = ("hits@100",),
    ties: Ties = "mean",
    *,
    batch_size: int | None = None,
) -> dict[str, float]:
    """Measures of a network on the links of a stage, by name.

    Links with negatives are ranked against these. Without, each link is ranked among all tails and among all
    heads, other true links left out, and both ranks count.

    Args:
        net: put into evaluation mode.
        split: links, graphs and negatives.
        stage: which of them.
        metrics: names that `evaluate_scores` or, without negatives, `evaluate_ranks` knows.
        ties: policy of ties.
        batch_size: pairs scored, or links ranked among all nodes, at once; None for a usual number.

    Raises:
        UsageError: no links, an unknown metric, scores that are NaN.
    """
    links, graph = split.links(stage), split.graph_at(stage)
    if not len(links):
        raise UsageError(
            f"evaluate: expected links at stage {stage}, got none; make a split that holds some out"
        )
    if links.negatives is None:
        found = _ranks(net, split, stage, ties, batch_size or 32)
        return evaluate_ranks(found, metrics)
    size = batch_size or 1 << 13
    with torch.no_grad():
        states = net.eval().encode(graph)
    false, kind = links.negatives, links.relation
    if kind is not None:
        kind = kind if false.dim() == 3 else None
        kind = None if kind is None else kind[:, None].expand(false.shape[1:]).reshape(-1)
    positive = score_pairs_of_net(net, graph, links.pairs, links.relation, states=states, batch_size=size)
    negative = score_pairs_of_net(net, graph, false.flatten(1), kind, states=states, batch_size=size)
    return evaluate_scores(positive, negative.view(false.shape[1:]), metrics, ties)


def inverse_offset(graph: LinkGraph, links: Links) -> int | None:
    """What to add to a relation to ask for heads: 0 without directions, None where that is not possible."""
    if graph.undirected:
        return 0
    half = graph.num_relations // 2
    if links.relation is None or graph.num_relations % 2:
        return None
    return half if not len(links) or int(links.relation.max()) < half else None


def _ranks(net: LinkNet, split: LinkSplit, stage: Stage, ties: Ties, batch_size: int) -> Tensor:
    links, graph = split.links(stage), split.graph_at(stage)
    known, back = known_tails(split, stage), inverse_offset(graph, links)
    found = []
    net.eval()
    with torch.no_grad():
        states = net.encode(graph)
        for start in range(0, len(links), batch_size):
            some = links[start : start + batch_size]
            heads, tails = some.pairs
            scores = net.score_all(graph, states, heads, some.relation)
            found.append(filtered_ranks(scores, tails, known.mask(heads, some.relation), ties))
            if back is not None:
                kind = None if some.relation is None else some.relation + back
                scores = net.score_all(graph, states, tails, kind)
                true = known.mask(tails, some.relation, end="head")
                found.append(filtered_ranks(scores, heads, true, ties))
    return torch.cat(found)
