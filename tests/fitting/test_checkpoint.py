from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from netgraph.errors import TrainingError
from netgraph.fitting.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

TENSORS = {
    "weights": torch.tensor([[1.0, float("nan")], [-0.0, 3.0]]),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "bytes": torch.arange(256, dtype=torch.uint8),
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "scalar": torch.tensor(3.0),
}
COUNTERS = {"epoch": 2, "loss": 0.1 + 0.2, "history": [{"score": None}]}


def test_round_trip_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.safetensors"
    write_checkpoint(path, Checkpoint("mark", TENSORS, COUNTERS))
    back = read_checkpoint(path, "mark")
    assert back.counters == COUNTERS
    assert back.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert back.tensors[name].dtype == tensor.dtype
        assert torch.equal(back.tensors[name].nan_to_num(7), tensor.nan_to_num(7))
    assert [p.name for p in path.parent.iterdir()] == ["run.safetensors"]


def test_tensors_that_share_memory_are_written(tmp_path: Path) -> None:
    whole = torch.arange(4.0)
    write_checkpoint(tmp_path / "a", Checkpoint("m", {"a": whole, "b": whole[1:3]}, {}))
    assert read_checkpoint(tmp_path / "a", "m").tensors["b"].tolist() == [1.0, 2.0]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, Checkpoint("m", {"a": torch.zeros(2)}, {"step": 1}))

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netgraph.fitting.checkpoint.os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(path, Checkpoint("m", {"a": torch.ones(2)}, {"step": 2}))
    assert read_checkpoint(path, "m").counters == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 60, 200, -1])
def test_refuses_truncated_files(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "run"
    write_checkpoint(path, Checkpoint("m", TENSORS, COUNTERS))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainingError, match="checkpoint: expected"):
        read_checkpoint(path, "m")


def test_refuses_what_is_no_checkpoint(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "plain")
    (tmp_path / "text").write_text("hello, this is not a tensor file at all")
    for name in ("plain", "text", "absent", "."):
        with pytest.raises(TrainingError, match="checkpoint: expected a checkpoint"):
            read_checkpoint(tmp_path / name, "m")


def test_refuses_another_version(tmp_path: Path) -> None:
    meta = '{"version": 99, "fingerprint": "m", "counters": {}}'
    save_file({"a": torch.zeros(1)}, tmp_path / "new", metadata={"netgraph_checkpoint": meta})
    with pytest.raises(TrainingError, match="version 99"):
        read_checkpoint(tmp_path / "new", "m")


def test_refuses_another_run(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a", Checkpoint("mine", {}, {}))
    with pytest.raises(TrainingError, match="belongs to another run"):
        read_checkpoint(tmp_path / "a", "yours")


def test_refuses_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TrainingError, match="choose another place"):
        write_checkpoint(tmp_path / "file" / "run", Checkpoint("m", {}, {}))
