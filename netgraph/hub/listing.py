"""What the library ships."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import DatasetCard, ModelCard

from netgraph.resources import dataset_dir, dataset_names, model_dir, model_names

__all__ = ["Listed", "list_datasets", "list_models"]


class Listed(NamedTuple):
    """One shipped model or dataset.

    `kind` is `network`, `metanetwork` or `factorised-metanetwork` for a model and `dataset` for a dataset;
    `size` is in bytes.
    """

    name: str
    kind: str
    summary: str
    licence: str
    size: int


def list_models() -> tuple[Listed, ...]:
    """All shipped models, by name, as their cards describe them; nothing is loaded and no hash is checked.

    >>> from netgraph.hub import list_models
    >>> all(model.kind.endswith("network") for model in list_models())
    True
    """
    return tuple(_read(folder, ModelCard) for folder in _present(model_dir(n) for n in model_names()))


def list_datasets() -> tuple[Listed, ...]:
    """All shipped datasets, by name, as their cards describe them.

    >>> from netgraph.hub import list_datasets
    >>> [(data.name, data.licence) for data in list_datasets() if data.name == "digits"]
    [('digits', 'bsd-3-clause')]
    """
    return tuple(_read(folder, DatasetCard) for folder in _present(dataset_dir(n) for n in dataset_names()))


def _present(folders: Iterable[Path | None]) -> Iterable[Path]:
    return (folder for folder in folders if folder is not None)


def _read(folder: Path, card: type[ModelCard] | type[DatasetCard]) -> Listed:
    kind = "dataset"
    if card is ModelCard:
        try:
            kind = str(json.loads((folder / "config.json").read_text("utf-8"))["kind"])
        except (OSError, ValueError, KeyError, TypeError):
            kind = "unreadable"
    summary, licence = "", ""
    try:
        read = card.load(folder / "README.md", ignore_metadata_errors=True)
        licence = str(read.data.to_dict().get("license", ""))
        summary = _first_paragraph(read.text)
    except Exception:  # whatever a bad card raises: it must not spoil the list
        summary, licence = "(its card cannot be read)", ""
    size = sum(p.stat().st_size for p in folder.iterdir() if p.is_file())
    return Listed(folder.name, kind, summary, licence, size)


def _first_paragraph(text: str) -> str:
    for paragraph in text.strip().split("\n\n"):
        if not paragraph.startswith("#"):
            return " ".join(paragraph.split())
    return ""
