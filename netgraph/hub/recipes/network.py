"""Makes a shipped network from its recipe."""

from __future__ import annotations

from pathlib import Path

from netgraph.convert import to_graph
from netgraph.errors import UsageError
from netgraph.graph import macs
from netgraph.hub.dataset import load_dataset
from netgraph.hub.recipes.classifier import TrainingSettings, accuracy, train_classifier
from netgraph.hub.recipes.recipe import Recipe
from netgraph.hub.save import save_model
from netgraph.pruning import Progress

__all__ = ["make_network"]


def make_network(recipe: Recipe, output: Path, *, progress: Progress | None = None) -> dict[str, float]:
    """Train the network of a recipe, write its folder, and return its figures.

    The epoch is chosen on the validation split; the test split is read once, after that.

    Raises:
        UsageError: the recipe makes no sense.
        HubError: its dataset is unknown, or the folder cannot be written.
    """
    if recipe.kind != "network":
        raise UsageError(
            f"recipe {recipe.name!r}: expected kind 'network', got {recipe.kind!r}; use meta-train"
        )
    settings = recipe.settings("training", TrainingSettings)
    recipe.card({})  # a card that makes no sense is to be told before the long work
    data = load_dataset(recipe.dataset)
    network = recipe.tables["network"]
    module = recipe.build(str(network.get("architecture")), network.get("arguments", {}), recipe.seed)
    log = train_classifier(module, data, settings, progress=progress)
    graph = to_graph(module, data.train.images[:2])
    figures = {
        "validation_accuracy": accuracy(module, data.validation),
        "test_accuracy": accuracy(module, data.test),
        "best_epoch": log.best_epoch,
        "parameters": graph.num_parameters,
        "macs": macs(graph),
    }
    rows = {
        "test accuracy": f"{figures['test_accuracy']:.2%} of {len(data.test)} images",
        "validation accuracy": f"{figures['validation_accuracy']:.2%} of {len(data.validation)} images",
        "epoch kept": f"{log.best_epoch} of {settings.epochs}",
        "parameters": f"{graph.num_parameters:,}",
        "MACs of one image": f"{macs(graph):,}",
    }
    save_model(graph, output, card=recipe.card(rows), recipe=recipe.text)
    return figures
