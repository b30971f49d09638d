"""A small network and its card, as every test of the hub needs them."""

from pathlib import Path

import pytest
import torch

from netgraph.convert import to_graph
from netgraph.graph import NeuralGraph
from netgraph.hub import Card, save_model
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.zoo import MLP

RECIPE = 'kind = "network"\ncommand = "netgraph train recipe.toml"\n'


@pytest.fixture
def card() -> Card:
    return Card(
        name="tiny",
        summary="A tiny network that knows nothing.",
        task="None.",
        data="Noise.",
        metric="Loss on noise.",
        measured="By hand.",
        limits="All.",
        results={"loss": "1.0"},
        datasets=("digits",),
    )


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return MLP((6, 5, 3)).eval()


@pytest.fixture
def graph(network: torch.nn.Module) -> NeuralGraph:
    return to_graph(network, torch.zeros(2, 6))


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: NeuralGraph, card: Card) -> Path:
    """A checkout of its own, with one shipped model called `tiny`."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "netgraph").mkdir()
    monkeypatch.setattr("netgraph.resources._PACKAGE", tmp_path / "netgraph")
    save_model(graph, tmp_path / "models" / "tiny", card=card, recipe=RECIPE)
    return tmp_path / "models"


@pytest.fixture
def metanetwork() -> Metanetwork:
    torch.manual_seed(0)
    return Metanetwork(MetanetworkConfig(hidden=4, layers=1))
