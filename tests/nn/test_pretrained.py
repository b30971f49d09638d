"""Metanetworks on disk: the same bits back, and one clear error for whatever is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from netgraph.errors import HubError, NetgraphError, UsageError
from netgraph.fitting import model_folder
from netgraph.nn import Metanetwork, MetanetworkConfig, pretrained
from tests.nn.networks import build

CONFIG = MetanetworkConfig(hidden=4, layers=2, rho=0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Metanetwork(CONFIG).save_pretrained(tmp_path / "meta")
    return tmp_path / "meta"


def test_the_same_network_comes_back(tmp_path: Path) -> None:
    meta, graph = Metanetwork(CONFIG), build("concat")
    meta.save_pretrained(tmp_path / "a" / "b")
    back = Metanetwork.from_pretrained(tmp_path / "a" / "b")
    assert back.config == CONFIG and not back.training
    assert all(torch.equal(back.state_dict()[n], t) for n, t in meta.state_dict().items())
    assert back.rewrite(graph) == meta.rewrite(graph)
    assert {p.name for p in (tmp_path / "a" / "b").iterdir()} == {"config.json", "model.safetensors"}


def test_the_config_says_what_it_is(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    assert values == {"kind": "metanetwork", "hidden": 4, "layers": 2, "taps": 9, "rho": 0.5}


def test_saving_again_replaces(folder: Path) -> None:
    other = Metanetwork(MetanetworkConfig(hidden=6, layers=1))
    other.save_pretrained(str(folder))
    assert Metanetwork.from_pretrained(str(folder)).config.hidden == 6


def test_a_shipped_name_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "model_dir", lambda name: folder if name == "some-metanetwork" else None)
    assert Metanetwork.from_pretrained("some-metanetwork").config == CONFIG


def test_a_repository_is_asked_for_both_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, file: str, **options: object) -> str:
        asked.append((name, file, options["revision"], options["local_files_only"]))
        return str(folder / file)

    monkeypatch.setattr(pretrained, "hf_hub_download", download)
    found = Metanetwork.from_pretrained("owner/name", revision="v1", local_files_only=True)
    assert found.config == CONFIG
    assert asked == [("owner/name", f, "v1", True) for f in ("config.json", "model.safetensors")]


def test_a_repository_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*args: object, **options: object) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(pretrained, "hf_hub_download", download)
    with pytest.raises(HubError, match=r"config\.json of 'owner/name' is not to be had .*connection"):
        Metanetwork.from_pretrained("owner/name")


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)

    return damage


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def another_size(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"hidden": 8}))


def another_model(folder: Path) -> None:
    save_file({"fc.weight": torch.zeros(2, 2)}, folder / "model.safetensors")


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "expected config.json in .*, found none"),
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        "expected model.safetensors in .*, found none",
    ),
    "config no JSON": (write("config.json", "{"), "is no JSON"),
    "config not text": (write("config.json", b"\xff\xfe\x00"), "is no JSON"),
    "config a list": (write("config.json", "[]"), "should say kind 'metanetwork', got None"),
    "config of a network": (write("config.json", '{"kind": "network"}'), "should say kind .*, got 'network'"),
    "unknown field": (write("config.json", '{"kind": "metanetwork", "depth": 2}'), "makes no sense"),
    "senseless field": (write("config.json", '{"kind": "metanetwork", "hidden": "x"}'), "makes no sense"),
    "weights truncated": (truncate, "truncated or corrupt"),
    "weights empty": (write("model.safetensors", b""), "truncated or corrupt"),
    "weights pickled": (write("model.safetensors", b"\x80\x04K\x01."), "truncated or corrupt"),
    "oversized header": (write("model.safetensors", b"\xff" * 64), "truncated or corrupt"),
    "another size": (another_size, "do not fit its config.json"),
    "another model": (another_model, "do not fit its config.json"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_folders_are_refused(folder: Path, case: str) -> None:
    damage, words = DAMAGE[case]
    damage(folder)
    with pytest.raises(HubError, match=words) as caught:
        Metanetwork.from_pretrained(folder)
    assert isinstance(caught.value, NetgraphError)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("from_pretrained: ")


@pytest.mark.parametrize("name", ["no-such-metanetwork", "../up", "a/b/c", "/absent", ""])
def test_unknown_names_are_refused(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "hf_hub_download", lambda *a, **k: pytest.fail("asked the network"))
    with pytest.raises(HubError, match="from_pretrained: "):
        Metanetwork.from_pretrained(name)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="save_pretrained: expected a folder that can be written"):
        Metanetwork(CONFIG).save_pretrained(tmp_path / "file")


def test_an_interrupted_save_leaves_the_old_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fail(*args: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(model_folder, "save_file", fail)
    with pytest.raises(UsageError, match="disk full"):
        Metanetwork(MetanetworkConfig(hidden=6, layers=1)).save_pretrained(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
