"""A model on disk: `config.json` and `model.safetensors` in one folder."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from netgraph.errors import UsageError

__all__ = ["CONFIG", "WEIGHTS", "write_model_folder"]

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"


def write_model_folder(
    operation: str, folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write both files, each under a temporary name first; the folder is made if it is absent.

    Args:
        operation: for messages.
        folder: where to.
        config: ready for JSON.
        tensors: by name; they may share memory and be on any device.

    Raises:
        UsageError: the folder cannot be written.
    """
    text = json.dumps(config, indent=2, allow_nan=False) + "\n"
    # A copy each: safetensors refuses tensors that share memory.
    copies = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    suffix = f".{secrets.token_hex(6)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            save_file(copies, folder / f".{WEIGHTS}{suffix}", metadata={"format": "pt"})
            (folder / f".{WEIGHTS}{suffix}").chmod(0o644)  # safetensors lets only the owner read
            (folder / f".{CONFIG}{suffix}").write_text(text, "utf-8")
            for name in (WEIGHTS, CONFIG):
                os.replace(folder / f".{name}{suffix}", folder / name)
        finally:
            for name in (WEIGHTS, CONFIG):
                (folder / f".{name}{suffix}").unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"{operation}: expected a folder that can be written, got {str(folder)!r} ({error}); "
            "choose another"
        ) from None
