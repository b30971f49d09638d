"""The choices that make a meta-training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, final

from netgraph.errors import UsageError

__all__ = ["MetaTrainConfig"]


@final
@dataclass(frozen=True)
class MetaTrainConfig:
    """Settings of `meta_train`.

    The defaults are the paper's, but for the penalty: the paper's own is `relative=False, sparsity=10`, a sum
    over all weights, which small networks with batch norm answer by shrinking as a whole. What is said about
    decisions counts for metanetworks that give keep scores or budgets.

    Attributes:
        epochs: passes over the batches.
        batches_per_step: batches over which the loss is averaged before the metanetwork is updated.
        full_batch: average over all batches of an epoch instead: each data model has one update per epoch.
        learning_rate: of AdamW.
        drop_epochs, drop: at the start of these epochs (counted from 0) the rate is multiplied by `drop`.
        weight_decay: of AdamW.
        sparsity: lambda, the weight of the sparsity penalty.
        relative: which `sparsity_penalty`.
        alpha: how much harder the least important nodes are pushed (`sparsity_penalty`).
        decision: weight of the loss of the networks whose nodes are kept or dropped as decided.
        targets: lowest and highest share of the MACs that a decision is asked for; each update draws one
            between them.
        temperature: width of the step between dropped and kept (`score_gates`).
        hard: nodes are dropped as a whole while learning, with the gradient of soft gates.
        overrun: weight of `max(0, MACs / target - 1)`, for budgets, which are free to miss the target.
        patience: epochs without a better validation score after which training stops; None for never.
        clip_norm: largest norm of a gradient; None for no limit.
        seed: of the order of the data models and of everything random inside them.
        checkpoint_every: updates between two checkpoints; one is also written after every epoch.

    Raises:
        UsageError: a value makes no sense.

    Paper: Liu et al., Meta Pruning via Graph Metanetworks, 2025, arXiv 2506.12041.

    >>> MetaTrainConfig(epochs=5).rate(3)
    0.0001
    """

    epochs: int = 5
    batches_per_step: int = 1
    full_batch: bool = False
    learning_rate: float = 1e-3
    drop_epochs: tuple[int, ...] = (3,)
    drop: float = 0.1
    weight_decay: float = 5e-4
    sparsity: float = 0.1
    relative: bool = True
    alpha: float = 16.0
    decision: float = 1.0
    targets: tuple[float, float] = (0.25, 0.75)
    temperature: float = 1.0
    hard: bool = True
    overrun: float = 1.0
    patience: int | None = None
    clip_norm: float | None = 1.0
    seed: int = 0
    checkpoint_every: int = 50

    def __post_init__(self) -> None:
        for name in ("epochs", "batches_per_step", "checkpoint_every"):
            self._check(name, whole=True, positive=True)
        for name in ("learning_rate", "drop", "alpha", "temperature"):
            self._check(name, positive=True)
        for name in ("weight_decay", "sparsity", "decision", "overrun"):
            self._check(name)
        if self.clip_norm is not None:
            self._check("clip_norm", positive=True)
        if self.patience is not None:
            self._check("patience", whole=True, positive=True)
        object.__setattr__(self, "drop_epochs", tuple(self.drop_epochs))
        bounds: tuple[float, ...] = tuple(self.targets)
        object.__setattr__(self, "targets", bounds)
        if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1] <= 1:
            raise UsageError(
                "MetaTrainConfig: expected targets to be two shares of the MACs, above 0, up to 1 and in "
                f"ascending order, got {bounds!r}; the default is (0.25, 0.75)"
            )

    def _check(self, name: str, *, whole: bool = False, positive: bool = False) -> None:
        value: object = getattr(self, name)
        good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if good:
            number = float(getattr(self, name))
            good = math.isfinite(number) and (number > 0 if positive else number >= 0)
        if not good:
            kind = "whole number" if whole else "finite number"
            default = type(self).__dataclass_fields__[name].default
            raise UsageError(
                f"MetaTrainConfig: expected {name} to be a {kind} {'above' if positive else 'of at least'} "
                f"0, got {value!r}; the default is {default}"
            )

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch: `learning_rate * drop^(number of drop epochs up to it)`."""
        return self.learning_rate * self.drop ** sum(e <= epoch for e in self.drop_epochs)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MetaTrainConfig:
        """A configuration from plain values, such as a table of a TOML file; the rest keeps its defaults.

        Raises:
            UsageError: an unknown field or a bad value.
        """
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise UsageError(
                f"MetaTrainConfig: expected fields among {', '.join(known)}, got "
                f"{', '.join(unknown)}; remove them"
            )
        return cls(**values)
