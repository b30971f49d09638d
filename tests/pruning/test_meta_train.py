import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph.errors import TrainingError, UsageError
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.nn.factorised import FactorisedConfig, FactorisedMetanetwork
from netgraph.pruning import (
    Budget,
    DataModel,
    MetaTrainConfig,
    MetaTrainResult,
    Validation,
    meta_train,
    shuffled_batches,
    sparsity_penalty,
)
from tests.pruning.heads import Heads
from tests.pruning.nets import make_graph

ROOT = Path(__file__).resolve().parents[2]
GRAPHS = [make_graph("mlp-norm"), make_graph("mlp")]
X, Y = torch.randn(40, 6, generator=torch.Generator().manual_seed(3)), torch.arange(40) % 3
BATCHES = shuffled_batches(X, Y, batch_size=8)
CONFIG = MetaTrainConfig(epochs=3, drop_epochs=(2,), checkpoint_every=2, batches_per_step=2)


def metanetwork(seed: int = 0) -> Metanetwork:
    torch.manual_seed(seed)
    return Metanetwork(MetanetworkConfig(hidden=4, layers=1, rho=0.1))


def accuracy(module: nn.Module) -> float:
    with torch.no_grad():
        return float((module.eval()(X).argmax(1) == Y).float().mean()) + float(torch.rand(()) * 1e-3)


def noisy_finetune(module: nn.Module) -> None:
    """Uses random numbers, as dropout or augmentation would."""
    optimiser = torch.optim.SGD(module.train().parameters(), lr=0.01)
    F.cross_entropy(module(X + 0.1 * torch.randn_like(X)), Y).backward()
    optimiser.step()


def validation() -> Validation:
    return Validation([make_graph("mlp-norm")], accuracy, Budget(macs=0.6), noisy_finetune)


