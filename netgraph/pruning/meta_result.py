"""What a meta-training returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

from torch import nn

__all__ = ["EpochRecord", "MetaTrainResult"]


@final
@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a meta-training.

    Attributes:
        epoch: counted from 1.
        learning_rate: of the epoch.
        task_loss: mean loss of the rewritten networks on the training batches.
        penalty: mean of lambda times the sparsity penalty.
        score: of the validation networks after the epoch; None without validation.
        decision: mean loss of the networks that are cut as the metanetwork decides, times its weight; None
            if it decides nothing.
        overrun: mean of the weighted penalty on what costs more than the target; likewise.

    >>> EpochRecord(1, 1e-3, 0.5, 2.0, 0.9).to_dict()["score"]
    0.9
    """

    epoch: int
    learning_rate: float
    task_loss: float
    penalty: float
    score: float | None
    decision: float | None = None
    overrun: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EpochRecord:
        """The inverse of `to_dict`."""
        return cls(**values)


@final
@dataclass(frozen=True, eq=False)
class MetaTrainResult:
    """A trained metanetwork and how it came about.

    Attributes:
        metanetwork: the one that was given, with the weights of its best epoch, in eval mode.
        history: one record per epoch.
        best_epoch: counted from 1: the highest validation score, the last epoch without validation.
        baseline: the validation score without any rewriting; None without validation.
    """

    metanetwork: nn.Module
    history: tuple[EpochRecord, ...]
    best_epoch: int
    baseline: float | None

    def to_dict(self) -> dict[str, Any]:
        """History, best epoch and baseline, ready for JSON."""
        return {
            "history": [record.to_dict() for record in self.history],
            "best_epoch": self.best_epoch,
            "baseline": self.baseline,
        }
