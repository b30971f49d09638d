"""Recipes of several architectures and datasets, and those that come with the library."""

from pathlib import Path

import pytest
import torch

from netgraph.errors import TrainingError, UsageError
from netgraph.hub import Dataset, Split, load_dataset, load_model, verify_checksums
from netgraph.hub.recipes import make_metanetwork, read_recipe, recipe_names
from netgraph.hub.recipes.data_models import DataModels, training_settings
from netgraph.nn import MetanetworkConfig
from netgraph.nn.factorised import FactorisedConfig, FactorisedMetanetwork
from netgraph.pruning import Budget, MetaPruner, MetaTrainConfig, prune
from netgraph.resources import model_dir
from netgraph.zoo import MLP
from tests.hub.recipes.conftest import CARD

SEVERAL = (
    """
kind = "metanetwork"
name = "several"
command = "netgraph meta-train recipe.toml"
dataset = "digits"

[metanetwork]
kind = "factorised"
hidden = 4
layers = 1
heads = ["rewrite", "scores"]

[[data_models]]
architecture = "MLP"
train = [{ sizes = [64, 8, 10], seed = 1 }]
training = { epochs = 1 }

[[data_models]]
architecture = "PlainCNN"
dataset = "stripes"
train = [{ width = 2, depth = 2, classes = 2, seed = 2 }]
validation = [{ width = 3, depth = 2, classes = 2, seed = 3 }]
training = { epochs = 1, optimizer = "adamw", learning_rate = 0.01, flip = true }

[[data_models]]
architecture = "MLP"
validation = [{ sizes = [64, 10, 10], norm = true, seed = 4 }]
training = { epochs = 1 }

[meta_training]
epochs = 2
batch_size = 256
repeat = 2
checkpoint_every = 1
targets = [0.3, 0.5]
"""
    + CARD
)


def stripes() -> Dataset:
    """Upright and level ones."""
    line = torch.arange(8.0).remainder(2).expand(8, 8)
    labels = torch.arange(512) % 2
    images = torch.stack([line, line.T])[labels][:, None]
    split = Split(images, labels)
    return Dataset("stripes", 2, split, split, split)


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def load(name: str, *, root: Path | None = None) -> Dataset:
        return stripes() if name == "stripes" else load_dataset(name, root=root)

    monkeypatch.setattr("netgraph.hub.recipes.metanetwork.load_dataset", load)
    path = tmp_path / "several" / "recipe.toml"
    path.parent.mkdir()
    path.write_text(SEVERAL)
    return path


def test_several_architectures_and_datasets_make_one_metanetwork(several: Path, tmp_path: Path) -> None:
    recipe = read_recipe(several)
    assert recipe.datasets == ("digits", "stripes")
    told: set[str] = set()
    figures = make_metanetwork(
        recipe, several.parent, tmp_path / "work", progress=lambda stage, done, total: told.add(stage)
    )
    assert sum("network 4 of 4" in stage for stage in told) == 1
    assert len(list((tmp_path / "work").glob("network-*.safetensors"))) == 4
    assert [r["epoch"] for r in figures["history"]] == [1, 2]
    assert all(r["decision"] > 0 and r["task_loss"] > 0 for r in figures["history"])
    verify_checksums(several.parent, needed=["model.safetensors", "config.json", "README.md", "recipe.toml"])
    card = (several.parent / "README.md").read_text()
    assert "stripes" in card and "digits" in card
    model = load_model(several.parent)
    assert isinstance(model, FactorisedMetanetwork) and model.config.heads == ("rewrite", "scores")
    net = MLP((64, 12, 10))
    result = prune(net, torch.zeros(2, 64), budget=Budget(macs=0.5), criterion=MetaPruner(model))
    assert result.report.macs_after <= 0.5 * result.report.macs_before


@pytest.mark.parametrize("stop_after", [2, 6, 10, 14])
def test_stopped_and_resumed_it_ends_with_the_same_weights(
    several: Path, tmp_path: Path, stop_after: int
) -> None:
    recipe = read_recipe(several)
    whole = make_metanetwork(recipe, tmp_path / "whole", tmp_path / "a")
    calls: list[str] = []

    def stop(stage: str, done: int, total: int) -> None:
        calls.append(stage)
        if len(calls) == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_metanetwork(recipe, tmp_path / "resumed", tmp_path / "b", progress=stop)
    assert make_metanetwork(recipe, tmp_path / "resumed", tmp_path / "b", resume=True) == whole
    expected, found = (load_model(tmp_path / name).state_dict() for name in ("whole", "resumed"))
    assert all(torch.equal(t, found[n]) for n, t in expected.items())


