"""The rows of the table: how each criterion gets from a trained network to a finetuned smaller one.

All spend the same number of training steps. Criteria that train before the cut (metanetworks after their
rewriting, sparse learning) spend a share of them there, the others all of them after it.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.pruning.data import Data
from benchmarks.pruning.networks import load_metanetwork
from benchmarks.pruning.sparse_learning import sparse_learning
from benchmarks.pruning.training import Trainer
from netgraph.convert import load_into, to_graph
from netgraph.graph import NeuralGraph
from netgraph.pruning import (
    Budget,
    Criterion,
    Rewriter,
    Scores,
    l2,
    prune,
    random_scores,
    refresh_statistics,
    taylor,
)

__all__ = ["ABLATIONS", "CRITERIA", "LATE", "Job", "known", "missing", "run"]

CRITERIA: Final = ("dense", "random", "l2", "taylor", "bn_scale", "fpgm", "group_sl", "group_sl_scaled")
"""Rows that need no metanetwork."""

ABLATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pass": "rewritten, cut by L2, statistics measured anew, no training",
        "rewritten_l2": "rewritten, cut by L2 at once, all of the training after",
        "scores": "the weights as they were, cut where L2 would cut the rewritten ones, all training after",
    }
)
"""What is tried of a metanetwork NAME as the row NAME:ABLATION. The row `l2:late` has its training without
its rewriting: half of the steps, cut by L2, the other half."""

LATE: Final = "l2:late"
_SPARSE: Final = ("group_sl", "group_sl_scaled")
TAYLOR_BATCHES, TAYLOR_IMAGES, STATISTICS_BATCHES = 4, 128, 20


@dataclass(frozen=True, eq=False)
class Job:
    """One cell of the table, before it is done.

    Attributes:
        network: trained; left as it is.
        data: on the CPU, as the network.
        trainer: which trains, and counts.
        criterion: the row.
        speedup: how many times fewer MACs the result has at least.
        seed: of everything random.
        metanetworks: folders by name.
    """

    network: nn.Module
    data: Data
    trainer: Trainer
    criterion: str
    speedup: float
    seed: int
    metanetworks: Mapping[str, str]

    @property
    def example(self) -> Tensor:
        """Two images as the network reads them."""
        return self.data.ready(self.data.train.take(torch.arange(2))[0])


def known(criterion: str, metanetworks: Sequence[str] = ()) -> bool:
    """Whether a row of this name can be made."""
    name, _, ablation = criterion.partition(":")
    if name in metanetworks:
        return not ablation or ablation in ABLATIONS
    return criterion in (*CRITERIA, "l1", LATE)


def missing(criterion: str) -> bool:
    """Whether a row wants a library that is not installed."""
    return criterion in _SPARSE and importlib.util.find_spec("torch_pruning") is None


def run(job: Job) -> nn.Module:
    """The finetuned smaller network, in evaluation mode, on the CPU.

    Raises:
        BudgetError: the criterion cannot reach the budget.
        TrainingError: the finetuning left the finite numbers.
    """
    schedule = job.trainer.schedule
    name, _, ablation = job.criterion.partition(":")
    network = copy.deepcopy(job.network)
    if job.criterion in _SPARSE:
        scaled = job.criterion == "group_sl_scaled"
        network = sparse_learning(network, job.example, job.trainer, job.speedup, scaled=scaled)
    elif name in job.metanetworks:
        metanetwork = load_metanetwork(job.metanetworks[name])
        if ablation == "scores":
            return _cut_and_trained(job, network, lambda graph: l2(metanetwork.rewrite(graph)))
        _rewrite(network, job.example, metanetwork)
        if ablation == "pass":
            network = _cut(job, network, l2)
            refresh_statistics(network, _batches(job))
            return network.eval()
        if not ablation:
            job.trainer.train(network, schedule.steps_before, choose=False)
        return _cut_and_trained(job, network, l2)
    elif job.criterion == LATE:
        job.trainer.train(network, schedule.steps_before, choose=False)
        return _cut_and_trained(job, network, l2)
    elif job.criterion != "dense":
        return _cut_and_trained(job, network, _criterion(job))
    job.trainer.train(network, schedule.steps - job.trainer.spent, choose=True)
    return network


def _cut_and_trained(job: Job, network: nn.Module, criterion: str | Criterion) -> nn.Module:
    """Cut, and train for the steps that are left."""
    smaller = _cut(job, network, criterion)
    job.trainer.train(smaller, job.trainer.schedule.steps - job.trainer.spent, choose=True)
    return smaller


def _cut(job: Job, network: nn.Module, criterion: str | Criterion) -> nn.Module:
    return prune(network, job.example, budget=Budget(speedup=job.speedup), criterion=criterion).module


def _rewrite(network: nn.Module, example: Tensor, metanetwork: Rewriter) -> None:
    load_into(network, metanetwork.rewrite(to_graph(network, example)))


def _criterion(job: Job) -> str | Criterion:
    if job.criterion == "random":
        return random_scores(job.seed)
    return _mean_taylor(job) if job.criterion == "taylor" else job.criterion


def _mean_taylor(job: Job) -> Criterion:
    """`taylor`, the mean of several batches of training images, which depend on the seed."""
    order = torch.randperm(len(job.data.train), generator=torch.Generator().manual_seed(job.seed))
    batches = order[: TAYLOR_BATCHES * TAYLOR_IMAGES].split(TAYLOR_IMAGES)

    def scores(graph: NeuralGraph) -> Scores:
        found = [taylor(graph, _loss(job.data, index)) for index in batches]
        return {name: torch.stack([s[name] for s in found]).mean(0) for name in found[0]}

    return scores


def _loss(data: Data, index: Tensor) -> Callable[[nn.Module], Tensor]:
    images, labels = data.train.take(index)
    return lambda module: functional.cross_entropy(module(data.ready(images)), labels)


def _batches(job: Job) -> list[Tensor]:
    """Training images for running statistics, as the network reads them."""
    size = job.trainer.schedule.batch
    order = torch.randperm(len(job.data.train), generator=torch.Generator().manual_seed(job.seed))
    chosen = order[: STATISTICS_BATCHES * size].split(size)
    return [job.data.ready(job.data.train.take(index)[0]) for index in chosen]
