"""Images: augmentation beside its slow twin, the splits of CIFAR-10, the cache."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.pruning import data as module
from benchmarks.pruning.data import Data, Images, cifar10, digits


@pytest.mark.parametrize("flip", [True, False])
def test_augmentation_equals_moving_one_image_at_a_time(flip: bool) -> None:
    images = torch.randint(0, 255, (30, 3, 6, 5), dtype=torch.uint8)
    split = Images(images, torch.zeros(30))
    data = Data("x", split, split, split, 255.0, (0.0,) * 3, (1.0,) * 3, shift=2, flip=flip)
    found = data.augmented(images, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    down, right = torch.randint(0, 5, (2, 30), generator=generator)
    mirrored = torch.rand(30, generator=generator) < (0.5 if flip else 0.0)
    for i in range(30):
        padded = np.pad(images[i].numpy(), ((0, 0), (2, 2), (2, 2)))
        part = padded[:, down[i] : down[i] + 6, right[i] : right[i] + 5]
        assert np.array_equal(found[i].numpy(), part[:, :, ::-1] if mirrored[i] else part)
    assert bool(mirrored.any()) == flip
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_digits_keep_their_splits() -> None:
    data = digits()
    assert [len(s) for s in (data.train, data.validation, data.test)] == [1078, 360, 359]
    assert torch.equal(data.ready(data.test.images), data.test.images)


def test_cifar_is_split_without_overlap_and_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow decodes the images")
    folder = tmp_path / "cifar10"
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = {part: rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8) for part in ("train", "test")}
    for part, whole in pixels.items():
        for number, strip in enumerate((whole[:4], whole[4:])):
            image.fromarray(strip.reshape(-1, 32, 3)).save(folder / f"{part}_{number:03}.webp", lossless=True)
    np.savez(folder / "labels.npz", y_train=np.arange(6), y_test=np.arange(6))
    monkeypatch.setattr(module, "VALIDATION", 2)
    data = cifar10(tmp_path, (0.5,) * 3, (0.25,) * 3, cache=tmp_path / "cache")
    for split, part in ((data.train, "train"), (data.validation, "train"), (data.test, "test")):
        for picture, label in zip(split.images, split.labels.tolist(), strict=True):
            assert np.array_equal(picture.permute(1, 2, 0).numpy(), pixels[part][label])
    assert sorted(data.train.labels.tolist() + data.validation.labels.tolist()) == list(range(6))
    assert data.validation.labels.tolist() == [4, 5]
    ready = data.ready(data.test.images)
    torch.testing.assert_close(ready, (data.test.images / 255 - 0.5) / 0.25)
    for file in folder.glob("*.webp"):
        file.unlink()
    again = cifar10(tmp_path, (0.5,) * 3, (0.25,) * 3, cache=tmp_path / "cache")
    assert torch.equal(again.train.images, data.train.images)
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) == ["cifar10-test.npy", "cifar10-train.npy"]
