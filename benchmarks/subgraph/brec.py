"""BREC by its own protocol: siamese training per pair, then a reliable paired comparison.

Paper: Wang and Zhang, An Empirical Study of Realized GNN Expressiveness, ICML 2024, arXiv 2304.07702.

For each pair (G, H) a network is trained to set the two apart (cosine embedding loss with margin 0, Adam, at
most 20 epochs of 4 updates, done once the loss is below 0.2), and then embeds q = 32 permuted copies of each.
With m and S the mean and the covariance of the differences between the i-th copies, the pair is separated if

    m' S^+ m > (q - 1) p / (q - p) F(p, q - p; 0.95) = 72.34        p = 16 numbers in an embedding,

and if the same number for two times 32 copies of G stays below. Hotelling's T^2 is q times as large; as in
the authors' scripts the factor is left out, which makes the comparison stricter, and hardly ever unreliable
by chance.

Not as in those scripts: they train on all copies. A network that does not see the order of nodes has the same
loss and gradient on each copy, so training here is on one. Norms keep the statistics of the pair under the
last weights, so that an evaluation computes what was trained. Pairs of the category cfi that the exact test
of a class does not separate are not trained for it: no network of the class can separate them, and they are
the largest graphs. And S has the square of 1e-5 times the largest number of an
embedding added to its diagonal (1e-12 in float64): copies may be embedded without any error, and errors of
rounding are not blind to the structure of a graph, so they are no noise with mean zero.
"""

from __future__ import annotations

import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.stats import f as f_distribution
from torch_geometric.data import Batch, Data

from benchmarks._record import say
from benchmarks.subgraph.data import CATEGORIES, Pair, brec
from netgraph.convert import as_data
from netgraph.subgraph import MODELS, PPGN, SubgraphNet, distinguishes

RUNS = Path(__file__).resolve().parents[2] / "runs" / "subgraph"
NAMES = ("SWL(VS)", "SWL(SV)", "PSWL(SV)", "GSWL", "SSWL", "SSWL+", "DSS-GNN", "SUN", "PPGN")
COPIES, EMBEDDING, UPDATES = 32, 16, 80
EPOCH, LOSS = 4, 0.2

BOUNDED = ("cfi",)
"""Categories of which only pairs that the exact test separates are trained."""

LARGEST_BATCH = 200_000
"""Pairs of nodes that are embedded at a time."""

Verdicts: TypeAlias = dict[tuple[str, str, int], dict[str, Any]]
"""By name of a model or a test, category and place of the pair."""

ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-12}
"""What an embedding may be wrong by, relative to its largest number."""


