"""Training of a metanetwork that prepares networks for pruning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import TrainingError, UsageError
from netgraph.graph import NeuralGraph
from netgraph.pruning.batches import Batches
from netgraph.pruning.checkpoint import read_checkpoint, write_checkpoint
from netgraph.pruning.fingerprint import fingerprint
from netgraph.pruning.meta_config import MetaTrainConfig
from netgraph.pruning.meta_result import MetaTrainResult
from netgraph.pruning.meta_state import MetaState, freeze, thaw
from netgraph.pruning.meta_step import meta_gradient
from netgraph.pruning.progress import Progress, silent
from netgraph.pruning.validation import Validation, validate

__all__ = ["meta_train"]


def meta_train(
    metanetwork: nn.Module,
    data_models: Sequence[NeuralGraph],
    batches: Batches,
    *,
    validation: Validation | None = None,
    config: MetaTrainConfig | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    checkpoint: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> MetaTrainResult:
    """Train a metanetwork on trained networks, so that what it rewrites loses little when it is cut.

    Each update takes one data model (in shuffled rounds), rewrites its weights to `w'`, and descends

        mean over batches of loss(f(x; w'), y) + lambda * sparsity_penalty(w').

    After every epoch the held-out networks are rewritten, cut and scored
    (`validate`), and the best metanetwork is kept. With a checkpoint file, a run that was interrupted at any
    moment goes on from the file and ends with the same bytes as one that was not.

    Args:
        metanetwork: a module `graph -> {parameter: new value}` (`netgraph.nn.Metanetwork`), trained in place.
        data_models: trained networks.
        batches: inputs and targets by the number of the epoch (`shuffled_batches`).
        validation: held-out networks and their measure; None keeps the last epoch.
        config: settings.
        loss: `(outputs, targets) -> scalar`.
        checkpoint: file to write, and to go on from if it is there.
        progress: told about every update.

    Raises:
        UsageError: no data models.
        TrainingError: a loss that is not finite, no batches, or a checkpoint that is damaged or of another
            run.

    Paper: Liu et al., Meta Pruning via Graph Metanetworks, 2025, arXiv 2506.12041.

    >>> from netgraph.convert import to_graph
    >>> from netgraph.nn import Metanetwork, MetanetworkConfig
    >>> from netgraph.pruning import shuffled_batches
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph = to_graph(net, torch.zeros(1, 4))
    >>> batches = shuffled_batches(torch.randn(32, 4), torch.randint(2, (32,)), batch_size=16)
    >>> meta = Metanetwork(MetanetworkConfig(hidden=4, layers=1))
    >>> result = meta_train(meta, [graph], batches, config=MetaTrainConfig(epochs=2))
    >>> [record.epoch for record in result.history]
    [1, 2]
    """
    if not data_models:
        raise UsageError(
            "meta_train: expected at least one data model, got none; pass graphs of trained networks"
        )
    config = config or MetaTrainConfig()
    tell = progress if progress is not None else silent
    path = None if checkpoint is None else Path(checkpoint)
    modules = [graph.to_module().train() for graph in data_models]
    parameters = [p for p in metanetwork.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    mark = "" if path is None else _mark(metanetwork, data_models, batches, validation, config)
    devices = sorted({p.device.index or 0 for p in parameters if p.is_cuda})
    run = MetaState()

    def save() -> None:
        if path is not None:
            write_checkpoint(path, freeze(mark, run, metanetwork, optimiser, devices))

    def update(chosen: int, group: list[tuple[Tensor, Tensor]], stage: str) -> None:
        optimiser.zero_grad(set_to_none=True)
        task, penalty = meta_gradient(
            metanetwork,
            data_models[chosen],
            modules[chosen],
            group,
            loss=loss,
            sparsity=config.sparsity,
            alpha=config.alpha,
            relative=config.relative,
        )
        limit = math.inf if config.clip_norm is None else config.clip_norm
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit))
        if not all(math.isfinite(x) for x in (task, penalty, norm)):
            raise TrainingError(
                f"meta_train: expected a finite loss and gradient, got {task:.4g} + {penalty:.4g} with a "
                f"gradient of norm {norm:.4g} in {stage}, update {run.step + 1}, data model {chosen}; "
                "lower the learning rate, the sparsity or the metanetwork's rho"
            )
        optimiser.step()
        run.add(task, penalty)

    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(config.seed)
        if path is not None and path.exists():
            run = thaw(read_checkpoint(path, mark), metanetwork, optimiser, devices)
        elif validation is not None:
            run.baseline = validate(validation)
        while run.epoch < config.epochs:
            rate = config.rate(run.epoch)
            for settings in optimiser.param_groups:
                settings["lr"] = rate
            stage = f"epoch {run.epoch + 1} of {config.epochs}"
            metanetwork.train()
            for step, group in enumerate(_grouped(batches(run.epoch), config.batches_per_step)):
                if step < run.step:
                    continue
                tell(stage, step, run.steps_per_epoch)
                update(_turn(len(data_models), config.seed, run.epoch, step), group, stage)
                if run.step % config.checkpoint_every == 0:
                    save()
            if run.step == 0:
                raise TrainingError(
                    f"meta_train: expected batches in {stage}, got none; batches(epoch) must yield some"
                )
            tell(stage, run.step, run.step)
            metanetwork.eval()
            score = None
            if validation is not None:
                tell("validation", 0, 1)
                score = validate(validation, metanetwork)
                tell("validation", 1, 1)
            run.close_epoch(rate, score, metanetwork)
            save()
    metanetwork.load_state_dict(run.best)
    return MetaTrainResult(metanetwork.eval(), tuple(run.history), run.best_epoch, run.baseline)


def _mark(
    metanetwork: nn.Module,
    data_models: Sequence[NeuralGraph],
    batches: Batches,
    validation: Validation | None,
    config: MetaTrainConfig,
) -> str:
    """Of the run without its length: a longer run may go on from a shorter one."""
    settings = {n: v for n, v in config.to_dict().items() if n not in ("epochs", "checkpoint_every")}
    if validation is None:
        return fingerprint(metanetwork, data_models, batches, settings)
    graphs = [*data_models, *validation.models]
    return fingerprint(metanetwork, graphs, batches, {**settings, "budget": repr(validation.budget)})


def _grouped(batches: Iterable[tuple[Tensor, Tensor]], size: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    group: list[tuple[Tensor, Tensor]] = []
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
