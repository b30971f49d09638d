from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from netgraph.search.predictors import RankScale


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [2, 3, 11, 100])
def test_there_and_back(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(rng.normal(size=count).round(2), count)
    values[:2] = -5.0, 5.0
    scale = RankScale(values)
    np.testing.assert_allclose(scale.to_values(scale.scores), values)
    grid = np.linspace(-6, 6, 500)
    assert (np.diff(scale.to_values(grid)) > 0).all()


def test_scores_are_quantiles_of_a_normal() -> None:
    expected = [norm.ppf((2 * k + 1) / 10) for k in range(5)]
    assert RankScale(np.array([5.0, 1.0, 9.0, 7.0, 2.0])).scores.tolist() == pytest.approx(
        [expected[k] for k in (2, 0, 4, 3, 1)]
    )


def test_equal_values_share_a_score() -> None:
    scores = RankScale(np.array([1.0, 1.0, 1.0, 2.0])).scores
    assert scores[0] == scores[1] == scores[2] == 0 - norm.ppf(5 / 8)


def test_beyond_the_ends() -> None:
    scale = RankScale(np.arange(20.0) ** 2)
    first, last = scale.scores[0], scale.scores[-1]
    slope = (19.0**2 - 17.0**2) / (scale.scores[19] - scale.scores[17])
    assert scale.to_values(np.array(last + 2.0)) == pytest.approx(19.0**2 + 2 * slope)
    assert scale.to_values(np.array([first - 1.0]))[0] < 0
