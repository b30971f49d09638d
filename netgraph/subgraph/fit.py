"""The training loop of the estimators."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from netgraph.errors import TrainingError
from netgraph.fitting import Checkpoint, freeze, read_checkpoint, thaw, write_checkpoint
from netgraph.subgraph.model import SubgraphNet
from netgraph.subgraph.ppgn import PPGN
from netgraph.subgraph.schedules import SCHEDULES
from netgraph.subgraph.targets import Loss

__all__ = ["EpochRecord", "FitSettings", "FitState", "Network", "Report", "fit_network", "predict_network"]


@final
@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a fit.

    Attributes:
        epoch: counted from 1.
        lr: learning rate of its last update.
        train_loss: mean over the graphs, each taken while the weights moved.
        validation_loss: after the epoch; None without validation graphs.
        seconds: of training and validation.
    """

    epoch: int
    lr: float
    train_loss: float
    validation_loss: float | None
    seconds: float

    def __str__(self) -> str:
        held = "" if self.validation_loss is None else f", validation {self.validation_loss:.4g}"
        return f"epoch {self.epoch}: loss {self.train_loss:.4g}{held}"


Network: TypeAlias = SubgraphNet | PPGN

Report: TypeAlias = Callable[[float, Sequence[EpochRecord]], None]
"""Told after every batch and every epoch: the epochs that are done, with a fraction, and their records."""


@final
@dataclass(frozen=True)
class FitSettings:
    """What a fit is to do; the estimators explain each of these."""

    epochs: int
    lr: float
    weight_decay: float
    batch_size: int
    schedule: str
    patience: int | None
    mixed_precision: bool
    compile: bool
    seed: int


@final
@dataclass
class FitState:
    """Where a fit stands.

    Attributes:
        history: the epochs that are over.
        best_epoch: the one of the lowest validation loss, or the last one without validation; 0 before any.
        best, last: the network's `state_dict` after that epoch and after the last one.
        interrupted: Ctrl-C ended the fit.
    """

    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    last: dict[str, Tensor] = field(default_factory=dict)
    interrupted: bool = False

    def close_epoch(self, record: EpochRecord, network: nn.Module) -> None:
        """Add an epoch; keep its weights as the best if no earlier one was as good."""
        best = self.history[self.best_epoch - 1].validation_loss if self.best_epoch else None
        self.history.append(record)
        self.last = {n: t.detach().cpu().clone() for n, t in network.state_dict().items()}
        if best is None or record.validation_loss is None or record.validation_loss < best:
            self.best_epoch, self.best = record.epoch, self.last

    def is_over(self, settings: FitSettings) -> bool:
        """Whether all epochs are done or patience is at its end."""
        waited = len(self.history) - self.best_epoch
        return len(self.history) >= settings.epochs or (
            settings.patience is not None and waited >= settings.patience
        )


def fit_network(
    network: Network,
    train: Sequence[Data],
    validation: Sequence[Data],
    loss: Loss,
    settings: FitSettings,
    *,
    checkpoint: Path | None = None,
    fingerprint: str = "",
    report: Report | None = None,
) -> FitState:
    """Train a network on graphs that carry their `target`, and keep the best weights.

    Adam, with the order of the graphs and all other chance of an epoch drawn from the seed and its number
    alone: a fit that goes on from a checkpoint ends with the same bytes as one that was not interrupted.

    Args:
        network: trained in place on its own device.
        train, validation: transformed graphs with an attribute `target` of shape `(1,)` or `(1, out)`.
        loss: `(outputs, targets) -> scalar`, a mean over the graphs.
        settings: see `FitSettings`.
        checkpoint: file to write after every epoch, and to go on from if it is there.
        fingerprint: of the run that a checkpoint must belong to.
        report: told how far it has come.

    Raises:
        TrainingError: a loss that is not finite, or a checkpoint that is damaged or of another run.
    """
    device = next(network.parameters()).device
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    state = FitState()
    if checkpoint is not None and checkpoint.exists():
        state = _thaw(read_checkpoint(checkpoint, fingerprint), network, optimiser)
    forward: Callable[[Data], Tensor] = network
    if settings.compile:
        compiled = torch.compile(network, dynamic=True)
        forward = lambda batch: compiled(network.pairs(batch))  # noqa: E731
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        try:
            while not state.is_over(settings):
                record = _epoch(network, forward, optimiser, train, validation, loss, settings, state, report)
                state.close_epoch(record, network)
                if checkpoint is not None:
                    write_checkpoint(checkpoint, _freeze(state, optimiser, fingerprint))
                if report is not None:
                    report(float(record.epoch), state.history)
        except KeyboardInterrupt:
            state.interrupted = True
    return state


