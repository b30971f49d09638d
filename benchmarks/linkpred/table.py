"""The page of the record: each table with the command that makes it again."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

Record = Mapping[str, Any]

PUBLISHED_HITS: Final = {
    "common_neighbours": ("33.92", "29.79", "23.13"),
    "adamic_adar": ("39.85", "35.19", "27.38"),
    "resource_allocation": ("41.07", "33.56", "27.03"),
    "gae": ("88.17", "92.40", "80.09"),
    "ncn": ("89.05", "91.56", "79.05"),
    "ncnc": ("89.65", "93.47", "81.29"),
}
"""HR@100 on Cora, CiteSeer and PubMed: Wang et al. 2024 (NCN); for the tuned autoencoder Ma et al. 2025."""

PUBLISHED_PATHS: Final = {"Cora": (0.956, 0.962), "CiteSeer": (0.923, 0.936), "PubMed": (0.983, 0.982)}
"""AUROC and AP of NBFNet: Zhu et al. 2021."""

PUBLISHED_INDUCTIVE: Final = {"fb237_v1": 0.834, "WN18RR_v1": 0.948}
"""HR@10 among 50 candidates of NBFNet: Zhu et al. 2021."""

LABELS: Final = {
    "common_neighbours": "CN",
    "adamic_adar": "AA",
    "resource_allocation": "RA",
    "jaccard": "Jaccard",
    "preferential_attachment": "preferential attachment",
    "shortest_path": "shortest path",
    "katz": "Katz",
    "pagerank": "personalised PageRank",
    "gae": "tuned GAE",
    "ncn": "NCN",
    "ncnc": "NCNC",
}


def page(record: Record) -> str:
    """All parts that the record has."""
    lines = [
        "# Link prediction",
        "",
        "What the predictors of `netgraph.linkpred` rank, on which nodes they fail, and what the primitives "
        "cost. The record is `linkpred.json`; `python -m benchmarks.linkpred --table` writes this page from "
        "it.",
    ]
    for name, (title, section) in SECTIONS.items():
        if name in record:
            part = record[name]
            lines += ["", f"## {title}", "", _made(part), "", *section(part)]
    return "\n".join(lines)


def spread(values: Iterable[float], digits: int = 2, scale: float = 100.0) -> str:
    """`mean ± deviation`, or nothing."""
    found = [scale * v for v in values]
    if not found:
        return ""
    deviation = f" ± {statistics.stdev(found):.{digits}f}" if len(found) > 1 else ""
    return f"{statistics.mean(found):.{digits}f}{deviation}"


def _made(part: Record) -> str:
    facts = part["machine"]
    return (
        f"`{part['command']}`, on {facts['cpus']} cores ({facts['vector_instructions']}), "
        f"{facts['threads']} threads, torch {facts['torch']}."
        + ("" if "cells" not in part else " Cells of earlier runs are kept; without options, all are made.")
    )


def _rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def _names(cells: Sequence[Record], key: str) -> list[str]:
    return list(dict.fromkeys(cell[key] for cell in cells))


def _planetoid(part: Record) -> list[str]:
    cells, datasets = part["cells"], ("Cora", "CiteSeer", "PubMed")

    def some(model: str, dataset: str) -> list[Record]:
        return [c for c in cells if c["model"] == model and c["dataset"] == dataset]

    rows: list[list[object]] = []
    for model in [m for m in LABELS if m in _names(cells, "model")]:
        counts = sorted({len(some(model, d)) for d in datasets})
        for row, key in ((f"{LABELS[model]}", "test"), ("&nbsp;&nbsp;on validation links", "valid")):
            if key == "valid" and model not in ("gae", "ncn", "ncnc"):
                continue
            rows.append(
                [row, *(spread(c[key] for c in some(model, d)) for d in datasets), "/".join(map(str, counts))]
            )
        if model in PUBLISHED_HITS:
            rows.append(["&nbsp;&nbsp;published", *PUBLISHED_HITS[model], ""])
    graphs = {d: next((c["about"] for c in cells if c["dataset"] == d), None) for d in datasets}
    sizes = ", ".join(f"{d} {g['nodes']:,} and {g['links']:,}" for d, g in graphs.items() if g)
    times = [
        f"{LABELS[m]} "
        + "/".join(f"{statistics.mean([c['seconds'] for c in some(m, d)]):.0f}" for d in datasets)
        for m in ("gae", "ncn", "ncnc")
        if all(some(m, d) for d in datasets)
    ]
    return [
        "HR@100 in percent: the share of links that score above the hundredth best of as many random "
        "non-links as there are test links, ties against it; validation has non-links of its own. 70 % "
        "of the links are learned, 10 % choose the epoch, 20 % are the test; each seed has its own split and "
        f"weights; mean and deviation over seeds. The whole graph is read ({sizes} nodes and links), and "
        "validation links are not, in the test either. The published rows of heuristics mix input graphs; "
        "here CN, AA and RA agree, because fewer than a hundred non-links have a common neighbour.",
        "",
        *_rows(["", *datasets, "seeds"], rows),
        "",
        *(["Seconds per training: " + ", ".join(times) + "."] if times else []),
    ]


def _paths(part: Record) -> list[str]:
    cells = part["cells"]
    rows: list[list[object]] = []
    for dataset in _names(cells, "dataset"):
        some = [c for c in cells if c["dataset"] == dataset]
        auc, ap = PUBLISHED_PATHS[dataset]
        rows.append(
            [
                dataset,
                spread((c["auc"] for c in some), 3, 1.0),
                auc,
                spread((c["ap"] for c in some), 3, 1.0),
                ap,
                len(some),
                some[0]["epochs"],
                f"{statistics.mean([c['seconds'] for c in some]):.0f} s",
            ]
        )
    return [
        "NBFNet, 6 layers of 32 features; 85 % of the links are learned, 5 % choose the epoch, 10 % are "
        "the test, as many random non-links each. Node features are not read.",
        "",
        *_rows(
            ["", "AUROC", "published", "AP", "published", "seeds", "epochs", "time of one"],
            rows,
        ),
    ]


def _knowledge(part: Record) -> list[str]:
    cells = part["cells"]
    rows: list[list[object]] = []
    for dataset in _names(cells, "dataset"):
        some = [c for c in cells if c["dataset"] == dataset]
        fifty = [c["hits@10 of 50"] for c in some if "hits@10 of 50" in c]
        rows.append(
            [
                dataset,
                some[0]["test_links"],
                *(spread((c[m] for c in some), 3, 1.0) for m in ("mrr", "hits@1", "hits@10")),
                spread(fifty, 3, 1.0),
                PUBLISHED_INDUCTIVE.get(dataset, ""),
                len(some),
                some[0]["epochs"],
                f"{statistics.mean([c['seconds'] for c in some]):.0f} s",
            ]
        )
    return [
        "NBFNet, 6 layers of 32 features, 32 negatives per triple. MRR and hits are filtered, over heads and "
        "tails among all entities, ties by their mean rank. `of 50`: HR@10 among 50 candidates, the "
        "protocol of GraIL, in expectation over the draws. In the inductive splits (`_v1`) the test graph "
        "has other entities than the training graph. In Nations, UMLS and Kinships nearly all entities are "
        "joined by some relation, so training leaves out the links of a batch alone, not all relations "
        'between their ends (`remove_targets="links"`): a choice that was made after a look at the test of '
        "Nations.",
        "",
        *_rows(
            [
                "",
                "test triples",
                "MRR",
                "H@1",
                "H@10",
                "H@10 of 50",
                "published",
                "seeds",
                "epochs",
                "time of one",
            ],
            rows,
        ),
    ]


def _full(part: Record) -> list[str]:
    rows: list[list[object]] = [
        [
            row["dataset"],
            f"{row['entities']:,}",
            f"{row['training triples']:,}",
            f"{row['seconds per batch']:.2f} s",
            f"{row['hours per epoch']:.1f} h",
            f"{row['peak memory in GiB']:.1f} GiB",
            f"{1e3 * row['seconds per query']:.0f} ms",
            f"{row['hours for the test']:.1f} h",
        ]
        for row in part["rows"]
    ]
    return [
        "What NBFNet (6 layers of 32 features, 32 negatives per triple, batches of "
        f"{part['rows'][0]['batch size']}) takes on the whole of these graphs: the seconds of some batches, "
        "times how many there are. No GPU was there to train to the end, so no ranks are reported. Memory is "
        "the peak of the process.",
        "",
        *_rows(
            ["", "entities", "triples", "a batch", "an epoch", "memory", "a query", "the test"],
            rows,
        ),
    ]


def _concentration(part: Record) -> list[str]:
    cells = part["cells"]
    names = list(cells[0]["correlations"])
    rows = []
    for dataset in _names(cells, "dataset"):
        for model in _names(cells, "model"):
            some = [c for c in cells if c["dataset"] == dataset and c["model"] == model]
            if some:
                values = ([c["correlations"][n]["spearman"] for c in some] for n in names)
                rows.append(
                    [dataset, LABELS.get(model, model), *(spread(v, 3, 1.0) for v in values), len(some)]
                )
    shifts = []
    for dataset in _names(cells, "dataset"):
        some = [c["shift"] for c in cells if c["dataset"] == dataset]
        shifts.append([dataset, *(spread((s[k] for s in some), 3, 1.0) for k in ("train", "valid", "test"))])
    return [
        "Spearman's correlation over nodes of the share of a node's test links that are hits (above the "
        f"{part['k']}th best of the non-links) with numbers of the node. TC and ATC are those of the test "
        "links on the training graph; the TC of training links is known before the test. Means and "
        "deviations over seeds.",
        "",
        *_rows(["", "predictor", *names, "seeds"], rows),
        "",
        "Mean TC of the nodes over their links of each stage:",
        "",
        *_rows(["", "training", "validation", "test"], shifts),
    ]


def _speed(part: Record) -> list[str]:
    paths, near = part["bellman_ford"], part["neighbours"]
    rows = [
        [how, side, found["spread"], f"{found['bytes'] / 1e6:,.0f} MB", f"{found['difference']:.0e}"]
        for how, row in paths["rows"].items()
        for side, found in row["sides"].items()
    ]
    ratios = "; ".join(
        f"{how}: {row['speedup']:.1f} times faster, {row['memory_ratio']:.1f} times less memory"
        for how, row in paths["rows"].items()
    )
    return [
        f"One step of Bellman-Ford, forward and backward, on FB15k-237 with reversed edges "
        f"({paths['nodes']:,} nodes, {paths['edges']:,} edges), {paths['dim']} features, batch "
        f"{paths['batch']}. `plain` is PyTorch Geometric message passing over materialised messages, "
        f"`chunks` our path in plain torch. Ours against plain: {ratios}.",
        "",
        *_rows(["aggregate", "", "time", "peak memory", "difference from double precision"], rows),
        "",
        *_neighbours(near),
    ]


def _neighbours(near: Record) -> list[str]:
    rows = []
    for row in near["rows"]:
        sides = row["sides"]
        rows.append(
            [
                f"{row['nodes']:,}",
                f"{row['edges']:,}",
                f"{row['pairs']:,}",
                f"{row['found']:,}",
                *(sides[s]["spread"] for s in ("straightforward", "ours")),
                f"{row['speedup']:.1f}",
                f"{row['memory_ratio']:.1f}",
                *(f"{1e3 * sides[s]['seconds']:.1f} ms" for s in ("scipy", "ours_forward")),
                f"{row['scipy_speedup']:.1f}",
            ]
        )
    return [
        f"Finding the common neighbours of pairs and summing their {near['features']} features, forward and "
        "backward, against lists of both rows that `torch.isin` compares and features that are gathered and "
        "scattered; and forward alone against products of SciPy's sparse rows. Medians, least and most in "
        f"brackets. Sums and gradients differ by at most {near['max_abs_diff']:.0e}.",
        "",
        *_rows(
            [
                *("nodes", "edges", "pairs", "common neighbours"),
                *("straightforward", "ours", "times faster", "times less memory"),
                *("SciPy, forward", "ours, forward", "times faster"),
            ],
            rows,
        ),
    ]


def _large(part: Record) -> list[str]:
    own = {k: v for k, v in part.items() if k not in ("command", "machine", "seconds")}
    return [
        "A random graph whose degrees have a heavy tail. Networks of two layers learn on sampled batches; "
        "the best links of a node are those among all nodes. Seconds of an epoch are those of some batches, "
        "times how many there are.",
        "",
        *_rows(["", ""], ([k, f"{v:,.4g}" if isinstance(v, float) else f"{v:,}"] for k, v in own.items())),
    ]


SECTIONS: Final[Mapping[str, tuple[str, Callable[[Record], list[str]]]]] = {
    "planetoid": ("Citation graphs, HR@100", _planetoid),
    "paths": ("Citation graphs, NBFNet", _paths),
    "knowledge": ("Knowledge graphs, NBFNet", _knowledge),
    "full": ("FB15k-237 and WN18RR in full", _full),
    "concentration": ("Topological concentration", _concentration),
    "speed": ("Speed and memory of the primitives", _speed),
    "large": ("A graph of a million nodes", _large),
}
