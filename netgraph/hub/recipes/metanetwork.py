"""Makes a shipped metanetwork from its recipe: trains the networks that it learns from, then itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netgraph.convert import to_graph
from netgraph.errors import TrainingError, UsageError
from netgraph.graph import NeuralGraph, load_graph, save_graph
from netgraph.hub.dataset import Dataset, load_dataset
from netgraph.hub.recipes.classifier import TrainingSettings, accuracy, train_classifier
from netgraph.hub.recipes.recipe import Recipe
from netgraph.hub.save import save_model
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.pruning import (
    Budget,
    MetaTrainConfig,
    Progress,
    Validation,
    meta_train,
    prune,
    refresh_statistics,
    shuffled_batches,
)

__all__ = ["DataModels", "make_metanetwork"]


@dataclass(frozen=True)
class DataModels:
    """The networks that a metanetwork learns from, and those that choose its best epoch.

    Attributes:
        architecture: of `netgraph.zoo`.
        train, validation: one table per network: a `seed`, and the architecture's arguments.
        training: settings of `train_classifier`.
        speedup: each network is pruned by so much (`l2`) after its training, as in the paper; 1 for not.
        finetuning: settings of the training after that.
    """

    architecture: str
    train: Sequence[Mapping[str, Any]]
    validation: Sequence[Mapping[str, Any]]
    training: Mapping[str, Any]
    speedup: float = 1.0
    finetuning: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Validation:
    """How a metanetwork is scored: networks are cut to a share of their MACs, healed a little, and tested."""

    macs: float = 0.5
    finetuning: Mapping[str, Any] = field(default_factory=dict)


def make_metanetwork(
    recipe: Recipe, output: Path, work: Path, *, resume: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Train the metanetwork of a recipe, write its folder, and return its figures.

    Networks that are trained already, and the checkpoint, lie in `work`: what was interrupted goes on there.

    Raises:
        UsageError: the recipe makes no sense.
        TrainingError: `work` holds a checkpoint and `resume` was not asked for, or the other way round; or
            the training fails.
        HubError: the dataset is unknown, or the folder cannot be written.
    """
    if recipe.kind != "metanetwork":
        raise UsageError(
            f"recipe {recipe.name!r}: expected kind 'metanetwork', got {recipe.kind!r}; use train"
        )
    checkpoint = work / "checkpoint.safetensors"
    if checkpoint.exists() and not resume:
        raise TrainingError(
            f"meta-train: expected no earlier run in {str(work)!r}, found one; "
            "pass --resume to go on, or delete it"
        )
    if resume and not work.is_dir():
        raise TrainingError(
            f"meta-train: expected a run to resume in {str(work)!r}, found none; leave --resume out"
        )
    models = recipe.settings("data_models", DataModels)
    config = recipe.settings("metanetwork", MetanetworkConfig)
    training = recipe.settings("meta_training", MetaTrainConfig, without=("batch_size",))
    measure = recipe.settings("validation", _Validation)
    recipe.card({})
    data = load_dataset(recipe.dataset)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"meta-train: cannot make {str(work)!r} ({error.strerror}); choose another"
        ) from None

    zoo = [
        _data_model(recipe, models, entry, data, work, _prefixed(progress, f"network {i + 1}"))
        for i, entry in enumerate([*models.train, *models.validation])
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        metanetwork = Metanetwork(config)
    size = int(recipe.tables.get("meta_training", {}).get("batch_size", 128))
    result = meta_train(
        metanetwork,
        zoo[: len(models.train)],
        shuffled_batches(data.train.images, data.train.labels, size, seed=recipe.seed),
        validation=_validation(recipe, measure, zoo[len(models.train) :], data),
        config=training,
        checkpoint=checkpoint,
        progress=progress,
    )
    figures = result.to_dict()
    best = figures["history"][result.best_epoch - 1]["score"]
    rows = {
        f"accuracy of held-out networks at {measure.macs:.0%} of their MACs, rewritten before": _share(best),
        "the same without rewriting": _share(result.baseline),
        "epoch kept": f"{result.best_epoch} of {training.epochs}",
        "parameters": f"{sum(p.numel() for p in metanetwork.parameters()):,}",
    }
    save_model(metanetwork, output, card=recipe.card(rows), recipe=recipe.text)
    return figures


def _data_model(
    recipe: Recipe,
    models: DataModels,
    entry: Mapping[str, Any],
    data: Dataset,
    work: Path,
    progress: Progress | None,
) -> NeuralGraph:
    """Trained, pruned a little and healed; read from disk where an equal one was made before."""
    key = json.dumps(
        [recipe.dataset, models.architecture, dict(entry), asdict(models)["training"], models.speedup]
    )
    key += json.dumps(dict(models.finetuning))
    path = work / f"network-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    if path.is_file():
        return load_graph(path)
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items() if k != "seed"}
    seed = int(entry.get("seed", 0))
    module = recipe.build(models.architecture, arguments, seed)
    train_classifier(module, data, _training(recipe, models.training, seed), progress=progress)
    inputs = data.train.images[:2]
    if models.speedup > 1:

        def heal(pruned: nn.Module) -> None:
            train_classifier(pruned, data, _training(recipe, models.finetuning, seed), progress=progress)

        finetune = heal if models.finetuning else None
        module = prune(module, inputs, budget=Budget(speedup=models.speedup), finetune=finetune).module
    save_graph(to_graph(module, inputs), path)
    return load_graph(path)  # as a resumed run gets it: the same order of tensors


def _validation(
    recipe: Recipe, measure: _Validation, models: list[NeuralGraph], data: Dataset
) -> Validation | None:
    if not models:
        return None

    def heal(module: nn.Module) -> None:
        if measure.finetuning:
            train_classifier(module, data, _training(recipe, measure.finetuning, recipe.seed))
        else:
            # The cut network still holds the running statistics of the whole one.
            refresh_statistics(module, [images for images, _ in data.train.batches(128)] * 4)

    return Validation(models, lambda m: accuracy(m, data.validation), Budget(macs=measure.macs), heal)


def _training(recipe: Recipe, given: Mapping[str, Any], seed: int) -> TrainingSettings:
    try:
        return TrainingSettings(**{"seed": seed, **given})
    except (TypeError, UsageError) as error:
        raise UsageError(
            f"recipe {recipe.name!r}: settings of a training make no sense ({error}); correct them"
        ) from None


def _prefixed(progress: Progress | None, prefix: str) -> Progress | None:
    if progress is None:
        return None
    return lambda stage, done, total: progress(f"{prefix}: {stage}", done, total)


def _share(score: float | None) -> str:
    return "not measured" if score is None else f"{score:.2%}"
