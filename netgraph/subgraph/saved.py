"""An estimator on disk: `config.json` and `model.safetensors`, never a pickle."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from netgraph.errors import UsageError

__all__ = ["read_saved", "write_saved"]

_CONFIG: Final = "config.json"
_WEIGHTS: Final = "model.safetensors"


def write_saved(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write both files, each under a temporary name first.

    Raises:
        UsageError: the folder cannot be written.

    >>> import tempfile, torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_saved(Path(folder), {"kind": "a"}, {"w": torch.ones(2)})
    ...     read_saved(Path(folder), "a")
    ({'kind': 'a'}, {'w': tensor([1., 1.])})
    """
    text = json.dumps(config, indent=2, allow_nan=False) + "\n"
    # A copy each: safetensors refuses tensors that share memory.
    copies = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    suffix = f".{secrets.token_hex(6)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            save_file(copies, folder / f".{_WEIGHTS}{suffix}", metadata={"format": "pt"})
            (folder / f".{_WEIGHTS}{suffix}").chmod(0o644)  # safetensors lets only the owner read
            (folder / f".{_CONFIG}{suffix}").write_text(text, "utf-8")
            for name in (_WEIGHTS, _CONFIG):
                os.replace(folder / f".{name}{suffix}", folder / name)
        finally:
            for name in (_WEIGHTS, _CONFIG):
                (folder / f".{name}{suffix}").unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"save: expected a folder that can be written, got {str(folder)!r} ({error}); choose another"
        ) from None


def read_saved(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read both files of an estimator of this kind.

    Raises:
        UsageError: a file is missing or corrupt, or belongs to something else.
    """
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise UsageError(
                f"load: expected {name} in {str(folder)!r}, found none; give a folder that save wrote"
            )
    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"load: {_CONFIG} in {str(folder)!r} is no JSON ({str(error)[:120]}); save the estimator again"
        ) from None
    found = config.get("kind") if isinstance(config, dict) else None
    if found != kind:
        raise UsageError(
            f"load: expected a {kind} in {str(folder)!r}, got {found!r}; load it with its own class"
        )
    try:
        return config, load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError, ValueError) as error:
        raise UsageError(
            f"load: {_WEIGHTS} in {str(folder)!r} is truncated or corrupt ({str(error)[:120]}); "
            "save the estimator again"
        ) from None
