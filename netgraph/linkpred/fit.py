"""The training loop of networks that score links."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias, final

import torch
from torch import Tensor, nn

from netgraph.errors import TrainingError, UsageError
from netgraph.fitting import Checkpoint, freeze, read_checkpoint, thaw, write_checkpoint
from netgraph.linkpred.evaluate import evaluate_net, score_pairs_of_net
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.net import LinkNet
from netgraph.linkpred.objective import LOSSES
from netgraph.linkpred.sampling import SampledLinks, sampled_logits
from netgraph.linkpred.training_pairs import REMOVALS, Removal, Sampling, TrainingPairs, without_targets

__all__ = ["EpochRecord", "FitSettings", "FitState", "Report", "fit_net"]


@final
@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a fit.

    Attributes:
        epoch: counted from 1.
        loss: mean over the training links, each taken while the weights moved.
        metric: on the validation links after the epoch; None where it was not asked for.
        seconds: of training and validation.
    """

    epoch: int
    loss: float
    metric: float | None
    seconds: float

    def __str__(self) -> str:
        held = "" if self.metric is None else f", validation {self.metric:.4g}"
        return f"epoch {self.epoch}: loss {self.loss:.4g}{held}"


Report: TypeAlias = Callable[[float, Sequence[EpochRecord]], None]
"""Told after every batch and every epoch: the epochs that are done, with a fraction, and their records."""


@final
@dataclass(frozen=True)
class FitSettings:
    """What a fit is to do.

    Attributes:
        epochs: passes over the training links, at most.
        batch_size: links in a batch.
        lr: learning rate of Adam for the encoder.
        predictor_lr: for all other weights; None for the same.
        weight_decay: decoupled from the gradient (Loshchilov and Hutter, ICLR 2019).
        clip: largest norm of a gradient, of the encoder and of the rest; None for any.
        loss: a name of `LOSSES`.
        temperature: of the loss `"ranking"`.
        negatives: false pairs per link.
        sampling: how they are drawn: see `TrainingPairs`.
        remove_targets: what of a batch's links the network does not read: see `without_targets`.
        fanouts: train on sampled neighbourhoods, for graphs too large to encode for every batch: a number per
            layer of the encoder (see `SampledLinks`); None for the whole graph.
        metric: chooses the epoch; None for `"hits@100"`, `"auc"` where there are fewer than 200 negatives, or
            `"mrr"` where links are ranked among all nodes.
        ties: policy of ties for it.
        validate_every: epochs between validations.
        patience: end after so many epochs without a better metric; None for never.
        mixed_precision: train in bfloat16 where that is safe.
        seed: of all chance.
    """

    epochs: int = 100
    batch_size: int = 1024
    lr: float = 1e-3
    predictor_lr: float | None = None
    weight_decay: float = 0.0
    clip: float | None = None
    loss: str = "bce"
    temperature: float = 1.0
    negatives: int = 1
    sampling: Sampling = "uniform"
    remove_targets: Removal = "pairs"
    fanouts: Sequence[int] | None = None
    metric: str | None = None
    ties: Literal["optimistic", "pessimistic", "mean"] = "mean"
    validate_every: int = 1
    patience: int | None = None
    mixed_precision: bool = False
    seed: int = 0


@final
@dataclass
class FitState:
    """Where a fit stands.

    Attributes:
        history: the epochs that are over.
        best_epoch: the one of the best metric, or the last one without validation links; 0 before any.
        best, last: the network's `state_dict` after that epoch and after the last one.
        interrupted: Ctrl-C ended the fit.
    """

    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    last: dict[str, Tensor] = field(default_factory=dict)
    interrupted: bool = False

    def close_epoch(self, record: EpochRecord, network: nn.Module, validated: bool) -> None:
        """Add an epoch; keep its weights as the best if no earlier one was as good."""
        best = self.history[self.best_epoch - 1].metric if self.best_epoch else None
        self.history.append(record)
        self.last = {n: t.detach().cpu().clone() for n, t in network.state_dict().items()}
        if not validated or (record.metric is not None and (best is None or record.metric > best)):
            self.best_epoch, self.best = record.epoch, self.last

    def is_over(self, settings: FitSettings) -> bool:
        """Whether all epochs are done or patience is at its end."""
        waited = len(self.history) - self.best_epoch
        return len(self.history) >= settings.epochs or (
            settings.patience is not None and self.best_epoch > 0 and waited >= settings.patience
        )


