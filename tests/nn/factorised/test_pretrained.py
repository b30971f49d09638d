"""Factorised metanetworks on disk: the same bits back, and one clear error for whatever is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from netgraph.errors import HubError
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.nn.factorised import HEADS, FactorisedConfig, FactorisedMetanetwork
from tests.nn.networks import build

CONFIG = FactorisedConfig(hidden=4, layers=1, heads=HEADS, probe=2)


def test_the_same_network_comes_back(tmp_path: Path) -> None:
    meta, graph = FactorisedMetanetwork(CONFIG), build("concat")
    meta.save_pretrained(tmp_path / "a" / "b")
    back = FactorisedMetanetwork.from_pretrained(tmp_path / "a" / "b")
    assert back.config == CONFIG and not back.training
    assert all(torch.equal(back.state_dict()[n], t) for n, t in meta.state_dict().items())
    assert back.rewrite(graph) == meta.rewrite(graph)
    assert {p.name for p in (tmp_path / "a" / "b").iterdir()} == {"config.json", "model.safetensors"}


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def other_kind(folder: Path) -> None:
    Metanetwork(MetanetworkConfig(hidden=4, layers=1)).save_pretrained(folder)


def bad_value(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "hidden": 0}))


def other_size(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "hidden": 8}))


def cut_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_config, "is no JSON"),
        (other_kind, "should say kind 'factorised-metanetwork', got 'metanetwork'"),
        (bad_value, "makes no sense"),
        (other_size, "do not fit its config.json"),
        (cut_weights, "is truncated or corrupt"),
        (no_weights, "expected model.safetensors in"),
    ],
)
def test_one_clear_error(spoil: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    FactorisedMetanetwork(CONFIG).save_pretrained(tmp_path)
    spoil(tmp_path)
    with pytest.raises(HubError, match=words):
        FactorisedMetanetwork.from_pretrained(tmp_path)


def test_an_unknown_name() -> None:
    with pytest.raises(HubError, match="there is no metanetwork 'nothing'"):
        FactorisedMetanetwork.from_pretrained("nothing")
