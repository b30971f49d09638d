"""Finetuning that counts its steps: the same images in the same order for every criterion."""

from __future__ import annotations

import copy
import json
import math
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.pruning.data import Data, Images
from netgraph.errors import TrainingError

__all__ = ["Schedule", "Trainer", "memory_format", "score"]

EVALUATED_AT_ONCE = 500


@dataclass(frozen=True)
class Schedule:
    """How networks are finetuned: SGD with Nesterov momentum, a short warm-up and a cosine to zero.

    Attributes:
        steps: of the optimiser in all, whatever they train for.
        batch: images of a step.
        lr: the highest learning rate.
        momentum, weight_decay: as in torch.
        every: steps between two looks at the validation split, which are also what a killed run goes on from.
        before: the share of the steps that criteria which train before the cut spend there.
    """

    steps: int
    batch: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    every: int = 50
    before: float = 0.5

    @property
    def steps_before(self) -> int:
        """Steps before the cut, of criteria that train there."""
        return round(self.before * self.steps)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of a training of `steps`."""
        warmup = max(steps // 20, 1)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


class Trainer:
    """Trains the networks of one cell of the table, one training after the other.

    Args:
        data: on the device of the training.
        schedule: how.
        seed: of the order of images and of their augmentation.
        folder: where trainings are kept while the cell is not finished; None to keep none. The same cell
            begun anew with the same folder goes on from there, with the same result.
        tell: is told the steps spent so far.

    Attributes:
        spent: steps of the optimiser so far.
        chosen: of the last training that chose: the step whose weights were kept, its validation accuracy and
            loss.
    """

    def __init__(
        self,
        data: Data,
        schedule: Schedule,
        seed: int,
        folder: Path | None = None,
        tell: Callable[[int], None] = lambda spent: None,
    ) -> None:
        self.data, self.schedule, self.seed, self.folder, self.tell = data, schedule, seed, folder, tell
        self.device = data.train.labels.device
        self.spent = 0
        self.chosen: tuple[int, float, float] | None = None
        self._trainings = 0

    def train(
        self,
        module: nn.Module,
        steps: int,
        *,
        choose: bool,
        penalise: Callable[[nn.Module], None] | None = None,
        weight_decay: float | None = None,
    ) -> None:
        """Train a module in place; it comes back on the CPU and in evaluation mode.

        Args:
            module: takes images `(B, C, height, width)`, returns logits.
            steps: of the optimiser.
            choose: leave the weights of the step of highest validation accuracy (lowest loss, where several
                tie) rather than the last.
            penalise: called between the backward pass and the step, to add to the gradients.
            weight_decay: instead of the schedule's.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        training, self._trainings = self._trainings, self._trainings + 1
        schedule, cuda = self.schedule, self.device.type == "cuda"
        layout = memory_format(module, self.device)
        module.to(device=self.device, memory_format=layout)  # type: ignore[call-overload]
        weights = {n: p for n, p in module.named_parameters() if p.requires_grad}
        optimizer = torch.optim.SGD(
            weights.values(),
            lr=schedule.lr,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay if weight_decay is None else weight_decay,
            nesterov=schedule.momentum > 0,
        )
        done, chosen, best = self._resumed(training, module, weights, optimizer)
        order, loss = torch.zeros(0), torch.zeros(())
        for step in range(done, steps):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step, steps)
            per_epoch = max(len(self.data.train) // schedule.batch, 1)
            if step == done or step % per_epoch == 0:
                order = torch.randperm(
                    len(self.data.train), generator=self._generator(training, -1 - step // per_epoch)
                ).to(self.device)
            at = step % per_epoch * schedule.batch
            images, labels = self.data.train.take(order[at : at + schedule.batch])
            images = self.data.augmented(images, self._generator(training, step))
            inputs = self.data.ready(images).contiguous(memory_format=layout)
            module.train()
            with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
                loss = functional.cross_entropy(module(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            if penalise is not None:
                penalise(module)
            optimizer.step()
            if (step + 1) % schedule.every and step + 1 < steps:
                continue
            if not bool(loss.isfinite()):
                raise TrainingError(
                    f"finetuning: expected a finite loss, got {loss.item()} at step {step + 1}; "
                    f"lower the learning rate ({schedule.lr})"
                )
            if choose:
                right, error = score(module, self.data, self.data.validation)
                if chosen is None or (right, -error) > (chosen[1], -chosen[2]):
                    chosen, best = (step + 1, right, error), copy.deepcopy(module.state_dict())
            self._keep(training, step + 1, module, weights, optimizer, chosen, best)
            self.tell(self.spent + step + 1)
        self.spent += steps
        if choose:
            self.chosen = chosen
            module.load_state_dict(best)
        module.to(device="cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        module.eval()

    def _generator(self, training: int, number: int) -> torch.Generator:
        """Randomness of a step, or of an epoch where the number is negative, of one of the trainings."""
        place = (self.seed * 16 + training) * 10_000_000 + 1_000_000 + number
        return torch.Generator().manual_seed(place)

    def _path(self, training: int) -> Path | None:
        return None if self.folder is None else self.folder / f"training-{training}.safetensors"

    def _keep(
        self,
        training: int,
        step: int,
        module: nn.Module,
        weights: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        chosen: tuple[int, float, float] | None,
        best: Mapping[str, Tensor],
    ) -> None:
        path = self._path(training)
        if path is None:
            return
        tensors = {f"now/{n}": t for n, t in module.state_dict().items()}
        tensors |= {f"best/{n}": t for n, t in best.items()}
        for name, weight in weights.items():
            if (momentum := optimizer.state[weight].get("momentum_buffer")) is not None:
                tensors[f"momentum/{name}"] = momentum
        copies = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{secrets.token_hex(6)}.tmp")
        try:
            save_file(copies, temporary, metadata={"place": json.dumps([step, chosen])})
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _resumed(
        self,
        training: int,
        module: nn.Module,
        weights: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
    ) -> tuple[int, tuple[int, float, float] | None, dict[str, Tensor]]:
        """Steps done, what was chosen, and its weights, of a training that was interrupted."""
        path = self._path(training)
        if path is None or not path.exists():
            return 0, None, {}
        parts: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}, "momentum": {}}
        with safe_open(path, framework="pt") as file:
            step, chosen = json.loads((file.metadata() or {})["place"])
            for key in file.keys():  # noqa: SIM118, it is no dict
                part, _, name = key.partition("/")
                parts[part][name] = file.get_tensor(key).to(self.device)
        module.load_state_dict(parts["now"])
        for name, momentum in parts["momentum"].items():
            like = weights[name]
            optimizer.state[like]["momentum_buffer"] = torch.empty_like(like).copy_(momentum)
        return step, None if chosen is None else tuple(chosen), parts["best"]


def memory_format(module: nn.Module, device: torch.device) -> torch.memory_format:
    """`channels_last`, which is faster, but not on the CPU for networks that have strided 1x1 convolutions.

    The backward pass of these writes outside of its memory there (torch 2.13, 3 channels to 6, stride 2).
    """
    strided = any(
        isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride != (1, 1) for m in module.modules()
    )
    return torch.contiguous_format if strided and device.type == "cpu" else torch.channels_last


@torch.no_grad()
def score(module: nn.Module, data: Data, split: Images) -> tuple[float, float]:
    """Accuracy and mean loss on a split, in evaluation mode, on the device of the split."""
    layout = memory_format(module, split.labels.device)
    module.to(split.labels.device)
    module.eval()
    right, loss = 0, 0.0
    for images, labels in split.batches(EVALUATED_AT_ONCE):
        logits: Any = module(data.ready(images).contiguous(memory_format=layout))
        right += int((logits.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
    return right / len(split), loss / len(split)