def fit_net(
    net: LinkNet,
    split: LinkSplit,
    settings: FitSettings | None = None,
    *,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    report: Report | None = None,
) -> FitState:
    """Train a network on the training links of a split, and keep the weights of the best epoch.

    Adam, with the order of the links, their negatives and all other chance of an epoch drawn from the seed
    and its number alone: a fit that goes on from a checkpoint ends with the same bytes as one that was not
    interrupted. Ctrl-C ends the fit and keeps the epochs that are over.

    Args:
        net: trained in place, on the device of its weights; left with the last ones.
        split: what to learn, what to read, and the validation links that choose the epoch.
        settings: see `FitSettings`.
        checkpoint: file to write after every epoch, and to go on from if it is there.
        fingerprint: of what neither the settings nor the split nor the shapes of the weights tell of a run.
        report: told how far it has come.

    Raises:
        UsageError: an unknown loss or metric, a number that makes no sense, or fanouts for a network that
            cannot be trained on samples.
        TrainingError: no training links, a loss that is not finite, or a checkpoint that is damaged or of
            another run.

    >>> from netgraph.linkpred.encoders import make_encoder
    >>> from netgraph.linkpred.gae import DotProduct
    >>> from netgraph.linkpred.graph import LinkGraph
    >>> from netgraph.linkpred.split import random_split
    >>> ring = torch.stack((torch.arange(30), (torch.arange(30) + 1) % 30))
    >>> split = random_split(LinkGraph.from_edges(ring, 30, x=torch.eye(30)), seed=0)
    >>> state = fit_net(DotProduct(make_encoder("gcn", 30, 16)), split, FitSettings(epochs=3, metric="auc"))
    >>> len(state.history), 1 <= state.best_epoch <= 3
    (3, True)
    """
    settings = settings or FitSettings()
    _check(settings)
    if not len(split.train):
        raise TrainingError("fit: expected training links, got none; hold fewer out")
    device = next(net.parameters()).device
    optimiser = _optimiser(net, settings)
    state, mark = FitState(), ""
    if checkpoint is not None:
        mark = _mark(net, split, settings, fingerprint)
        if checkpoint.exists():
            state = _thaw(read_checkpoint(checkpoint, mark), net, optimiser)
    source = _source(net, split, settings)
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        try:
            while not state.is_over(settings):
                record = _epoch(net, optimiser, split, source, settings, state, report)
                state.close_epoch(record, net, len(split.valid) > 0)
                if checkpoint is not None:
                    write_checkpoint(checkpoint, _freeze(state, optimiser, mark))
                if report is not None:
                    report(float(record.epoch), state.history)
        except KeyboardInterrupt:
            state.interrupted = True
    return state


def _check(settings: FitSettings) -> None:
    for name in ("epochs", "batch_size", "validate_every", "patience"):
        value = getattr(settings, name)
        if not (name == "patience" and value is None) and (type(value) is not int or value < 1):
            raise UsageError(f"fit: expected {name} as a whole number from 1, got {value!r}; change it")
    for name in ("lr", "predictor_lr", "clip", "weight_decay"):
        value = getattr(settings, name)
        may_be_0 = name == "weight_decay"
        if value is not None and not (0 < value < math.inf or (may_be_0 and value == 0)):
            raise UsageError(f"fit: expected {name} as a finite number above 0, got {value!r}; change it")
    if settings.remove_targets not in REMOVALS:
        raise UsageError(
            f"fit: expected remove_targets as one of {', '.join(REMOVALS)}, got {settings.remove_targets!r}; "
            "choose one"
        )
    if settings.loss not in LOSSES:
        raise UsageError(
            f"fit: expected loss as one of {', '.join(LOSSES)}, got {settings.loss!r}; choose one"
        )


def _epoch(
    net: LinkNet,
    optimiser: torch.optim.Optimizer,
    split: LinkSplit,
    source: TrainingPairs | SampledLinks,
    settings: FitSettings,
    state: FitState,
    report: Report | None,
) -> EpochRecord:
    start, number = time.perf_counter(), len(state.history)
    torch.manual_seed(settings.seed * 1_000_003 + number)
    device = next(net.parameters()).device
    total, seen, count = torch.zeros((), dtype=torch.float64, device=device), 0, len(split.train)
    net.train()
    for logits in _logits(net, split, source, settings):
        loss = LOSSES[settings.loss](logits[:, 0], logits[:, 1:], settings.temperature)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if settings.clip is not None:
            for group in optimiser.param_groups:
                nn.utils.clip_grad_norm_(group["params"], settings.clip)
        optimiser.step()
        total += loss.detach() * len(logits)
        seen += len(logits)
        if report is not None:
            report(number + seen / count, state.history)
    mean = float(total) / seen
    if not math.isfinite(mean):
        raise TrainingError(
            f"fit: expected a finite training loss, got {mean} in epoch {number + 1}; "
            "lower the learning rate, or look for extreme features"
        )
    metric = None
    if len(split.valid) and ((number + 1) % settings.validate_every == 0 or number + 1 == settings.epochs):
        name = settings.metric or _usual_metric(split)
        try:
            metric = evaluate_net(net, split, "valid", [name], settings.ties)[name]
        except UsageError:
            # The last step may have spoilt what the loss of the epoch does not tell yet.
            if bool(
                score_pairs_of_net(net, split.valid_graph, split.valid.pairs, split.valid.relation)
                .isnan()
                .any()
            ):
                _diverged("validation scores", "NaN", number + 1)
            raise
    return EpochRecord(number + 1, mean, metric, time.perf_counter() - start)


