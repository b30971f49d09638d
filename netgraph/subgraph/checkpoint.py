"""A fit that was interrupted, on disk: tensors and numbers, read without running any code in the file."""

from __future__ import annotations

import os
import pickle
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from netgraph.errors import TrainingError

__all__ = ["read_checkpoint", "write_checkpoint"]

_KEY: Final = "netgraph_subgraph_checkpoint"
_VERSION: Final = 1
# What torch.load and the look into its result raise on files that are something else, or a part of one.
_UNREADABLE: Final = (
    pickle.UnpicklingError,
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)


def write_checkpoint(path: Path, fingerprint: str, content: Mapping[str, Any]) -> None:
    """Write under a temporary name, force to disk, rename: a kill leaves the old file or the new one.

    Raises:
        TrainingError: the file cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_checkpoint(Path(folder) / "fit.pt", "a", {"epoch": 3, "weight": torch.ones(2)})
    ...     read_checkpoint(Path(folder) / "fit.pt", "a")
    {'epoch': 3, 'weight': tensor([1., 1.])}
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                torch.save({_KEY: _VERSION, "fingerprint": fingerprint, "content": dict(content)}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(
            f"checkpoint: expected a file that can be written, got {str(path)!r} ({error}); "
            "choose another place"
        ) from None


def read_checkpoint(path: Path, fingerprint: str) -> dict[str, Any]:
    """Read the content of a checkpoint of the run with this fingerprint.

    Raises:
        TrainingError: the file is corrupt, of another version, or of another run.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved[_KEY] != _VERSION:
            raise ValueError(f"version {saved[_KEY]!r}, expected {_VERSION}")
        mark, content = saved["fingerprint"], dict(saved["content"])
    except _UNREADABLE as error:
        raise TrainingError(
            f"checkpoint: expected a checkpoint in {str(path)!r}, got something else or a damaged file "
            f"({type(error).__name__}); delete it to start anew"
        ) from None
    if mark != fingerprint:
        raise TrainingError(
            f"checkpoint: {str(path)!r} belongs to another fit (other settings, graphs or targets); "
            "give this one another file, or delete that one"
        )
    return content
