"""An estimator on disk: `config.json` and `model.safetensors`, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.fitting.model_folder import CONFIG, WEIGHTS, write_model_folder

__all__ = ["read_saved", "write_saved"]


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
    write_model_folder("save", folder, config, tensors)


def read_saved(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read both files of an estimator of this kind.

    Raises:
        UsageError: a file is missing or corrupt, or belongs to something else.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise UsageError(
                f"load: expected {name} in {str(folder)!r}, found none; give a folder that save wrote"
            )
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"load: {CONFIG} in {str(folder)!r} is no JSON ({str(error)[:120]}); save the estimator again"
        ) from None
    found = config.get("kind") if isinstance(config, dict) else None
    if found != kind:
        raise UsageError(
            f"load: expected a {kind} in {str(folder)!r}, got {found!r}; load it with its own class"
        )
    try:
        return config, load_file(folder / WEIGHTS)
    except (OSError, SafetensorError, ValueError) as error:
        raise UsageError(
            f"load: {WEIGHTS} in {str(folder)!r} is truncated or corrupt ({str(error)[:120]}); "
            "save the estimator again"
        ) from None
