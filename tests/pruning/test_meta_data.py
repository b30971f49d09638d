import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from netgraph.errors import UsageError
from netgraph.pruning import DataModel, MetaTrainConfig, shuffled_batches
from netgraph.pruning.meta_data import data_models, streams, target_of, turns
from tests.pruning.nets import make_graph

GRAPH = make_graph("mlp")


def stream(first: int, count: int, size: int = 1):  # type: ignore[no-untyped-def]
    data = torch.arange(first, first + count)
    return shuffled_batches(data, data, size)


def taken(models: list[DataModel], config: MetaTrainConfig, epoch: int = 0) -> list[tuple[int, list[int]]]:
    return [(i, [int(x) for x, _ in group]) for i, group in turns(models, config, epoch)]


def test_graphs_share_batches_and_others_bring_their_own() -> None:
    common, own = stream(0, 4), stream(10, 4)

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return a.sum()

    models = data_models([GRAPH, DataModel(GRAPH, own), GRAPH], common, loss)
    assert [m.batches for m in models] == [common, own, common]
    assert [m.loss for m in models] == [loss, F.cross_entropy, loss]
    assert streams(models) == ([common, own], [0, 1, 0])


def test_every_batch_of_every_stream_is_used_once_an_epoch() -> None:
    common, own = stream(0, 7), stream(100, 3)
    models = [DataModel(GRAPH, common), DataModel(GRAPH, own), DataModel(GRAPH, common)]
    for epoch in range(3):
        found = taken(models, MetaTrainConfig(batches_per_step=2), epoch)
        assert sorted(x for _, group in found for x in group) == [*range(7), 100, 101, 102]
        assert all((min(group) >= 100) == (i == 1) for i, group in found)
        assert {i for i, _ in found[:3]} == {0, 1, 2}
        assert [len(group) for i, group in found if i == 1] == [2, 1]


def test_the_full_batch_goes_to_every_model_once() -> None:
    models = [DataModel(GRAPH, stream(0, 5)), DataModel(GRAPH, stream(10, 2))]
    found = taken(models, MetaTrainConfig(full_batch=True))
    assert sorted((i, sorted(group)) for i, group in found) == [(0, [0, 1, 2, 3, 4]), (1, [10, 11])]


def test_the_same_epoch_is_the_same_again_and_another_is_not() -> None:
    models = [DataModel(GRAPH, stream(0, 9)), DataModel(GRAPH, stream(20, 9))]
    config = MetaTrainConfig()
    assert taken(models, config, 1) == taken(models, config, 1) != taken(models, config, 2)


def test_an_empty_stream_has_no_turns() -> None:
    models = [DataModel(GRAPH, lambda epoch: iter(())), DataModel(GRAPH, stream(0, 2))]
    assert [i for i, _ in taken(models, MetaTrainConfig())] == [1, 1]
    assert [i for i, _ in taken(models, MetaTrainConfig(full_batch=True))] == [1]


def test_targets_are_drawn_between_their_bounds() -> None:
    config = MetaTrainConfig(targets=(0.3, 0.6))
    drawn = [target_of(config, epoch, step) for epoch in range(10) for step in range(20)]
    assert 0.3 <= min(drawn) < 0.33 and 0.57 < max(drawn) <= 0.6
    assert len(set(drawn)) == 200 and drawn[0] == target_of(config, 0, 0)


def test_refuses() -> None:
    with pytest.raises(UsageError, match="expected at least one data model"):
        data_models([], None, F.cross_entropy)
    with pytest.raises(UsageError, match="expected batches for data models that are plain graphs"):
        data_models([GRAPH], None, F.cross_entropy)
