"""The page of the record: for each network and schedule, accuracies and costs by criterion and speed-up."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from benchmarks.pruning.cells import GIVEN
from benchmarks.pruning.methods import ABLATIONS, CRITERIA, LATE
from benchmarks.pruning.training import Schedule

__all__ = ["Section", "page", "sections"]

Result = Mapping[str, Any]

TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dense": "dense, finetuned alike",
        "random": "random",
        "l1": "L1 group norm",
        "l2": "L2 group norm",
        "taylor": "Taylor",
        "bn_scale": "BN scale",
        "fpgm": "FPGM",
        "group_sl": "GroupNorm with sparse learning (Torch-Pruning)",
        "group_sl_scaled": "the same, regulariser scaled to the steps",
        LATE: "L2 group norm, half of the steps before the cut",
    }
)
ORDER: Final = (GIVEN, *CRITERIA, "l1")


@dataclass(frozen=True)
class Section:
    """The results of one network under one schedule.

    Attributes:
        scale, network, schedule: of all of them.
        results: those that reached their budget, by criterion and speed-up.
        failed: the others.
    """

    scale: str
    network: str
    schedule: Schedule
    results: Mapping[tuple[str, float], Sequence[Result]]
    failed: Sequence[Result]

    @property
    def name(self) -> str:
        """For file names."""
        return f"{self.network}-{self.scale}-{self.schedule.steps}"

    @property
    def speedups(self) -> list[float]:
        """Of the networks that were cut."""
        every = [*self.results, *((r["criterion"], r["speedup"]) for r in self.failed)]
        return sorted({s for criterion, s in every if criterion not in (GIVEN, "dense")})

    def rows(self, ablations: bool) -> list[str]:
        """Criteria that were cut, in the order of the table; metanetworks last."""
        every = dict.fromkeys([*(c for c, _ in self.results), *(r["criterion"] for r in self.failed)])
        found = [c for c in every if (":" in c) == ablations and c not in (GIVEN, "dense")]
        return sorted(found, key=lambda c: (ORDER.index(c) if c in ORDER else len(ORDER), c))

    def accuracies(self, criterion: str, speedup: float) -> list[float]:
        """Test accuracies in percent, one per seed."""
        return [100 * r["test_accuracy"] for r in self.results.get((criterion, speedup), ())]


def sections(results: Iterable[Result]) -> list[Section]:
    """Results by network and schedule."""
    found: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        place = (result["scale"], result["network"], json.dumps(result["schedule"], sort_keys=True))
        found.setdefault(place, []).append(result)
    made = []
    for (scale, network, schedule), group in found.items():
        cells: dict[tuple[str, float], list[Result]] = {}
        failed = []
        for result in _told_apart(group):
            if "error" in result:
                failed.append(result)
            else:
                cells.setdefault((result["criterion"], result["speedup"]), []).append(result)
        made.append(Section(scale, network, Schedule(**json.loads(schedule)), cells, failed))
    order = {"full": 0, "small": 1, "tiny": 2}
    return sorted(made, key=lambda s: (order.get(s.scale, 3), s.network, -s.schedule.steps))


def _told_apart(results: Sequence[Result]) -> list[Result]:
    """Rows of one metanetwork under several weights are several rows, called by the weights."""
    marks: dict[str, set[str | None]] = {}
    for result in results:
        marks.setdefault(result["criterion"], set()).add(result["weights"])
    return [
        {**r, "criterion": f"{r['criterion']} ({r['weights'][:6]})"} if len(marks[r["criterion"]]) > 1 else r
        for r in results
    ]


def page(results: Iterable[Result], pictures: Mapping[str, str] = MappingProxyType({})) -> str:
    """The whole page.

    Args:
        results: all cells of the record.
        pictures: file names by the names of sections.
    """
    lines = [
        "# Pruning criteria at equal budgets",
        "",
        "Test accuracy in percent of trained networks after they were cut to a share of their MACs and "
        "finetuned: mean ± standard deviation over the seeds (their number). **Bold** is a mean that beats "
        "every other criterion by more than the deviation of either. The record is `pruning.json`; "
        "`python -m benchmarks.pruning --table` writes this page from it.",
        "",
        *_how(),
    ]
    for section in sections(results):
        lines += ["", *_section(section, pictures.get(section.name))]
    return "\n".join(lines)


def _how() -> list[str]:
    return [
        "How every row is made:",
        "",
        "- The same trained network, the same number of training steps whatever they are spent on, and the "
        "same images in the same order with the same augmentation for a seed: SGD, Nesterov momentum, "
        "cross-entropy, warm-up and cosine in each training. A seed is one of the finetuning (and of "
        "random scores, and of the images that Taylor looks at); the trained network is the same.",
        "- Random, L2, Taylor, BN scale and FPGM cut once, globally over all groups, and train after the "
        "cut. Metanetworks rewrite the network, train for a share of the steps, cut by L2, and train for the "
        "rest. Sparse learning trains with its regulariser for the same share, and cuts in steps of 1/400.",
        "- The step is chosen by accuracy on a validation split of the training set (CIFAR-10: the "
        "last 5,000 images), looked at only after the cut; the test set is read once, after that.",
        "- MACs are those of the finished network by `netgraph.graph.CostModel`, at most the budget.",
        "- Sparse learning by Torch-Pruning 1.6.1: it cuts networks with padded shortcuts (option A) into "
        "ones that do not run, so it gets the equal network whose shortcuts are fixed 1x1 convolutions, "
        "which cost it no MACs. One row has its authors' strength of the regulariser, the other one that "
        "does in these steps what theirs does in their 100 epochs.",
        "",
        "What falls short:",
        "",
        "- The trained networks for CIFAR-10 are others' and have seen all training images, those of the "
        "validation split included: it chooses the step less well than unseen images would.",
        "- One trained network per architecture; the deviation is that of the finetuning alone.",
        "- Learning rate and shares are the same for all criteria and were not tuned for any.",
    ]


def _section(section: Section, picture: str | None) -> list[str]:
    schedule = section.schedule
    every = [r for cells in section.results.values() for r in cells]
    lines = [
        f"## {section.network}, {schedule.steps:,} steps",
        "",
        f"Scale `{section.scale}`: {schedule.steps:,} steps of {schedule.batch} images, learning rate up to "
        f"{schedule.lr:g}, weight decay {schedule.weight_decay:g}, {schedule.before:.0%} of the steps before "
        "the cut where a criterion trains there, a look at the validation split every "
        f"{schedule.every} steps. {_machines(every)}",
        "",
    ]
    base = section.results.get((GIVEN, 1.0), [None])[0]
    dense = section.accuracies("dense", 1.0)
    if base is not None:
        finetuned = f" Dense, finetuned for as many steps: {_cell(dense)}." if dense else ""
        lines += [
            f"As given: {100 * base['test_accuracy']:.2f} %, {base['macs'] / 1e6:.2f} M MACs, "
            f"{base['params']:,} parameters.{finetuned}",
            "",
        ]
    if section.rows(False):
        lines += _accuracies(section, False)
        lines += [""] + _costs(section)
    if picture is not None:
        lines += ["", f"![Accuracy against MACs]({picture})"]
    if section.rows(True):
        lines += ["", "What carries the gain:", "", *_accuracies(section, True), ""]
        lines += [f"- NAME:{name}: {text}" for name, text in ABLATIONS.items()]
    if section.failed:
        lines += ["", "Without a result:", ""]
        lines += [
            f"- {_title(r['criterion'])}, {r['speedup']:g}x, seed {r['seed']}: {r['error']}"
            for r in section.failed
        ]
    return lines


def _accuracies(section: Section, ablations: bool) -> list[str]:
    speedups, rows = section.speedups, section.rows(ablations)
    best = {s: None if ablations else _winner(section, rows, s) for s in speedups}
    lines = _head(["criterion", *(f"{s:g}x" for s in speedups)])
    for row in rows:
        cells = [_cell(section.accuracies(row, s)) for s in speedups]
        cells = [f"**{c}**" if best[s] == row else c for c, s in zip(cells, speedups, strict=True)]
        lines.append(f"| {_title(row)} | " + " | ".join(cells) + " |")
    return lines


def _winner(section: Section, rows: Sequence[str], speedup: float) -> str | None:
    """The row that beats every other by more than the larger deviation of the two."""
    found = {row: values for row in rows if len(values := section.accuracies(row, speedup)) > 1}
    unequal = [row for row in rows if row not in found and section.accuracies(row, speedup)]
    if len(found) < 2 or unequal:
        return None
    best = max(found, key=lambda row: statistics.fmean(found[row]))
    for row, values in found.items():
        lead = statistics.fmean(found[best]) - statistics.fmean(values)
        if row != best and lead <= max(statistics.stdev(values), statistics.stdev(found[best])):
            return None
    return best


def _costs(section: Section) -> list[str]:
    """Parameters and measured speed, medians over the seeds."""
    batches = list(next(r for cells in section.results.values() for r in cells)["latency_ms"])
    lines = [
        "Thousands of parameters left, and how many times as fast as the network as given, measured in turns "
        f"at batch {' / '.join(batches)} (medians over the seeds):",
        "",
        *_head(["criterion", *(f"{s:g}x" for s in section.speedups)]),
    ]
    for row in section.rows(False):
        cells = []
        for speedup in section.speedups:
            found = section.results.get((row, speedup), ())
            cells.append(_cost(found, batches) if found else "")
        lines.append(f"| {_title(row)} | " + " | ".join(cells) + " |")
    every = [r for (c, _), cells in section.results.items() if c != GIVEN for r in cells]
    times = [
        f"{statistics.median(r['latency_ms'][b][0] for r in every):.2f} ms at batch {b}"
        for b in (batches if every else ())
    ]
    reached = [
        f"{s:g}x: {min(found) / 1e6:.2f} to {max(found) / 1e6:.2f} M"
        for s in section.speedups
        if (found := [r["macs"] for (c, t), cells in section.results.items() if t == s for r in cells])
    ]
    return [
        *lines,
        "",
        f"The network as given takes {' and '.join(times)}. MACs reached at {'; '.join(reached)}.",
    ]


def _cost(found: Sequence[Result], batches: Sequence[str]) -> str:
    ratios = [
        statistics.median(r["latency_ms"][b][0] / max(r["latency_ms"][b][1], 1e-9) for r in found)
        for b in batches
    ]
    size = statistics.median(r["params"] for r in found)
    return f"{size / 1e3:.0f}; " + " / ".join(f"{ratio:.2f}x" for ratio in ratios)


def _machines(results: Sequence[Result]) -> str:
    found = dict.fromkeys(
        f"{r['device']}, {r['machine']['threads']} threads of {r['machine']['cpus']} cores "
        f"({r['machine']['vector_instructions']}), torch {r['machine']['torch']}"
        for r in results
    )
    hours = sum(r["seconds"] for r in results) / 3600
    return f"{hours:.1f} hours on: {'; '.join(found)}." if found else ""


def _title(row: str) -> str:
    return TITLES.get(row, row)


def _head(names: Sequence[str]) -> list[str]:
    return ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread} ({len(values)})"
