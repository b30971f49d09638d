"""Makes a metanetwork from its recipe: trains the networks that it learns from, then itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from netgraph.errors import TrainingError, UsageError
from netgraph.graph import NeuralGraph
from netgraph.hub.dataset import load_dataset
from netgraph.hub.recipes.classifier import accuracy, train_classifier
from netgraph.hub.recipes.data_models import DataModels, make_data_model, training_settings
from netgraph.hub.recipes.recipe import Recipe
from netgraph.hub.recipes.stream import Feed, feed
from netgraph.hub.save import save_model
from netgraph.hub.split import Dataset
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.nn.factorised import FactorisedConfig, FactorisedMetanetwork
from netgraph.pruning import (
    Batches,
    Budget,
    DataModel,
    MetaTrainConfig,
    Progress,
    Validation,
    meta_train,
    refresh_statistics,
)

__all__ = ["DataModels", "make_metanetwork"]

_FEED: Final = ("batch_size", "repeat", "shift", "flip")
_DEVICES: Final = ("cpu", "cuda")


@dataclass(frozen=True)
class _Validation:
    """How a metanetwork is scored: networks are cut to a share of their MACs, healed a little, and tested."""

    macs: float = 0.5
    finetuning: Mapping[str, Any] = field(default_factory=dict)


def make_metanetwork(
    recipe: Recipe,
    output: Path,
    work: Path,
    *,
    resume: bool = False,
    data: Path | None = None,
    tensorboard: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train the metanetwork of a recipe, write its folder, and return its figures.

    Networks that are trained already, and the checkpoint, lie in `work`: what was interrupted goes on there.

    Args:
        recipe: read by `read_recipe`.
        output: folder of the model.
        work: folder of what is not finished.
        resume: go on from what is there.
        data: folder of datasets that are not shipped (`load_dataset`).
        tensorboard: folder for the course of the training.
        progress: told about every stage.

    Raises:
        UsageError: the recipe makes no sense.
        TrainingError: `work` holds a checkpoint and `resume` was not asked for, or the other way round; or
            the training fails.
        HubError: a dataset is unknown, or the folder cannot be written.
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
    tables = recipe.several("data_models", DataModels)
    metanetwork = _metanetwork(recipe)
    config = recipe.settings("meta_training", MetaTrainConfig, without=_FEED)
    others = tuple(set(recipe.tables.get("meta_training", {})) - set(_FEED))
    feeding = replace(recipe.settings("meta_training", Feed, without=others), seed=recipe.seed)
    measure = recipe.settings("validation", _Validation)
    device = _device(recipe)
    recipe.card({})
    if not any(table.train for table in tables):
        raise UsageError(
            f"recipe {recipe.name!r}: expected networks to train on in a table of data_models, got none; "
            "add train = [{...}]"
        )
    datasets = {name: load_dataset(name, root=data).to(device) for name in _datasets(recipe, tables)}
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"meta-train: cannot make {str(work)!r} ({error.strerror}); choose another"
        ) from None

    batches = {name: feed(found.train, feeding) for name, found in datasets.items()}
    learners, held_out = _zoo(recipe, tables, datasets, batches, work, device, progress)
    result = meta_train(
        metanetwork.to(device),
        learners,
        validation=[_validation(recipe, measure, held_out[n], datasets[n]) for n in held_out],
        config=config,
        checkpoint=checkpoint,
        tensorboard=tensorboard,
        progress=progress,
    )
    figures = result.to_dict()
    best = figures["history"][result.best_epoch - 1]["score"]
    rows = {
        f"accuracy of held-out networks at {measure.macs:.0%} of their MACs, prepared by it": _share(best),
        "the same by group norm alone": _share(result.baseline),
        "epoch kept": f"{result.best_epoch} of {config.epochs}",
        "parameters": f"{sum(p.numel() for p in metanetwork.parameters()):,}",
    }
    save_model(metanetwork.cpu(), output, card=recipe.card(rows), recipe=recipe.text)
    return figures


def _metanetwork(recipe: Recipe) -> Metanetwork | FactorisedMetanetwork:
    """With the initial weights of the recipe's seed."""
    kind = recipe.tables["metanetwork"].get("kind", "paper")
    if kind not in ("paper", "factorised"):
        raise UsageError(
            f"recipe {recipe.name!r}: expected the kind of [metanetwork] to be 'paper' or 'factorised', got "
            f"{kind!r}; choose one"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if kind == "paper":
            return Metanetwork(recipe.settings("metanetwork", MetanetworkConfig, without=("kind",)))
        return FactorisedMetanetwork(recipe.settings("metanetwork", FactorisedConfig, without=("kind",)))


def _device(recipe: Recipe) -> torch.device:
    name = recipe.tables.get("device", "cpu")
    if name not in _DEVICES:
        raise UsageError(
            f"recipe {recipe.name!r}: expected 'device' to be one of {_DEVICES}, got {name!r}; correct it"
        )
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"recipe {recipe.name!r}: expected a GPU, torch finds none; change device to 'cpu' in a copy"
        )
    return torch.device(name)


def _datasets(recipe: Recipe, tables: Sequence[DataModels]) -> list[str]:
    return list(dict.fromkeys(table.dataset or recipe.dataset for table in tables))


def _zoo(
    recipe: Recipe,
    tables: Sequence[DataModels],
    datasets: Mapping[str, Dataset],
    batches: Mapping[str, Batches],
    work: Path,
    device: torch.device,
    progress: Progress | None,
) -> tuple[list[DataModel], dict[str, list[NeuralGraph]]]:
    """The networks to learn from, and those held out, by dataset."""
    learners: list[DataModel] = []
    held_out: dict[str, list[NeuralGraph]] = {}
    entries = [(table, e, True) for table in tables for e in table.train]
    entries += [(table, e, False) for table in tables for e in table.validation]
    for i, (table, entry, learns) in enumerate(entries):
        name = table.dataset or recipe.dataset
        told = _prefixed(progress, f"network {i + 1} of {len(entries)}")
        graph = make_data_model(recipe, table, entry, datasets[name], work, device=device, progress=told)
        graph = graph.replace({n: t.to(device) for n, t in graph.state.items()})
        if learns:
            learners.append(DataModel(graph, batches[name]))
        else:
            held_out.setdefault(name, []).append(graph)
    return learners, held_out


def _validation(recipe: Recipe, measure: _Validation, models: list[NeuralGraph], data: Dataset) -> Validation:
    def heal(module: nn.Module) -> None:
        if measure.finetuning:
            train_classifier(module, data, training_settings(recipe, measure.finetuning, recipe.seed))
        else:
            # The cut network still holds the running statistics of the whole one.
            batches = [images for images, _ in data.train.batches(128)]
            refresh_statistics(module, (batches * 4)[:36])

    return Validation(models, lambda m: accuracy(m, data.validation), Budget(macs=measure.macs), heal)


def _prefixed(progress: Progress | None, prefix: str) -> Progress | None:
    if progress is None:
        return None
    return lambda stage, done, total: progress(f"{prefix}: {stage}", done, total)


def _share(score: float | None) -> str:
    return "not measured" if score is None else f"{score:.2%}"