class Interrupt:
    """Stops a run when it has told its progress so many times."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def run(
    path: Path | None = None, after: int | None = None, config: MetaTrainConfig = CONFIG, seed: int = 0
) -> MetaTrainResult:
    return meta_train(
        metanetwork(seed),
        GRAPHS,
        BATCHES,
        validation=validation(),
        config=config,
        checkpoint=path,
        progress=None if after is None else Interrupt(after),
    )


def same(a: MetaTrainResult, b: MetaTrainResult) -> bool:
    first, second = a.metanetwork.state_dict(), b.metanetwork.state_dict()
    return a.to_dict() == b.to_dict() and all(torch.equal(t, second[n]) for n, t in first.items())


def test_history_rates_and_best_epoch() -> None:
    result = run()
    assert [r.epoch for r in result.history] == [1, 2, 3]
    assert [r.learning_rate for r in result.history] == pytest.approx([1e-3, 1e-3, 1e-4])
    scores = [r.score for r in result.history]
    assert result.best_epoch == 1 + scores.index(max(scores))  # type: ignore[type-var, arg-type]
    assert result.baseline is not None and not result.metanetwork.training


def test_the_best_metanetwork_is_what_comes_back() -> None:
    judged: list[dict[str, Tensor]] = []
    marks = iter([0.0, 0.1, 0.9, 0.5])  # the first is the baseline

    def score(module: nn.Module) -> float:
        judged.append({n: p.clone() for n, p in meta.state_dict().items()})
        return next(marks)

    meta = metanetwork()
    check = Validation([GRAPHS[1]], score, Budget(macs=0.6))
    result = meta_train(meta, GRAPHS, BATCHES, validation=check, config=CONFIG)
    assert result.best_epoch == 2 and result.baseline == 0.0
    assert all(torch.equal(t, judged[2][n]) for n, t in result.metanetwork.state_dict().items())


def test_without_validation_the_last_epoch_is_kept() -> None:
    result = meta_train(metanetwork(), GRAPHS, BATCHES, config=CONFIG)
    assert result.best_epoch == 3 and result.baseline is None
    assert all(r.score is None for r in result.history)


# told: 3 updates + end + 2 for the validation in each of 3 epochs; a checkpoint after every second update
@pytest.mark.parametrize("after", [0, 1, 2, 4, 5, 8, 14])
def test_interrupted_and_resumed_ends_with_the_same_bytes(tmp_path: Path, after: int) -> None:
    whole = run()
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(path, after)
    torch.rand(5)  # whatever happens in between must not matter
    resumed = run(path, seed=9)  # nor where the new metanetwork would have started
    if after < 2:  # nothing was on disk yet: a new run from another start
        assert not same(whole, resumed) and same(run(seed=9), resumed)
    else:
        assert same(whole, resumed)
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def killed_run(path: str, after: int) -> None:
    """In a process of its own: end without any clean-up when the progress was told so many times."""
    left = iter(range(after))

    def progress(stage: str, done: int, total: int) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    meta_train(
        metanetwork(),
        GRAPHS,
        BATCHES,
        validation=validation(),
        config=CONFIG,
        checkpoint=path,
        progress=progress,
    )


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_and_resumed_ends_with_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    code = f"from tests.pruning.test_meta_train import killed_run; killed_run({str(path)!r}, 5)"
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=threads, timeout=120)
    assert done.returncode == -signal.SIGKILL and path.exists()
    assert same(run(path), run())


def test_many_interruptions(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    for _ in range(20):
        try:
            result = run(path, after=4)
            break
        except KeyboardInterrupt:
            continue
    assert same(result, run())


def test_a_finished_run_is_read_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    first = run(path)
    assert same(first, run(path, after=0))  # no progress: nothing was done
    longer = MetaTrainConfig(**{**vars(CONFIG), "epochs": 4})
    assert same(run(config=longer), run(path, config=longer))


def test_random_numbers_outside_are_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    meta = metanetwork()
    torch.manual_seed(7)
    meta_train(meta, GRAPHS, BATCHES, validation=validation(), config=CONFIG)
    assert torch.equal(torch.rand(3), expected)


def test_more_sparsity_makes_smaller_networks() -> None:
    def norm(sparsity: float) -> float:
        config = MetaTrainConfig(
            epochs=12, sparsity=sparsity, relative=False, learning_rate=3e-2, drop_epochs=()
        )
        meta = meta_train(metanetwork(), GRAPHS, BATCHES, config=config).metanetwork
        with torch.no_grad():
            return float(sparsity_penalty(GRAPHS[0].structure, {**GRAPHS[0].state, **meta(GRAPHS[0])}))

    assert norm(1.0) < 0.8 * norm(0.0)


def test_task_loss_falls_without_sparsity() -> None:
    config = MetaTrainConfig(epochs=10, sparsity=0.0, learning_rate=3e-2, drop_epochs=())
    history = meta_train(metanetwork(), [GRAPHS[0]], BATCHES, config=config).history
    assert history[-1].task_loss < 0.95 * history[0].task_loss


def test_every_data_model_has_its_turn() -> None:
    seen: list[int] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, graph):  # type: ignore[no-untyped-def]
            seen.append(next(i for i, g in enumerate(graphs) if g is graph))
            return {"layers.0.bias": graph.state["layers.0.bias"] * self.weight}

    graphs = [make_graph("mlp") for _ in range(3)]
    meta_train(Spy(), graphs, BATCHES, config=MetaTrainConfig(epochs=3))
    rounds = [seen[i : i + 3] for i in range(0, 3, 3)] + [seen[5:8], seen[10:13]]
    assert all(sorted(r) == [0, 1, 2] for r in rounds)
    assert len(seen) == 15


def test_refuses_no_data_models() -> None:
    with pytest.raises(UsageError, match="expected at least one data model"):
        meta_train(metanetwork(), [], BATCHES)


def test_refuses_no_batches() -> None:
    with pytest.raises(TrainingError, match="expected batches in epoch 1 of"):
        meta_train(metanetwork(), GRAPHS, lambda epoch: iter(()))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    bad = shuffled_batches(X * float("nan"), Y, batch_size=8)
    with pytest.raises(TrainingError, match="expected a finite loss and gradient, got nan"):
        meta_train(metanetwork(), GRAPHS, bad, checkpoint=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    run(path)
    other = MetaTrainConfig(**{**vars(CONFIG), "sparsity": 0.2})
    with pytest.raises(TrainingError, match="belongs to another run"):
        run(path, config=other)
    with pytest.raises(TrainingError, match="belongs to another run"):
        meta_train(metanetwork(), GRAPHS, BATCHES, config=CONFIG, checkpoint=path)


def several(path: Path | None = None, progress=None, seed: int = 0, **settings):  # type: ignore[no-untyped-def]
    """Two architectures on two datasets, every head, two validations."""
    pictures = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    models = [
        DataModel(GRAPHS[0], BATCHES),
        DataModel(make_graph("digits"), shuffled_batches(pictures, torch.arange(24) % 3, batch_size=12)),
        DataModel(GRAPHS[1], BATCHES),
    ]
    held = [validation(), Validation([make_graph("mlp")], accuracy, Budget(macs=0.5))]
    torch.manual_seed(seed)
    meta = FactorisedMetanetwork(
        FactorisedConfig(hidden=4, layers=1, heads=("rewrite", "scores", "budgets"), rho=0.1)
    )
    config = MetaTrainConfig(**{"epochs": 3, "checkpoint_every": 1, "patience": 2, **settings})
    return meta_train(meta, models, validation=held, config=config, checkpoint=path, progress=progress)


def test_several_architectures_and_datasets_and_all_heads() -> None:
    result = several()
    assert all(r.task_loss > 0 and r.penalty > 0 for r in result.history)
    assert all(r.decision is not None and r.decision > 0 and r.overrun is not None for r in result.history)
    assert result.baseline is not None


def killed_several(path: str, after: int) -> None:
    """In a process of its own: end without any clean-up when the progress was told so many times."""
    left = iter(range(after))

    def progress(stage: str, done: int, total: int) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    several(Path(path), progress)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_at_random_steps_and_resumed_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Killed again and again until it is through, each time after a random number of steps."""
    torch.set_num_threads(1)
    whole = several()
    path = tmp_path / "run.safetensors"
    generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4)))
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    stops = []
    for _ in range(12):
        stops.append(int(torch.randint(8, 20, (), generator=generator)))
        call = f"killed_several({str(path)!r}, {stops[-1]})"
        code = f"from tests.pruning.test_meta_train import killed_several; {call}"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=threads, timeout=120)
        assert done.returncode in (0, -signal.SIGKILL)
        if done.returncode == 0:
            break
    assert done.returncode == 0 and len(stops) > 1, f"stopped after {stops}"
    assert same(several(path, seed=9), whole), f"stopped after {stops}"


