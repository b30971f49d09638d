"""The folder of a model: complete, checked, and never half written."""

import json
import tomllib
from pathlib import Path

import pytest
import torch

from netgraph.errors import HubError, UsageError
from netgraph.graph import NeuralGraph, load_graph
from netgraph.hub import Card, load_model, save_model, verify_checksums
from netgraph.nn import Metanetwork
from netgraph.resources import CHECKSUMS

RECIPE = 'command = "netgraph train recipe.toml"\nseed = 1\n'


def test_a_network_is_written_whole(tmp_path: Path, graph: NeuralGraph, card: Card) -> None:
    folder = save_model(graph, tmp_path / "a" / "tiny", card=card, recipe=RECIPE)
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["README.md", "config.json", "model.safetensors", "recipe.toml", CHECKSUMS]
    )
    verify_checksums(folder, needed=["README.md", "config.json", "model.safetensors", "recipe.toml"])
    assert json.loads((folder / "config.json").read_text())["kind"] == "network"
    assert load_graph(folder / "model.safetensors") == graph
    assert tomllib.loads((folder / "recipe.toml").read_text()) == {
        "command": "netgraph train recipe.toml",
        "seed": 1,
    }
    assert (folder / "README.md").read_text() == card.render()


def test_a_metanetwork_is_written_whole(tmp_path: Path, card: Card, metanetwork: Metanetwork) -> None:
    folder = save_model(metanetwork, tmp_path / "meta", card=card, recipe=RECIPE)
    assert json.loads((folder / "config.json").read_text())["kind"] == "metanetwork"
    again = load_model(folder)
    assert isinstance(again, Metanetwork) and not again.training
    for name, tensor in metanetwork.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_saving_twice_writes_the_same_bytes(tmp_path: Path, graph: NeuralGraph, card: Card) -> None:
    first = save_model(graph, tmp_path / "a", card=card, recipe=RECIPE)
    second = save_model(graph, tmp_path / "b", card=card, recipe=RECIPE)
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes(), file.name


def test_an_interrupted_save_is_no_model(
    tmp_path: Path, graph: NeuralGraph, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model(graph, tmp_path / "tiny", card=card, recipe=RECIPE)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netgraph.hub.save.save_graph", stop)
    with pytest.raises(KeyboardInterrupt):
        save_model(graph, folder, card=card, recipe=RECIPE)
    assert not (folder / CHECKSUMS).exists()
    with pytest.raises(HubError, match="expected a SHA256SUMS"):
        verify_checksums(folder)


def test_other_files_of_the_folder_stay(tmp_path: Path, graph: NeuralGraph, card: Card) -> None:
    (tmp_path / "history.json").write_text("{}")
    save_model(graph, tmp_path, card=card, recipe=RECIPE)
    assert (tmp_path / "history.json").read_text() == "{}"
    assert "history.json" in (tmp_path / CHECKSUMS).read_text()


@pytest.mark.parametrize("recipe", ["", "seed = 1", "command = 3", 'command = " "', "command = ", "[["])
def test_recipes_without_a_command_are_refused(
    tmp_path: Path, graph: NeuralGraph, card: Card, recipe: str
) -> None:
    with pytest.raises(UsageError, match=r"^save_model: "):
        save_model(graph, tmp_path / "tiny", card=card, recipe=recipe)
    assert not (tmp_path / "tiny").exists()


def test_other_objects_are_refused(tmp_path: Path, card: Card) -> None:
    with pytest.raises(UsageError, match="got Linear; convert a module with to_graph first"):
        save_model(torch.nn.Linear(1, 1), tmp_path / "tiny", card=card, recipe=RECIPE)  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, graph: NeuralGraph, card: Card) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HubError, match="cannot write"):
        save_model(graph, tmp_path / "file" / "tiny", card=card, recipe=RECIPE)
