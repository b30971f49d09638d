"""Ranks and measures against loops over all candidates, scikit-learn, and sampling."""

import math
import random

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from netgraph.errors import UsageError
from netgraph.linkpred.ranking import (
    METRICS,
    Ties,
    average_precision,
    evaluate_ranks,
    evaluate_scores,
    filtered_ranks,
    hits_at,
    mean_reciprocal_rank,
    ranks,
    roc_auc,
    sampled_hits,
    sampled_ranks,
)

POLICIES: list[Ties] = ["optimistic", "pessimistic", "mean"]


def scores(seed: int, *shape: int, levels: int = 6, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Few different values, so that ties are everywhere."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(levels, shape, generator=generator).to(dtype) / 4 - 0.5


def slow_rank(own: float, others: list[float], ties: Ties) -> float:
    above, tied = sum(o > own for o in others), sum(o == own for o in others)
    return 1 + above + {"optimistic": 0, "pessimistic": tied, "mean": tied / 2}[ties]


def slow_hit(own: float, others: list[float], k: int, ties: Ties) -> float:
    """Where ties are broken by chance, the positive takes each of the tied places equally often."""
    above, tied = sum(o > own for o in others), sum(o == own for o in others)
    places = range(above + 1, above + tied + 2)
    chosen = {"optimistic": places[:1], "pessimistic": places[-1:], "mean": places}[ties]
    return sum(place <= k for place in chosen) / len(chosen)


@pytest.mark.parametrize("ties", POLICIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_ranks_and_their_measures_against_loops(ties: Ties, dtype: torch.dtype) -> None:
    positive = scores(0, 25, dtype=dtype)
    for negative in (scores(1, 40, dtype=dtype), scores(2, 25, 7, dtype=dtype), scores(3, 0, dtype=dtype)):
        others = [n.tolist() for n in (negative if negative.dim() == 2 else [negative] * 25)]
        both = list(zip(positive.tolist(), others, strict=True))
        slow = [slow_rank(*pair, ties) for pair in both]
        assert ranks(positive, negative, ties).tolist() == slow
        assert mean_reciprocal_rank(positive, negative, ties) == pytest.approx(sum(1 / r for r in slow) / 25)
        for k in (1, 3, 10, 100):
            expected = sum(slow_hit(*pair, k, ties) for pair in both) / 25
            assert hits_at(positive, negative, k, ties) == pytest.approx(expected)


def test_pessimistic_hits_are_those_above_the_kth_best_shared_negative() -> None:
    positive, negative = scores(4, 50, levels=30), scores(5, 60, levels=30)
    for k in (1, 5, 20):
        bar = negative.topk(k).values[-1]
        assert hits_at(positive, negative, k, "pessimistic") == pytest.approx(
            float((positive > bar).double().mean())
        )


def test_a_positive_tied_with_the_kth_negative_alone() -> None:
    given = torch.tensor([2.0]), torch.tensor([3.0, 2.0, 1.0])
    assert [hits_at(*given, 2, ties) for ties in POLICIES] == [1.0, 0.0, 0.5]


def test_a_constant_score_gains_what_chance_would() -> None:
    given = torch.zeros(5), torch.zeros(999)
    assert hits_at(*given, 100) == pytest.approx(0.1)
    assert roc_auc(*given) == 0.5 and ranks(*given).tolist() == [500.5] * 5


@pytest.mark.parametrize("levels", [2, 6, 10**6])
def test_areas_agree_with_scikit_learn(levels: int) -> None:
    positive, negative = scores(6, 70, levels=levels) + 0.2, scores(7, 90, levels=levels)
    positive = positive.round(decimals=2)
    truth = torch.cat((torch.ones(70), torch.zeros(90))).numpy()
    both = torch.cat((positive, negative)).numpy()
    assert roc_auc(positive, negative) == pytest.approx(roc_auc_score(truth, both), abs=1e-12)
    assert average_precision(positive, negative) == pytest.approx(
        average_precision_score(truth, both), abs=1e-12
    )
    each = negative.reshape(-1, 1)[:70]
    assert roc_auc(positive, each) == roc_auc(positive, each[:, 0])


def test_infinite_and_whole_scores() -> None:
    inf = math.inf
    assert ranks(torch.tensor([inf, -inf]), torch.tensor([inf, -inf, 0.0])).tolist() == [1.5, 3.5]
    big = 2**24
    assert ranks(torch.tensor([big + 1]), torch.tensor([big])).tolist() == [1.0]
    assert ranks(torch.tensor([-0.0]), torch.tensor([0.0])).tolist() == [1.5]


def test_many_negatives_take_no_table_of_pairs() -> None:
    positive, negative = torch.rand(20_000).double(), torch.rand(300_000).double()
    found = ranks(positive, negative)
    assert torch.equal(
        found[:5], 1 + (negative > positive[:5, None]).sum(1) + (negative == positive[:5, None]).sum(1) / 2
    )


def test_measures_by_name() -> None:
    positive, negative = scores(8, 20), scores(9, 30)
    found = evaluate_scores(positive, negative, ["hits@7", "mrr", "auc", "ap"], "pessimistic")
    assert found == {
        "hits@7": hits_at(positive, negative, 7, "pessimistic"),
        "mrr": mean_reciprocal_rank(positive, negative, "pessimistic"),
        "auc": roc_auc(positive, negative),
        "ap": average_precision(positive, negative),
    }
    assert set(METRICS) == {"hits", "mrr", "auc", "ap"}
    places = torch.tensor([1.0, 10.0, 10.5])
    assert evaluate_ranks(places, ["hits@10", "mr"]) == {
        "hits@10": pytest.approx(2 / 3),
        "mr": pytest.approx(21.5 / 3),
    }


@pytest.mark.parametrize("ties", POLICIES)
def test_filtered_ranks_against_loops(ties: Ties) -> None:
    table, target = scores(10, 8, 15), torch.arange(8)
    rng = random.Random(0)
    answers = [sorted(rng.sample(range(15), rng.randint(0, 9))) for _ in range(8)]
    answers[0] = sorted(set(answers[0]) | {0})  # the target among the known
    rows = torch.tensor([row for row, found in enumerate(answers) for _ in found])
    columns = torch.tensor([node for found in answers for node in found])
    slow = []
    for row, own in enumerate(target.tolist()):
        others = [v for n, v in enumerate(table[row].tolist()) if n != own and n not in answers[row]]
        slow.append(slow_rank(float(table[row, own]), others, ties))
    assert filtered_ranks(table, target, (rows, columns), ties).tolist() == slow
    plain = [
        slow_rank(float(table[r, r]), [v for n, v in enumerate(table[r].tolist()) if n != r], ties)
        for r in range(8)
    ]
    assert filtered_ranks(table, target, None, ties).tolist() == plain


def test_sampled_candidates_are_false_answers_and_equally_likely() -> None:
    # A node's score names it, so that ranks among two candidates tell which was drawn.
    nodes, known = 6, [0, 2]
    table = torch.arange(nodes).float().repeat(40_000, 1)
    target = torch.full((40_000,), 3)
    rows = torch.arange(40_000).repeat_interleave(len(known))
    places = rows, torch.tensor(known).repeat(40_000)
    found = sampled_ranks(table, target, places, candidates=2, generator=torch.Generator().manual_seed(0))
    # 1, 4 and 5 remain: the first is below the target, the others are above.
    assert float((found == 2).double().mean()) == pytest.approx(2 / 3, abs=0.01)
    assert set(found.tolist()) == {1.0, 2.0}


def test_expected_hits_are_the_mean_of_sampled_ones() -> None:
    table = torch.rand(20_000, 60, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(20_000, dtype=torch.long)
    full = filtered_ranks(table, target)
    for k in (1, 10):
        drawn = sampled_ranks(table, target, candidates=20, generator=torch.Generator().manual_seed(1))
        expected = sampled_hits(full, 59, k, candidates=20)
        assert evaluate_ranks(drawn, [f"hits@{k}"])[f"hits@{k}"] == pytest.approx(expected, abs=0.01)
    assert sampled_hits(full, 59, 20, candidates=20) == 1.0
    assert sampled_hits(torch.tensor([60.0, 1.0]), torch.tensor([59, 3]), 10) == pytest.approx(0.5)


def test_refusals() -> None:
    some, nan = torch.tensor([1.0, 2.0]), torch.tensor([1.0, math.nan])
    for given in ((nan, some), (some, nan), (some, nan[:, None])):
        for measure in (ranks, roc_auc, average_precision, mean_reciprocal_rank):
            with pytest.raises(UsageError, match="NaN among the"):
                measure(*given)
    with pytest.raises(UsageError, match="ties to be one of optimistic, pessimistic, mean, got 'best'"):
        ranks(some, some, "best")  # type: ignore[arg-type]
    for shape in ((3, 2), (2, 2, 2), ()):
        with pytest.raises(UsageError, match="shapes"):
            ranks(some, torch.zeros(shape))
    for measure in (roc_auc, average_precision, mean_reciprocal_rank):
        with pytest.raises(UsageError, match="at least one positive"):
            measure(some[:0], some)
    for measure in (roc_auc, average_precision):
        with pytest.raises(UsageError, match="at least one negative"):
            measure(some, some[:0])
    with pytest.raises(UsageError, match="k from 1, got 0"):
        hits_at(some, some, 0)
    for name in ("hits", "hits@", "auc@3", "hit@3", "hits@-1"):
        with pytest.raises(UsageError, match="a measure of hits@k, mrr, auc, ap"):
            evaluate_scores(some, some, [name])
    with pytest.raises(UsageError, match="a measure of hits@k, mrr, mr"):
        evaluate_ranks(some, ["auc"])
    for bad in (some[:0], some - 1):
        with pytest.raises(UsageError, match="ranks from 1"):
            evaluate_ranks(bad)
    with pytest.raises(UsageError, match=r"scores \(B, N\)"):
        filtered_ranks(some, some.long())
    with pytest.raises(UsageError, match="NaN"):
        filtered_ranks(nan[None], torch.tensor([0]))
    with pytest.raises(UsageError, match="two candidates"):
        sampled_ranks(some[None], torch.tensor([0]), candidates=1)
    with pytest.raises(UsageError, match="none for question 0"):
        sampled_ranks(some[None], torch.tensor([0]), (torch.tensor([0]), torch.tensor([1])))
    with pytest.raises(UsageError, match="1 to 1 \\+ num_negatives"):
        sampled_hits(torch.tensor([9.0]), 5)
