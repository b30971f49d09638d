"""Performance per node against loops, correlations against formulas."""

import math

import pytest
import torch

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred import Links
from netgraph.linkpred.node_performance import correlations, node_performance

PAIRS = torch.randint(9, (2, 40), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("each_end", [False, True])
def test_means_over_the_links_of_a_node(each_end: bool) -> None:
    draw = torch.Generator().manual_seed(1)
    ranks = torch.randint(1, 9, (2, 40) if each_end else (40,), generator=draw) + 0.5
    found = node_performance(Links(PAIRS), ranks, 10, k=4)
    assert int(found.count.sum()) == 80
    for node in range(10):
        mine = [
            float(ranks[end, p] if each_end else ranks[p])
            for p in range(40)
            for end in range(2)
            if PAIRS[end, p] == node
        ]
        assert len(mine) == found.count[node]
        if mine:
            assert float(found.hits[node]) == pytest.approx(sum(r <= 4 for r in mine) / len(mine))
            assert float(found.reciprocal_rank[node]) == pytest.approx(sum(1 / r for r in mine) / len(mine))
        else:
            assert found.hits[node].isnan() and found.reciprocal_rank[node].isnan()
    assert bool((found.count == 0).any())


def test_correlations_by_formula() -> None:
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(30, generator=draw).double()
    y = x**3 + 0.5 * torch.randn(30, generator=draw)
    x[3], y[4], x[5] = math.nan, math.nan, math.inf
    table = correlations({"x": x, "same": torch.ones(30)}, y)
    both = torch.tensor([i not in (3, 4, 5) for i in range(30)])
    plain = torch.corrcoef(torch.stack((x[both], y[both])))[0, 1]
    ranked = torch.corrcoef(torch.stack([v[both].argsort().argsort().double() for v in (x, y)]))[0, 1]
    found = table["x"]
    assert found.pearson == pytest.approx(float(plain)) and found.spearman == pytest.approx(float(ranked))
    assert found.nodes == 27 and 0 < found.pearson_p < 1e-3 and 0 < found.spearman_p < 1e-3
    assert math.isnan(table["same"].pearson) and table["same"].nodes == 29


def test_p_values_of_noise_are_not_small() -> None:
    draw = torch.Generator().manual_seed(3)
    noise = torch.randn(2, 50, generator=draw)
    found = correlations({"noise": noise[0]}, noise[1])["noise"]
    assert found.pearson_p > 0.05 and found.spearman_p > 0.05


def test_too_few_nodes() -> None:
    found = correlations({"x": torch.tensor([1.0, 2.0])}, torch.tensor([1.0, 2.0]))["x"]
    assert math.isnan(found.spearman) and found.nodes == 2


@pytest.mark.parametrize(
    ("ranks", "changes", "words"),
    [
        (torch.ones(39), {}, r"shape \(40,\) or \(2, 40\), got shape \(39,\)"),
        (torch.zeros(40), {}, "from 0"),
        (torch.full((40,), math.nan), {}, "from nan"),
        (torch.ones(40), {"k": 0}, "k of at least 1, got 0"),
    ],
)
def test_no_ranks(ranks: torch.Tensor, changes: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        node_performance(PAIRS, ranks, 10, **changes)


def test_no_such_node_and_no_common_length() -> None:
    with pytest.raises(GraphError, match="nodes from 0 to 4, got"):
        node_performance(PAIRS, torch.ones(40), 5)
    with pytest.raises(UsageError, match=r"got \(2,\) and \(3,\)"):
        correlations({"x": torch.ones(2)}, torch.ones(3))
