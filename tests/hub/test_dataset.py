"""The shipped digits: the images of scikit-learn, split once and for all, checked on load."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

from netgraph.errors import HubError
from netgraph.hub import load_dataset, write_checksums
from netgraph.hub.dataset import DATA_FILE
from netgraph.resources import dataset_dir


def test_file_holds_the_images_of_scikit_learn() -> None:
    tensors = load_file(dataset_dir("digits") / DATA_FILE)
    source = load_digits()
    assert tensors["images"].dtype == torch.uint8
    assert np.array_equal(tensors["images"][:, 0].numpy(), source.images)
    assert np.array_equal(tensors["labels"].numpy(), source.target)


def test_splits_are_a_stratified_partition() -> None:
    tensors = load_file(dataset_dir("digits") / DATA_FILE)
    parts = [tensors[name] for name in ("train", "validation", "test")]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(1797))
    assert [len(p) for p in parts] == [1078, 360, 359]
    totals = tensors["labels"].bincount()
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        assert (tensors["labels"][part].bincount() - share * totals).abs().max() <= 1


def test_splits_are_those_that_published_figures_rest_on() -> None:
    tensors = load_file(dataset_dir("digits") / DATA_FILE)
    assert tensors["test"][:8].tolist() == [7, 10, 12, 13, 16, 23, 30, 32]


def test_splits_follow_the_files_indices() -> None:
    data, tensors = load_dataset("digits"), load_file(dataset_dir("digits") / DATA_FILE)
    for name in ("train", "validation", "test"):
        split = getattr(data, name)
        assert split.images.dtype == torch.float32 and split.images.shape == (len(split), 1, 8, 8)
        assert torch.equal((split.images * 16).to(torch.uint8), tensors["images"][tensors[name]])
        assert torch.equal(split.labels, tensors["labels"][tensors[name]])
        assert split.images.min() >= 0 and split.images.max() <= 1
    assert (data.name, data.classes) == ("digits", 10)


def test_batches_go_through_the_split_once() -> None:
    split = load_dataset("digits").test
    plain = list(split.batches(100))
    assert [len(y) for _, y in plain] == [100, 100, 100, 59]
    assert torch.equal(torch.cat([x for x, _ in plain]), split.images)
    shuffled = [y for _, y in split.batches(100, torch.Generator().manual_seed(0))]
    again = [y for _, y in split.batches(100, torch.Generator().manual_seed(0))]
    assert not torch.equal(torch.cat(shuffled), split.labels)
    assert torch.equal(torch.cat(shuffled), torch.cat(again))
    assert torch.equal(torch.cat(shuffled).bincount(), split.labels.bincount())


@pytest.mark.parametrize("name", ["mnist", "", "../datasets/digits", "digits/"])
def test_unknown_names_list_the_choices(name: str) -> None:
    with pytest.raises(HubError, match=r"^load_dataset: .*'digits'"):
        load_dataset(name)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "digits"
    shutil.copytree(dataset_dir("digits"), folder)
    monkeypatch.setattr("netgraph.hub.dataset.dataset_dir", lambda name: folder)
    return folder


@pytest.mark.parametrize("file", [DATA_FILE, "README.md"])
def test_every_file_is_checked_on_load(copy: Path, file: str) -> None:
    content = bytearray((copy / file).read_bytes())
    content[-1] ^= 1
    (copy / file).write_bytes(bytes(content))
    with pytest.raises(HubError, match=f"{file}.*expected [0-9a-f]{{64}}, found [0-9a-f]{{64}}"):
        load_dataset("digits")


CONTENTS = {
    "no metadata": lambda t: (t, None),
    "no labels": lambda t: ({k: v for k, v in t.items() if k != "labels"}, {"largest": "16"}),
    "no test split": lambda t: ({k: v for k, v in t.items() if k != "test"}, {"largest": "16"}),
    "scale is no number": lambda t: (t, {"largest": "many"}),
}


@pytest.mark.parametrize("change", CONTENTS.values(), ids=CONTENTS)
def test_other_contents_are_refused(copy: Path, change) -> None:
    tensors, metadata = change(load_file(copy / DATA_FILE))
    save_file(tensors, copy / DATA_FILE, metadata)
    write_checksums(copy)
    with pytest.raises(HubError, match="should hold images, labels and three splits"):
        load_dataset("digits")
