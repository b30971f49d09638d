"""The page of the record: each table with the command that makes it again."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

Record = Mapping[str, Any]

PUBLISHED: Final = {
    "SSWL": (0.0098, 0.0091, 0.0089, 0.0107, 0.0142, 0.0189),
    "SSWL+": (0.0063, 0.0066, 0.0078, 0.0078, 0.0108, 0.0154),
}
"""Zhang et al. 2023, their table of substructure counts: one network per count, last epoch."""

COUNTS: Final = {
    "triangle": "triangle",
    "tailed_triangle": "tailed",
    "star": "star",
    "cycle4": "4-cycle",
    "cycle5": "5-cycle",
    "cycle6": "6-cycle",
}


def page(record: Record) -> str:
    """All parts that the record has."""
    lines = [
        "# Subgraph networks",
        "",
        "What the exact tests and the networks of `netgraph.subgraph` separate, count, predict and cost. The "
        "record is `subgraph.json`; `python -m benchmarks.subgraph --table` writes this page from it.",
    ]
    for name, (title, section) in SECTIONS.items():
        if name in record:
            part = record[name]
            lines += ["", f"## {title}", "", _made(part), "", *section(part)]
    return "\n".join(lines)


def _made(part: Record) -> str:
    facts = part["machine"]
    return (
        f"`{part['command']}`, {_duration(part['seconds'])} on {facts['cpus']} cores "
        f"({facts['vector_instructions']}), {facts['threads']} threads, torch {facts['torch']}."
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def _verdicts(part: Record) -> list[str]:
    tests = list(next(iter(part["pair_verdicts"].values())))
    small = part["small_graphs"]
    sets = {f"BREC {name}": found for name, found in part["brec"].items()}
    sets |= {"EXP": part["exp"], "CEXP": part["cexp"], "SR25": part["sr25"]}
    broken = part["pairs_against_order"] + sum(
        found.get("against_order", 0) for found in (*sets.values(), *small.values())
    )
    return [
        f"All tests agree with what is known of {part['pairs_right']} of {part['pairs']} pairs that tell the "
        f"classes apart. Verdicts against the proven order, over everything below: {broken}.",
        "",
        *_rows(
            ["pair", *tests],
            ([name, *("yes" if v[t] else "no" for t in tests)] for name, v in part["pair_verdicts"].items()),
        ),
        "",
        "Pairs of connected graphs of one size that a test does not separate:",
        "",
        *_rows(
            ["nodes", "pairs", *tests],
            ([n, f"{e['pairs']:,}", *(f"{e['together'][t]:,}" for t in tests)] for n, e in small.items()),
        ),
        "",
        "Pairs of other sets that a test separates; of CSL, into how many classes it sorts the graphs of "
        f"{part['csl']['classes']}:",
        "",
        *_rows(
            ["set", "pairs", *tests],
            [
                *([name, e["pairs"], *(e["separated"][t] for t in tests)] for name, e in sets.items()),
                ["CSL", "", *(part["csl"]["told_apart"][t] for t in tests)],
            ],
        ),
    ]


def _networks(part: Record) -> list[str]:
    models = part["models"]
    pairs = list(next(iter(models.values()))["pairs"])
    says = {True: "yes", False: "no", None: "?"}

    def cell(verdict: Record) -> str:
        network, test = says[verdict["network"]], says[verdict["test"]]
        return network if network == test else f"**{network}** (test: {test})"

    return [
        "Networks with random weights, whole copies, sums, norms fixed to the graphs before them, float64. "
        "A pair is separated if the outputs of some draw differ by more than 1e-6 of their size; a verdict "
        f"that is not the test's is bold. {part['agree']} of {part['total']} agree; isomorphic copies differ "
        f"by at most {part['rounding']:.0e}.",
        "",
        *_rows(
            ["network", "test", *pairs],
            (
                [name, entry["test"], *(cell(entry["pairs"][p]) for p in pairs)]
                for name, entry in models.items()
            ),
        ),
    ]


def _brec(part: Record) -> list[str]:
    counts, settings = part["counts"], part["settings"]
    categories = list(next(iter(counts.values())))

    def cell(found: Record | None) -> str:
        if found is None:
            return ""
        note = f", {found['unreliable']} unreliable" if found["unreliable"] else ""
        return f"{found['separated']} ({found['exact']}{note})"

    def total(parts: Record) -> Record:
        return {
            key: sum(p[key] for p in parts.values()) for key in ("separated", "exact", "unreliable", "pairs")
        }

    pairs = {c: next(parts[c]["pairs"] for parts in counts.values() if c in parts) for c in categories}
    return [
        "Pairs of BREC that a trained network separates by the paper's reliable paired comparison, and in "
        "brackets those that the exact test of its class separates. "
        f"{settings['layers']} layers of {settings['hidden']} channels, learning rate {settings['lr']:g}, "
        f"seed {settings['seed']}, {'float64' if settings['double'] else 'float32'}; one network per pair. "
        "`benchmarks/subgraph/brec.py` says where the protocol differs from the authors' scripts; pairs of "
        "cfi that the exact test does not separate count as not separated without being trained. "
        f"Training and embedding took {_duration(part['busy'])}.",
        "",
        *_rows(
            ["network", *(f"{c} ({pairs[c]})" for c in categories), f"all ({sum(pairs.values())})"],
            (
                [name, *(cell(parts.get(c)) for c in categories), cell(total(parts))]
                for name, parts in counts.items()
            ),
        ),
    ]


def _counting(part: Record) -> list[str]:
    def row(name: str, note: str, errors: Sequence[float]) -> list[object]:
        return [name, note, *(f"{e:.4f}" for e in errors)]

    rows = []
    for run in part["runs"]:
        if run["model"] in PUBLISHED:
            rows.append(row(f"{run['model']}, published", "last epoch", PUBLISHED[run["model"]]))
        label = f"{run['model']}, seed {run['seed']}"
        rows.append(row(label, f"best validation, epoch {run['best_epoch']}", run["test_best"]))
        rows.append(row(label, f"last epoch, {part['epochs']}", run["test_last"]))
    sizes = part["graphs"]
    parameters = ", ".join(f"{r['model']} {r['parameters']:,}" for r in part["runs"])
    spent = ", ".join(f"{r['model']} {_duration(r['seconds'])}" for r in part["runs"])
    return [
        f"Mean absolute error on {sizes['test']:,} test graphs, divided by the deviation of the count on "
        f"the {sizes['train']:,} training graphs; {sizes['val']:,} graphs choose the epoch. One network "
        "predicts all six counts, where the published rows have a network for each. "
        f"{part['layers']} layers of {part['hidden_channels']} channels, batches of {part['batch_size']}, "
        f"one cycle of the learning rate up to {part['lr']:g} over {part['epochs']} epochs. Parameters: "
        f"{parameters}. Training: {spent}.",
        "",
        *_rows(["network", "weights of", *(COUNTS[name] for name in part["targets"])], rows),
    ]


def _speed(part: Record) -> list[str]:
    kept = part.get("kept_rows", [])
    largest = max(side["difference"] for entry in part["rows"] for side in entry["sides"].values())
    head = ["nodes", "", "time", "times faster", "peak memory", "times less"]
    lines = [
        f"Forward and backward pass of SSWL, {part['layers']} layers of {part['hidden_channels']} channels, "
        "random regular graphs, sides in turn. `straightforward` is plain PyTorch Geometric message passing "
        "over materialised pairs (`tests/subgraph/oracle.py`) with the same weights. "
        "Medians, with the least and the most in brackets; memory is the rise of the resident set's peak "
        "over one call, before those that are timed. The largest difference of an output is "
        f"{largest:.0e} of the largest output, which is what the norms of the straightforward side round "
        "(`tests/subgraph/test_model.py` compares both with float64).",
        "",
        *_rows(head, [row for entry in part["rows"] for row in _sides(entry)]),
    ]
    if not kept:
        return lines
    return [
        *lines,
        "",
        "More than half of the straightforward side's time goes into memory that the system hands out and "
        "clears anew for each state, as it does by default. With an allocator that keeps what was freed "
        "(`KEEP` in `benchmarks/subgraph/speed.py`), at two to three times the memory, the same is:",
        "",
        *_rows(head, [row for entry in kept for row in _sides(entry)]),
    ]


def _sides(entry: Record) -> list[list[str]]:
    where = f"{entry['nodes']}, degree {entry['degree']}, batch {entry['batch']}"
    where += f", {entry['hops']} hops" if entry["hops"] else ""
    plain = entry["sides"]["straightforward"]
    rows = []
    for name, side in entry["sides"].items():
        own = name != "straightforward"
        rows.append(
            [
                where,
                name,
                side["spread"],
                f"{plain['seconds'] / side['seconds']:.1f}" if own else "",
                f"{side['bytes'] / 1e6:,.0f} MB",
                f"{plain['bytes'] / side['bytes']:.1f}" if own and side["bytes"] else "",
            ]
        )
    return rows


def _nas(part: Record) -> list[str]:
    rows = []
    for entry in part["rows"]:
        taus = entry["tau"]
        deviation = f" ± {statistics.stdev(taus):.3f}" if len(taus) > 1 else ""
        mean = f"{statistics.mean(taus):.3f}{deviation}"
        rows.append([entry["cells"], entry["network"], f"{entry['parameters']:,}", mean])
    return [
        "Kendall's tau between predicted and true validation accuracy on CIFAR-10, on all NAS-Bench-201 "
        "cells that were not trained on; mean and deviation over "
        f"{len(part['seeds'])} draws of cells and weights, "
        f"last of {part['epochs']} epochs. The networks are those of `examples/nas_accuracy.py`: the same "
        "graphs, depth, batches, schedule and loss for both.",
        "",
        *_rows(["training cells", "network", "parameters", "Kendall's tau"], rows),
    ]


SECTIONS: Final[Mapping[str, tuple[str, Callable[[Record], list[str]]]]] = {
    "verdicts": ("What the exact tests separate", _verdicts),
    "networks": ("Networks with random weights beside their tests", _networks),
    "brec": ("BREC", _brec),
    "counting": ("Substructure counting", _counting),
    "speed": ("Speed and memory", _speed),
    "nas": ("NAS-Bench-201", _nas),
}
