"""A metanetwork on disk: `config.json` and `model.safetensors`, as on the Hugging Face Hub."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from netgraph.errors import HubError, UsageError
from netgraph.fitting.model_folder import CONFIG, WEIGHTS, write_model_folder
from netgraph.resources import model_dir, model_names

__all__ = ["fill", "read_pretrained", "write_pretrained"]


class _Config(Protocol):
    def to_dict(self) -> Mapping[str, Any]: ...


_C = TypeVar("_C", bound=_Config)


def write_pretrained(folder: Path, kind: str, config: _Config, state: Mapping[str, Tensor]) -> None:
    """Write both files, each under a temporary name first.

    Raises:
        UsageError: the folder cannot be written.
    """
    write_model_folder("save_pretrained", folder, {"kind": kind, **config.to_dict()}, state)


def read_pretrained(
    name: str | os.PathLike[str],
    kind: str,
    parse: Callable[[Mapping[str, Any]], _C],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> tuple[_C, dict[str, Tensor]]:
    """Read both files of a shipped name, a folder, or a repository on the Hugging Face Hub, in this order.

    Args:
        name: of the metanetwork.
        kind: what `config.json` must say that it is.
        parse: makes a configuration of the other fields; raises UsageError where they make no sense.
        revision: branch, tag or commit of a repository.
        cache_dir: where downloads are kept.
        local_files_only: never ask the network.

    Raises:
        HubError: the name is unknown, or a file is missing or corrupt.
    """
    shipped = model_dir(name) if isinstance(name, str) else None
    folder = shipped or Path(name)
    if folder.is_dir():
        paths = {file: folder / file for file in (CONFIG, WEIGHTS)}
    else:
        paths = {
            file: _download(str(name), file, revision, cache_dir, local_files_only)
            for file in (CONFIG, WEIGHTS)
        }
    for file, path in paths.items():
        if not path.is_file():
            raise HubError(
                f"from_pretrained: expected {file} in {str(name)!r}, found none; "
                "give a folder that save_pretrained wrote"
            )
    try:
        config = parse(_fields(str(name), paths[CONFIG], kind))
    except UsageError as error:
        raise HubError(
            f"from_pretrained: {CONFIG} of {str(name)!r} makes no sense ({error}); get it again"
        ) from None
    try:
        return config, load_file(paths[WEIGHTS])
    except (SafetensorError, OSError, ValueError) as error:
        raise HubError(
            f"from_pretrained: {WEIGHTS} of {str(name)!r} is truncated or corrupt "
            f"({str(error)[:120]}); get it again"
        ) from None


def fill(name: str | os.PathLike[str], model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the weights that `read_pretrained` found into a model of its configuration, in evaluation mode.

    Raises:
        HubError: they do not fit.
    """
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise HubError(
            f"from_pretrained: the weights of {str(name)!r} do not fit its config.json "
            f"({str(error).splitlines()[-1].strip()[:160]}); get both files again"
        ) from None
    model.eval()


def _fields(name: str, path: Path, kind: str) -> dict[str, Any]:
    try:
        values: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise HubError(
            f"from_pretrained: {CONFIG} of {name!r} is no JSON ({str(error)[:120]}); get it again"
        ) from None
    found = values.pop("kind", None) if isinstance(values, dict) else None
    if found != kind:
        raise HubError(
            f"from_pretrained: {CONFIG} of {name!r} should say kind {kind!r}, got {found!r}; "
            f"give the folder of a {kind.replace('-', ' ')}"
        )
    return dict(values)


def _download(
    name: str,
    file: str,
    revision: str | None,
    cache_dir: str | os.PathLike[str] | None,
    local_files_only: bool,
) -> Path:
    if name.count("/") != 1 or name.startswith((".", "/")) or name.endswith("/"):
        raise HubError(
            f"from_pretrained: there is no metanetwork {name!r}; expected one of {list(model_names())}, "
            "an existing folder, or a repository 'owner/name'"
        )
    try:
        return Path(
            hf_hub_download(
                name,
                file,
                revision=revision,
                cache_dir=None if cache_dir is None else Path(cache_dir),
                local_files_only=local_files_only,
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise HubError(
            f"from_pretrained: {file} of {name!r} is not to be had from the Hugging Face Hub "
            f"({type(error).__name__}); check the name and the connection, or give a local folder"
        ) from None
