"""Weights from files: all usual wrappings, strictly fitted, never unpickled."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from netgraph.errors import UsageError
from netgraph.hub import load_weights, refuse_nan


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


WRAPPINGS = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state},
    "data parallel": lambda state: {f"module.{k}": v for k, v in state.items()},
    "data parallel, wrapped": lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_checkpoints(tmp_path: Path, wrap, suffix: str) -> None:
    source, target = net(), net()
    torch.save(wrap(source.state_dict()), tmp_path / f"w{suffix}")
    load_weights(target, tmp_path / f"w{suffix}")
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor)


def test_safetensors(tmp_path: Path) -> None:
    source, target = net(), net()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert torch.equal(target[0].weight, source[0].weight)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("was-here"),))


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Evil()}, "evil.pt")
    Path("evil.pkl").write_bytes(pickle.dumps(Evil(), protocol=2))
    for file in ("evil.pt", "evil.pkl"):
        with pytest.raises(UsageError, match="is not unpickled"):
            load_weights(net(), file)
    assert not Path("was-here").exists()


def write(path: Path, content: object) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)


STATE = net().state_dict()
BAD = {
    "missing": ("absent.pt", None, "there is no file"),
    "a folder": (".", None, "there is no file"),
    "empty": ("w.pt", b"", "cannot read|not unpickled"),
    "text": ("w.pt", b"hello world", "cannot read|not unpickled"),
    "empty safetensors": ("w.safetensors", b"", "cannot read"),
    "text as safetensors": ("w.safetensors", b"hello world, this is text", "cannot read"),
    "a list": ("w.pt", [1, 2], "should hold tensors by name"),
    "a tensor": ("w.pt", torch.zeros(3), "should hold tensors by name"),
    "numbers": ("w.pt", {"0.weight": 1.0}, "should hold tensors by name"),
    "nothing": ("w.pt", {}, "it lacks '0.weight', '0.bias' and"),
    "lacks one": ("w.pt", {k: v for k, v in STATE.items() if k != "1.bias"}, "it lacks '1.bias'"),
    "one too many": ("w.pt", {**STATE, "2.bias": torch.zeros(1)}, "it has unknown '2.bias'"),
    "other shape": (
        "w.pt",
        {**STATE, "0.weight": torch.zeros(4, 3)},
        r"'0.weight' is \[4, 3\] and should be \[2, 3\]",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), BAD.values(), ids=BAD)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: object, message: str) -> None:
    if content is not None:
        write(tmp_path / name, content)
    module = net()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(UsageError, match=message) as caught:
        load_weights(module, tmp_path / name)
    assert str(caught.value).startswith("load_weights: ") and "\n" not in str(caught.value)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_nan_is_refused_and_named() -> None:
    refuse_nan({"a": torch.tensor([1.0, float("inf")]), "b": torch.tensor([1, 2])}, "x")
    with pytest.raises(UsageError, match="'b' of 'x' holds 2 NaN"):
        refuse_nan({"a": torch.zeros(2), "b": torch.tensor([0.0, float("nan"), float("nan")])}, "x")
