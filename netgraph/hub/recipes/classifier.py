"""Supervised training of an image classifier: makes the shipped networks, and heals pruned ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from netgraph.errors import TrainingError, UsageError
from netgraph.hub.split import Dataset, Split
from netgraph.pruning import Progress

__all__ = ["TrainingLog", "TrainingSettings", "accuracy", "mirrored", "shifted", "train_classifier"]


@dataclass(frozen=True)
class TrainingSettings:
    """SGD with momentum, or AdamW, under one cosine, from `learning_rate` to zero.

    Attributes:
        epochs: passes over the training split.
        learning_rate: of the first step (after `warmup` epochs of linear increase).
        batch_size: of a step; a last batch of one sample is left out, for batch statistics.
        momentum, weight_decay, label_smoothing: as in torch; AdamW has no momentum to set.
        optimizer: `"sgd"` or `"adamw"`.
        warmup: epochs, may be a fraction.
        shift: images are moved by up to this many pixels, at random, with zeros moving in.
        flip: every second image, at random, is mirrored.
        seed: of the order of the images and of the shifts.
    """

    epochs: int
    learning_rate: float = 0.1
    batch_size: int = 64
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    optimizer: Literal["sgd", "adamw"] = "sgd"
    warmup: float = 1.0
    shift: int = 1
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in ("sgd", "adamw"):
            raise UsageError(
                f"TrainingSettings: expected optimizer 'sgd' or 'adamw', got {self.optimizer!r}; choose one"
            )
        if self.epochs < 1 or self.batch_size < 2 or self.learning_rate <= 0 or self.shift < 0:
            raise UsageError(
                "TrainingSettings: expected epochs from 1, batch_size from 2, learning_rate above 0 and "
                f"shift from 0, got {self}; correct them"
            )


@dataclass(frozen=True)
class TrainingLog:
    """Validation accuracy and loss after each epoch, and the epoch (from 1) whose weights were kept."""

    best_epoch: int
    validation_accuracy: tuple[float, ...]
    validation_loss: tuple[float, ...]


def train_classifier(
    module: nn.Module,
    data: Dataset,
    settings: TrainingSettings,
    *,
    progress: Progress | None = None,
) -> TrainingLog:
    """Train a module in place, and leave it with the weights of its best epoch, in evaluation mode.

    The best epoch is that of highest validation accuracy, and of lowest validation loss where several tie.
    The test split is not looked at.

    Args:
        module: takes images `(B, C, height, width)`, returns logits `(B, classes)`.
        data: trained on `train`, chosen on `validation`.
        settings: how.
        progress: told after each epoch.

    Raises:
        TrainingError: the loss is no longer finite.

    >>> from netgraph.hub import load_dataset
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> log = train_classifier(net, load_dataset("digits"), TrainingSettings(epochs=2, shift=0))
    >>> accuracy(net, load_dataset("digits").validation) == max(log.validation_accuracy) > 0.8
    True
    """
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = _optimizer(module, settings)
    steps = max(math.ceil(len(data.train) / settings.batch_size), 1)
    scores: list[tuple[float, float]] = []
    best: dict[str, Tensor] = {}
    best_epoch = 0
    for epoch in range(settings.epochs):
        module.train()
        for step, (images, labels) in enumerate(data.train.batches(settings.batch_size, generator)):
            if len(labels) < 2:
                continue
            rate = _rate(epoch + step / steps, settings)
            for group in optimizer.param_groups:
                group["lr"] = rate
            images = shifted(images, settings.shift, generator)
            loss = functional.cross_entropy(
                module(mirrored(images, generator) if settings.flip else images),
                labels,
                label_smoothing=settings.label_smoothing,
            )
            if not bool(loss.isfinite()):
                raise TrainingError(
                    f"train_classifier: expected a finite loss, got {loss.item()} in epoch {epoch + 1}; "
                    f"lower the learning rate ({settings.learning_rate})"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scores.append(_evaluate(module, data.validation))
        # Higher accuracy first, lower loss second.
        if epoch == 0 or (scores[-1][0], -scores[-1][1]) > (scores[best_epoch][0], -scores[best_epoch][1]):
            best_epoch = epoch
            best = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        if progress is not None:
            progress(f"train, validation accuracy {scores[-1][0]:.1%}", epoch + 1, settings.epochs)
    module.load_state_dict(best)
    module.eval()
    return TrainingLog(best_epoch + 1, tuple(a for a, _ in scores), tuple(v for _, v in scores))


def _optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(
            module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
    return torch.optim.SGD(
        module.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )


def accuracy(module: nn.Module, split: Split) -> float:
    """Share of the split that a module classifies correctly; evaluation mode, left in the mode it came in.

    >>> split = Split(torch.eye(3), torch.tensor([0, 1, 1]))
    >>> round(accuracy(nn.Identity(), split), 3)
    0.667
    """
    return _evaluate(module, split)[0]


@torch.no_grad()
def _evaluate(module: nn.Module, split: Split) -> tuple[float, float]:
    mode = module.training
    module.eval()
    right, loss = 0, 0.0
    for images, labels in split.batches(512):
        logits = module(images)
        right += int((logits.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    module.train(mode)
    return right / len(split), loss / len(split)


def _rate(epoch: float, settings: TrainingSettings) -> float:
    if epoch < settings.warmup:
        return settings.learning_rate * (epoch + 0.1) / (settings.warmup + 0.1)
    done = (epoch - settings.warmup) / max(settings.epochs - settings.warmup, 1e-9)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def shifted(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Each image moved on its own, by a crop out of its padded self."""
    if most == 0:
        return images
    count, channels, height, width = images.shape
    padded = functional.pad(images, (most,) * 4)  # (B, C, height + 2 most, width + 2 most)
    down, right = torch.randint(0, 2 * most + 1, (2, count), generator=generator)
    rows = (down[:, None] + torch.arange(height))[:, None, :, None].to(images.device)
    columns = (right[:, None] + torch.arange(width))[:, None, None, :].to(images.device)
    rows = rows.expand(-1, channels, -1, padded.shape[3])
    columns = columns.expand(-1, channels, height, -1)
    return padded.gather(2, rows).gather(3, columns)


def mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image turned left to right with a chance of one half."""
    turned = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
    return torch.where(turned[:, None, None, None], images.flip(3), images)
