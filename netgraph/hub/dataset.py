"""Datasets by name: small real ones that ship with the library, and others in a folder of the user's."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from netgraph.errors import HubError
from netgraph.hub.checksums import verify_checksums
from netgraph.hub.cifar10 import SOURCE, read_cifar10
from netgraph.hub.split import Dataset, Split
from netgraph.resources import dataset_dir, dataset_names

__all__ = ["DATA_FILE", "Dataset", "Split", "load_dataset"]

DATA_FILE = "data.safetensors"


def load_dataset(name: str, *, root: str | Path | None = None) -> Dataset:
    """Load a dataset: a shipped one, whose files are first compared with their recorded sha256, or CIFAR-10.

    Args:
        name: one of `list_datasets()`, such as `"digits"`, or `"cifar10"`.
        root: folder that holds CIFAR-10 (`netgraph.hub.cifar10.read_cifar10`); shipped datasets need none.

    Raises:
        HubError: the name is unknown, or a file is missing, damaged or not what was recorded.

    >>> from netgraph.hub import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.train.images.shape, digits.classes
    (torch.Size([1078, 1, 8, 8]), 10)
    >>> len(digits.validation), len(digits.test), digits.train.images.max().item()
    (360, 359, 1.0)
    """
    if name == "cifar10":
        if root is None:
            raise HubError(
                "load_dataset: 'cifar10' is not shipped, expected the folder that holds it; "
                f"pass root=, where the binary version is unpacked ({SOURCE})"
            )
        return read_cifar10(root)
    folder = dataset_dir(name)
    if folder is None:
        known = [*dataset_names(), "cifar10"]
        raise HubError(f"load_dataset: there is no dataset {name!r}; choose one of {known}")
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
