"""CIFAR-10 in both forms: written by hand here, with as few different images as can be."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from netgraph.errors import HubError
from netgraph.hub import load_dataset

COUNTS = {"train": 50_000, "test": 10_000}


def images(which: str) -> np.ndarray:
    """`(count, 3, 32, 32)`: image `i` is `i` modulo 251 everywhere but in its first pixel, which is red."""
    made = np.empty((COUNTS[which], 3, 32, 32), np.uint8)
    made[:] = (np.arange(COUNTS[which]) % 251).astype(np.uint8)[:, None, None, None]
    made[:, :, 0, 0] = (255, 0, 0)
    return made


def labels(which: str) -> np.ndarray:
    return (np.arange(COUNTS[which]) * 7 % 10).astype(np.uint8)


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True)
    records = np.concatenate([labels("train")[:, None], images("train").reshape(-1, 3072)], 1)
    for i, part in enumerate(np.split(records, 5)):
        part.tofile(folder / f"data_batch_{i + 1}.bin")
    np.concatenate([labels("test")[:, None], images("test").reshape(-1, 3072)], 1).tofile(
        folder / "test_batch.bin"
    )


def write_strips(folder: Path) -> None:
    folder.mkdir(parents=True)
    for which, count in COUNTS.items():
        for i, part in enumerate(np.split(images(which), count // 500)):
            strip = part.transpose(0, 2, 3, 1).reshape(-1, 32, 3)
            Image.fromarray(strip).save(folder / f"{which}_{i:03d}.png", compress_level=1)
    np.savez(folder / "labels.npz", y_train=labels("train"), y_test=labels("test"))


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("cifar")
    write_binary(base / "a" / "cifar-10-batches-bin")
    write_strips(base / "b" / "cifar10")
    return {"binary": base / "a", "strips": base / "b" / "cifar10"}


@pytest.mark.parametrize("form", ["binary", "strips"])
def test_both_forms_are_read(roots: dict[str, Path], form: str) -> None:
    data = load_dataset("cifar10", root=roots[form])
    assert (data.name, data.classes) == ("cifar10", 10)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [45_000, 5_000, 10_000]
    kept = np.concatenate([data.train.labels, data.validation.labels])
    assert np.array_equal(kept, labels("train")) and np.array_equal(data.test.labels, labels("test"))
    assert data.train.images.shape[1:] == (3, 32, 32) and data.train.images.dtype == torch.float32
    assert data.train.images[300, :, 0, 0].tolist() == [1.0, 0.0, 0.0]
    found = (data.train.images[:, 1, 5, 9] * 255).round().numpy()
    assert np.array_equal(found, images("train")[:45_000, 1, 5, 9])
    assert float(data.validation.images[3, 2, 1, 0] * 255) == pytest.approx(45_003 % 251, abs=1e-3)


def test_a_damaged_file_is_told(roots: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for file in (roots["binary"] / "cifar-10-batches-bin").iterdir():
        (folder / file.name).symlink_to(file)
    test = (folder / "test_batch.bin").read_bytes()
    (folder / "test_batch.bin").unlink()
    (folder / "test_batch.bin").write_bytes(test[:-1])
    with pytest.raises(HubError, match=r"cannot be read .*get it again"):
        load_dataset("cifar10", root=tmp_path)
    (folder / "test_batch.bin").write_bytes(test[:-3073])
    with pytest.raises(HubError, match="expected 10,000 images of 3x32x32"):
        load_dataset("cifar10", root=tmp_path)
    (folder / "test_batch.bin").unlink()
    with pytest.raises(HubError, match="cannot be read"):
        load_dataset("cifar10", root=tmp_path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(HubError, match="only the pickled version, which is not opened; unpack the binary"):
        load_dataset("cifar10", root=tmp_path)


def test_labels_are_never_unpickled(roots: dict[str, Path], tmp_path: Path) -> None:
    for file in roots["strips"].glob("*.png"):
        (tmp_path / file.name).symlink_to(file)
    np.savez(tmp_path / "labels.npz", y_train=np.array([object()]), y_test=labels("test"))
    with pytest.raises(HubError, match="cannot be read"):
        load_dataset("cifar10", root=tmp_path)


def test_pillow_is_asked_for_only_with_strips(
    roots: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert len(load_dataset("cifar10", root=roots["binary"]).test) == 10_000
    with pytest.raises(HubError, match="pip install pillow"):
        load_dataset("cifar10", root=roots["strips"])


def test_a_root_is_needed() -> None:
    with pytest.raises(HubError, match="'cifar10' is not shipped, expected the folder"):
        load_dataset("cifar10")
