"""Numbers: one or several per graph, in any unit."""

import networkx as nx
import numpy as np
import pytest

from netgraph.errors import UsageError
from netgraph.subgraph import SubgraphRegressor, count_substructures

SMALL = {"hidden_channels": 16, "num_layers": 2, "lr": 0.01, "random_state": 0}
GRAPHS = [nx.gnp_random_graph(8, 0.4, seed=seed) for seed in range(60)]
COUNTS = np.array([[count_substructures(g)[n] for n in ("triangle", "star")] for g in GRAPHS], dtype=float)


@pytest.mark.parametrize("loss", ["absolute_error", "squared_error"])
def test_learns_several_counts_at_once(loss: str) -> None:
    fitted = SubgraphRegressor("SSWL+", **SMALL, epochs=40, batch_size=16, loss=loss).fit(
        GRAPHS[:50], COUNTS[:50]
    )
    assert fitted.predict(GRAPHS[:3]).shape == (3, 2)
    assert fitted.score(GRAPHS[50:], COUNTS[50:]) > 0.6


def test_the_unit_of_the_targets_does_not_matter() -> None:
    plain = SubgraphRegressor(**SMALL, epochs=3).fit(GRAPHS, COUNTS[:, 0])
    scaled = SubgraphRegressor(**SMALL, epochs=3).fit(GRAPHS, 1e6 + 1e4 * COUNTS[:, 0])
    np.testing.assert_allclose((scaled.predict(GRAPHS) - 1e6) / 1e4, plain.predict(GRAPHS), atol=1e-2)


def test_predictions_have_the_shape_of_the_targets() -> None:
    for y, shape in ((COUNTS[:, 0], (60,)), (COUNTS[:, :1], (60, 1)), (COUNTS, (60, 2))):
        assert SubgraphRegressor(**SMALL, epochs=1).fit(GRAPHS, y).predict(GRAPHS).shape == shape


def test_validation_targets_of_another_shape() -> None:
    with pytest.raises(UsageError, match="fit, validation: expected 2 targets per graph"):
        SubgraphRegressor(**SMALL).fit(GRAPHS, COUNTS, (GRAPHS[:2], [1.0, 2.0]))
