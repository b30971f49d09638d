"""Where a meta-training stands, and how that goes to disk and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn

from netgraph.fitting.checkpoint import Checkpoint
from netgraph.pruning.meta_result import EpochRecord
from netgraph.pruning.meta_step import MetaLoss

__all__ = ["MetaState", "freeze", "thaw"]


@final
@dataclass
class MetaState:
    """All that changes in a meta-training besides metanetwork, optimiser and random numbers.

    Attributes:
        epoch, step: epochs that are over, and updates made in the present one.
        steps_per_epoch: updates of the last epoch; 0 in the first.
        updates: made since the beginning.
        task, penalty, decision, overrun: sums of the parts of the loss over the present epoch.
        decides: whether there are decisions.
        baseline: the validation score without rewriting.
        history: of the epochs that are over.
        best_epoch, best: counted from 1, and the metanetwork's weights after it.
    """

    epoch: int = 0
    step: int = 0
    steps_per_epoch: int = 0
    updates: int = 0
    task: float = 0.0
    penalty: float = 0.0
    decision: float = 0.0
    overrun: float = 0.0
    decides: bool = False
    baseline: float | None = None
    best_epoch: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def add(self, loss: MetaLoss) -> None:
        """Count one update."""
        self.step += 1
        self.updates += 1
        self.task += loss.task
        self.penalty += loss.penalty
        if loss.decision is not None and loss.overrun is not None:
            self.decides = True
            self.decision += loss.decision
            self.overrun += loss.overrun

    def waited(self, patience: int | None) -> bool:
        """Whether so many epochs went by without a better score that it is time to stop."""
        return patience is not None and bool(self.history) and self.epoch - self.best_epoch >= patience

    def close_epoch(self, rate: float, score: float | None, metanetwork: nn.Module) -> None:
        """Record the epoch; keep the metanetwork if no earlier one scored as high, or if nobody scores."""
        record = EpochRecord(
            self.epoch + 1,
            rate,
            self.task / self.step,
            self.penalty / self.step,
            score,
            self.decision / self.step if self.decides else None,
            self.overrun / self.step if self.decides else None,
        )
        best = self.history[self.best_epoch - 1].score if self.history else None
        if score is None or best is None or score > best:
            self.best_epoch = record.epoch
            self.best = {n: t.detach().clone() for n, t in metanetwork.state_dict().items()}
        self.history.append(record)
        self.steps_per_epoch = self.step
        self.epoch, self.step = self.epoch + 1, 0
        self.task = self.penalty = self.decision = self.overrun = 0.0


def freeze(
    fingerprint: str,
    run: MetaState,
    metanetwork: nn.Module,
    optimiser: torch.optim.Optimizer,
    devices: Sequence[int],
) -> Checkpoint:
    """Everything that `thaw` needs; `devices` are the CUDA devices whose random numbers count."""
    tensors = {f"model.{n}": t for n, t in metanetwork.state_dict().items()}
    tensors |= {f"best.{n}": t for n, t in run.best.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{n}": t for n, t in moments.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    tensors |= {f"random.{index}": torch.cuda.get_rng_state(index) for index in devices}
    counters: dict[str, Any] = {n: v for n, v in vars(run).items() if n not in ("history", "best")}
    counters["history"] = [record.to_dict() for record in run.history]
    return Checkpoint(fingerprint, tensors, counters)


def thaw(
    saved: Checkpoint,
    metanetwork: nn.Module,
    optimiser: torch.optim.Optimizer,
    devices: Sequence[int],
) -> MetaState:
    """Put metanetwork, optimiser and random number generators back to where the checkpoint was written."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimiser": {}, "random": {}}
    for name, tensor in saved.tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    metanetwork.load_state_dict(parts["model"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimiser"].items():
        position, _, kind = name.partition(".")
        moments.setdefault(int(position), {})[kind] = tensor
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    torch.set_rng_state(parts["random"]["cpu"])
    for index in devices:
        torch.cuda.set_rng_state(parts["random"][str(index)], index)
    counters = dict(saved.counters)
    history = [EpochRecord.from_dict(record) for record in counters.pop("history")]
    return MetaState(**counters, history=history, best=parts["best"])
