"""Where the shipped models and datasets lie: beside the package in a checkout, inside it in a wheel.

A shipped folder is one that holds a ``SHA256SUMS``; whoever reads one checks it (`netgraph.hub` does).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

__all__ = ["CHECKSUMS", "dataset_dir", "dataset_names", "model_dir", "model_names", "is_plain_name"]

CHECKSUMS: Final = "SHA256SUMS"
"""The file in every shipped folder that records the sha256 of each other file, as ``sha256sum`` writes it."""

_PACKAGE = Path(__file__).resolve().parent
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def is_plain_name(name: str) -> bool:
    """Whether a name is of letters, digits, `-` and `_` only, so that it cannot lead out of its folder.

    >>> is_plain_name("digits-resnet"), is_plain_name("../secret"), is_plain_name("org/model")
    (True, False, False)
    """
    return _NAME.fullmatch(name) is not None


def model_dir(name: str) -> Path | None:
    """The folder of a shipped model, or None where no model of this name is shipped.

    A name with a path separator or a dot is never looked up on disk: it gives None.

    >>> model_dir("../models/digits-resnet") is None
    True
    """
    return _find("models", name)


def dataset_dir(name: str) -> Path | None:
    """The folder of a shipped dataset, or None where no dataset of this name is shipped.

    >>> dataset_dir("digits").name
    'digits'
    """
    return _find("datasets", name)


def model_names() -> tuple[str, ...]:
    """Names of all shipped models, sorted."""
    return _names("models")


def dataset_names() -> tuple[str, ...]:
    """Names of all shipped datasets, sorted.

    >>> "digits" in dataset_names()
    True
    """
    return _names("datasets")


def _find(kind: Literal["models", "datasets"], name: str) -> Path | None:
    folder = _root(kind)
    if folder is None or not is_plain_name(name):
        return None
    return folder / name if (folder / name / CHECKSUMS).is_file() else None


def _names(kind: Literal["models", "datasets"]) -> tuple[str, ...]:
    folder = _root(kind)
    if folder is None:
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if _find(kind, path.name) is not None))


def _root(kind: Literal["models", "datasets"]) -> Path | None:
    return _locate(_PACKAGE, kind)


def _locate(package: Path, kind: str) -> Path | None:
    inside = package / f"_{kind}"
    if inside.is_dir():
        return inside
    # In site-packages a neighbour called `models` belongs to someone else; a checkout has a pyproject.toml.
    beside = package.parent / kind
    return beside if beside.is_dir() and (package.parent / "pyproject.toml").is_file() else None