def test_patience_ends_a_run_that_no_longer_gets_better(tmp_path: Path) -> None:
    marks = iter([0.0, 0.5, 0.9, 0.8, 0.7, 1.0])
    check = Validation([GRAPHS[1]], lambda module: next(marks), Budget(macs=0.6))
    config = MetaTrainConfig(epochs=20, patience=2, drop_epochs=())
    path = tmp_path / "run.safetensors"
    result = meta_train(metanetwork(), GRAPHS, BATCHES, validation=check, config=config, checkpoint=path)
    assert [r.score for r in result.history] == [0.5, 0.9, 0.8, 0.7] and result.best_epoch == 2
    again = meta_train(metanetwork(), GRAPHS, BATCHES, validation=check, config=config, checkpoint=path)
    assert same(result, again)  # it is over, and stays so: no further mark was taken
    assert next(marks) == 1.0


def test_the_full_batch_is_one_update_a_network() -> None:
    told: list[tuple[str, int]] = []
    config = MetaTrainConfig(epochs=2, full_batch=True, drop_epochs=())
    meta_train(
        metanetwork(),
        GRAPHS,
        BATCHES,
        config=config,
        progress=lambda stage, done, total: told.append((stage, done)),
    )
    assert [done for stage, done in told if stage.startswith("epoch 2")] == [0, 1, 2]


def test_logs_are_written_after_every_update(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[tuple[int, set[str]]] = []

    class Log:
        def __init__(self, folder: object, updates: int) -> None:
            self.folder, self.updates = folder, updates

        def write(self, updates: int, values: dict[str, float | None]) -> None:
            written.append((updates, {n for n, v in values.items() if v is not None}))

        def close(self) -> None:
            written.append((-1, set()))

    monkeypatch.setattr(sys.modules["netgraph.pruning.meta_train"], "MetaLog", Log)
    config = MetaTrainConfig(epochs=2, batches_per_step=3, drop_epochs=())
    meta_train(Heads("scores"), GRAPHS, BATCHES, validation=validation(), config=config, tensorboard=tmp_path)
    parts = {"loss/task", "loss/penalty", "loss/decision", "loss/overrun", "gradient"}
    epoch = {"validation", "learning rate"}
    assert written == [(1, parts), (2, parts), (2, epoch), (3, parts), (4, parts), (4, epoch), (-1, set())]
