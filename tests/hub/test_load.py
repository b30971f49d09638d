"""Models by name, by folder and by repository: the right bytes or one clear error."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from netgraph.errors import GraphFileError, HubError
from netgraph.graph import NeuralGraph
from netgraph.hub import (
    Card,
    list_models,
    load_model,
    load_model_graph,
    model_folder,
    save_model,
    write_checksums,
)
from netgraph.nn import Metanetwork

RECIPE = 'command = "netgraph train recipe.toml"\n'


def test_a_shipped_network_comes_back(shelf: Path, graph: NeuralGraph, network: torch.nn.Module) -> None:
    module = load_model("tiny")
    x = torch.randn(7, 6)
    assert not module.training
    assert torch.equal(module(x), network(x))
    assert load_model_graph("tiny") == graph
    assert [m.name for m in list_models()] == ["tiny"]


def test_a_local_folder_needs_no_checksums(shelf: Path, graph: NeuralGraph, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(shelf / "tiny", folder)
    (folder / "SHA256SUMS").unlink()
    assert load_model_graph(folder) == graph
    assert load_model_graph(str(folder)) == graph


def test_a_local_folder_is_checked_where_it_has_them(shelf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(shelf / "tiny", folder)
    (folder / "recipe.toml").write_text("")
    with pytest.raises(HubError, match=r"'recipe.toml' has another sha256"):
        load_model(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "README.md", "recipe.toml"])
def test_every_shipped_file_is_checked(shelf: Path, file: str) -> None:
    content = bytearray((shelf / "tiny" / file).read_bytes())
    content[len(content) // 2] ^= 1
    (shelf / "tiny" / file).write_bytes(bytes(content))
    with pytest.raises(HubError, match=rf"{file}.*expected [0-9a-f]{{64}}, found [0-9a-f]{{64}}"):
        load_model("tiny")


def test_shipped_names_win_over_folders(
    shelf: Path, graph: NeuralGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert model_folder("tiny") == shelf / "tiny"


@pytest.mark.parametrize("name", ["tinny", "", "TINY", "tiny\n", "../models/absent", "a/b/c", "a--b/c"])
def test_unknown_names_list_the_choices(shelf: Path, name: str) -> None:
    with pytest.raises(HubError, match=r"^load_model: there is no model .*choose one of \['tiny'\]"):
        load_model(name)


CONFIGS = ["", "[]", "{}", '{"kind": "pickle"}', '{"kind": null}', "\xff"]


@pytest.mark.parametrize("config", CONFIGS)
def test_other_configs_are_refused(shelf: Path, config: str) -> None:
    (shelf / "tiny" / "config.json").write_text(config, "latin-1")
    write_checksums(shelf / "tiny")
    with pytest.raises(HubError, match=r"config.json of 'tiny'"):
        load_model("tiny")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused(shelf: Path, tmp_path: Path, file: str) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(shelf / "tiny", folder)
    (folder / file).unlink()
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(HubError, match=rf"expected '{file}'"):
        load_model(folder)


def test_a_corrupt_graph_file_is_refused(shelf: Path, tmp_path: Path) -> None:
    path = shelf / "tiny" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    write_checksums(shelf / "tiny")
    with pytest.raises(GraphFileError):
        load_model("tiny")


def test_a_metanetwork_is_no_graph(shelf: Path, card: Card, metanetwork: Metanetwork) -> None:
    save_model(metanetwork, shelf / "meta", card=card, recipe=RECIPE)
    assert isinstance(load_model("meta"), Metanetwork)
    with pytest.raises(HubError, match="use load_model"):
        load_model_graph("meta")
    config = json.loads((shelf / "meta" / "config.json").read_text())
    assert config["kind"] == "metanetwork"
