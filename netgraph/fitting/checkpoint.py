"""A training that was interrupted, on disk: one safetensors file, never a pickle."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from netgraph.errors import TrainingError

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

_KEY, _VERSION = "netgraph_checkpoint", 1


@final
@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        fingerprint: identifies the run: another run must not go on from here.
        tensors: weights, optimiser state, states of random number generators, by name.
        counters: everything else, ready for JSON.
    """

    fingerprint: str
    tensors: Mapping[str, Tensor]
    counters: Mapping[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write under a temporary name, force to disk, rename: a kill leaves the old file or the new one.

    Raises:
        TrainingError: the file cannot be written.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "run.safetensors"
    ...     write_checkpoint(path, Checkpoint("a", {"w": torch.ones(2)}, {"step": 3}))
    ...     read_checkpoint(path, "a").counters
    {'step': 3}
    """
    meta = {"version": _VERSION, "fingerprint": checkpoint.fingerprint, "counters": checkpoint.counters}
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            tensors = {n: t.detach().cpu().contiguous().clone() for n, t in checkpoint.tensors.items()}
            save_file(tensors, temporary, metadata={_KEY: json.dumps(meta)})
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"checkpoint: expected a file that can be written, got {str(path)!r} ({error}); "
            "choose another place"
        ) from None


def read_checkpoint(path: Path, fingerprint: str) -> Checkpoint:
    """Read a checkpoint of the run with this fingerprint.

    Raises:
        TrainingError: the file is corrupt, of another version, or of another run.
    """
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})[_KEY])
            if meta["version"] != _VERSION:
                raise ValueError(f"version {meta['version']!r}, expected {_VERSION}")
            counters = dict(meta["counters"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"checkpoint: expected a checkpoint in {str(path)!r}, got something else or a damaged file "
            f"({type(error).__name__}: {error}); delete it to start anew"
        ) from None
    if meta.get("fingerprint") != fingerprint:
        raise TrainingError(
            f"checkpoint: {str(path)!r} belongs to another run (other settings, networks or data); "
            "give this run another checkpoint file, or delete that one"
        )
    return Checkpoint(fingerprint, tensors, counters)
