"""Classes of graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy.typing as npt
from sklearn.base import ClassifierMixin

from netgraph.subgraph.estimator import SubgraphEstimator
from netgraph.subgraph.targets import ClassTargets

__all__ = ["SubgraphClassifier"]


@final
class SubgraphClassifier(ClassifierMixin, SubgraphEstimator):  # type: ignore[misc]
    """A subgraph network that tells the class of a graph, with the interface of scikit-learn.

    Labels are numbers or strings. `loss` is `"log_loss"`; `score` is the accuracy. Held-out graphs are drawn
    with the same share of each class. All options are those of `SubgraphEstimator`.

    Attributes:
        classes_: the labels, sorted: the columns of `predict_proba`.

    >>> import networkx as nx
    >>> graphs = [nx.cycle_graph(n) for n in range(3, 11)] + [nx.path_graph(n) for n in range(3, 11)]
    >>> labels = ["cycle"] * 8 + ["path"] * 8
    >>> small = {"hidden_channels": 8, "num_layers": 2, "epochs": 40, "lr": 0.02, "random_state": 0}
    >>> classifier = SubgraphClassifier("GSWL", **small).fit(graphs, labels)
    >>> classifier.score(graphs, labels) > 0.8, classifier.classes_.tolist()
    (True, ['cycle', 'path'])
    """

    _coding = ClassTargets
    targets_: ClassTargets

    @property
    def classes_(self) -> npt.NDArray[Any]:
        return self.targets_.classes

    def predict_proba(self, graphs: Sequence[Any]) -> npt.NDArray[Any]:
        """The probability of each class, `(B, classes)`.

        Raises:
            NotFittedError, UsageError, InterchangeError: as `predict`.
        """
        return self._outputs("predict_proba", graphs).softmax(1).numpy()
