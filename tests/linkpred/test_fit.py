"""The training loop: best and last weights, patience, resuming, interruption, batches without their links."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netgraph.errors import TrainingError, UsageError
from netgraph.linkpred import LinkGraph, LinkNet, Links, LinkSplit
from netgraph.linkpred.encoders import make_encoder
from netgraph.linkpred.evaluate import evaluate_net
from netgraph.linkpred.fit import EpochRecord, FitSettings, FitState, fit_net
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.nbfnet import NBFNet
from netgraph.linkpred.ncn import NCN, NCNC
from netgraph.linkpred.objective import LOSSES
from netgraph.linkpred.split import random_split

SETTINGS = FitSettings(epochs=4, batch_size=16, lr=0.01, metric="auc", seed=3)


def communities(groups: int = 4, size: int = 10) -> LinkSplit:
    """Dense groups of nodes with noisy features."""
    nodes = groups * size
    group = torch.arange(nodes) // size
    pairs = torch.combinations(torch.arange(nodes)).T
    chance = torch.Generator().manual_seed(0)
    share = torch.where(group[pairs[0]] == group[pairs[1]], 0.5, 0.02)
    edges = pairs[:, torch.rand(pairs.size(1), generator=chance) < share]
    x = torch.eye(groups)[group] + 0.5 * torch.randn(nodes, groups, generator=chance)
    return random_split(LinkGraph.from_edges(edges, nodes, x=x), 0.1, 0.1)


SPLIT = communities()


def network(kind: str = "gae", dropout: float = 0.0) -> LinkNet:
    torch.manual_seed(0)
    encoder = make_encoder("gcn", 4, 8, 2, dropout)
    return {"gae": DotProduct, "ncn": NCN, "ncnc": NCNC}[kind](encoder)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    def run(seed: int) -> FitState:
        return fit_net(network(dropout=0.2), SPLIT, replace(SETTINGS, seed=seed))

    torch.rand(7)  # what others draw must not matter
    first = run(1)
    torch.rand(5)
    assert same(first.last, run(1).last)
    assert not same(first.last, run(2).last)


def test_a_fit_leaves_the_random_numbers_of_others_alone() -> None:
    net = network()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_net(net, SPLIT, SETTINGS)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("kind", ["gae", "ncn", "ncnc"])
def test_training_learns_and_the_best_epoch_is_the_highest(kind: str) -> None:
    net = network(kind)
    state = fit_net(net, SPLIT, replace(SETTINGS, epochs=12))
    metrics = [r.metric for r in state.history]
    assert state.history[-1].loss < 0.97 * state.history[0].loss
    assert state.best_epoch == 1 + metrics.index(max(metrics))
    net.load_state_dict(state.best)
    assert evaluate_net(net, SPLIT, "valid", ["auc"])["auc"] == max(metrics)
    assert evaluate_net(net, SPLIT, "test", ["auc"])["auc"] > 0.75


def test_the_first_update_equals_one_by_hand() -> None:
    settings = replace(SETTINGS, epochs=1, batch_size=1000, predictor_lr=0.05, negatives=2)
    state = fit_net(network("ncn"), SPLIT, settings)
    mine = network("ncn").train()
    rest = [p for n, p in mine.named_parameters() if not n.startswith("encoder")]
    optimiser = torch.optim.Adam(
        [{"params": mine.encoder.parameters(), "lr": 0.01}, {"params": rest, "lr": 0.05}]
    )
    torch.manual_seed(3 * 1_000_003)
    order = torch.randperm(len(SPLIT.train))
    true = SPLIT.train.pairs[:, order]
    false = torch.randint(40, (2, 2 * len(order))).view(2, -1, 2)
    empty = LinkGraph.from_edges(true[:, :0], 40, x=SPLIT.graph.x)  # all links are in the batch
    positive, negative = mine(empty, true), mine(empty, false.flatten(1)).view(-1, 2)
    loss = LOSSES["bce"](positive, negative, 1.0)
    loss.backward()
    optimiser.step()
    assert state.history[0].loss == pytest.approx(loss.item(), rel=1e-5)
    for name, tensor in mine.state_dict().items():
        torch.testing.assert_close(state.last[name], tensor, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("remove", [True, False])
def test_the_links_of_a_batch_are_left_out_of_the_graph(remove: bool) -> None:
    seen: list[tuple[LinkGraph, Tensor]] = []

    class Spy(LinkNet):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def encode(self, graph: LinkGraph) -> Tensor:
            return torch.zeros(graph.num_nodes, 0)

        def score(
            self, graph: LinkGraph, states: Tensor, pairs: Tensor, relation: Tensor | None = None
        ) -> Tensor:
            if self.training:
                seen.append((graph, pairs))
            return self.weight * pairs.sum(0)

    removal = "pairs" if remove else "none"
    fit_net(Spy(), SPLIT, replace(SETTINGS, epochs=1, remove_targets=removal))
    for graph, pairs in seen:
        true = pairs.view(2, -1, 2)[:, :, 0]
        assert graph.has(true).any() != remove
        assert graph.num_edges == SPLIT.graph.num_edges - 2 * true.size(1) * remove
    assert len(seen) == -(-len(SPLIT.train) // 16)


def test_clipping_and_weight_decay() -> None:
    still = fit_net(network(), SPLIT, replace(SETTINGS, epochs=1, clip=1e-30))
    decayed = fit_net(network(), SPLIT, replace(SETTINGS, epochs=1, clip=1e-30, weight_decay=0.5))
    start = network().state_dict()
    name = "encoder.layers.0.lin.weight"
    torch.testing.assert_close(still.last[name], start[name], rtol=0, atol=1e-5)
    batches = -(-len(SPLIT.train) // 16)
    torch.testing.assert_close(
        decayed.last[name], start[name] * (1 - 0.01 * 0.5) ** batches, atol=1e-5, rtol=0
    )


def test_without_validation_the_last_epoch_is_the_best() -> None:
    bare = LinkSplit(SPLIT.train, SPLIT.valid[:0], SPLIT.test, *[SPLIT.graph] * 3)
    state = fit_net(network(), bare, replace(SETTINGS, patience=1))
    assert state.best_epoch == 4 and same(state.best, state.last)
    assert all(r.metric is None for r in state.history)


def test_patience_ends_a_fit_that_no_longer_improves_and_validation_may_be_rare() -> None:
    state = fit_net(network(), SPLIT, replace(SETTINGS, epochs=50, patience=3, lr=1e-12))
    assert state.best_epoch == 1 and len(state.history) == 4
    state = fit_net(network(), SPLIT, replace(SETTINGS, epochs=5, validate_every=2))
    assert [r.metric is None for r in state.history] == [True, False, True, False, False]
    assert state.best_epoch in (2, 4, 5)


@pytest.mark.parametrize("kind", ["gae", "ncnc"])
def test_a_killed_fit_goes_on_to_the_same_bytes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    whole = fit_net(network(kind, 0.1), SPLIT, SETTINGS)

    def kill(done: float, history: Sequence[EpochRecord]) -> None:
        if done > 2.2:
            raise MemoryError

    with pytest.raises(MemoryError):
        fit_net(network(kind, 0.1), SPLIT, SETTINGS, checkpoint=path, report=kill)
    net = network(kind, 0.1)
    state = fit_net(net, SPLIT, SETTINGS, checkpoint=path)
    assert same(state.last, whole.last) and same(state.best, whole.best)
    assert same(state.last, dict(net.state_dict())) and state.best_epoch == whole.best_epoch
    assert [(r.loss, r.metric) for r in state.history] == [(r.loss, r.metric) for r in whole.history]
    again = fit_net(network(kind, 0.1), SPLIT, SETTINGS, checkpoint=path)
    assert len(again.history) == 4 and same(again.last, whole.last)
    for other in (
        lambda: fit_net(network(kind), SPLIT, replace(SETTINGS, lr=0.02), checkpoint=path),
        lambda: fit_net(network(kind), communities(5), SETTINGS, checkpoint=path),
        lambda: fit_net(network(kind), SPLIT, SETTINGS, checkpoint=path, fingerprint="another"),
    ):
        with pytest.raises(TrainingError, match="belongs to another run"):
            other()


def test_ctrl_c_keeps_the_epochs_that_are_over() -> None:
    def stop(done: float, history: Sequence[EpochRecord]) -> None:
        if done > 2.4:
            raise KeyboardInterrupt

    state = fit_net(network(), SPLIT, SETTINGS, report=stop)
    whole = fit_net(network(), SPLIT, replace(SETTINGS, epochs=2))
    assert state.interrupted and len(state.history) == 2 and not whole.interrupted
    assert same(state.last, whole.last)


def test_progress_is_told_after_every_batch_and_epoch() -> None:
    told: list[tuple[float, int]] = []
    half = -(-len(SPLIT.train) // 2)
    fit_net(
        network(),
        SPLIT,
        replace(SETTINGS, epochs=2, batch_size=half),
        report=lambda done, history: told.append((round(done, 1), len(history))),
    )
    assert told == [(0.5, 0), (1.0, 0), (1.0, 1), (1.5, 1), (2.0, 1), (2.0, 2)]


def test_a_loss_that_is_not_finite() -> None:
    graph = replace(SPLIT.graph, x=SPLIT.graph.x * 1e30)
    split = LinkSplit(SPLIT.train, SPLIT.valid, SPLIT.test, graph, graph, graph)
    with pytest.raises(TrainingError, match=r"finite training loss, got .* in epoch 1"):
        fit_net(network(), split, SETTINGS)
    with pytest.raises(TrainingError, match="validation scores, got NaN in epoch 1"):
        fit_net(network(), SPLIT, replace(SETTINGS, batch_size=1000, lr=1e38))  # one step too far


def test_the_usual_metric_goes_with_the_negatives() -> None:
    few = fit_net(network(), SPLIT, replace(SETTINGS, epochs=1, metric=None))
    assert few.history[0].metric == fit_net(network(), SPLIT, replace(SETTINGS, epochs=1)).history[0].metric
    many = LinkSplit(
        SPLIT.train,
        Links(SPLIT.valid.pairs, None, torch.randint(40, (2, 250))),
        SPLIT.test,
        *[SPLIT.graph] * 3,
    )
    state = [fit_net(network(), many, replace(SETTINGS, epochs=1, metric=m)) for m in (None, "hits@100")]
    assert state[0].history[0].metric == state[1].history[0].metric
    ranked = LinkSplit(SPLIT.train, Links(SPLIT.valid.pairs), SPLIT.test, *[SPLIT.graph] * 3)
    state = [fit_net(network(), ranked, replace(SETTINGS, epochs=1, metric=m)) for m in (None, "mrr")]
    assert state[0].history[0].metric == state[1].history[0].metric


def test_nothing_to_learn() -> None:
    empty = LinkSplit(SPLIT.train[:0], SPLIT.valid, SPLIT.test, *[SPLIT.graph] * 3)
    with pytest.raises(TrainingError, match="training links, got none"):
        fit_net(network(), empty)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "hinge"}, "one of bce, auc, ranking, got 'hinge'"),
        ({"epochs": 0}, "epochs as a whole number from 1, got 0"),
        ({"batch_size": 2.5}, "batch_size as a whole number"),
        ({"patience": 0}, "patience as a whole number"),
        ({"lr": 0.0}, "lr as a finite number above 0"),
        ({"predictor_lr": -1.0}, "predictor_lr as a finite number"),
        ({"weight_decay": -0.1}, "weight_decay as a finite number"),
        ({"metric": "accuracy"}, "'accuracy'"),
        ({"sampling": "hard"}, "sampling as one of"),
        ({"fanouts": [4]}, "a fanout, from 1 or -1 for all, for each of 2 layers"),
        ({"ties": "best", "metric": "mrr"}, "ties"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        fit_net(network(), SPLIT, replace(SETTINGS, **({"epochs": 1} | changes)))


def test_mixed_precision_trains_and_keeps_weights_in_float32() -> None:
    for kind in ("gae", "ncn", "ncnc"):
        state = fit_net(network(kind, 0.1), SPLIT, replace(SETTINGS, mixed_precision=True, epochs=6))
        assert state.history[-1].loss < state.history[0].loss
        assert all(t.dtype == torch.float32 for t in state.last.values())


@pytest.mark.parametrize("kind", ["gae", "ncn", "ncnc"])
def test_sampled_neighbourhoods(kind: str) -> None:
    settings = replace(SETTINGS, epochs=8 if kind == "gae" else 3, batch_size=24, lr=0.02)
    whole, exact, sampled, again = (
        fit_net(network(kind), SPLIT, replace(settings, fanouts=fanouts))
        for fanouts in (None, [-1, -1], [4, 4], [4, 4])
    )
    for state in (exact, sampled):
        assert state.history[-1].loss < state.history[0].loss
        assert state.history[-1].loss == pytest.approx(whole.history[-1].loss, rel=0.25)
    assert same(again.last, sampled.last) and not same(exact.last, sampled.last)


def family(people: int = 12) -> LinkSplit:
    """A ring of two relations, each with its inverse; links of relation 1 skip a node."""
    nodes = torch.arange(people)
    pairs = torch.cat([torch.stack((nodes, (nodes + step) % people)) for step in (1, 2)], dim=1)
    kind = torch.arange(2).repeat_interleave(people)
    order = torch.randperm(2 * people, generator=torch.Generator().manual_seed(0))
    parts = [Links(pairs[:, part], kind[part]) for part in order.split([2 * people - 8, 4, 4])]
    train = parts[0]
    graph = LinkGraph.from_edges(
        torch.cat((train.pairs, train.pairs.flip(0)), 1),
        people,
        relation=torch.cat((train.relation, train.relation + 2)),
        num_relations=4,
        undirected=False,
    )
    return LinkSplit(*parts, graph, graph, graph)


def test_relations_are_learned_from_corrupted_links() -> None:
    torch.manual_seed(0)
    net = NBFNet(4, dim=8, layers=3)
    settings = FitSettings(
        epochs=8, batch_size=8, lr=0.01, loss="ranking", negatives=4, sampling="corrupt", seed=1
    )
    state = fit_net(net, family(), settings)
    assert state.history[-1].loss < state.history[0].loss
    assert all(0 < r.metric <= 1 for r in state.history)