CHANGES = {
    "kind": ('kind = "factorised"', 'kind = "other"', "expected the kind of .* 'paper' or 'factorised'"),
    "a setting of the other kind": ('kind = "factorised"', 'kind = "paper"', r"table \[metanetwork\]"),
    "heads": ('heads = ["rewrite", "scores"]', 'heads = ["tail"]', r"table \[metanetwork\]"),
    "device": ('dataset = "digits"', 'dataset = "digits"\ndevice = "tpu"', "'device' to be one of"),
    "targets": ("targets = [0.3, 0.5]", "targets = [0.5, 0.3]", r"table \[meta_training\]"),
    "repeat": ("repeat = 2", "repeat = 0", r"table \[meta_training\]"),
    "optimizer": ('optimizer = "adamw"', 'optimizer = "lion"', "settings of a training make no sense"),
    "no table": ("[[data_models]]", "[[meta_models]]", "recipe"),
}


@pytest.mark.parametrize(("old", "new", "message"), CHANGES.values(), ids=CHANGES)
def test_bad_input_is_refused(several: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = several.read_text()
    assert old in text
    several.write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=rf"^recipe .*({message})"):
        make_metanetwork(read_recipe(several), tmp_path / "out", tmp_path / "work")
    assert not (tmp_path / "out").exists()


def test_someone_must_learn(several: Path, tmp_path: Path) -> None:
    lines = [line for line in several.read_text().splitlines() if not line.startswith("train = ")]
    several.write_text("\n".join(lines))
    with pytest.raises(UsageError, match=r"^recipe 'several': expected networks to train on"):
        make_metanetwork(read_recipe(several), tmp_path / "out", tmp_path / "work")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_told_before_the_work(several: Path, tmp_path: Path) -> None:
    several.write_text(several.read_text().replace("[metanetwork]", 'device = "cuda"\n[metanetwork]'))
    with pytest.raises(UsageError, match="expected a GPU, torch finds none"):
        make_metanetwork(read_recipe(several), tmp_path / "out", tmp_path / "work")


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_that_come_with_the_library_make_sense(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.command.startswith(f"netgraph meta-train {name}")
    kind = recipe.tables["metanetwork"]["kind"]
    assert kind == "factorised"
    config = recipe.settings("metanetwork", FactorisedConfig, without=("kind",))
    assert config.heads == ("rewrite", "scores")
    recipe.settings("meta_training", MetaTrainConfig, without=("batch_size", "repeat", "shift", "flip"))
    recipe.card({})
    seeds: list[int] = []
    for table in recipe.several("data_models", DataModels):
        training_settings(recipe, table.training, 0)
        if table.speedup > 1:
            training_settings(recipe, table.finetuning, 0)
        for entry in (*table.train, *table.validation):
            arguments = {k: v for k, v in entry.items() if k != "seed"}
            recipe.build(table.architecture, arguments, entry["seed"])
            seeds.append(entry["seed"])
    assert len(set(seeds)) == len(seeds)


def test_the_tiny_recipe_holds_out_families_and_depths() -> None:
    tables = read_recipe("tiny").several("data_models", DataModels)
    trained = {t.architecture for t in tables if t.train}
    held_out = {t.architecture for t in tables if t.validation}
    assert trained >= {"DigitsResNet", "VGG", "PlainCNN", "MobileNet", "ViT"}
    assert held_out - trained == {"MLP"}
    for table in tables:
        trained_depths = [(entry.get("blocks"), entry.get("depth")) for entry in table.train]
        for entry in table.validation:
            assert (entry.get("blocks"), entry.get("depth")) not in trained_depths


def test_a_file_of_the_same_name_comes_first(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(several.parent)
    (several.parent / "tiny").write_text(SEVERAL)
    assert read_recipe("tiny").name == "several"


def test_the_shipped_metanetworks_recipe_is_read_as_it_is() -> None:
    folder = model_dir("digits-metanetwork")
    assert folder is not None
    recipe = read_recipe(folder / "recipe.toml")
    assert recipe.settings("metanetwork", MetanetworkConfig, without=("kind",)).hidden == 16
    (table,) = recipe.several("data_models", DataModels)
    assert (len(table.train), len(table.validation)) == (8, 2)


def test_resuming_by_name_finds_nothing(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="leave --resume out"):
        make_metanetwork(read_recipe("tiny"), tmp_path / "out", tmp_path / "absent", resume=True)
