"""A network from its recipe: the whole folder, the same bytes again, figures that hold."""

from pathlib import Path

import pytest

from netgraph.errors import HubError, UsageError
from netgraph.hub import load_dataset, load_model, load_model_graph, verify_checksums
from netgraph.hub.recipes import accuracy, make_network, read_recipe


def test_a_recipe_makes_a_model(network_recipe: Path) -> None:
    folder = network_recipe.parent
    figures = make_network(read_recipe(network_recipe), folder)
    verify_checksums(folder, needed=["model.safetensors", "config.json", "README.md", "recipe.toml"])
    module, data = load_model(folder), load_dataset("digits")
    assert figures["test_accuracy"] == accuracy(module, data.test)
    assert figures["validation_accuracy"] == accuracy(module, data.validation) > 0.7
    assert figures["parameters"] == load_model_graph(folder).num_parameters == 64 * 16 + 16 + 160 + 10
    card = (folder / "README.md").read_text()
    assert f"{figures['test_accuracy']:.2%} of 359 images" in card


def test_the_same_recipe_makes_the_same_model(network_recipe: Path, tmp_path: Path) -> None:
    recipe = read_recipe(network_recipe)
    first, second = make_network(recipe, tmp_path / "a"), make_network(recipe, tmp_path / "b")
    assert first == second
    sums = [(tmp_path / name / "SHA256SUMS").read_text() for name in "ab"]
    assert sums[0] == sums[1]


CHANGES = {
    "architecture": ('"MLP"', '"Absent"', UsageError),
    "arguments": ("sizes", "size", UsageError),
    "training": ("epochs = 3", "epochs = -3", UsageError),
    "dataset": ('"digits"', '"absent"', HubError),
    "card": ('limits = "All."', "", UsageError),
    "empty card": ('"All."', '""', UsageError),
}


@pytest.mark.parametrize(("old", "new", "error"), CHANGES.values(), ids=CHANGES)
def test_nothing_is_written_on_bad_input(network_recipe: Path, tmp_path: Path, old, new, error) -> None:
    network_recipe.write_text(network_recipe.read_text().replace(old, new))
    with pytest.raises(error):
        make_network(read_recipe(network_recipe), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_metanetwork_recipe_is_refused(metanetwork_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use meta-train"):
        make_network(read_recipe(metanetwork_recipe), tmp_path / "out")
