"""Training learns, repeats itself, keeps the best epoch by validation, and never sees the test split."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from netgraph.errors import TrainingError, UsageError
from netgraph.hub import Dataset, Split, load_dataset
from netgraph.hub.recipes import TrainingSettings, accuracy, train_classifier
from netgraph.hub.recipes.classifier import _rate, shifted
from netgraph.zoo import MLP, DigitsResNet


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return MLP((64, 16, 10), norm=True)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def test_it_learns(digits: Dataset) -> None:
    module = DigitsResNet(width=4, blocks=(1, 1))
    before = accuracy(module, digits.validation)
    log = train_classifier(module, digits, TrainingSettings(epochs=6))
    assert before < 0.3 < 0.6 < max(log.validation_accuracy)
    assert not module.training


def test_the_same_seed_gives_the_same_weights(digits: Dataset) -> None:
    first, second, other = mlp(), mlp(), mlp()
    settings = TrainingSettings(epochs=2)
    torch.manual_seed(1)
    log = train_classifier(first, digits, settings)
    torch.manual_seed(2)
    assert train_classifier(second, digits, settings) == log
    train_classifier(other, digits, replace(settings, seed=1))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
        assert name.endswith("num_batches_tracked") or not torch.equal(tensor, other.state_dict()[name])


def test_the_best_epoch_is_kept(digits: Dataset) -> None:
    """A learning rate that ruins the network late: what remains is the early epoch."""
    module = mlp()
    log = train_classifier(module, digits, TrainingSettings(epochs=6, learning_rate=0.5, shift=0))
    assert accuracy(module, digits.validation) == max(log.validation_accuracy)
    best = log.validation_accuracy[log.best_epoch - 1]
    tied = [v for a, v in zip(log.validation_accuracy, log.validation_loss, strict=True) if a == best]
    assert best == max(log.validation_accuracy)
    assert log.validation_loss[log.best_epoch - 1] == min(tied)


def test_the_test_split_is_never_read(digits: Dataset) -> None:
    class Trap(Split):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"the test split was asked for {name}")

    trap = Trap.__new__(Trap)
    train_classifier(mlp(), replace(digits, test=trap), TrainingSettings(epochs=1))


def test_progress_is_told_after_each_epoch(digits: Dataset) -> None:
    told: list[tuple[int, int]] = []
    train_classifier(
        mlp(),
        digits,
        TrainingSettings(epochs=3),
        progress=lambda stage, done, total: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_loss_that_explodes_is_told(digits: Dataset) -> None:
    with pytest.raises(
        TrainingError, match=r"^train_classifier: expected a finite loss, got .*lower the learning"
    ):
        train_classifier(MLP((64, 16, 10)), digits, TrainingSettings(epochs=3, learning_rate=1e12, warmup=0))


@pytest.mark.parametrize(
    "bad",
    [{"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"shift": -1}],
    ids=lambda b: next(iter(b)),
)
def test_settings_that_make_no_sense(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"^TrainingSettings: expected"):
        TrainingSettings(**{"epochs": 1, **bad})


def test_accuracy_counts(digits: Dataset) -> None:
    split = digits.test
    module = mlp().train()
    module.eval()
    with torch.no_grad():
        right = sum(
            int(module(split.images[i : i + 1]).argmax()) == int(split.labels[i]) for i in range(len(split))
        )
    module.train()
    assert accuracy(module, split) == right / len(split)
    assert module.training


def test_shifts_against_a_slow_oracle() -> None:
    images = torch.rand(40, 2, 8, 8)
    moved = shifted(images, 2, torch.Generator().manual_seed(0))
    padded = functional.pad(images, (2, 2, 2, 2))
    places = set()
    for image, source in zip(moved, padded, strict=True):
        found = [
            (i, j) for i in range(5) for j in range(5) if torch.equal(source[:, i : i + 8, j : j + 8], image)
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 10
    assert shifted(images, 0, torch.Generator()) is images


def test_the_rate_rises_and_falls() -> None:
    settings = TrainingSettings(epochs=10, learning_rate=0.1, warmup=1.0)
    rates = [_rate(step / 10, settings) for step in range(101)]
    assert max(rates) == pytest.approx(0.1) and rates.index(max(rates)) == 10
    assert 0 < rates[0] < 0.02 and rates[-1] < 1e-9
    assert all(a > b for a, b in pairwise(rates[10:]))
