"""Link predictors with the conventions of scikit-learn.

Long because such an estimator names each of its many options three times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self, final

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from netgraph.errors import NetgraphError, UsageError
from netgraph.fitting.bar import progress_bar
from netgraph.fitting.saved import read_saved, write_saved
from netgraph.linkpred.evaluate import evaluate_net, score_pairs_of_net
from netgraph.linkpred.explanation import Path as LinkPath
from netgraph.linkpred.explanation import explain
from netgraph.linkpred.fit import EpochRecord, FitSettings, Report, fit_net
from netgraph.linkpred.fit_data import graph_of_tensors, graph_tensors, moved, split_for_fit
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.known import KnownTails
from netgraph.linkpred.links import LinkSplit, Stage
from netgraph.linkpred.models import build_net, fit_defaults
from netgraph.linkpred.naming import Names, read_names
from netgraph.linkpred.nbfnet import NBFNet
from netgraph.linkpred.net import LinkNet
from netgraph.linkpred.ranking import Ties

__all__ = ["LinkPredictor"]

_AMONG_NEGATIVES: Final = ("hits@100", "mrr", "auc", "ap")
_AMONG_ALL: Final = ("mrr", "hits@1", "hits@3", "hits@10")
_NUMBERS_AT_ONCE: Final = 1 << 22
"""Scores of heads with all nodes that are held at once."""


@final
class LinkPredictor(BaseEstimator):  # type: ignore[misc]
    """Tells how likely links are that a graph does not have.

    Args:
        model: a name of `MODELS`, as `"ncn"`, `"ncnc"`, `"gae"` or `"nbfnet"`, or of `HEURISTICS`, which
            have nothing to train.
        options: of the model: arguments of its network by name, those of `make_encoder` as a mapping under
            `"encoder"`; or arguments of the heuristic.
        epochs: as in `FitSettings`, as all that follow up to `mixed_precision`; None for what suits the
            model.
        batch_size: links in a batch.
        lr: learning rate of the encoder.
        predictor_lr: that of all else.
        weight_decay: of AdamW.
        clip: largest norm of a gradient.
        loss: a name of `LOSSES`.
        temperature: of the loss `"ranking"`.
        negatives: false pairs per link.
        sampling: how they are drawn.
        remove_targets: what of a batch's links is not read.
        fanouts: learn on sampled neighbours, so many per layer.
        metric: chooses the epoch.
        ties: policy of ties for it.
        validate_every: epochs between validations.
        patience: epochs without a better metric before the end.
        mixed_precision: train in bfloat16.
        valid: share of the links that `fit` holds out to choose the epoch, if it is given a graph rather than
            a split. With 0 the last epoch is kept.
        device: None for CUDA where there is a device, else the CPU.
        checkpoint: file that is written after every epoch. A fit that finds it there goes on from it.
        random_state: a number makes fits repeatable.
        verbose: show a progress bar on stderr.

    Attributes:
        network_: the network, with the weights of the best epoch.
        graph_: what `predict` and `topk` read.
        best_epoch_: the one of the best metric, counted from 1; without validation the last; 0 without
            training.
        history_: an `EpochRecord` of every epoch.
        node_names_, relation_names_: names of the nodes and relations, if the data had some.

    >>> import networkx as nx
    >>> predictor = LinkPredictor("common_neighbours").fit(nx.karate_club_graph())
    >>> predictor.predict([(0, 33), (0, 9)]).tolist()
    [4.0, 1.0]
    >>> scores, nodes = predictor.topk([0], 2)
    >>> nodes.tolist()
    [[33, 32]]
    """

    def __init__(
        self,
        model: str = "ncn",
        *,
        options: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        predictor_lr: float | None = None,
        weight_decay: float | None = None,
        clip: float | None = None,
        loss: str | None = None,
        temperature: float | None = None,
        negatives: int | None = None,
        sampling: str | None = None,
        remove_targets: str | None = None,
        fanouts: Sequence[int] | None = None,
        metric: str | None = None,
        ties: str | None = None,
        validate_every: int | None = None,
        patience: int | None = None,
        mixed_precision: bool | None = None,
        valid: float = 0.1,
        device: str | torch.device | None = None,
        checkpoint: str | PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.options = options
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.predictor_lr = predictor_lr
        self.weight_decay = weight_decay
        self.clip = clip
        self.loss = loss
        self.temperature = temperature
        self.negatives = negatives
        self.sampling = sampling
        self.remove_targets = remove_targets
        self.fanouts = fanouts
        self.metric = metric
        self.ties = ties
        self.validate_every = validate_every
        self.patience = patience
        self.mixed_precision = mixed_precision
        self.valid = valid
        self.device = device
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        data: Any,
        *,
        nodes: Sequence[str | int] | None = None,
        relations: Sequence[str | int] | None = None,
        report: Report | None = None,
    ) -> Self:
        """Train, and keep the weights of the epoch with the best validation metric.

        Ctrl-C ends the training and is raised again. If an epoch was over by then, the predictor is fitted
        with the best one; otherwise it stays as it was before, as it does when anything else is raised.

        Args:
            data: a `LinkSplit`, of which `fit` sees the training and validation links, and predictions
                read the test graph; or `Triples`, or whatever `as_link_graph` reads, of which `valid` tells
                what is held out while training, and predictions read all.
            nodes: names of the nodes; None for those of the data, which triples and a `networkx.Graph`
                may have.
            relations: names of the relations, without inverse ones.
            report: told after every batch how many epochs are done, and their records.

        Raises:
            UsageError: an unknown model, or an option that makes no sense.
            GraphError, InterchangeError: data that is no graph, or too small a graph to hold links out.
            TrainingError: a loss that is not finite, or a checkpoint that is damaged or of another fit.
        """
        if self.checkpoint is not None and not hasattr(self.random_state, "__index__"):
            raise UsageError(
                f"fit: expected a number as random_state beside a checkpoint, got {self.random_state!r}; "
                "chance that cannot be repeated cannot go on"
            )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        names = read_names(data, nodes, relations)
        split = moved(split_for_fit(data, self.valid, seed), self._device())
        names.check(split.test_graph)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_net(self.model, split.graph, self.options).to(self._device())
        if not any(True for _ in network.parameters()):
            self._adopt(network, split.test_graph, names, 0, [])
            return self
        settings = self._settings(split.graph, seed)
        with progress_bar(settings.epochs, report, shown=self.verbose) as tell:
            state = fit_net(
                network,
                split,
                settings,
                checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
                fingerprint=repr((self.model, self.options)),
                report=tell,
            )
        if state.history:
            network.load_state_dict(state.best or state.last)
            best = state.best_epoch or len(state.history)
            self._adopt(network, split.test_graph, names, best, state.history)
        if state.interrupted:
            raise KeyboardInterrupt
        return self

    def predict(self, pairs: Any, relation: Any = None) -> Tensor:
        """Scores of pairs, the higher the more likely, `(P,)` on the CPU.

        Args:
            pairs: numbers of heads and tails `(2, P)` as a tensor or an array; or a sequence of (head, tail)
                by name, or by number if nodes have no names.
            relation: of each pair, numbers `(P,)` or a sequence of names; or one for all. Relation r + R
                asks for heads: it is the inverse of relation r.

        Raises:
            NotFittedError: before `fit`.
            UsageError: no pairs, or nodes or relations that the graph does not have.
        """
        check_is_fitted(self, "network_")
        found = self._names.pairs("predict", pairs, self.graph_)
        kind = self._names.relations("predict", relation, self.graph_, found.size(1))
        found, kind = self._here(found), None if kind is None else self._here(kind)
        return score_pairs_of_net(self.network_, self.graph_, found, kind, states=self._states()).cpu()

    def topk(
        self, nodes: Any, k: int = 10, relation: Any = None, *, exclude_known: bool = True
    ) -> tuple[Tensor, Tensor]:
        """The best tails of heads, and their scores, both `(B, k)` on the CPU.

        Where fewer than k nodes come into question, the rest is node -1 with score -inf.

        Args:
            nodes: numbers `(B,)` as a tensor or an array, or a sequence of names.
            k: how many.
            relation: of each head, or one for all, as for `predict`.
            exclude_known: leave out tails that the graph links with the head already, and the head itself.

        Returns:
            scores and numbers of nodes.

        Raises:
            NotFittedError: before `fit`.
            UsageError: no nodes, more answers than there are nodes, or nodes or relations that the graph
                does not have.
        """
        check_is_fitted(self, "network_")
        count = self.graph_.num_nodes
        if type(k) is not int or not 1 <= k <= count:
            raise UsageError(f"topk: expected k from 1 to {count}, the number of nodes, got {k!r}; change it")
        heads = self._here(self._names.nodes("topk", nodes, self.graph_))
        kind = self._names.relations("topk", relation, self.graph_, len(heads))
        kind = None if kind is None else self._here(kind)
        found = []
        states = self._states()
        with torch.no_grad():
            for part in torch.arange(len(heads)).split(max(_NUMBERS_AT_ONCE // count, 1)):
                some = None if kind is None else kind[part]
                scores = self.network_.score_all(self.graph_, states, heads[part], some)
                if exclude_known:
                    rows, tails = self._known().mask(heads[part], some)
                    scores = scores.index_put((rows, tails), scores.new_tensor(-torch.inf))
                    scores = scores.scatter(1, heads[part][:, None], -torch.inf)
                found.append([t.cpu() for t in scores.topk(k, dim=1)])
        best, which = (torch.cat(parts) for parts in zip(*found, strict=True))
        return best, torch.where(best == -torch.inf, -1, which)

    def explain(self, head: Any, tail: Any, relation: Any = None, k: int = 10) -> list[LinkPath]:
        """The k paths that the score of a pair depends on most, of a model `"nbfnet"`.

        The link itself, if the graph has it, is left out.

        Args:
            head: a node by name, or by number if nodes have no names.
            tail: likewise.
            relation: name or number, as for `predict`.
            k: how many.

        Raises:
            NotFittedError: before `fit`.
            UsageError: another model, or nodes or relations that the graph does not have.
        """
        check_is_fitted(self, "network_")
        if not isinstance(self.network_, NBFNet):
            raise UsageError(
                f"explain: expected the model 'nbfnet', got {self.model!r}, which does not score by paths; "
                "fit that one"
            )
        pair = self._here(self._names.pairs("explain", [(head, tail)], self.graph_))
        kind = self._names.relations("explain", relation, self.graph_, 1)
        graph = self.graph_.without(pair)
        asked = None if kind is None else int(kind[0])
        return explain(self.network_, graph, int(pair[0]), int(pair[1]), asked, k)

    def evaluate(
        self,
        split: LinkSplit,
        stage: Stage = "test",
        metrics: Iterable[str] | None = None,
        ties: Ties = "mean",
    ) -> dict[str, float]:
        """Measures of the links of a stage of a split, by name; it is the split's graph that is read.

        Args:
            split: the one of `fit`, or another whose graphs the network can read.
            stage: `"valid"` or `"test"`.
            metrics: names; None for HR@100, MRR, AUC and AP among negatives, or MRR and HR@1, 3 and 10 among
                all nodes where links have none.
            ties: policy of ties.

        Raises:
            NotFittedError: before `fit`.
            UsageError: no links, an unknown metric, or a graph of other features or nodes than in `fit`.
        """
        check_is_fitted(self, "network_")
        if not isinstance(split, LinkSplit):
            raise UsageError(
                f"evaluate: expected a LinkSplit, got {type(split).__name__}; make one with random_split"
            )
        if stage not in ("train", "valid", "test"):
            raise UsageError(f"evaluate: expected the stage valid or test, got {stage!r}; choose one")
        usual = _AMONG_ALL if split.links(stage).negatives is None else _AMONG_NEGATIVES
        names = usual if metrics is None else tuple(metrics)
        return evaluate_net(self.network_, moved(split, self.graph_.device), stage, names, ties)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Write weights, graph and options into a folder, which is made if it is absent.

        Not kept: `device`, `checkpoint`, and a `random_state` that is no number.

        Raises:
            NotFittedError: before `fit`.
            UsageError: the folder cannot be written, or an option is nothing that JSON has.
        """
        check_is_fitted(self, "network_")
        options = self.get_params(deep=False) | {"device": None, "checkpoint": None}
        if not hasattr(options["random_state"], "__index__"):
            options["random_state"] = None
        graph = self.graph_
        config = {
            "kind": type(self).__name__,
            "version": 1,
            "options": {n: v.item() if isinstance(v, np.generic) else v for n, v in options.items()},
            "names": self._names.to_dict(),
            "graph": {"num_relations": graph.num_relations, "undirected": graph.undirected},
            "best_epoch": self.best_epoch_,
            "history": [asdict(record) for record in self.history_],
        }
        tensors = {f"network.{n}": t for n, t in self.network_.state_dict().items()}
        tensors |= {f"graph.{n}": t for n, t in graph_tensors(graph).items()}
        try:
            write_saved(Path(folder), config, tensors)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"save: expected options that JSON has, got others ({error}); use numbers, words and lists"
            ) from None
        return Path(folder)

    @classmethod
    def load(cls, folder: str | PathLike[str], *, device: str | torch.device | None = None) -> Self:
        """Read what `save` wrote. A model or encoder of your own must be registered before.

        Raises:
            UsageError: a file is missing, corrupt, or of something else.
        """
        config, tensors = read_saved(Path(folder), cls.__name__)
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "graph": {}}
        try:
            if config["version"] != 1:
                raise ValueError(f"version {config['version']!r}, expected 1")
            for name, tensor in tensors.items():
                part, _, rest = name.partition(".")
                parts[part][rest] = tensor
            predictor = cls(**config["options"]).set_params(device=device)
            graph = graph_of_tensors(parts["graph"], **config["graph"]).to(predictor._device())
            names = Names(**config["names"])
            names.check(graph)
            network = build_net(predictor.model, graph, predictor.options).to(predictor._device())
            network.load_state_dict(parts["network"])
            history = [EpochRecord(**record) for record in config["history"]]
            predictor._adopt(network, graph, names, int(config["best_epoch"]), history)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError, NetgraphError) as error:
            raise UsageError(
                f"load: the files in {str(folder)!r} do not fit together ({str(error)[:200]}); "
                "save the predictor again"
            ) from None
        return predictor

    @property
    def node_names_(self) -> list[str | int] | None:
        return self._names.node_names

    @property
    def relation_names_(self) -> list[str | int] | None:
        return self._names.relation_names

    def _settings(self, graph: LinkGraph, seed: int) -> FitSettings:
        own = {f.name: getattr(self, f.name) for f in fields(FitSettings) if f.name != "seed"}
        given = {name: value for name, value in own.items() if value is not None}
        return FitSettings(**(fit_defaults(self.model, graph) | given), seed=seed)

    def _adopt(
        self, network: LinkNet, graph: LinkGraph, names: Names, best: int, history: list[EpochRecord]
    ) -> None:
        """Become fitted, all at once."""
        self.network_, self.graph_, self._names = network.eval(), graph, names
        self.best_epoch_, self.history_ = best, history
        self._encoded: Tensor | None = None
        self._true: KnownTails | None = None

    def _states(self) -> Tensor:
        """States of all nodes, found once."""
        if self._encoded is None:
            with torch.no_grad():
                self._encoded = self.network_.eval().encode(self.graph_)
        return self._encoded

    def _known(self) -> KnownTails:
        if self._true is None:
            self._true = KnownTails.from_graph(self.graph_)
        return self._true

    def _device(self) -> torch.device:
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def _here(self, numbers: Tensor) -> Tensor:
        return numbers.to(self.graph_.device)
