"""Ranks of true links among false ones, and the measures that are made of them; ties by a stated policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.complement import draw_outside

__all__ = [
    "METRICS",
    "Ties",
    "average_precision",
    "evaluate_ranks",
    "evaluate_scores",
    "filtered_ranks",
    "hits_at",
    "mean_reciprocal_rank",
    "ranks",
    "roc_auc",
    "sampled_hits",
    "sampled_ranks",
]

Ties = Literal["optimistic", "pessimistic", "mean"]
_TIED_ABOVE: Final = {"optimistic": 0.0, "pessimistic": 1.0, "mean": 0.5}
"""Share of the negatives tied with a positive that is counted above it."""


def ranks(positive: Tensor, negative: Tensor, ties: Ties = "mean") -> Tensor:
    """The rank of each positive among negatives, from 1.

        rank = 1 + #{negatives above} + c · #{negatives tied}

    with c = 0 for the policy `"optimistic"`, 1 for `"pessimistic"`, and 1/2 for `"mean"`, the expected rank
    if ties are broken by chance. Only the first lets a constant score look perfect.

    Args:
        positive: scores, `(P,)`.
        negative: scores, `(Q,)` for all positives together, or `(P, K)` for each its own.
        ties: the policy.

    Returns:
        `(P,)` of float64, so that halves of large ranks are exact.

    Raises:
        UsageError: NaN among the scores, other shapes, an unknown policy.

    >>> ranks(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])).tolist()
    [1.0, 3.0]
    """
    counts = _against(positive, negative, "ranks")
    return 1 + counts.above + _share(ties) * counts.tied.double()


def hits_at(positive: Tensor, negative: Tensor, k: int, ties: Ties = "mean") -> float:
    """Share of positives that stand among the best k.

    A positive with *a* negatives above it and *t* tied with it counts as

    - `"pessimistic"`: 1 if a + t < k, else 0. With shared negatives that is a score above that of the
      k-th best negative, as the evaluator of the Open Graph Benchmark has it (Hu et al., NeurIPS 2020).
    - `"optimistic"`: 1 if a < k, else 0.
    - `"mean"`: (k − a) / (t + 1), at least 0 and at most 1: the chance of a hit if ties are broken by chance.
      It is 1/2 for a positive that is tied with the k-th best negative alone.

    Args:
        positive: scores, `(P,)`.
        negative: scores, `(Q,)` for all positives together, or `(P, K)` for each its own.
        k: with fewer than k negatives every positive is a hit.
        ties: the policy.

    Raises:
        UsageError: k below one, no positives, or what `ranks` refuses.

    >>> scores = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([2.0, 0.5])
    >>> [hits_at(*scores, k=1, ties=ties) for ties in ("optimistic", "mean", "pessimistic")]
    [0.6666666666666666, 0.5, 0.3333333333333333]
    """
    _check_k(k)
    counts = _against(positive, negative, "hits_at", some=True)
    if _share(ties) == 0.5:
        return float(((k - counts.above).double() / (counts.tied + 1)).clamp(0, 1).mean())
    return float((counts.above + int(_share(ties)) * counts.tied < k).double().mean())


def mean_reciprocal_rank(positive: Tensor, negative: Tensor, ties: Ties = "mean") -> float:
    """Mean of 1 / rank, of the ranks that `ranks` gives under the same policy of ties.

    Raises:
        UsageError: no positives, or what `ranks` refuses.

    >>> mean_reciprocal_rank(torch.tensor([3.0, 0.0]), torch.tensor([1.0]))
    0.75
    """
    counts = _against(positive, negative, "mean_reciprocal_rank", some=True)
    return float((1 + counts.above + _share(ties) * counts.tied.double()).reciprocal().mean())


def roc_auc(positive: Tensor, negative: Tensor) -> float:
    """Area under the receiver operating characteristic: the Mann-Whitney statistic, ties counted half.

        AUC = mean over positives p and negatives n of [p > n] + [p = n] / 2

    No policy of ties changes it. Negatives `(P, K)` count for all positives together.

    Raises:
        UsageError: no positives or no negatives, NaN among them.

    >>> roc_auc(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 0.0]))
    0.875
    """
    counts = _against(positive, negative.reshape(-1), "roc_auc", some=True)
    if not negative.numel():
        raise UsageError("roc_auc: expected at least one negative, got none; draw some")
    below = negative.numel() - counts.above - counts.tied.double() / 2
    return float((below / negative.numel()).mean())


def average_precision(positive: Tensor, negative: Tensor) -> float:
    """Average precision: the precision at the threshold of each positive, averaged over positives.

        AP = mean over positives p of #{positives ≥ p} / #{positives and negatives ≥ p}

    All that is tied with a positive counts as retrieved with it, which no policy of ties changes. Negatives
    `(P, K)` count for all positives together.

    Raises:
        UsageError: no positives or no negatives, NaN among them.

    >>> average_precision(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 0.0]))
    0.8333333333333333
    """
    against = _against(positive, negative.reshape(-1), "average_precision", some=True)
    if not negative.numel():
        raise UsageError("average_precision: expected at least one negative, got none; draw some")
    among = _against(positive, positive, "average_precision")
    right, wrong = among.above + among.tied, against.above + against.tied
    return float((right.double() / (right + wrong)).mean())


METRICS: Final[dict[str, Callable[[Tensor, Tensor, int, Ties], float]]] = {
    "hits": hits_at,
    "mrr": lambda positive, negative, _, ties: mean_reciprocal_rank(positive, negative, ties),
    "auc": lambda positive, negative, *_: roc_auc(positive, negative),
    "ap": lambda positive, negative, *_: average_precision(positive, negative),
}
"""Measures of scores by name; `"hits@100"` asks `"hits"` for k = 100."""


def evaluate_scores(
    positive: Tensor, negative: Tensor, metrics: Iterable[str] = ("mrr", "auc", "ap"), ties: Ties = "mean"
) -> dict[str, float]:
    """Several measures of the same scores, by name.

    Args:
        positive: scores, `(P,)`.
        negative: scores, `(Q,)` for all positives together, or `(P, K)` for each its own.
        metrics: names such as `"hits@100"`, `"mrr"`, `"auc"`, `"ap"`.
        ties: the policy of `"hits@k"` and `"mrr"`.

    Raises:
        UsageError: an unknown name, or what the measure refuses.

    >>> evaluate_scores(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 0.0]), ["hits@1", "auc"])
    {'hits@1': 0.5, 'auc': 0.75}
    """
    found = {}
    for name in metrics:
        kind, k = _named(name, tuple(METRICS), "evaluate_scores")
        found[name] = METRICS[kind](positive, negative, k, ties)
    return found


def evaluate_ranks(
    found: Tensor, metrics: Iterable[str] = ("mrr", "hits@1", "hits@3", "hits@10")
) -> dict[str, float]:
    """Measures of ranks `(P,)`: `"mrr"`, `"mr"` (mean rank) and `"hits@k"`, the share of ranks up to k.

    A rank between k and k + 1, from ties under the policy `"mean"`, is no hit.

    Raises:
        UsageError: an unknown name, no ranks, ranks below one.

    >>> evaluate_ranks(torch.tensor([1.0, 2.5, 4.0]), ["mr", "hits@2"])
    {'mr': 2.5, 'hits@2': 0.3333333333333333}
    """
    if not found.numel() or not bool((found >= 1).all()):
        came = f"ranks from {float(found.min()):g}" if found.numel() else "none"
        raise UsageError(f"evaluate_ranks: expected ranks from 1, got {came}; rank the links first")
    exact = found.double()
    values = {}
    for name in metrics:
        kind, k = _named(name, ("hits", "mrr", "mr"), "evaluate_ranks")
        each = {"hits": (exact <= k).double(), "mrr": exact.reciprocal(), "mr": exact}[kind]
        values[name] = float(each.mean())
    return values


def filtered_ranks(
    scores: Tensor, target: Tensor, known: tuple[Tensor, Tensor] | None = None, ties: Ties = "mean"
) -> Tensor:
    """The rank of each target among all nodes, other true answers left out.

    The filtered setting of Bordes et al. (NeurIPS 2013). Ties by the policies of `ranks`.

    Args:
        scores: of every node as the answer to each question, `(B, N)`.
        target: the answer that is ranked, `(B,)`.
        known: places of true answers in that table, as `KnownTails.mask` gives them; each once. The target
            may be among them. None filters nothing.
        ties: the policy.

    Returns:
        `(B,)` of float64.

    Raises:
        UsageError: NaN among the scores, shapes that do not fit, an unknown policy.

    >>> scores = torch.tensor([[0.9, 0.8, 0.7]])
    >>> filtered_ranks(scores, torch.tensor([2])).tolist()
    [3.0]
    >>> filtered_ranks(scores, torch.tensor([2]), (torch.tensor([0, 0]), torch.tensor([1, 2]))).tolist()
    [2.0]
    """
    share = _share(ties)
    _check_table(scores, target, "filtered_ranks")
    own = scores.gather(1, target[:, None])
    above, tied = (scores > own).sum(1), (scores == own).sum(1) - 1
    if known is not None:
        other = known[1] != target[known[0]]
        rows, columns = known[0][other], known[1][other]
        score, bar = scores[rows, columns], own[rows, 0]
        above = above - torch.bincount(rows[score > bar], minlength=len(target))
        tied = tied - torch.bincount(rows[score == bar], minlength=len(target))
    return 1 + above + share * tied.double()


def sampled_ranks(
    scores: Tensor,
    target: Tensor,
    known: tuple[Tensor, Tensor] | None = None,
    *,
    candidates: int = 50,
    generator: torch.Generator | None = None,
    ties: Ties = "mean",
) -> Tensor:
    """The rank of each target among a few candidates drawn by chance, itself one of them.

    The protocol of GraIL (Teru et al., ICML 2020) for inductive splits: 50 candidates per question, the
    true answer and 49 false ones, drawn with repetition from the nodes that are no true answer. Ask for the
    tails and for the heads of each link. `sampled_hits` gives the expectation without the noise.

    Args:
        scores: of every node as the answer to each question, `(B, N)`.
        target: the answer that is ranked, `(B,)`.
        known: places of true answers in that table, as `KnownTails.mask` gives them; None for the target.
        candidates: how many there are, the target included.
        generator: for the draws.
        ties: the policy of `ranks`.

    Returns:
        `(B,)` of float64.

    Raises:
        UsageError: as `filtered_ranks`; fewer than two candidates; a question that every node answers.

    >>> scores = torch.tensor([[0.9, 0.8, 0.7]])
    >>> sampled_ranks(scores, torch.tensor([2]), (torch.tensor([0, 0]), torch.tensor([1, 2]))).tolist()
    [50.0]
    """
    _check_table(scores, target, "sampled_ranks")
    if candidates < 2:
        raise UsageError(f"sampled_ranks: expected two candidates or more, got {candidates}; 50 are usual")
    batch, nodes = scores.shape
    key = torch.arange(batch, device=target.device) * nodes + target
    if known is not None:
        key = torch.cat((key, known[0] * nodes + known[1]))
    key = key.unique()
    ptr = torch.zeros(batch + 1, dtype=torch.long, device=target.device)
    ptr[1:] = torch.bincount(key.div(nodes, rounding_mode="floor"), minlength=batch).cumsum(0)
    drawn = draw_outside(ptr, key % nodes, nodes, candidates - 1, generator)
    if bool((drawn < 0).any()):
        row = int((drawn < 0).any(1).nonzero()[0])
        raise UsageError(
            f"sampled_ranks: expected a node that is no true answer, got none for question {row}; "
            "leave such questions out"
        )
    return ranks(scores.gather(1, target[:, None])[:, 0], scores.gather(1, drawn), ties)


def sampled_hits(found: Tensor, num_negatives: Tensor | int, k: int = 10, *, candidates: int = 50) -> float:
    """The hits at k that `sampled_ranks` would give on average, from ranks among all candidates.

    With q = (rank − 1) / (number of negatives), each of the `candidates` − 1 draws is above the target with
    probability q, so that

        hits = mean over links of sum_{i < k} C(candidates − 1, i) q^i (1 − q)^(candidates − 1 − i)

    This is how Zhu et al. (NBFNet, NeurIPS 2021) report the protocol of GraIL.

    Args:
        found: filtered ranks, `(P,)`.
        num_negatives: how many nodes each target was ranked against, `(P,)` or one number.
        k: a rank up to k is a hit.
        candidates: drawn per link, the target included.

    Raises:
        UsageError: k below one, no ranks, ranks that are not among so many negatives.

    >>> sampled_hits(torch.tensor([1.0]), 100), round(sampled_hits(torch.tensor([11.0]), 100), 4)
    (1.0, 0.9785)
    """
    _check_k(k)
    share = (found.double() - 1) / num_negatives
    if not found.numel() or not bool(((share >= 0) & (share <= 1)).all()):
        raise UsageError(
            "sampled_hits: expected ranks from 1 to 1 + num_negatives, got "
            f"{'others' if found.numel() else 'none'}; pass the ranks of filtered_ranks"
        )
    draws = torch.arange(min(k, candidates), dtype=torch.float64, device=found.device)
    total = torch.tensor(float(candidates), dtype=torch.float64, device=found.device)
    choose = torch.lgamma(total) - torch.lgamma(draws + 1) - torch.lgamma(total - draws)
    chance = torch.xlogy(draws, share[:, None]) + torch.xlogy(total - 1 - draws, 1 - share[:, None])
    return float((choose + chance).exp().sum(1).clamp(max=1).mean())


class _Counts(NamedTuple):
    above: Tensor
    tied: Tensor


def _against(positive: Tensor, negative: Tensor, operation: str, *, some: bool = False) -> _Counts:
    """How many negatives are above each positive, and how many are tied with it, `(P,)` both."""
    if positive.dim() != 1 or negative.dim() not in (1, 2) or negative.shape[:-1] not in ((), positive.shape):
        raise UsageError(
            f"{operation}: expected scores of shapes (P,) and (Q,) or (P, K), got {tuple(positive.shape)} "
            f"and {tuple(negative.shape)}; pass one score per link"
        )
    if some and not len(positive):
        raise UsageError(f"{operation}: expected at least one positive, got none; check the split")
    dtype = torch.promote_types(torch.promote_types(positive.dtype, negative.dtype), torch.float32)
    if not (positive.is_floating_point() and negative.is_floating_point()):
        dtype = torch.float64  # counts, say, of which float32 would tie large ones
    positive, negative = positive.detach().to(dtype), negative.detach().to(dtype)
    for name, scores in (("positives", positive), ("negatives", negative)):
        if bool(torch.isnan(scores).any()):
            raise UsageError(f"{operation}: expected scores, got NaN among the {name}; see to the model")
    if negative.dim() == 2:
        own = positive[:, None]
        return _Counts((negative > own).sum(1), (negative == own).sum(1))
    ordered = negative.sort().values
    above = len(ordered) - torch.searchsorted(ordered, positive, right=True)
    return _Counts(above, len(ordered) - above - torch.searchsorted(ordered, positive))


def _check_table(scores: Tensor, target: Tensor, operation: str) -> None:
    if scores.dim() != 2 or target.shape != scores.shape[:1]:
        raise UsageError(
            f"{operation}: expected scores (B, N) and targets (B,), got {tuple(scores.shape)} and "
            f"{tuple(target.shape)}; pass a row of scores per target"
        )
    if bool(torch.isnan(scores).any()):
        raise UsageError(f"{operation}: expected scores, got NaN among them; see to the model")


def _check_k(k: int) -> None:
    if k < 1:
        raise UsageError(f"hits: expected k from 1, got {k}; 10 and 100 are usual")


def _share(ties: str) -> float:
    if ties not in _TIED_ABOVE:
        raise UsageError(
            f"ranks: expected ties to be one of {', '.join(_TIED_ABOVE)}, got {ties!r}; choose one"
        )
    return _TIED_ABOVE[ties]


def _named(name: str, choices: tuple[str, ...], operation: str) -> tuple[str, int]:
    match = re.fullmatch(r"(hits)@(\d+)|(\w+)", name)
    kind = (match[1] or match[3]) if match else name
    if kind not in choices or (kind == "hits") != (match is not None and match[2] is not None):
        listed = ", ".join("hits@k" if choice == "hits" else choice for choice in choices)
        raise UsageError(f"{operation}: expected a measure of {listed}, got {name!r}; choose one")
    return kind, int(match[2]) if match and match[2] else 0
