"""Accuracy of pruned digits networks by criterion: every row gets the same network, budget and finetuning.

The network is trained anew for each seed. A metanetwork rewrites it first and spends half of the finetuning
on that; the other criteria spend all of it after the cut. The epoch is chosen on the validation split; the
figures are of the test split.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks._record import machine, options, say, write_record
from netgraph.errors import BudgetError
from netgraph.hub import load_dataset, load_model
from netgraph.hub.recipes import TrainingSettings, accuracy, train_classifier
from netgraph.pruning import Budget, prune
from netgraph.zoo import DigitsResNet

COMMAND = "python -m benchmarks.digits"
CRITERIA = ("random", "l1", "l2", "bn_scale", "fpgm", "taylor", "metanetwork")
EPOCHS = 10


def main() -> None:
    """Measure, print the table, and write the record of a full run."""
    asked = options("digits", __doc__ or "")
    torch.set_num_threads(1)
    seeds = (100,) if asked.quick else (100, 101, 102)
    shares = (0.25,) if asked.quick else (0.5, 0.25, 0.1)
    criteria = ("l2", "metanetwork") if asked.quick else CRITERIA
    rankings = ("global",) if asked.quick else ("global", "uniform")
    data = load_dataset("digits")
    metanetwork = load_model("digits-metanetwork")
    before: list[float] = []
    found: dict[tuple[str, str, float], list[float]] = {}
    for seed in seeds:
        network = trained(data, seed)
        before.append(accuracy(network, data.test))
        for criterion in criteria:
            for ranking in rankings:
                for share in shares:
                    say(f"seed {seed}: {criterion}, {ranking}, {share:.0%} of the MACs")
                    score = pruned(network, data, metanetwork, criterion, ranking, share, seed)
                    if score is not None:
                        found.setdefault((criterion, ranking, share), []).append(score)
    rows = [
        {"criterion": c, "ranking": r, "macs": s, "test_accuracy": values}
        for (c, r, s), values in found.items()
    ]
    result = {
        "command": COMMAND,
        "seeds": list(seeds),
        "finetuning_epochs": EPOCHS,
        "test_accuracy_before": before,
        "rows": rows,
        "machine": machine(),
    }
    page = table(result, shares)
    print(page)
    if not asked.quick:
        write_record("digits", result, page)
    if asked.json:
        print(json.dumps(result))


def trained(data: Any, seed: int) -> nn.Module:
    """A network of the shipped one's architecture, of a seed of its own."""
    torch.manual_seed(seed)
    network = DigitsResNet(width=24)
    train_classifier(network, data, TrainingSettings(epochs=30, seed=seed))
    return network


def pruned(
    network: nn.Module, data: Any, metanetwork: Any, criterion: str, ranking: str, share: float, seed: int
) -> float | None:
    """Test accuracy after the cut and the finetuning; None where the criterion cannot reach the budget."""
    rewriting = criterion == "metanetwork"
    plan = [EPOCHS // 2, EPOCHS - EPOCHS // 2] if rewriting else [EPOCHS]
    torch.manual_seed(seed)
    try:
        result = prune(
            network,
            data.train.images[:2],
            budget=Budget(macs=share),
            criterion=metanetwork if rewriting else criterion,
            ranking=ranking,
            finetune=finetuning(data, seed, plan),
            loss=training_loss(data),
        )
    except BudgetError:
        return None
    return accuracy(result.module, data.test)


def finetuning(data: Any, seed: int, plan: list[int]) -> Callable[[nn.Module], None]:
    """Trains for the next number of epochs in the plan whenever it is called."""
    left = list(plan)

    def finetune(module: nn.Module) -> None:
        train_classifier(module, data, TrainingSettings(epochs=left.pop(0), learning_rate=0.02, seed=seed))

    return finetune


def training_loss(data: Any) -> Callable[[nn.Module], torch.Tensor]:
    """Cross-entropy on the first training images, for criteria that want gradients."""

    def loss(module: nn.Module) -> torch.Tensor:
        return nn.functional.cross_entropy(module(data.train.images[:512]), data.train.labels[:512])

    return loss


def table(result: dict[str, Any], shares: tuple[float, ...]) -> str:
    """The page: means and standard deviations over the seeds."""
    seeds = len(result["seeds"])
    lines = [
        "# Pruning the digits network",
        "",
        f"`{COMMAND}` (record: `digits.json`). Test accuracy in percent after pruning "
        f"`DigitsResNet(width=24)` to a share of its MACs; mean and deviation over {seeds} networks of "
        f"different seeds (unpruned: {cell(result['test_accuracy_before'])}).",
        f"All rows have {EPOCHS} epochs of finetuning in all (the metanetwork's half before the cut, "
        "half after); the epoch is chosen on the validation split. One test image is worth 0.28 points, so "
        "differences of less than a point mean little: digits are easy, and even random pruning heals.",
        "",
        "| criterion | ranking | " + " | ".join(f"{s:.0%} of the MACs" for s in shares) + " |",
        "|---|---|" + "---|" * len(shares),
    ]
    cells = {(r["criterion"], r["ranking"], r["macs"]): cell(r["test_accuracy"]) for r in result["rows"]}
    for criterion, ranking in dict.fromkeys((c, r) for c, r, _ in cells):
        row = [cells.get((criterion, ranking, s), "not reached") for s in shares]
        lines.append(f"| {criterion} | {ranking} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def cell(values: list[float]) -> str:
    """`mean ± deviation` in percent."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.2f} ± {100 * spread:.2f}"


if __name__ == "__main__":
    main()