def run(
    data: Path,
    quick: bool,
    *,
    models: Sequence[str] = NAMES,
    categories: Sequence[str] = CATEGORIES,
    hidden: int = 32,
    layers: int = 6,
    lr: float = 1e-3,
    seed: int = 0,
    double: bool = False,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Pairs that each model separates, by category, beside what the exact test of its class separates.

    Verdicts are kept as lines of JSON; a run that was interrupted goes on from there. So does one that is
    given the record of an earlier run with the same settings.

    Args:
        data: the folder that holds `expressivity/`.
        quick: two pairs of two categories for two models, not kept.
        models, categories: which to try.
        hidden, layers, lr, seed: of the networks and their training.
        double: train and embed in float64.
        earlier: what an earlier run returned.

    Returns:
        `counts`: per model and category `separated`, `unreliable`, `trained`, `exact` and `pairs`; `busy`
        seconds; `verdicts`: the same pair by pair (`_written`).
    """
    every = brec(data)
    if quick:
        models, categories = ("SSWL", "PPGN"), ("basic", "str")
        every = {name: every[name][:2] for name in categories}
    settings = {"hidden": hidden, "layers": layers, "lr": lr, "seed": seed, "double": double}
    path = None if quick else RUNS / f"brec-{zlib.crc32(json.dumps(settings).encode()):08x}.jsonl"
    done = _told(earlier, settings) | _read(path)
    counts: dict[str, dict[str, Counter[str]]] = {}
    spent = 0.0
    for model in models:
        for category in categories:
            found = counts.setdefault(model, {}).setdefault(category, Counter())
            for index, pair in enumerate(every[category]):
                test = "FWL(2)" if model == "PPGN" else MODELS[model].test
                exact = _known(
                    done, path, (f"test {test}", category, index), lambda t=test, p=pair: _exact(t, p)
                )
                found["pairs"] += 1
                found["exact"] += exact["separated"]
                if category in BOUNDED and not exact["separated"]:
                    continue
                found["trained"] += 1
                result = _known(
                    done,
                    path,
                    (model, category, index),
                    lambda m=model, p=pair: compare(m, p, **settings),
                )
                found["separated"] += result["separated"] and result["reliable"]
                found["unreliable"] += not result["reliable"]
                spent += result["seconds"]
            say(f"brec {model}, {category}: {dict(found)}, {spent:.0f} s")
    plain = {model: {name: dict(c) for name, c in parts.items()} for model, parts in counts.items()}
    return {
        "settings": settings,
        "threshold": threshold(),
        "counts": plain,
        "busy": spent,
        "verdicts": _written(done, {name: len(pairs) for name, pairs in every.items()}),
    }


def threshold() -> float:
    """What T^2 of equal distributions exceeds once in twenty times: 72.34."""
    q, p = COPIES, EMBEDDING
    return float((q - 1) * p / (q - p) * f_distribution.ppf(0.95, p, q - p))


def compare(
    model: str, pair: Pair, *, hidden: int, layers: int, lr: float, seed: int, double: bool
) -> dict[str, Any]:
    """Train a network on a pair and compare what it makes of permuted copies.

    Returns:
        Whether the pair is `separated`, whether the comparison is `reliable`, the statistic of the pair and
        that of G with itself, and `seconds`.
    """
    start = time.perf_counter()
    torch.manual_seed(seed)
    options = {"hidden_channels": hidden, "num_layers": layers}
    build: Any = PPGN if model == "PPGN" else SubgraphNet
    network = build(0, EMBEDDING, **options, **({} if model == "PPGN" else {"model": model}))
    dtype = torch.float64 if double else torch.float32
    network.to(dtype)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    plain = [as_data(graph) for graph in pair]
    _separate(network, plain, lr)
    rng = np.random.default_rng(seed)
    g, h, again = (_embed(network, _copies(plain[i], rng)) for i in (0, 1, 0))
    error = ROUNDING[dtype] * float(np.abs(g).max())
    found, reference = statistic(g - h, error), statistic(g - again, error)
    return {
        "separated": found > threshold(),
        "reliable": reference < threshold(),
        "statistic": found,
        "statistic_of_copies": reference,
        "seconds": time.perf_counter() - start,
    }


def statistic(differences: npt.NDArray[np.float64], error: float = 0.0) -> float:
    """`m' S^+ m` of paired differences `(q, p)` that may each be wrong by an error."""
    mean = differences.mean(0)
    covariance = np.cov(differences, rowvar=False) + error**2 * np.eye(len(mean))
    return float(mean @ np.linalg.pinv(covariance, hermitian=True) @ mean)


def _separate(network: torch.nn.Module, pair: list[Data], lr: float) -> None:
    """Lower the cosine of the two embeddings."""
    batch = Batch.from_data_list([network.transform(data) for data in pair])
    optimiser = torch.optim.Adam(network.parameters(), lr=lr, weight_decay=1e-4)
    network.train()
    pairs = network.pairs(batch)
    apart = -torch.ones(1)
    for update in range(UPDATES):
        optimiser.zero_grad(set_to_none=True)
        one, other = network(pairs).split(1)
        loss = F.cosine_embedding_loss(one, other, apart)
        loss.backward()
        optimiser.step()
        if update % EPOCH == EPOCH - 1 and loss.item() < LOSS:
            break
    with torch.no_grad():
        network(pairs)


def _copies(graph: Data, rng: np.random.Generator) -> list[Data]:
    copies = []
    for _ in range(COPIES):
        place = torch.from_numpy(rng.permutation(graph.num_nodes))
        copies.append(Data(edge_index=place[graph.edge_index], num_nodes=graph.num_nodes))
    return copies


def _embed(network: torch.nn.Module, graphs: list[Data]) -> npt.NDArray[np.float64]:
    """Embeddings `(q, p)` in evaluation mode, as many graphs at a time as memory allows."""
    network.eval()
    size = max(1, LARGEST_BATCH // graphs[0].num_nodes ** 2)
    found = []
    with torch.no_grad():
        for start in range(0, len(graphs), size):
            part = [network.transform(graph) for graph in graphs[start : start + size]]
            found.append(network(Batch.from_data_list(part)))
    return torch.cat(found).double().numpy()


def _exact(test: str, pair: Pair) -> dict[str, Any]:
    return {"separated": distinguishes(test, *pair)}


def _written(done: Verdicts, pairs: Mapping[str, int]) -> dict[str, dict[str, dict[str, Any]]]:
    """All verdicts by name and category: a character per pair, and the seconds that they took together.

    `1` is separated, `0` is not, `u` is an unreliable comparison, `-` was not tried.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in dict.fromkeys(name for name, _, _ in done):
        for category, number in pairs.items():
            entries = [done.get((name, category, index)) for index in range(number)]
            if any(entries):
                marks = "".join("-" if e is None else _mark(e) for e in entries)
                taken = sum(e.get("seconds", 0.0) for e in entries if e is not None)
                found.setdefault(name, {})[category] = {"pairs": marks, "seconds": round(taken, 1)}
    return found


def _mark(entry: Mapping[str, Any]) -> str:
    return "01"[entry["separated"]] if entry.get("reliable", True) else "u"


def _told(earlier: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> Verdicts:
    """The verdicts of a record, if it was made with these settings; the inverse of `_written`."""
    if earlier is None or earlier.get("settings") != settings:
        return {}
    found: Verdicts = {}
    for name, categories in earlier.get("verdicts", {}).items():
        for category, part in categories.items():
            tried = len(part["pairs"]) - part["pairs"].count("-")
            for index, mark in enumerate(part["pairs"]):
                if mark != "-":
                    found[name, category, index] = {
                        "separated": mark == "1",
                        "reliable": mark != "u",
                        "seconds": part["seconds"] / tried,
                    }
    return found


def _read(path: Path | None) -> Verdicts:
    """Finished verdicts; a line that was cut off by a kill is done again."""
    found = {}
    for line in path.read_text("utf-8").splitlines() if path is not None and path.exists() else ():
        try:
            entry = json.loads(line)
            found[entry["name"], entry["category"], entry["index"]] = entry
        except (ValueError, KeyError):
            continue
    return found


def _known(
    done: Verdicts,
    path: Path | None,
    key: tuple[str, str, int],
    make: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """The verdict from before, or a new one, kept at once."""
    if key not in done:
        name, category, index = key
        done[key] = {"name": name, "category": category, "index": index, **make()}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[key]) + "\n")
    return done[key]
