"""The demo runs from end to end on stand-ins for the shipped models."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch

from netgraph.graph import load_graph, macs
from netgraph.hub import Card, save_model
from netgraph.hub.recipes import make_network, read_recipe
from netgraph.nn import Metanetwork, MetanetworkConfig

ROOT = Path(__file__).resolve().parents[2]

RECIPE = """
kind = "network"
name = "digits-resnet"
command = "netgraph train recipe.toml"
dataset = "digits"
network = { architecture = "DigitsResNet", arguments = { width = 4, blocks = [1, 1] } }
training = { epochs = 2 }
card = { summary = "a", task = "b", data = "c", metric = "d", measured = "e", limits = "f" }
"""


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "recipe.toml").write_text(RECIPE)
    make_network(read_recipe(folder / "recipe.toml"), folder / "net")
    card = Card("meta", "a", "b", "c", "d", "e", "f")
    meta = Metanetwork(MetanetworkConfig(hidden=4, layers=1))
    save_model(meta, folder / "meta", card=card, recipe='command = "none"')
    return folder


@pytest.fixture
def arguments(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    return ["--quick", "--model", str(models / "net"), "--metanetwork", str(models / "meta")]


def test_json(demo: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["conversion"]["state_is_bit_exact"] and result["conversion"]["outputs_are_bit_exact"]
    rows = result["networks"]
    assert list(rows) == ["original", "metanetwork", "l2"]
    for name in ("metanetwork", "l2"):
        assert rows[name]["macs"] <= 0.5 * rows["original"]["macs"]
        assert rows[name]["parameters"] < rows["original"]["parameters"]
        assert rows[name]["bytes"] < rows["original"]["bytes"]
        assert rows[name]["latency_ms_batch_1"] > 0 and 0 < rows[name]["test_accuracy"] <= 1
    network, picture = (Path(file) for file in result["files"].values())
    graph = load_graph(network)
    assert macs(graph) == rows["metanetwork"]["macs"]
    assert graph.to_module()(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_text(demo: ModuleType, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(arguments) == 0
    out = capsys.readouterr().out
    for part in (
        "6 groups",
        "state and outputs are bit-exact",
        "cut by the metanetwork",
        "test accuracy",
        "KiB",
    ):
        assert part in out
    assert "runs/demo/metanetwork.safetensors" in out


def test_what_is_not_there_is_one_line(
    demo: ModuleType, arguments: list[str], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--quick", "--model", "absent"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("demo: load_model: there is no model 'absent'")
    damaged = tmp_path / "damaged"
    shutil.copytree(models / "net", damaged)
    (damaged / "recipe.toml").write_text("changed")
    assert demo.main(["--quick", "--model", str(damaged)]) == 1
    assert "another sha256" in capsys.readouterr().err
