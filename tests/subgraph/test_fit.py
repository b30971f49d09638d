"""The training loop: best and last weights, patience, resuming, interruption, and what is told."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Batch, Data

from netgraph.errors import TrainingError
from netgraph.subgraph import EpochRecord, SubgraphNet
from netgraph.subgraph.fit import FitSettings, FitState, fit_network, predict_network

SETTINGS = FitSettings(
    epochs=4,
    lr=0.01,
    weight_decay=0.0,
    batch_size=4,
    schedule="constant",
    patience=None,
    mixed_precision=False,
    compile=False,
    seed=3,
)


def network(dropout: float = 0.0) -> SubgraphNet:
    torch.manual_seed(0)
    return SubgraphNet(0, 1, model="SSWL", hidden_channels=8, num_layers=2, dropout=dropout)


def examples(count: int, seed: int = 0) -> list[Data]:
    transform, graphs = network().transform, []
    for index in range(count):
        graph = nx.gnp_random_graph(4 + index % 3, 0.6, seed=seed + index)
        data = transform(graph)
        data.target = torch.tensor([[float(graph.number_of_edges())]]) / 5
        graphs.append(data)
    return graphs


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    def run(seed: int) -> FitState:
        return fit_network(
            network(0.2), examples(10), examples(3, 50), F.l1_loss, replace(SETTINGS, seed=seed)
        )

    torch.rand(7)  # what others draw must not matter
    first = run(1)
    torch.rand(5)
    assert same(first.last, run(1).last)
    assert not same(first.last, run(2).last)


def test_a_fit_leaves_the_random_numbers_of_others_alone() -> None:
    net, graphs = network(), examples(4)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_network(net, graphs, [], F.l1_loss, SETTINGS)
    assert torch.equal(torch.rand(3), expected)


def test_training_lowers_the_loss_and_the_best_epoch_is_the_lowest() -> None:
    settings = replace(SETTINGS, epochs=15)
    state = fit_network(network(), examples(24), examples(8, 60), F.l1_loss, settings)
    losses = [r.validation_loss for r in state.history]
    assert state.history[-1].train_loss < 0.5 * state.history[0].train_loss
    assert state.best_epoch == 1 + losses.index(min(losses))
    net = network()
    net.load_state_dict(state.best)
    held = examples(8, 60)
    targets = torch.cat([g.target for g in held])
    assert float(F.l1_loss(predict_network(net, held, 3), targets)) == pytest.approx(min(losses), rel=1e-5)


def test_the_first_update_equals_one_by_hand() -> None:
    graphs, mine = examples(4), network()
    settings = replace(SETTINGS, epochs=1)
    state = fit_network(network(), graphs, [], F.mse_loss, settings)
    optimiser = torch.optim.Adam(mine.parameters(), lr=SETTINGS.lr)
    batch = Batch.from_data_list(graphs)
    loss = F.mse_loss(mine(batch), batch.target)
    loss.backward()
    optimiser.step()
    assert state.history[0].train_loss == pytest.approx(loss.item(), rel=1e-5)
    for name, tensor in mine.state_dict().items():
        torch.testing.assert_close(state.last[name], tensor, rtol=1e-3, atol=2e-4)


def test_the_mean_loss_weighs_graphs_not_batches() -> None:
    settings = replace(SETTINGS, epochs=1, lr=1e-12, batch_size=3)
    torch.manual_seed(0)
    net = SubgraphNet(0, 1, hidden_channels=8, num_layers=2, norm=None)
    graphs = examples(4)  # a batch of two and one of two, of unlike sizes
    state = fit_network(net, graphs, [], F.l1_loss, settings)
    single = [F.l1_loss(net(g), g.target).item() for g in graphs]
    assert state.history[0].train_loss == pytest.approx(sum(single) / 4, rel=1e-4)


def test_without_validation_the_last_epoch_is_the_best() -> None:
    state = fit_network(network(), examples(6), [], F.l1_loss, SETTINGS)
    assert state.best_epoch == 4 and same(state.best, state.last)
    assert all(r.validation_loss is None for r in state.history)


def test_patience_ends_a_fit_that_no_longer_improves() -> None:
    held = examples(4, 90)
    for data in held:
        data.target = torch.full((1, 1), 1e6)  # cannot be learned
    settings = replace(SETTINGS, epochs=50, patience=3, lr=1e-9)
    state = fit_network(network(), examples(6), held, F.l1_loss, settings)
    assert len(state.history) == state.best_epoch + 3 < 50


def test_a_killed_fit_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "fit.pt"
    train, held = examples(9), examples(3, 40)
    whole = fit_network(network(0.1), train, held, F.l1_loss, replace(SETTINGS, schedule="one_cycle"))

    def kill(done: float, history: Sequence[EpochRecord]) -> None:
        if done > 2.2:
            raise MemoryError

    settings = replace(SETTINGS, schedule="one_cycle")
    with pytest.raises(MemoryError):
        fit_network(network(0.1), train, held, F.l1_loss, settings, checkpoint=path, report=kill)
    state = fit_network(network(0.1), train, held, F.l1_loss, settings, checkpoint=path)
    assert same(state.last, whole.last) and same(state.best, whole.best)
    assert [r.train_loss for r in state.history] == [r.train_loss for r in whole.history]
    again = fit_network(network(0.1), train, held, F.l1_loss, settings, checkpoint=path)
    assert len(again.history) == 4 and same(again.last, whole.last)


def test_ctrl_c_keeps_the_epochs_that_are_over() -> None:
    def stop(done: float, history: Sequence[EpochRecord]) -> None:
        if done > 2.4:
            raise KeyboardInterrupt

    net = network()
    state = fit_network(net, examples(9), examples(3, 40), F.l1_loss, SETTINGS, report=stop)
    whole = fit_network(network(), examples(9), examples(3, 40), F.l1_loss, replace(SETTINGS, epochs=2))
    assert state.interrupted and len(state.history) == 2 and not whole.interrupted
    assert same(state.last, whole.last)


def test_progress_is_told_after_every_batch_and_epoch() -> None:
    told: list[tuple[float, int]] = []
    fit_network(
        network(),
        examples(10),
        [],
        F.l1_loss,
        replace(SETTINGS, epochs=2, batch_size=5),
        report=lambda done, history: told.append((done, len(history))),
    )
    assert told == [(0.5, 0), (1.0, 0), (1.0, 1), (1.5, 1), (2.0, 1), (2.0, 2)]


@pytest.mark.parametrize("where", ["training", "validation"])
def test_a_loss_that_is_not_finite(where: str) -> None:
    train, held = examples(4), examples(2, 30)
    (train if where == "training" else held)[0].target[:] = float("inf")
    with pytest.raises(TrainingError, match=f"finite {where} loss, got .* in epoch 1"):
        fit_network(network(), train, held, F.l1_loss, SETTINGS)


def test_mixed_precision_trains_and_keeps_weights_in_float32() -> None:
    settings = replace(SETTINGS, mixed_precision=True, epochs=10)
    state = fit_network(network(), examples(16), [], F.l1_loss, settings)
    assert state.history[-1].train_loss < state.history[0].train_loss
    assert all(t.dtype != torch.bfloat16 for t in state.last.values())


def test_predictions_keep_the_order_of_the_graphs() -> None:
    graphs, net = examples(11), network().eval()
    one_by_one = torch.cat([net(graph) for graph in graphs])
    torch.testing.assert_close(predict_network(net, graphs, 4), one_by_one, rtol=1e-4, atol=1e-5)
