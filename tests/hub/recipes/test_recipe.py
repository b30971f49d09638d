"""Recipes: what they say is read, and what makes no sense is refused before any work starts."""

from pathlib import Path

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.hub.recipes import Recipe, TrainingSettings, read_recipe
from netgraph.zoo import MLP


def test_a_recipe_is_read(network_recipe: Path) -> None:
    recipe = read_recipe(network_recipe)
    assert (recipe.kind, recipe.name, recipe.dataset, recipe.seed) == ("network", "tiny", "digits", 3)
    assert recipe.text == network_recipe.read_text()
    assert recipe.settings("training", TrainingSettings) == TrainingSettings(epochs=3, shift=0)
    card = recipe.card({"accuracy": "90 %"})
    assert (card.name, card.summary, card.datasets) == ("tiny", "Tiny.", ("digits",))


def test_networks_are_built_from_their_seed(network_recipe: Path) -> None:
    recipe = read_recipe(network_recipe)
    state = torch.get_rng_state()
    first, again, other = (recipe.build("MLP", {"sizes": (4, 3, 2)}, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(first, MLP)
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c)


CHANGES = {
    "no kind": ('kind = "network"', "", "expected kind 'network' or 'metanetwork', got None"),
    "odd kind": ('"network"', '"tree"', "got 'tree'"),
    "no name": ('name = "tiny"', "", "expected 'name' to be a text, got None"),
    "a number for a name": ('"tiny"', "3", "expected 'name' to be a text, got 3"),
    "no command": ('command = "netgraph train recipe.toml"', "", "'command'"),
    "no dataset": ('dataset = "digits"', 'dataset = ""', "'dataset'"),
    "a text for a seed": ("seed = 3", 'seed = "x"', "'seed' to be a whole number"),
    "unknown key": ("seed = 3", "seeds = 3", r"got \['seeds'\]; remove them"),
    "unknown table": ("[training]", "[traning]", r"got \['traning'\]"),
    "no card": ("[card]", "[network.card]", r"\['card'\] are missing"),
    "no table": ("[training]\nepochs = 3\nshift = 0\n", "training = 3", "expected|'training' to be a table"),
    "no TOML": ("[card]", "[card", "expected TOML"),
}


@pytest.mark.parametrize(("old", "new", "message"), CHANGES.values(), ids=CHANGES)
def test_bad_recipes_are_refused(network_recipe: Path, old: str, new: str, message: str) -> None:
    text = network_recipe.read_text()
    assert old in text
    network_recipe.write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=rf"^recipe 'recipe.toml': .*({message})") as caught:
        read_recipe(network_recipe)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("absent.toml", ".", "bytes.toml"):
        with pytest.raises(UsageError, match=r"^recipe .*: cannot read"):
            read_recipe(tmp_path / name)


@pytest.fixture
def recipe(network_recipe: Path) -> Recipe:
    return read_recipe(network_recipe)


@pytest.mark.parametrize(
    ("architecture", "arguments", "message"),
    [
        ("os.system", {}, "expected an architecture of netgraph.zoo"),
        ("__name__", {}, "expected an architecture of netgraph.zoo"),
        ("MLP", {"width": 3}, "MLP does not take"),
        ("MLP", {"sizes": (1,)}, "MLP does not take"),
    ],
)
def test_only_the_zoo_is_built(recipe: Recipe, architecture: str, arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipe.build(architecture, arguments, 0)


def test_settings_name_their_table(network_recipe: Path) -> None:
    text = network_recipe.read_text()
    for old, new in (
        ("epochs = 3", "epoch = 3"),
        ("epochs = 3", "epochs = 0"),
        ("epochs = 3", 'epochs = "x"'),
    ):
        network_recipe.write_text(text.replace(old, new))
        with pytest.raises(UsageError, match=r"table \[training\] makes no sense"):
            read_recipe(network_recipe).settings("training", TrainingSettings)