def predict_network(network: nn.Module, graphs: Sequence[Data], batch_size: int) -> Tensor:
    """The outputs `(B, out)` for graphs, in their order, without gradients, on the CPU in float32."""
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        loader = DataLoader(list(graphs), batch_size)
        return torch.cat([network(batch.to(device)).float().cpu() for batch in loader])


def _epoch(
    network: nn.Module,
    forward: Callable[[Data], Tensor],
    optimiser: torch.optim.Optimizer,
    train: Sequence[Data],
    validation: Sequence[Data],
    loss: Loss,
    settings: FitSettings,
    state: FitState,
    report: Report | None,
) -> EpochRecord:
    start, number = time.perf_counter(), len(state.history)
    device = next(network.parameters()).device
    torch.manual_seed(settings.seed * 1_000_003 + number)
    # Batches of like sizes would save some padding, and mislead the norms: their statistics go with size.
    count = math.ceil(len(train) / settings.batch_size)
    batches = [chosen.tolist() for chosen in torch.randperm(len(train)).tensor_split(count)]
    cast: Callable[[], Any] = contextlib.nullcontext
    if settings.mixed_precision:
        cast = lambda: torch.autocast(device.type, torch.bfloat16)  # noqa: E731
    total, rate = torch.zeros((), dtype=torch.float64, device=device), settings.lr
    network.train()
    for step, batch in enumerate(DataLoader(list(train), batch_sampler=batches)):
        done = number + step / len(batches)
        rate = settings.lr * SCHEDULES[settings.schedule](done / settings.epochs)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = batch.to(device)
        optimiser.zero_grad(set_to_none=True)
        with cast():
            outputs = forward(batch)
        value = loss(outputs.float(), batch.target)
        value.backward()
        optimiser.step()
        total += value.detach() * len(batches[step])
        if report is not None:
            report(done + 1 / len(batches), state.history)
    trained = float(total) / len(train)
    score = None
    if validation:
        targets = torch.cat([g.target for g in validation])
        score = float(loss(predict_network(network, validation, settings.batch_size), targets))
    for what, found in (("training", trained), ("validation", score)):
        if found is not None and not math.isfinite(found):
            raise TrainingError(
                f"fit: expected a finite {what} loss, got {found} in epoch {number + 1}; "
                "lower the learning rate, or look for extreme features and targets"
            )
    return EpochRecord(number + 1, rate, trained, score, time.perf_counter() - start)


def _freeze(state: FitState, optimiser: torch.optim.Optimizer, fingerprint: str) -> Checkpoint:
    counters = {"history": [asdict(record) for record in state.history], "best_epoch": state.best_epoch}
    best = None if state.best_epoch == len(state.history) else state.best
    return freeze(fingerprint, counters, optimiser, state.last, best)


def _thaw(saved: Checkpoint, network: nn.Module, optimiser: torch.optim.Optimizer) -> FitState:
    last, best = thaw(saved, network, optimiser)
    history = [EpochRecord(**record) for record in saved.counters["history"]]
    return FitState(history, int(saved.counters["best_epoch"]), best, last)
