"""Writes the folder of a model, in the form in which models are shipped and published."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from netgraph.errors import HubError, UsageError
from netgraph.graph import NeuralGraph
from netgraph.graph.io import save_graph
from netgraph.hub.card import Card
from netgraph.hub.checksums import write_atomically, write_checksums
from netgraph.hub.resolve import CONFIG_FILE, MODEL_FILE
from netgraph.nn import Metanetwork
from netgraph.nn.factorised import FactorisedMetanetwork
from netgraph.resources import CHECKSUMS

__all__ = ["save_model"]


def save_model(
    model: NeuralGraph | Metanetwork | FactorisedMetanetwork, folder: str | Path, *, card: Card, recipe: str
) -> Path:
    """Write a model's `model.safetensors`, `config.json`, `README.md`, `recipe.toml` and `SHA256SUMS`.

    Each file is replaced as a whole, and the checksums come last: a folder whose writing was interrupted has
    none, and does not count as a model.

    Args:
        model: a network as a graph, or a metanetwork.
        folder: is made if absent; its other files are left alone.
        card: becomes `README.md`.
        recipe: the text of the TOML file that made the model; it must name the `command`.

    Raises:
        UsageError: the recipe is no TOML or names no command, or the model is neither kind.
        HubError: the folder cannot be written.

    >>> import tempfile, torch
    >>> from netgraph.convert import to_graph
    >>> from netgraph.hub import load_model
    >>> graph = to_graph(torch.nn.Linear(2, 1), torch.zeros(1, 2))
    >>> card = Card("line", "A line.", "None.", "None.", "None.", "Not at all.", "All.")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_model(graph, folder, card=card, recipe='command = "none"')
    ...     load_model(folder)(torch.zeros(3, 2)).shape
    torch.Size([3, 1])
    """
    try:
        command = tomllib.loads(recipe).get("command")
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"save_model: the recipe is no TOML ({error}); correct it") from None
    if not isinstance(command, str) or not command.strip():
        raise UsageError(
            "save_model: expected a `command` in the recipe, got none; add the one that made the model"
        )
    if not isinstance(model, (NeuralGraph, Metanetwork, FactorisedMetanetwork)):
        raise UsageError(
            f"save_model: expected a NeuralGraph or a Metanetwork, got {type(model).__name__}; "
            "convert a module with to_graph first"
        )
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / CHECKSUMS).unlink(missing_ok=True)
        if isinstance(model, NeuralGraph):
            save_graph(model, path / MODEL_FILE)
            write_atomically(path / CONFIG_FILE, (json.dumps({"kind": "network"}, indent=2) + "\n").encode())
        else:
            model.save_pretrained(path)
        (path / MODEL_FILE).chmod(0o644)  # safetensors writes files that only their owner may read
        write_atomically(path / "README.md", card.render().encode())
        write_atomically(path / "recipe.toml", recipe.encode())
        write_checksums(path)
    except OSError as error:
        raise HubError(
            f"save_model: cannot write {str(path)!r} ({error.strerror}); choose another folder"
        ) from None
    return path
