"""Classes: labels of any kind, probabilities, held-out graphs of each class."""

import networkx as nx
import numpy as np
import pytest

from netgraph.errors import UsageError
from netgraph.subgraph import SubgraphClassifier

SMALL = {"hidden_channels": 8, "num_layers": 2, "lr": 0.02, "random_state": 0}
KINDS = {"cycle": nx.cycle_graph, "path": nx.path_graph, "star": lambda n: nx.star_graph(n - 1)}
GRAPHS = [make(n) for make in KINDS.values() for n in range(4, 12)]
LABELS = [name for name in KINDS for _ in range(4, 12)]


def test_learns_kinds_of_graphs() -> None:
    fitted = SubgraphClassifier(**SMALL, epochs=60).fit(GRAPHS, LABELS)
    assert fitted.score(GRAPHS, LABELS) > 0.9
    probability = fitted.predict_proba(GRAPHS)
    assert probability.shape == (24, 3) and (probability >= 0).all()
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(fitted.classes_[probability.argmax(1)], fitted.predict(GRAPHS))
    assert fitted.classes_.tolist() == ["cycle", "path", "star"]


@pytest.mark.parametrize("labels", [[7, 9], [True, False], ["a", "b"]])
def test_labels_come_back_as_they_are(labels: list[object]) -> None:
    y = np.array(labels)[np.arange(24) % 2]
    fitted = SubgraphClassifier(**SMALL, epochs=1).fit(GRAPHS, y)
    assert fitted.predict(GRAPHS).dtype == y.dtype
    assert set(fitted.predict(GRAPHS)) <= set(y)


def test_held_out_graphs_are_of_each_class() -> None:
    y = np.array([0] * 18 + [1] * 6)
    classifier = SubgraphClassifier(validation_fraction=0.25)
    for seed in range(5):
        train, held = classifier._split(y, seed)
        assert np.bincount(y[held]).tolist() == [5, 1] or np.bincount(y[held]).tolist() == [4, 2]
        assert sorted([*train, *held]) == list(range(24))


def test_one_class_and_classes_that_training_never_saw() -> None:
    with pytest.raises(UsageError, match="at least two classes"):
        SubgraphClassifier(**SMALL).fit(GRAPHS, ["a"] * 24)
    with pytest.raises(UsageError, match="fit, validation: expected labels among"):
        SubgraphClassifier(**SMALL).fit(GRAPHS, LABELS, (GRAPHS[:1], ["wheel"]))
