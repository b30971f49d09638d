"""Weights from a file into a module: safetensors, or a torch checkpoint read without unpickling objects."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.typing import State

__all__ = ["load_weights", "refuse_nan"]


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Load a `state_dict` file into a module, strictly.

    Read are `.safetensors` files and torch checkpoints (with `weights_only=True`, so no code in them runs).
    A checkpoint may hold the state under `state_dict` or `model`, and its keys may all begin with `module.`,
    as data-parallel training writes them.

    Raises:
        UsageError: the file is missing or unreadable, or its tensors do not fit the module.

    >>> import tempfile
    >>> from safetensors.torch import save_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_file({"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, f"{folder}/w.safetensors")
    ...     layer = nn.Linear(2, 1)
    ...     load_weights(layer, f"{folder}/w.safetensors")
    >>> layer.weight.tolist()
    [[1.0, 1.0]]
    """
    file = Path(path)
    state = _unwrap(_read(file), file)
    expected = module.state_dict()
    lacking, foreign = [k for k in expected if k not in state], [k for k in state if k not in expected]
    unequal = [
        f"{k!r} is {list(state[k].shape)} and should be {list(t.shape)}"
        for k, t in expected.items()
        if k in state and state[k].shape != t.shape
    ]
    problems = [
        f"it lacks {_some(lacking)}" if lacking else "",
        f"it has unknown {_some(foreign)}" if foreign else "",
        "; ".join(unequal[:2]) + (f" and {len(unequal) - 2} more" if len(unequal) > 2 else ""),
    ]
    if found := "; ".join(p for p in problems if p):
        raise UsageError(
            f"load_weights: {file.name!r} does not fit {type(module).__name__}: {found}; "
            "give the weights of this very architecture"
        )
    module.load_state_dict(state)


def refuse_nan(state: State, what: str) -> None:
    """Raise if a floating-point tensor of a state holds NaN.

    Raises:
        UsageError: naming the first such tensor.

    >>> refuse_nan({"weight": torch.tensor([float("nan")])}, "w.pt")
    Traceback (most recent call last):
    ...
    netgraph.errors.UsageError: check weights: 'weight' of 'w.pt' holds 1 NaN; train again or repair the file
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and (count := int(tensor.isnan().sum())):
            raise UsageError(
                f"check weights: {name!r} of {what!r} holds {count} NaN; train again or repair the file"
            )


def _read(file: Path) -> Any:
    if not file.is_file():
        raise UsageError(f"load_weights: there is no file {str(file)!r}; check the path")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UsageError(
            f"load_weights: {file.name!r} is damaged or holds more than tensors, and is not unpickled; "
            "save module.state_dict() alone"
        ) from None
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UsageError(f"load_weights: cannot read {file.name!r} ({reason}); save it again") from None


def _unwrap(loaded: Any, file: Path) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(t, Tensor) for t in loaded.values()):
        raise UsageError(f"load_weights: {file.name!r} should hold tensors by name; save module.state_dict()")
    prefixed = all(str(k).startswith("module.") for k in loaded)
    return {str(k).removeprefix("module.") if prefixed else str(k): t for k, t in loaded.items()}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(repr(n) for n in names[:2]) + more
