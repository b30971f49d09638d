"""From a name to the folder of a model: shipped, local, or on the Hugging Face Hub."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

from netgraph.errors import HubError
from netgraph.hub.checksums import verify_checksums
from netgraph.resources import CHECKSUMS, is_plain_name, model_dir, model_names

__all__ = ["CONFIG_FILE", "MODEL_FILE", "model_folder", "read_config"]

MODEL_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"

# Nothing else is downloaded: in particular no file that would have to be unpickled or run.
_PATTERNS: Final = [MODEL_FILE, CONFIG_FILE, CHECKSUMS, "README.md", "recipe.toml"]
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def model_folder(name: str | Path, revision: str | None = None) -> Path:
    """Find the folder of a model and check the sha256 of its files.

    Looked up in this order: a shipped model; a local directory; a repository `owner/name` on the Hugging Face
    Hub, in the local cache first. A shipped folder must have a `SHA256SUMS`; elsewhere it is checked where
    there is one.

    Args:
        name: a shipped name, a directory, or a repository.
        revision: branch, tag or commit of a repository; with None, what the cache holds is good enough.

    Raises:
        HubError: the name is unknown, the repository is not to be had, or a file differs from its record.

    >>> from netgraph.hub import list_models
    >>> all(model_folder(model.name).name == model.name for model in list_models())
    True
    """
    shipped = model_dir(name) if isinstance(name, str) else None
    if shipped is not None:
        verify_checksums(shipped, needed=[MODEL_FILE, CONFIG_FILE])
        return shipped
    local = Path(name)
    folder = local if str(name) and local.is_dir() else _download(str(name), revision)
    for file in (CONFIG_FILE, MODEL_FILE):
        if not (folder / file).is_file():
            raise HubError(
                f"load_model: expected {file!r} in {str(name)!r}, found none; this is no model of netgraph"
            )
    if (folder / CHECKSUMS).is_file():
        verify_checksums(folder, needed=[MODEL_FILE, CONFIG_FILE])
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a model's folder.

    Raises:
        HubError: it is no JSON object with a known `kind`.
    """
    try:
        config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise HubError(
            f"load_model: cannot read {CONFIG_FILE} of {folder.name!r} ({error}); get it again"
        ) from None
    kind = config.get("kind") if isinstance(config, dict) else None
    if kind not in {"network", "metanetwork", "factorised-metanetwork"}:
        raise HubError(
            f"load_model: {CONFIG_FILE} of {folder.name!r} should say kind 'network', 'metanetwork' or "
            f"'factorised-metanetwork', got {kind!r}; give the folder of a netgraph model"
        )
    return dict(config)


def _download(name: str, revision: str | None) -> Path:
    if _REPOSITORY.fullmatch(name) is None or ".." in name or "--" in name:
        hint = "" if is_plain_name(name) else ", or give an existing directory or a repository 'owner/name'"
        raise HubError(f"load_model: there is no model {name!r}; choose one of {list(model_names())}{hint}")
    try:
        cached = Path(
            snapshot_download(name, revision=revision, allow_patterns=_PATTERNS, local_files_only=True)
        )
        if (cached / MODEL_FILE).is_file() and (cached / CONFIG_FILE).is_file():
            return cached
    except Exception:  # not there, or not all of it: the next call says what is wrong
        pass
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_PATTERNS))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        reason = type(error).__name__.removesuffix("Error")
        raise HubError(
            f"load_model: the Hugging Face Hub has no {name!r} that you may read ({reason}); "
            "check the name, the revision and your access, or give a local directory"
        ) from None
    except Exception as error:  # the transport's own errors have no common base
        raise HubError(
            f"load_model: {name!r} is not in the local cache and the Hugging Face Hub cannot be reached "
            f"({type(error).__name__}); connect once, or give a local directory"
        ) from None
