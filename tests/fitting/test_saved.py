"""The folder of an estimator: both files or none, and clear words about what is wrong with it."""

import os
from pathlib import Path

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.fitting import model_folder
from netgraph.fitting.saved import read_saved, write_saved

CONFIG = {"kind": "estimator", "epochs": 3}


def write(folder: Path) -> Path:
    shared = torch.ones(2)
    write_saved(folder, CONFIG, {"best.w": shared, "last.w": shared})
    return folder


def test_round_trip(tmp_path: Path) -> None:
    config, tensors = read_saved(write(tmp_path / "new"), "estimator")
    assert config == CONFIG and sorted(tensors) == ["best.w", "last.w"]
    assert sorted(os.listdir(tmp_path / "new")) == ["config.json", "model.safetensors"]


def test_an_interrupted_write_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)

    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(model_folder.os, "replace", fail)
    with pytest.raises(UsageError, match=r"save: expected a folder.*disk full"):
        write_saved(tmp_path, {"kind": "new"}, {})
    assert read_saved(tmp_path, "estimator")[0] == CONFIG and len(os.listdir(tmp_path)) == 2


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another"):
        write(tmp_path / "file" / "below")


WRONG = {
    "no config": ("config.json", None, "expected config.json"),
    "no weights": ("model.safetensors", None, r"expected model.safetensors"),
    "no JSON": ("config.json", b"{", "is no JSON"),
    "no text": ("config.json", b"\xff\xfe\xff", "is no JSON"),
    "a list": ("config.json", b"[1]", "got None"),
    "another kind": ("config.json", b'{"kind": "metanetwork"}', "got 'metanetwork'"),
    "empty weights": ("model.safetensors", b"", "truncated or corrupt"),
    "foreign weights": ("model.safetensors", b"x" * 100, "truncated or corrupt"),
}


@pytest.mark.parametrize(("name", "content", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    write(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"load: .*{message}"):
        read_saved(tmp_path, "estimator")


def test_truncated_weights(tmp_path: Path) -> None:
    path = write(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UsageError, match="truncated or corrupt"):
        read_saved(tmp_path, "estimator")
