"""What the classifier and the regressor share: subgraph networks with the conventions of scikit-learn."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Sequence
from dataclasses import asdict, fields
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor
from torch_geometric.data import Data

from netgraph.errors import UsageError
from netgraph.fitting.bar import progress_bar
from netgraph.fitting.saved import read_saved, write_saved
from netgraph.subgraph.fit import (
    EpochRecord,
    FitSettings,
    FitState,
    Network,
    Report,
    fit_network,
    predict_network,
)
from netgraph.subgraph.fit_options import check_options, fingerprint
from netgraph.subgraph.model import SubgraphNet
from netgraph.subgraph.ppgn import PPGN
from netgraph.subgraph.prepare import Features, check_features, learn_features, list_pairs, read_graphs
from netgraph.subgraph.targets import Targets
from netgraph.subgraph.transform import SubgraphData

__all__ = ["SubgraphEstimator"]


class SubgraphEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """Abstract base of `SubgraphClassifier` and `SubgraphRegressor`: one answer per graph.

    Args:
        model: a name of `MODELS`, or `"PPGN"`.
        hidden_channels: of the states of pairs.
        num_layers: of the network.
        pool: over the pairs of a graph: `"mean"`, `"sum"` or `"max"`.
        dropout: probability, after each layer and in the head.
        policy: how subgraphs differ from the graph (see `SubgraphTransform`); None for that of the model.
        hops: radius of the subgraphs; None for that of the model, mostly the whole graph.
        max_distance: longer distances count as this one.
        backend: `"auto"`, `"dense"` or `"sparse"`.
        loss: None for the estimator's own.
        epochs: passes over the training graphs, at most.
        lr: largest learning rate of Adam.
        schedule: of the learning rate, a name of `SCHEDULES`.
        weight_decay: times the weights, added to the gradient.
        batch_size: graphs in a batch, at most.
        patience: end after so many epochs without a lower validation loss; None for never.
        validation_fraction: share of the graphs that `fit` holds out if it is given no validation graphs.
            With 0 there is no validation, and the last epoch is kept.
        mixed_precision: train in bfloat16 where that is safe.
        compile: train through `torch.compile`.
        device: None for CUDA where there is a device, else the CPU.
        checkpoint: file that is written after every epoch. A fit that finds it there goes on from it.
        random_state: a number makes fits repeatable.
        verbose: show a progress bar on stderr.

    Attributes:
        network_: the network, with the weights of the best epoch.
        best_epoch_: the one of the lowest validation loss, counted from 1; without validation the last.
        history_: an `EpochRecord` of every epoch.
        last_state_: the network's `state_dict` after the last epoch.
        features_: what nodes and edges carry.
        targets_: how targets are coded.
    """

    _coding: ClassVar[type[Targets]]

    def __init__(
        self,
        model: str = "SSWL",
        *,
        hidden_channels: int = 64,
        num_layers: int = 6,
        pool: str = "mean",
        dropout: float = 0.0,
        policy: str | None = None,
        hops: int | None = None,
        max_distance: int = 5,
        backend: str = "auto",
        loss: str | None = None,
        epochs: int = 100,
        lr: float = 1e-3,
        schedule: str = "one_cycle",
        weight_decay: float = 0.0,
        batch_size: int = 32,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        mixed_precision: bool = False,
        compile: bool = False,
        device: str | torch.device | None = None,
        checkpoint: str | PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.hidden_channels = hidden_channels
        self.num_layers = num_layers
        self.pool = pool
        self.dropout = dropout
        self.policy = policy
        self.hops = hops
        self.max_distance = max_distance
        self.backend = backend
        self.loss = loss
        self.epochs = epochs
        self.lr = lr
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.mixed_precision = mixed_precision
        self.compile = compile
        self.device = device
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        graphs: Sequence[Any],
        y: npt.ArrayLike,
        validation: tuple[Sequence[Any], npt.ArrayLike] | None = None,
        *,
        report: Report | None = None,
    ) -> Self:
        """Train, and keep the weights of the epoch with the lowest validation loss.

        Ctrl-C ends the training and is raised again. If an epoch was over by then, the estimator is fitted
        with the best one; otherwise it stays as it was before, as it does when anything else is raised.

        Args:
            graphs: NetworkX, PyG or DGL graphs, or what the network's transform made of them. Read are the
                features `x` and `edge_attr`: floats, or one whole number for a category.
            y: a target per graph.
            validation: graphs and targets that choose the epoch, in place of `validation_fraction`.
            report: told after every batch how many epochs are done, and their records.

        Raises:
            UsageError: no graphs, graphs without nodes or with different features, targets of another length
                or that are not finite, or an option that makes no sense.
            InterchangeError: something that is no simple undirected graph.
            TrainingError: a loss that is not finite, or a checkpoint that is damaged or of another fit.
        """
        options = self.get_params(deep=False)
        check_options(options, self._coding.losses)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        data = read_graphs("fit", graphs)
        values = self._coding.read("fit", y, len(data))
        if validation is None:
            kept, out = self._split(values, seed)
            held, held_values = [data[i] for i in out], values[out]
            data, values = [data[i] for i in kept], values[kept]
        else:
            held = read_graphs("fit, validation", validation[0])
            held_values = self._coding.read("fit, validation", validation[1], len(held))
        if self.patience is not None and not held:
            raise UsageError(
                f"fit: expected validation graphs for patience={self.patience}, got none; pass some, or a "
                "validation_fraction above 0"
            )
        features, targets = learn_features([*data, *held]), self._coding.learn(values)
        network = self._network(features, targets, seed)
        train = _examples("fit", data, features, network, targets.encode("fit", values))
        encoded = targets.encode("fit, validation", held_values)
        tested = _examples("fit, validation", held, features, network, encoded)
        names = [f.name for f in fields(FitSettings) if f.name != "seed"]
        with progress_bar(self.epochs, report, shown=self.verbose) as tell:
            state = fit_network(
                network,
                train,
                tested,
                self._coding.losses[self.loss or next(iter(self._coding.losses))],
                FitSettings(**{name: options[name] for name in names}, seed=seed),
                checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
                fingerprint="" if self.checkpoint is None else fingerprint(options, seed, train, tested),
                report=tell,
            )
        if state.history:
            self._adopt(network, features, targets, state)
        if state.interrupted:
            raise KeyboardInterrupt
        return self

    def predict(self, graphs: Sequence[Any]) -> npt.NDArray[Any]:
        """The prediction for each graph.

        Raises:
            NotFittedError: before `fit`.
            UsageError: no graphs, graphs without nodes, or other features than in `fit`.
            InterchangeError: something that is no simple undirected graph.
        """
        outputs = self._outputs("predict", graphs)
        return self.targets_.decode(outputs)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write `config.json` and `model.safetensors` into a folder, which is made if it is absent.

        Not kept: `device`, `checkpoint`, and a `random_state` that is no number.

        Raises:
            NotFittedError: before `fit`.
            UsageError: the folder cannot be written.
        """
        check_is_fitted(self, "network_")
        options = self.get_params(deep=False) | {"device": None, "checkpoint": None}
        if not hasattr(options["random_state"], "__index__"):
            options["random_state"] = None
        config = {
            "kind": type(self).__name__,
            "version": 1,
            "options": {n: v.item() if isinstance(v, np.generic) else v for n, v in options.items()},
            "features": [asdict(f) for f in self.features_],
            "targets": self.targets_.to_dict(),
            "best_epoch": self.best_epoch_,
            "history": [asdict(record) for record in self.history_],
        }
        tensors = {f"best.{n}": t for n, t in self.network_.state_dict().items()}
        tensors |= {f"last.{n}": t for n, t in self.last_state_.items()}
        write_saved(Path(folder), config, tensors)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | PathLike[str], *, device: str | torch.device | None = None) -> Self:
        """Read what `save` wrote.

        Raises:
            UsageError: a file is missing, corrupt, or of something else.
        """
        config, tensors = read_saved(Path(folder), cls.__name__)
        states: dict[str, dict[str, Tensor]] = {"best": {}, "last": {}}
        try:
            if config["version"] != 1:
                raise ValueError(f"version {config['version']!r}, expected 1")
            for name, tensor in tensors.items():
                part, _, rest = name.partition(".")
                states[part][rest] = tensor
            estimator = cls(**config["options"]).set_params(device=device)
            features = Features(**config["features"][0]), Features(**config["features"][1])
            targets = cls._coding.from_dict(config["targets"])
            history = [EpochRecord(**record) for record in config["history"]]
            network = estimator._network(features, targets, seed=0)
            state = FitState(history, config["best_epoch"], states["best"], states["last"])
            estimator._adopt(network, features, targets, state)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError, UsageError) as error:
            raise UsageError(
                f"load: the files in {str(folder)!r} do not fit together ({str(error)[:200]}); "
                "save the estimator again"
            ) from None
        return estimator

    def _outputs(self, operation: str, graphs: Sequence[Any]) -> Tensor:
        check_is_fitted(self, "network_")
        data = read_graphs(operation, graphs)
        examples = _examples(operation, data, self.features_, self.network_)
        return predict_network(self.network_, examples, self.batch_size)

    def _split(
        self, values: npt.NDArray[Any], seed: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Indices of the graphs to train on and of those held out."""
        count = len(values)
        held = math.ceil(self.validation_fraction * count)
        if held == 0:
            return np.arange(count), np.arange(0)
        if held >= count:
            raise UsageError(
                f"fit: expected graphs left to train on, got {count} with "
                f"validation_fraction={self.validation_fraction}; pass more graphs, or 0 for no validation"
            )
        train, out = train_test_split(
            np.arange(count),
            test_size=held,
            random_state=seed,
            stratify=self._coding.strata(values, held),
        )
        return np.sort(train), np.sort(out)

    def _network(self, features: tuple[Features, Features], targets: Targets, seed: int) -> Network:
        options: dict[str, Any] = {
            "hidden_channels": self.hidden_channels,
            "num_layers": self.num_layers,
            "pool": self.pool,
            "edge_dim": features[1].count or None,
            "max_distance": self.max_distance,
            "dropout": self.dropout,
        }
        if self.policy is not None:
            options["policy"] = self.policy
        build: type[Network] = PPGN
        if self.model != "PPGN":
            build = SubgraphNet
            options |= {"model": self.model, "hops": self.hops, "backend": self.backend}
        elif self.hops is not None or self.backend == "sparse":
            raise UsageError(
                f"fit: expected whole copies and the dense backend for PPGN, got hops={self.hops!r} and "
                f"backend={self.backend!r}; choose another model"
            )
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build(features[0].count, targets.outputs, **options)
        return network.to(device)

    def _adopt(
        self, network: Network, features: tuple[Features, Features], targets: Targets, state: FitState
    ) -> None:
        """Become fitted, all at once."""
        network.load_state_dict(state.last)  # both must fit, and the best one stays
        network.load_state_dict(state.best)
        self.network_ = network.eval()
        self.best_epoch_, self.history_, self.last_state_ = state.best_epoch, state.history, state.last
        self.features_, self.targets_ = features, targets


def _examples(
    operation: str,
    graphs: list[Data],
    features: tuple[Features, Features],
    network: Network,
    targets: Tensor | None = None,
) -> list[SubgraphData]:
    check_features(operation, graphs, features)
    examples = list_pairs(graphs, network.transform)
    if targets is not None:
        for index, example in enumerate(examples):
            example.target = targets[index : index + 1]
    return examples
