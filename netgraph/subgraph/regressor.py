"""Numbers that belong to graphs."""

from __future__ import annotations

from typing import final

from sklearn.base import RegressorMixin

from netgraph.subgraph.estimator import SubgraphEstimator
from netgraph.subgraph.targets import NumberTargets

__all__ = ["SubgraphRegressor"]


@final
class SubgraphRegressor(RegressorMixin, SubgraphEstimator):  # type: ignore[misc]
    """A subgraph network that predicts one or several numbers of a graph, with the interface of scikit-learn.

    Targets are `(B,)` or `(B, outputs)`; the network sees each with mean 0 and deviation 1 on the training
    graphs, and losses are in these units. `loss` is `"absolute_error"`, the default, or `"squared_error"`;
    `score` is R^2. All options are those of `SubgraphEstimator`.

    >>> import networkx as nx
    >>> from netgraph.subgraph import count_substructures
    >>> graphs = [nx.gnp_random_graph(8, 0.4, seed=seed) for seed in range(40)]
    >>> triangles = [count_substructures(graph)["triangle"] for graph in graphs]
    >>> small = {"hidden_channels": 16, "num_layers": 2, "epochs": 30, "lr": 0.01, "random_state": 0}
    >>> regressor = SubgraphRegressor("SSWL+", **small).fit(graphs, triangles)
    >>> regressor.predict(graphs[:3]).shape, regressor.score(graphs, triangles) > 0.5
    ((3,), True)
    """

    _coding = NumberTargets
    targets_: NumberTargets
