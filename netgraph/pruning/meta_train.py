"""Training of a metanetwork that prepares networks for pruning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import TrainingError
from netgraph.fitting.checkpoint import read_checkpoint, write_checkpoint
from netgraph.graph import NeuralGraph
from netgraph.pruning.batches import Batches
from netgraph.pruning.fingerprint import fingerprint
from netgraph.pruning.meta_config import MetaTrainConfig
from netgraph.pruning.meta_data import DataModel, streams, target_of, turns
from netgraph.pruning.meta_data import data_models as with_data
from netgraph.pruning.meta_log import MetaLog
from netgraph.pruning.meta_result import MetaTrainResult
from netgraph.pruning.meta_state import MetaState, freeze, thaw
from netgraph.pruning.meta_step import meta_gradient
from netgraph.pruning.progress import Progress, silent
from netgraph.pruning.validation import Validation, validate

__all__ = ["meta_train"]


def meta_train(
    metanetwork: nn.Module,
    data_models: Sequence[NeuralGraph | DataModel],
    batches: Batches | None = None,
    *,
    validation: Validation | Sequence[Validation] | None = None,
    config: MetaTrainConfig | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    checkpoint: str | PathLike[str] | None = None,
    tensorboard: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> MetaTrainResult:
    """Train a metanetwork on trained networks, so that what it makes of them loses little when it is cut.

    Each update takes one data model (in shuffled rounds) with batches of its own data, and descends the
    parts of this objective that the metanetwork gives something for (`w'` the rewritten weights, `g` the
    gates of what it decides to keep at a share of the MACs that is drawn for the update):

        mean over batches of loss(f(x; w'), y) + sparsity * sparsity_penalty(w')
        + decision * mean over batches of loss(f(x; gate(w', g)), y)
        + overrun * max(0, soft_macs(g) / target - 1).

    After every epoch the held-out networks are rewritten, cut and scored
    (`validate`), and the best metanetwork is kept. With a checkpoint file, a run that was interrupted at any
    moment goes on from the file and ends with the same bytes as one that was not.

    Args:
        metanetwork: a module `graph -> {parameter: new value}` (`netgraph.nn.Metanetwork`), or one that reads
            out several heads (`netgraph.nn.factorised.FactorisedMetanetwork`); trained in place.
        data_models: trained networks, of any architectures: graphs, which share `batches` and `loss`, or each
            with its own data.
        batches: inputs and targets by the number of the epoch (`shuffled_batches`).
        validation: held-out networks and their measure, or several of these; None keeps the last epoch.
        config: settings.
        loss: `(outputs, targets) -> scalar`.
        checkpoint: file to write, and to go on from if it is there.
        tensorboard: folder for the course of the training, with the optional package `tensorboard`.
        progress: told about every update.

    Raises:
        UsageError: no data models, a graph without batches, or logs are wanted without `tensorboard`.
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
    models = with_data(data_models, batches, loss)
    config = config or MetaTrainConfig()
    tell = progress if progress is not None else silent
    path = None if checkpoint is None else Path(checkpoint)
    held_out = [validation] if isinstance(validation, Validation) else list(validation or ())
    modules = [model.graph.to_module().train() for model in models]
    parameters = [p for p in metanetwork.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    mark = "" if path is None else _mark(metanetwork, models, held_out, config)
    devices = sorted({p.device.index or 0 for p in parameters if p.is_cuda})
    run = MetaState()

    def save() -> None:
        if path is not None:
            write_checkpoint(path, freeze(mark, run, metanetwork, optimiser, devices))

    def update(chosen: int, group: list[tuple[Tensor, Tensor]], stage: str) -> None:
        optimiser.zero_grad(set_to_none=True)
        model = models[chosen]
        target = target_of(config, run.epoch, run.step)
        found = meta_gradient(
            metanetwork, model.graph, modules[chosen], group, loss=model.loss, config=config, target=target
        )
        limit = math.inf if config.clip_norm is None else config.clip_norm
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit))
        parts = [part for part in found if part is not None]
        if not all(math.isfinite(x) for x in (*parts, norm)):
            sum_of = " + ".join(f"{part:.4g}" for part in parts)
            raise TrainingError(
                f"meta_train: expected a finite loss and gradient, got {sum_of} "
                f"with a gradient of norm {norm:.4g} in {stage}, update {run.step + 1}, data model {chosen}; "
                "lower the learning rate, the sparsity or the metanetwork's rho"
            )
        optimiser.step()
        run.add(found)
        log.write(run.updates, {f"loss/{n}": v for n, v in found._asdict().items()} | {"gradient": norm})

    def score() -> float | None:
        if not held_out:
            return None
        tell("validation", 0, 1)
        found = validate(held_out, metanetwork)
        tell("validation", 1, 1)
        return found

    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(config.seed)
        if path is not None and path.exists():
            run = thaw(read_checkpoint(path, mark), metanetwork, optimiser, devices)
        elif held_out:
            run.baseline = validate(held_out)
        with closing(MetaLog(tensorboard, run.updates)) as log:
            while run.epoch < config.epochs and not run.waited(config.patience):
                rate = config.rate(run.epoch)
                for settings in optimiser.param_groups:
                    settings["lr"] = rate
                stage = f"epoch {run.epoch + 1} of {config.epochs}"
                metanetwork.train()
                for step, (chosen, group) in enumerate(turns(models, config, run.epoch)):
                    if step < run.step:
                        continue
                    tell(stage, step, run.steps_per_epoch)
                    update(chosen, group, stage)
                    if run.step % config.checkpoint_every == 0:
                        save()
                if run.step == 0:
                    raise TrainingError(
                        f"meta_train: expected batches in {stage}, got none; batches(epoch) must yield some"
                    )
                tell(stage, run.step, run.step)
                metanetwork.eval()
                run.close_epoch(rate, score(), metanetwork)
                log.write(run.updates, {"validation": run.history[-1].score, "learning rate": rate})
                save()
    metanetwork.load_state_dict(run.best)
    return MetaTrainResult(metanetwork.eval(), tuple(run.history), run.best_epoch, run.baseline)


def _mark(
    metanetwork: nn.Module,
    models: Sequence[DataModel],
    validation: Sequence[Validation],
    config: MetaTrainConfig,
) -> str:
    """Of the run without its length: a longer run may go on from a shorter one."""
    free = ("epochs", "checkpoint_every", "patience")
    settings = {n: v for n, v in config.to_dict().items() if n not in free}
    different, owner = streams(models)
    settings["streams"] = owner
    settings["budgets"] = [[repr(held.budget), len(held.models)] for held in validation]
    graphs = [m.graph for m in models] + [graph for held in validation for graph in held.models]
    return fingerprint(metanetwork, graphs, different, settings)
