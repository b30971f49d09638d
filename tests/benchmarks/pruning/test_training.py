"""Finetuning: choice on the validation split alone, and interruptions that change nothing."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.pruning import training
from benchmarks.pruning.data import Data
from benchmarks.pruning.training import Schedule, Trainer, memory_format, score
from netgraph.errors import TrainingError

SCHEDULE = Schedule(steps=12, batch=64, lr=0.05, every=3)


class Killed(Exception):
    """Stands in for the end of the process."""


def _same(one: nn.Module, other: nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_rate_warms_up_and_ends_at_zero() -> None:
    rates = [SCHEDULE.rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.01) and max(rates) == rates[4] == 0.05
    assert rates[5:] == sorted(rates[5:], reverse=True) and 0 < rates[-1] < 1e-4


@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_killed_run_goes_on_to_the_same_weights(
    at: int, data: Data, network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trainings, six steps each; the kill comes before, between and within what is kept of the second."""

    def both(module: nn.Module, folder: Path | None, kill: bool = False) -> Trainer:
        trainer = Trainer(data, SCHEDULE, 5, folder)
        trainer.train(module, 6, choose=False)
        steps: list[None] = []

        def penalise(_: nn.Module) -> None:
            steps.append(None)
            if kill and len(steps) == at:
                raise Killed

        trainer.train(module, 6, choose=True, penalise=penalise)
        return trainer

    whole = copy.deepcopy(network)
    expected = both(whole, None)
    with pytest.raises(Killed):
        both(copy.deepcopy(network), tmp_path, kill=True)
    done: list[int] = []
    monkeypatch.setattr(
        torch.optim.SGD, "step", lambda self, step=torch.optim.SGD.step: (done.append(1), step(self))
    )
    resumed = copy.deepcopy(network)
    again = both(resumed, tmp_path)
    assert _same(whole, resumed) and not _same(whole, network)
    assert again.chosen == expected.chosen and again.spent == expected.spent == 12
    assert len(done) == (6 if at <= 3 else 3)


def test_the_step_is_chosen_on_the_validation_split(
    data: Data, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([(0.5, 1.0), (0.9, 0.5), (0.9, 0.4), (0.8, 0.1)])
    states: list[dict[str, torch.Tensor]] = []
    splits = []

    def look(module: nn.Module, _: Data, split: object) -> tuple[float, float]:
        states.append(copy.deepcopy(module.state_dict()))
        splits.append(split)
        return next(told)

    monkeypatch.setattr(training, "score", look)
    trainer = Trainer(data, SCHEDULE, 0)
    trainer.train(network, 12, choose=True)
    assert trainer.chosen == (9, 0.9, 0.4)
    assert splits == [data.validation] * 4
    assert all(torch.equal(v, states[2][n]) for n, v in network.state_dict().items())


def test_same_seed_same_images_whatever_was_cut(data: Data, network: nn.Module) -> None:
    seen: list[list[torch.Tensor]] = []
    for module in (network, nn.Sequential(nn.Flatten(), nn.Linear(192, 2))):
        seen.append([])
        module.register_forward_pre_hook(
            lambda m, args: seen[-1].append(args[0].clone()) if m.training else None
        )
        Trainer(data, SCHEDULE, 3).train(module, 5, choose=True)
    assert len(seen[0]) == 5 and all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    assert not torch.equal(seen[0][0], seen[0][2])


def test_score_equals_counting(data: Data, network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EVALUATED_AT_ONCE", 7)
    logits = torch.stack([network(data.ready(image[None]))[0] for image in data.validation.images]).detach()
    right, loss = score(network, data, data.validation)
    assert right == int((logits.argmax(1) == data.validation.labels).sum()) / 40
    assert loss == pytest.approx(nn.functional.cross_entropy(logits, data.validation.labels).item(), rel=1e-5)


def test_a_loss_that_is_not_finite_is_told(data: Data, network: nn.Module) -> None:
    with torch.no_grad():
        network.get_parameter("linear.weight").fill_(float("nan"))
    with pytest.raises(TrainingError, match="lower the learning rate"):
        Trainer(data, SCHEDULE, 0).train(network, 3, choose=True)


def test_the_layout_that_breaks_strided_1x1_convolutions_is_not_used_for_them(data: Data) -> None:
    """The backward pass in `channels_last` would end the process, now and then."""
    plain, pointwise = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(3, 6, 1, stride=2, bias=False)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert memory_format(nn.Sequential(plain, nn.Conv2d(6, 3, 1)), cpu) == torch.channels_last
    assert memory_format(pointwise, cpu) == torch.contiguous_format
    assert memory_format(pointwise, cuda) == torch.channels_last
    seen: list[torch.Tensor] = []
    module = nn.Sequential(pointwise, nn.Flatten(), nn.Linear(96, 2))
    module.register_forward_pre_hook(lambda m, args: seen.append(args[0]))
    Trainer(data, SCHEDULE, 0).train(module, 3, choose=True)
    assert len(seen) == 4 and all(images.is_contiguous() for images in seen)
