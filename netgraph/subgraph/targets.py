"""What networks are trained on and what their outputs mean: numbers or classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from netgraph.errors import UsageError

__all__ = ["ClassTargets", "Loss", "NumberTargets", "Targets"]

Array: TypeAlias = npt.NDArray[Any]
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Of outputs and targets, a mean over the graphs."""


class Targets(ABC):
    """A coding of targets, learned from those of the training graphs.

    Attributes:
        losses: by name, the default first.
    """

    losses: ClassVar[Mapping[str, Loss]]

    @staticmethod
    @abstractmethod
    def read(operation: str, y: npt.ArrayLike, count: int) -> Array:
        """The targets of so many graphs as an array.

        Raises:
            UsageError: another number of them, another shape, or NaN.
        """

    @staticmethod
    def strata(y: Array, held: int) -> Array | None:
        """What both parts of a split, one of so many graphs, should hold the same share of, or None."""
        return None

    @classmethod
    @abstractmethod
    def learn(cls, y: Array) -> Self:
        """The coding for these targets."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many outputs a network needs."""

    @abstractmethod
    def encode(self, operation: str, y: Array) -> Tensor:
        """Targets as the losses want them, one row per graph."""

    @abstractmethod
    def decode(self, outputs: Tensor) -> Array:
        """Predictions from the outputs `(B, out)` of a network."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The coding, ready for JSON."""

    @classmethod
    @abstractmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""


@final
@dataclass(frozen=True, eq=False)
class NumberTargets(Targets):
    """Numbers, which networks see with mean 0 and deviation 1.

    Attributes:
        mean, scale: `(out,)`; the scale of a constant is 1.
        flat: targets come as `(B,)`, not `(B, out)`.
    """

    mean: Array
    scale: Array
    flat: bool

    losses = MappingProxyType({"absolute_error": F.l1_loss, "squared_error": F.mse_loss})

    @staticmethod
    def read(operation: str, y: npt.ArrayLike, count: int) -> Array:
        try:
            values = np.asarray(y, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{operation}: expected numbers as targets ({error}); convert them") from None
        if values.ndim not in (1, 2) or len(values) != count or values.size == 0:
            raise UsageError(
                f"{operation}: expected targets of shape ({count},) or ({count}, outputs), got "
                f"{values.shape}; pass one row per graph"
            )
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values.reshape(count, -1)).all(1))[0])
            raise UsageError(
                f"{operation}: expected finite targets, got {values[row]} for graph {row}; leave it out"
            )
        return values

    @classmethod
    def learn(cls, y: Array) -> NumberTargets:
        rows = y.reshape(len(y), -1)
        deviation = rows.std(0)
        return cls(rows.mean(0), np.where(deviation > 0, deviation, 1.0), y.ndim == 1)

    @property
    def outputs(self) -> int:
        return len(self.mean)

    def encode(self, operation: str, y: Array) -> Tensor:
        rows = y[:, None] if y.ndim == 1 else y
        if rows.shape[1] != self.outputs or (y.ndim == 1) != self.flat:
            raise UsageError(
                f"{operation}: expected {self.outputs} targets per graph, got shape {y.shape}; "
                "give all graphs the same"
            )
        return torch.from_numpy((rows - self.mean) / self.scale).float()

    def decode(self, outputs: Tensor) -> Array:
        values: Array = outputs.double().numpy() * self.scale + self.mean
        return values[:, 0] if self.flat else values

    def to_dict(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist(), "flat": self.flat}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NumberTargets:
        return cls(np.array(values["mean"]), np.array(values["scale"]), bool(values["flat"]))


@final
@dataclass(frozen=True, eq=False)
class ClassTargets(Targets):
    """Classes, which networks see as numbers from 0.

    Attributes:
        classes: `(out,)`, sorted.
    """

    classes: Array

    losses = MappingProxyType({"log_loss": F.cross_entropy})

    @staticmethod
    def read(operation: str, y: npt.ArrayLike, count: int) -> Array:
        labels = np.asarray(y)
        if labels.shape != (count,):
            raise UsageError(
                f"{operation}: expected labels of shape ({count},), got {labels.shape}; pass one per graph"
            )
        if labels.dtype.kind not in "biufUS" or (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
            raise UsageError(
                f"{operation}: expected numbers or strings as labels, got {labels.dtype} or NaN; convert them"
            )
        return labels

    @staticmethod
    def strata(y: Array, held: int) -> Array | None:
        _, counts = np.unique(y, return_counts=True)
        return y if counts.min() >= 2 and len(counts) <= min(held, len(y) - held) else None

    @classmethod
    def learn(cls, y: Array) -> ClassTargets:
        classes = np.unique(y)
        if len(classes) < 2:
            raise UsageError(
                f"fit: expected at least two classes, got {classes.tolist()}; a network cannot learn from one"
            )
        return cls(classes)

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def encode(self, operation: str, y: Array) -> Tensor:
        known = np.isin(y, self.classes)
        if not known.all():
            raise UsageError(
                f"{operation}: expected labels among {self.classes.tolist()}, got {y[~known][0]!r}; "
                "train on some of each class"
            )
        return torch.from_numpy(np.searchsorted(self.classes, y).astype(np.int64))

    def decode(self, outputs: Tensor) -> Array:
        return self.classes[outputs.argmax(1).numpy()]

    def to_dict(self) -> dict[str, Any]:
        return {"classes": self.classes.tolist(), "dtype": self.classes.dtype.str}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassTargets:
        return cls(np.array(values["classes"], dtype=np.dtype(str(values["dtype"]))))
