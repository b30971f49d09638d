"""The images on which networks are finetuned, chosen and tested.

A validation split is cut off from the training images, always the same one, on which no metanetwork of
`netgraph.hub` was trained either. CIFAR-10 is decoded once
and kept as an array.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from netgraph.hub import load_dataset

__all__ = ["Data", "Images", "cifar10", "digits"]

RUNS = Path(__file__).resolve().parents[2] / "runs" / "pruning"
VALIDATION = 5000
"""The last so many training images, which come in no particular order: those of `netgraph.hub` too."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images `(B, C, height, width)` as they are stored, and their classes `(B,)`."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Some of them, by their places."""
        return self.images[index], self.labels[index]

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All of them, in order."""
        for index in torch.arange(len(self), device=self.labels.device).split(size):
            yield self.take(index)


@dataclass(frozen=True, eq=False)
class Data:
    """Three splits, and what a network is given of an image.

    Attributes:
        name: of the data.
        train, validation, test: train on the first, choose on the second, report on the third.
        scale, mean, std: a network reads `(image / scale - mean) / std`, per channel.
        shift: pixels by which a training image may be moved, with zeros moving in.
        flip: whether a training image may be mirrored.
    """

    name: str
    train: Images
    validation: Images
    test: Images
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shift: int
    flip: bool

    def ready(self, images: Tensor) -> Tensor:
        """What a network reads, float32."""
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.mean, device=images.device).view(shape)
        std = torch.tensor(self.std, device=images.device).view(shape)
        return (images.float() / self.scale - mean) / std

    def augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Each image moved and mirrored on its own, in `channels_last`.

        Args:
            images: as stored, on any device.
            generator: of the CPU, so that all devices see the same images.
        """
        count, _, height, width = images.shape
        down, right = torch.randint(0, 2 * self.shift + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < (0.5 if self.flip else 0.0)
        rows = down[:, None] + torch.arange(height)  # (B, height)
        columns = torch.arange(width).expand(count, width)
        columns = right[:, None] + torch.where(mirrored[:, None], width - 1 - columns, columns)
        padded = functional.pad(images, (self.shift,) * 4)
        at = torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]
        place, row, column = (index.to(images.device) for index in at)
        return padded.permute(0, 2, 3, 1)[place, row, column].permute(0, 3, 1, 2)

    def to(self, device: torch.device) -> Data:
        """The same on a device."""
        if device.type == "cpu":
            return self
        train, validation, test = (
            Images(split.images.to(device), split.labels.to(device))
            for split in (self.train, self.validation, self.test)
        )
        return replace(self, train=train, validation=validation, test=test)


def digits() -> Data:
    """The shipped digits in their shipped splits."""
    data = load_dataset("digits")
    splits = {
        name: Images(split.images, split.labels)
        for name, split in (("train", data.train), ("validation", data.validation), ("test", data.test))
    }
    return Data("digits", **splits, scale=1.0, mean=(0.0,), std=(1.0,), shift=1, flip=False)


def cifar10(root: Path, mean: tuple[float, ...], std: tuple[float, ...], cache: Path = RUNS) -> Data:
    """CIFAR-10, whose last 5,000 training images are for validation.

    Args:
        root: the folder that holds `cifar10/`.
        mean, std: of the channels, between 0 and 1, as the networks were trained with.
        cache: where the decoded images are kept.
    """
    folder = root / "cifar10"
    with np.load(folder / "labels.npz", allow_pickle=False) as stored:
        labels = {part: torch.from_numpy(stored[f"y_{part}"].astype(np.int64)) for part in ("train", "test")}
    images = {part: _decoded(folder, part, cache) for part in ("train", "test")}
    for part in images:
        if len(images[part]) != len(labels[part]):
            raise ValueError(f"cifar10: {len(images[part])} {part} images, {len(labels[part])} labels")
    kept = len(labels["train"]) - VALIDATION
    train, validation = (
        Images(images["train"][part], labels["train"][part]) for part in (slice(kept), slice(kept, None))
    )
    test = Images(images["test"], labels["test"])
    return Data("CIFAR-10", train, validation, test, 255.0, mean, std, shift=4, flip=True)


def _decoded(folder: Path, part: str, cache: Path) -> Tensor:
    """All images of a part, uint8 `(B, 3, 32, 32)`, from the cache where they were decoded before."""
    path = cache / f"cifar10-{part}.npy"
    if not path.exists():
        from PIL import Image

        strips = []
        for file in sorted(folder.glob(f"{part}_*.webp")):
            with Image.open(file) as image:
                strips.append(np.asarray(image.convert("RGB")).reshape(-1, 32, 32, 3))
        cache.mkdir(parents=True, exist_ok=True)
        temporary = cache / f".{path.stem}-{secrets.token_hex(6)}.tmp"
        try:
            with temporary.open("wb") as handle:
                np.save(handle, np.concatenate(strips).transpose(0, 3, 1, 2))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return torch.from_numpy(np.load(path, allow_pickle=False))
