"""Recipes that take a second."""

from pathlib import Path

import pytest

CARD = """
[card]
summary = "Tiny."
task = "None."
data = "digits."
metric = "Accuracy."
measured = "By the recipe."
limits = "All."
"""

NETWORK = (
    """
kind = "network"
name = "tiny"
command = "netgraph train recipe.toml"
dataset = "digits"
seed = 3

[network]
architecture = "MLP"
arguments = { sizes = [64, 16, 10] }

[training]
epochs = 3
shift = 0
"""
    + CARD
)

METANETWORK = (
    """
kind = "metanetwork"
name = "meta"
command = "netgraph meta-train recipe.toml"
dataset = "digits"

[metanetwork]
hidden = 4
layers = 1

[data_models]
architecture = "MLP"
train = [{ sizes = [64, 8, 10], seed = 1 }, { sizes = [64, 12, 10], seed = 2 }]
validation = [{ sizes = [64, 10, 10], seed = 3 }]
training = { epochs = 2, shift = 0 }
speedup = 1.3
finetuning = { epochs = 1, shift = 0, learning_rate = 0.01 }

[meta_training]
epochs = 2
batch_size = 256
checkpoint_every = 1

[validation]
macs = 0.5
"""
    + CARD
)


@pytest.fixture
def network_recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny" / "recipe.toml"
    path.parent.mkdir()
    path.write_text(NETWORK)
    return path


@pytest.fixture
def metanetwork_recipe(tmp_path: Path) -> Path:
    path = tmp_path / "meta" / "recipe.toml"
    path.parent.mkdir()
    path.write_text(METANETWORK)
    return path
