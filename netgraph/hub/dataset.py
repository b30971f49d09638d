"""Small real datasets that ship with the library, split once and for all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from netgraph.errors import HubError
from netgraph.hub.checksums import verify_checksums
from netgraph.resources import dataset_dir, dataset_names

__all__ = ["DATA_FILE", "Dataset", "Split", "load_dataset"]

DATA_FILE = "data.safetensors"


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes.

    Attributes:
        images: float in [0, 1], `(B, C, height, width)`.
        labels: int64, `(B,)`.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through the split once, in batches of at most `size`; shuffled if a generator is given."""
        if generator is None:
            yield from zip(self.images.split(size), self.labels.split(size), strict=True)
            return
        for index in torch.randperm(len(self), generator=generator).split(size):
            yield self.images[index], self.labels[index]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images in three splits: train on the first, choose on the second, report on the third."""

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split


def load_dataset(name: str) -> Dataset:
    """Load a shipped dataset; every file is first compared with its recorded sha256.

    Args:
        name: one of `list_datasets()`, such as `"digits"`.

    Raises:
        HubError: the name is unknown, or a file is missing, damaged or not what was recorded.

    >>> from netgraph.hub import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.train.images.shape, digits.classes
    (torch.Size([1078, 1, 8, 8]), 10)
    >>> len(digits.validation), len(digits.test), digits.train.images.max().item()
    (360, 359, 1.0)
    """
    folder = dataset_dir(name)
    if folder is None:
        raise HubError(f"load_dataset: there is no dataset {name!r}; choose one of {list(dataset_names())}")
    verify_checksums(folder, needed=[DATA_FILE])
    return _read(folder / DATA_FILE, name)


def _read(path: Path, name: str) -> Dataset:
    try:
        with safe_open(path, framework="pt") as file:
            scale = int((file.metadata() or {})["largest"])
            images, labels = file.get_tensor("images"), file.get_tensor("labels").long()
            index = {split: file.get_tensor(split).long() for split in ("train", "validation", "test")}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise HubError(
            f"load_dataset: {path.name!r} of {name!r} should hold images, labels and three splits ({error}); "
            "make it again with the command on its card"
        ) from None
    scaled = images.float() / scale  # (B, C, height, width)

    def split(which: str) -> Split:
        return Split(scaled[index[which]], labels[index[which]])

    return Dataset(name, int(labels.max()) + 1, split("train"), split("validation"), split("test"))
