"""CIFAR-10 from a folder on this machine: the binary version, or strips of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from netgraph.errors import HubError
from netgraph.hub.split import Dataset, Split

__all__ = ["read_cifar10"]

HELD_OUT: Final = 5_000
"""The last so many training images, which come in no particular order, are for validation."""

SOURCE: Final = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

_Bytes = npt.NDArray[np.uint8]


def read_cifar10(root: str | Path) -> Dataset:
    """CIFAR-10 in three splits: 45,000 images to train on, 5,000 to choose by, 10,000 to report on.

    Two forms are read, in `root` itself or in a folder of their usual name inside it:

    - the binary version of its authors, `cifar-10-batches-bin`: `data_batch_1.bin` to `data_batch_5.bin` and
      `test_batch.bin`;
    - strips, `cifar10`: lossless pictures `train_*.webp` and `test_*.webp` (PNG as well), each a column of
      32x32 images one below the other, and `labels.npz` with `y_train` and `y_test`. Needs Pillow.

    The version for Python is a pickle, which can run anything when it is opened, and is not read.

    Raises:
        HubError: neither is there, a file is damaged, or Pillow is absent.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.

    >>> read_cifar10("absent")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    netgraph.errors.HubError: load_dataset: expected CIFAR-10 in 'absent', found none; ...
    """
    folder = Path(root)
    for form, mark, read in _FORMS:
        for place in (folder, folder / form):
            if (place / mark).is_file():
                return _split(place, read)
    pickled = any((place / "data_batch_1").is_file() for place in (folder, folder / "cifar-10-batches-py"))
    found = "only the pickled version, which is not opened" if pickled else "none"
    raise HubError(
        f"load_dataset: expected CIFAR-10 in {str(root)!r}, found {found}; "
        f"unpack the binary version there ({SOURCE})"
    )


def _split(folder: Path, read: Callable[[Path, str], tuple[_Bytes, _Bytes]]) -> Dataset:
    parts = {}
    for which, count in (("train", 50_000), ("test", 10_000)):
        try:
            images, labels = read(folder, which)
        except (OSError, ValueError, KeyError) as error:
            raise HubError(
                f"load_dataset: CIFAR-10 in {str(folder)!r} cannot be read ({error}); get it again"
            ) from None
        if images.shape != (count, 3, 32, 32) or labels.shape != (count,) or int(labels.max()) > 9:
            raise HubError(
                f"load_dataset: expected {count:,} images of 3x32x32 with labels below 10 for {which} of "
                f"CIFAR-10 in {str(folder)!r}, got {images.shape} and {labels.shape}; get it again"
            )
        parts[which] = Split(
            torch.from_numpy(images).float().div_(255), torch.from_numpy(labels.astype(np.int64))
        )
    whole, left = parts["train"], len(parts["train"]) - HELD_OUT
    train = Split(whole.images[:left], whole.labels[:left])
    validation = Split(whole.images[left:], whole.labels[left:])
    return Dataset("cifar10", 10, train, validation, parts["test"])


def _read_binary(folder: Path, which: str) -> tuple[_Bytes, _Bytes]:
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if which == "train" else ["test_batch.bin"]
    records = np.concatenate([np.fromfile(folder / n, dtype=np.uint8).reshape(-1, 3073) for n in names])
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].copy()


def _read_strips(folder: Path, which: str) -> tuple[_Bytes, _Bytes]:
    try:
        from PIL import Image
    except ImportError:
        raise HubError(
            "load_dataset: expected Pillow to read strips of pictures, found none; pip install pillow, or "
            f"use the binary version ({SOURCE})"
        ) from None
    files = sorted(p for kind in ("webp", "png") for p in folder.glob(f"{which}_*.{kind}"))
    strips: list[Any] = []
    for file in files:
        with Image.open(file) as picture:
            strips.append(np.asarray(picture.convert("RGB")).reshape(-1, 32, 32, 3))
    with np.load(folder / "labels.npz", allow_pickle=False) as stored:
        labels = stored[f"y_{which}"].astype(np.uint8)
    images = np.concatenate(strips) if strips else np.zeros((0, 32, 32, 3), np.uint8)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels


_FORMS: Final[tuple[tuple[str, str, Callable[[Path, str], tuple[_Bytes, _Bytes]]], ...]] = (
    ("cifar-10-batches-bin", "data_batch_1.bin", _read_binary),
    ("cifar10", "labels.npz", _read_strips),
)
"""Usual folder, a file that shows the form, and its reader."""
