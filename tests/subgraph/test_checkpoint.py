"""Checkpoints: whole or not at all, and only for the fit that wrote them."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from netgraph.errors import TrainingError
from netgraph.subgraph import checkpoint
from netgraph.subgraph.checkpoint import read_checkpoint, write_checkpoint


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "fit.pt"
    content = {"a": torch.arange(3), "nested": [{"b": torch.ones(1)}, 2.5, None], "name": "x"}
    write_checkpoint(path, "mark", content)
    again = read_checkpoint(path, "mark")
    assert torch.equal(again["a"], content["a"]) and again["nested"][1:] == [2.5, None]
    assert os.listdir(path.parent) == ["fit.pt"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fit.pt"
    write_checkpoint(path, "mark", {"epoch": 1})
    monkeypatch.setattr(checkpoint.torch, "save", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(TrainingError, match=r"can be written.*disk full"):
        write_checkpoint(path, "mark", {"epoch": 2})
    assert read_checkpoint(path, "mark") == {"epoch": 1} and os.listdir(tmp_path) == ["fit.pt"]


def test_another_fit_is_told(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "fit.pt", "mine", {})
    with pytest.raises(TrainingError, match="belongs to another fit"):
        read_checkpoint(tmp_path / "fit.pt", "yours")


class Trap:
    """Runs code if it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 3",)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "fit.pt"
    write_checkpoint(path, "mark", {"w": torch.ones(500)})
    whole = path.read_bytes()
    for wrong in (b"", b"text", whole[: len(whole) // 2], pickle.dumps(Trap())):
        path.write_bytes(wrong)
        with pytest.raises(TrainingError, match=r"checkpoint: expected a checkpoint.*delete it"):
            read_checkpoint(path, "mark")
    torch.save({"other": 1}, path)
    with pytest.raises(TrainingError, match="something else"):
        read_checkpoint(path, "mark")
