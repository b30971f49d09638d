"""Models by name."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from netgraph.errors import HubError
from netgraph.graph import NeuralGraph
from netgraph.graph.io import load_graph
from netgraph.hub.resolve import MODEL_FILE, model_folder, read_config
from netgraph.nn import Metanetwork
from netgraph.nn.factorised import FactorisedMetanetwork

__all__ = ["load_model", "load_model_graph"]


def load_model(name: str | Path, *, revision: str | None = None) -> nn.Module:
    """Load a model, in evaluation mode: a network rebuilt from its graph, or a metanetwork.

    A metanetwork is a `netgraph.nn.Metanetwork` or a `netgraph.nn.factorised.FactorisedMetanetwork`.

    The folder is that of a shipped model, a local directory, or a repository `owner/name` on the Hugging Face
    Hub (local cache first). Files are compared with their recorded sha256, and nothing is ever unpickled.

    Args:
        name: one of `list_models()`, a directory, or a repository.
        revision: branch, tag or commit of a repository.

    Raises:
        HubError: the name is unknown, a file is missing or differs from its record.
        GraphFileError: the graph file of a network cannot be read.

    >>> from netgraph.hub import list_models, load_model
    >>> any(load_model(model.name).training for model in list_models())
    False
    """
    folder = model_folder(name, revision)
    kind = read_config(folder)["kind"]
    if kind == "metanetwork":
        return Metanetwork.from_pretrained(folder).eval()
    if kind == "factorised-metanetwork":
        return FactorisedMetanetwork.from_pretrained(folder).eval()
    return load_graph(folder / MODEL_FILE).to_module().eval()


def load_model_graph(name: str | Path, *, revision: str | None = None) -> NeuralGraph:
    """Load the graph of a network instead of a module.

    Args:
        name: as for `load_model`.
        revision: as for `load_model`.

    Raises:
        HubError: as `load_model`, and when the model is a metanetwork.
        GraphFileError: the graph file cannot be read.

    >>> load_model_graph("absent")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    netgraph.errors.HubError: load_model: there is no model 'absent'; choose one of [...]
    """
    folder = model_folder(name, revision)
    if read_config(folder)["kind"] != "network":
        raise HubError(
            f"load_model_graph: expected a network, got the metanetwork {str(name)!r}; use load_model for it"
        )
    return load_graph(folder / MODEL_FILE)
