"""The predictor that reads operator graphs."""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.search.predictors.base import Predictor
from netgraph.search.predictors.dense_graphs import dense_graphs
from netgraph.search.predictors.graph_network import OperatorGraphNetworks, message_weights, ranking_loss
from netgraph.search.predictors.rank_scale import RankScale
from netgraph.search.predictors.registry import register_predictor
from netgraph.search.space import FloatArray, Point, SearchSpace

__all__ = ["GraphPredictor"]

_WARM_UP: Final = 0.05
"""Share of the steps in which the learning rate rises."""

_NODES_AT_ONCE: Final = 1024
"""Nodes of a batch of predictions, few enough for the states of all members to stay in the cache."""


@final
@register_predictor("gnn")
class GraphPredictor(Predictor):
    """An ensemble of graph networks over the operator graph, trained to rank.

    Members differ in their initial weights and in the order of their batches, and are trained together (see
    `OperatorGraphNetworks` and `ranking_loss`). Their scores are fitted by least squares to the normal scores
    of the ranks of the values; the prediction is the value at the mean of the members' (see `RankScale`), and
    `predict_std` the deviation of the members' values. Categories of nodes that `fit` has not met count as
    one that carries nothing.

    Args:
        space: of the architectures; it must have operator graphs.
        members: networks in the ensemble.
        hidden_channels: of each node.
        num_layers: rounds of messages, along the data and against it.
        epochs: passes over the points.
        batch_size: points that are compared with each other in a step, at most.
        lr: largest learning rate of AdamW, reached after a twentieth of the steps; then it falls as a cosine.
        weight_decay: times learning rate and weights, subtracted in each step.
        margin: of the ranking loss.
        random_state: a number makes fits repeatable.

    Attributes:
        networks_: all members, with their weights.
        scale_: from scores to values.

    Paper: Ning et al., A generic graph-based neural architecture encoding scheme for predictor-based NAS,
    https://arxiv.org/abs/2004.01899 (the loss); White et al., How powerful are performance predictors in
    neural architecture search?, https://arxiv.org/abs/2104.01177 (the comparison).

    >>> from torch_geometric.data import Data
    >>> from netgraph.search.space import ChoiceSpace
    >>> def chain(options):
    ...     kinds = torch.tensor([0, options["first"], options["second"], 1])
    ...     return Data(x=kinds, edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]))
    >>> space = ChoiceSpace({"first": [2, 3, 4], "second": [2, 3, 4]}, graph=chain)
    >>> points = [(i, j) for i in range(3) for j in range(3)]
    >>> values = [10 * i + j for i, j in points]
    >>> gnn = GraphPredictor(space, members=2, hidden_channels=16, epochs=40, random_state=0)
    >>> gnn.fit(points, values).score(points, values) > 0.8
    True
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        members: int = 5,
        hidden_channels: int = 64,
        num_layers: int = 4,
        epochs: int = 60,
        batch_size: int = 32,
        lr: float = 3e-3,
        weight_decay: float = 1e-2,
        margin: float = 0.5,
        random_state: int | None = None,
    ) -> None:
        super().__init__(space)
        self.members = members
        self.hidden_channels = hidden_channels
        self.num_layers = num_layers
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.margin = margin
        self.random_state = random_state

    def _check_options(self) -> None:
        least = {"members": 1, "hidden_channels": 1, "num_layers": 0, "epochs": 1, "batch_size": 2}
        for name, smallest in least.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
                raise UsageError(
                    f"GraphPredictor: expected {name} as a whole number from {smallest}, "
                    f"got {value!r}; change it"
                )
        for name in ("lr", "weight_decay", "margin"):
            value = getattr(self, name)
            zero = name == "weight_decay"
            if not isinstance(value, int | float) or not 0 <= value < math.inf or (value == 0 and not zero):
                wanted = "from 0" if zero else "above 0"
                raise UsageError(f"GraphPredictor: expected {name} {wanted}, got {value!r}; change it")

    def _fit(self, points: list[Point], values: FloatArray) -> None:
        graphs = dense_graphs(self.space, points)
        index = torch.from_numpy(graphs.index)
        kinds = torch.from_numpy(graphs.kinds)[index]
        messages = message_weights(torch.from_numpy(graphs.adjacency))[index]
        scale = RankScale(values)
        rng = np.random.default_rng(self.random_state)
        networks = OperatorGraphNetworks(
            self.members,
            int(kinds.max()) + 1,
            self.hidden_channels,
            self.num_layers,
            seed=int(rng.integers(2**31)),
        )
        self._train(networks, kinds, messages, torch.from_numpy(scale.scores).float(), rng)
        self.networks_, self.scale_ = networks, scale
        scores = self._scores(kinds, messages)
        centre, target = scores.mean(1, keepdims=True), scale.scores - scale.scores.mean()
        spread = ((scores - centre) ** 2).mean(1, keepdims=True)
        covariance = ((scores - centre) * target).mean(1, keepdims=True)
        # A member that ranks the points it has seen upside down, or all alike, has nothing to say.
        self.slopes_ = np.maximum(covariance, 0.0) / np.maximum(spread, 1e-12)
        self.offsets_ = scale.scores.mean() - self.slopes_ * centre

    def _train(
        self,
        networks: OperatorGraphNetworks,
        kinds: Tensor,
        messages: Tensor,
        targets: Tensor,
        rng: np.random.Generator,
    ) -> None:
        size = min(self.batch_size, len(kinds))
        batches = len(kinds) // size
        steps = self.epochs * batches
        warm = max(1.0, _WARM_UP * steps)
        optimiser = torch.optim.AdamW(networks.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1.0, (step + 1) / warm) * (1 + math.cos(math.pi * step / steps)) / 2
        )
        for _ in range(self.epochs):
            order = torch.from_numpy(np.argsort(rng.random((self.members, len(kinds))), axis=1))
            for chosen in order[:, : batches * size].split(size, dim=1):  # (M, B)
                scores = networks(kinds[chosen], messages[chosen])
                loss = ranking_loss(scores, targets[chosen], self.margin).sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()

    def _predict(self, points: list[Point]) -> FloatArray:
        return self.scale_.to_values(self._member_scores(points).mean(0))

    def _predict_std(self, points: list[Point]) -> FloatArray:
        return self.scale_.to_values(self._member_scores(points)).std(0)

    def _member_scores(self, points: list[Point]) -> FloatArray:
        """Normal scores `(M, n)` of the points."""
        graphs = dense_graphs(self.space, points)
        kinds, adjacency = torch.from_numpy(graphs.kinds), torch.from_numpy(graphs.adjacency)
        scores = self._scores(kinds, message_weights(adjacency))[:, graphs.index]
        return self.offsets_ + self.slopes_ * scores

    @torch.no_grad()
    def _scores(self, kinds: Tensor, messages: Tensor) -> FloatArray:
        """Scores `(M, G)`, computed for graphs of about the same size together."""
        nodes = kinds.shape[1]
        count = (kinds >= 0).sum(1)
        found = torch.empty(self.members, len(kinds))
        for rows in count.argsort().split(max(1, _NODES_AT_ONCE // nodes)):
            most = int(count[rows].max())
            heard = messages[rows, :most].unflatten(2, (2, nodes))[..., :most].flatten(2)
            few = kinds[rows, :most]
            found[:, rows] = self.networks_(
                few.expand(self.members, *few.shape), heard.expand(self.members, *heard.shape)
            )
        return found.double().numpy()
