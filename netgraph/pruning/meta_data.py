"""The networks that a metanetwork learns from, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph
from netgraph.pruning.batches import Batches
from netgraph.pruning.meta_config import MetaTrainConfig

__all__ = ["DataModel", "data_models", "streams", "target_of", "turns"]

Batch: TypeAlias = tuple[Tensor, Tensor]


@final
@dataclass(frozen=True, eq=False)
class DataModel:
    """A trained network with the data that it was trained on.

    Attributes:
        graph: the network.
        batches: inputs and targets by the number of the epoch (`shuffled_batches`). Networks that are given
            the same object share it: each batch then goes to one of them.
        loss: `(outputs, targets) -> scalar`.

    >>> from netgraph.convert import to_graph
    >>> from netgraph.pruning import shuffled_batches
    >>> graph = to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    >>> model = DataModel(graph, shuffled_batches(torch.zeros(4, 3), torch.zeros(4), batch_size=2))
    >>> [len(inputs) for inputs, _ in model.batches(0)]
    [2, 2]
    """

    graph: NeuralGraph
    batches: Batches
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy


def data_models(
    given: Sequence[NeuralGraph | DataModel],
    batches: Batches | None,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> list[DataModel]:
    """Every network with its data: plain graphs get the common batches and loss.

    Raises:
        UsageError: no networks, or a plain graph without common batches.
    """
    if not given:
        raise UsageError(
            "meta_train: expected at least one data model, got none; pass graphs of trained networks"
        )
    found = []
    for item in given:
        if isinstance(item, DataModel):
            found.append(item)
        elif batches is None:
            raise UsageError(
                "meta_train: expected batches for data models that are plain graphs, got none; pass batches, "
                "or a DataModel with batches of its own"
            )
        else:
            found.append(DataModel(item, batches, loss))
    return found


def streams(models: Sequence[DataModel]) -> tuple[list[Batches], list[int]]:
    """The different streams of batches, and the number of each model's."""
    different: list[Batches] = []
    for model in models:
        if not any(model.batches is other for other in different):
            different.append(model.batches)
    return different, [next(i for i, b in enumerate(different) if b is m.batches) for m in models]


def turns(
    models: Sequence[DataModel], config: MetaTrainConfig, epoch: int
) -> Iterator[tuple[int, list[Batch]]]:
    """The updates of an epoch: the number of a data model, and the batches that its loss is averaged over.

    Models take turns in rounds, each round in an order of its own. Each takes the next batches of its stream,
    or none if the stream is at its end; the epoch ends with the last stream. With `full_batch` there is one
    round, in which each takes all batches.
    """
    different, owner = streams(models)
    if config.full_batch:
        for chosen in (_turn(len(models), config.seed, epoch, step) for step in range(len(models))):
            if group := list(models[chosen].batches(epoch)):
                yield chosen, group
        return
    waiting = [_grouped(stream(epoch), config.batches_per_step) for stream in different]
    ahead = [next(groups, None) for groups in waiting]
    step = 0
    while any(group is not None for group in ahead):
        chosen = _turn(len(models), config.seed, epoch, step)
        step += 1
        if (following := ahead[owner[chosen]]) is not None:
            yield chosen, following
            ahead[owner[chosen]] = next(waiting[owner[chosen]], None)


def target_of(config: MetaTrainConfig, epoch: int, step: int) -> float:
    """The share of the MACs that the decision of an update is asked for."""
    low, high = config.targets
    seed = (config.seed * 1_000_003 + epoch) * 1_000_003 + step + 500_009
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _turn(models: int, seed: int, epoch: int, step: int) -> int:
    """Which data model an update takes: every round visits each once, in an order of its own."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 1_000_003 + step // models)
    return int(torch.randperm(models, generator=generator)[step % models])
