"""The networks that a metanetwork learns from: trained, pruned a little, and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netgraph.convert import to_graph
from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph, load_graph, save_graph
from netgraph.hub.recipes.classifier import TrainingSettings, train_classifier
from netgraph.hub.recipes.recipe import Recipe
from netgraph.hub.split import Dataset
from netgraph.pruning import Budget, Progress, prune

__all__ = ["DataModels", "make_data_model", "training_settings"]


@dataclass(frozen=True)
class DataModels:
    """Networks of one architecture that a metanetwork learns from, and those that choose its best epoch.

    Attributes:
        architecture: of `netgraph.zoo`.
        train, validation: one table per network: a `seed`, and the architecture's arguments.
        training: settings of `train_classifier`.
        speedup: each network is pruned by so much (`l2`) after its training, as in the paper; 1 for not.
        finetuning: settings of the training after that.
        dataset: that they are trained on; None for the recipe's.
    """

    architecture: str
    train: Sequence[Mapping[str, Any]] = ()
    validation: Sequence[Mapping[str, Any]] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    speedup: float = 1.0
    finetuning: Mapping[str, Any] = field(default_factory=dict)
    dataset: str | None = None


def make_data_model(
    recipe: Recipe,
    models: DataModels,
    entry: Mapping[str, Any],
    data: Dataset,
    work: Path,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> NeuralGraph:
    """Trained, pruned a little and healed; read from disk where an equal one was made before.

    Args:
        recipe: for messages.
        models: the table that it stands in.
        entry: its arguments and seed.
        data: on the device.
        work: folder of finished networks.
        device: where it is trained.
        progress: told about every epoch.

    Raises:
        UsageError: architecture, arguments or settings make no sense.
        TrainingError: the training fails.
    """
    key = json.dumps([data.name, models.architecture, dict(entry), dict(models.training), models.speedup])
    key += json.dumps(dict(models.finetuning))
    path = work / f"network-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    if path.is_file():
        return load_graph(path)
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k != "seed"}
    seed = int(entry.get("seed", 0))
    module = recipe.build(models.architecture, arguments, seed)
    inputs = data.train.images[:2].cpu()

    def train(network: nn.Module, given: Mapping[str, Any]) -> None:
        network.to(device)
        train_classifier(network, data, training_settings(recipe, given, seed), progress=progress)
        network.cpu()

    train(module, models.training)
    if models.speedup > 1:

        def heal(pruned: nn.Module) -> None:
            train(pruned, models.finetuning)

        finetune = heal if models.finetuning else None
        module = prune(module, inputs, budget=Budget(speedup=models.speedup), finetune=finetune).module
    save_graph(to_graph(module, inputs), path)
    return load_graph(path)  # as a resumed run gets it: the same order of tensors


def training_settings(recipe: Recipe, given: Mapping[str, Any], seed: int) -> TrainingSettings:
    """Settings from a table of the recipe.

    Raises:
        UsageError: they make no sense.
    """
    try:
        return TrainingSettings(**{"seed": seed, **given})
    except (TypeError, UsageError) as error:
        raise UsageError(
            f"recipe {recipe.name!r}: settings of a training make no sense ({error}); correct them"
        ) from None