def _diverged(expected: str, came: object, epoch: int) -> NoReturn:
    raise TrainingError(
        f"fit: expected {expected}, got {came} in epoch {epoch}; "
        "lower the learning rate, or look for extreme features"
    )


def _source(net: LinkNet, split: LinkSplit, settings: FitSettings) -> TrainingPairs | SampledLinks:
    if settings.fanouts is None:
        return TrainingPairs(split, settings.negatives, settings.sampling)
    return SampledLinks(
        split,
        net,
        settings.fanouts,
        batch_size=settings.batch_size,
        negatives=settings.negatives,
        sampling=settings.sampling,
        remove_targets=settings.remove_targets,
    )


def _logits(
    net: LinkNet, split: LinkSplit, source: TrainingPairs | SampledLinks, settings: FitSettings
) -> Iterator[Tensor]:
    """Logits `(P, 1 + K)` of batch after batch; the next is computed when the last one has been learned."""
    device = next(net.parameters()).device
    cast = torch.autocast(device.type, torch.bfloat16, enabled=settings.mixed_precision)
    if isinstance(source, SampledLinks):
        for batch in source:
            with cast:
                logits = sampled_logits(net, batch)
            yield logits.float() if settings.mixed_precision else logits
        return
    for links in source.batches(settings.batch_size):
        kind = None if links.relation is None else links.relation[:, 0]
        own = Links(links.pairs[:, :, 0], kind)
        graph = without_targets(split.graph, own, settings.remove_targets)
        relation = None if links.relation is None else links.relation.flatten()
        with cast:
            logits = net(graph, links.pairs.flatten(1), relation).view(links.pairs.shape[1:])
        yield logits.float() if settings.mixed_precision else logits


def _usual_metric(split: LinkSplit) -> str:
    if split.valid.negatives is None:
        return "mrr"
    # Among few false links everything is a hit, and the first epoch would be as good as any.
    return "hits@100" if split.valid.negatives.size(-1) >= 200 else "auc"


def _optimiser(net: LinkNet, settings: FitSettings) -> torch.optim.Optimizer:
    encoder = getattr(net, "encoder", None)
    first = list(encoder.parameters()) if isinstance(encoder, nn.Module) else []
    known = {id(p) for p in first}
    groups = [
        {"params": first, "lr": settings.lr},
        {
            "params": [p for p in net.parameters() if id(p) not in known],
            "lr": settings.lr if settings.predictor_lr is None else settings.predictor_lr,
        },
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)


def _mark(net: LinkNet, split: LinkSplit, settings: FitSettings, fingerprint: str) -> str:
    """One number for all that decides how a fit goes on."""
    shapes = {name: list(t.shape) for name, t in net.state_dict().items()}
    mark = hashlib.sha256(repr((fingerprint, asdict(settings), shapes)).encode())
    parts = [split.graph.indptr, split.graph.indices, split.graph.x, split.train.pairs, split.train.relation]
    for tensor in (*parts, split.valid.pairs, split.valid.negatives):
        mark.update(b"none" if tensor is None else tensor.detach().cpu().contiguous().numpy().tobytes())
    return mark.hexdigest()


def _freeze(state: FitState, optimiser: torch.optim.Optimizer, mark: str) -> Checkpoint:
    counters = {"history": [asdict(r) for r in state.history], "best_epoch": state.best_epoch}
    best = None if state.best_epoch == len(state.history) else state.best
    return freeze(mark, counters, optimiser, state.last, best)


def _thaw(saved: Checkpoint, net: LinkNet, optimiser: torch.optim.Optimizer) -> FitState:
    last, best = thaw(saved, net, optimiser)
    history = [EpochRecord(**record) for record in saved.counters["history"]]
    return FitState(history, int(saved.counters["best_epoch"]), best, last)
