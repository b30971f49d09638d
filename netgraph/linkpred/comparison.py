"""Several predictors on the same splits, with many seeds: mean and deviation of each measure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

from sklearn.base import clone

from netgraph.errors import UsageError
from netgraph.linkpred.links import LinkSplit, Stage
from netgraph.linkpred.predictor import LinkPredictor
from netgraph.linkpred.ranking import Ties

__all__ = ["Comparison", "compare"]


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """Measures of predictors, seed by seed.

    Attributes:
        values: by predictor and measure, one number for each seed.
        seeds: of the splits and of the fits.
    """

    values: Mapping[str, Mapping[str, tuple[float, ...]]]
    seeds: tuple[int, ...]

    def mean(self, predictor: str, metric: str) -> float:
        """Over the seeds."""
        return statistics.fmean(self.values[predictor][metric])

    def deviation(self, predictor: str, metric: str) -> float:
        """That of the sample; 0 with one seed."""
        found = self.values[predictor][metric]
        return statistics.stdev(found) if len(found) > 1 else 0.0

    def rows(self) -> list[tuple[str, ...]]:
        """A head, and a row of `mean ± deviation` for each predictor."""
        metrics = list(next(iter(self.values.values())))
        head = ("predictor", *metrics)
        return [head] + [
            (name, *(f"{self.mean(name, m):.4f} ± {self.deviation(name, m):.4f}" for m in metrics))
            for name in self.values
        ]

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        values = {name: {m: list(v) for m, v in found.items()} for name, found in self.values.items()}
        return {"seeds": list(self.seeds), "values": values}


def compare(
    predictors: Mapping[str, LinkPredictor],
    split: Callable[[int], LinkSplit],
    seeds: Iterable[int] = range(10),
    *,
    stage: Stage = "test",
    metrics: Iterable[str] | None = None,
    ties: Ties = "mean",
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Fit and evaluate each predictor on the split of each seed.

    Args:
        predictors: by the name of their row; copies are fitted, with the seed as their `random_state`.
        split: makes the split of a seed.
        seeds: one fit each.
        stage, metrics, ties: as for `LinkPredictor.evaluate`.
        progress: told which predictor is at work, how many fits are done, and how many there are.

    Raises:
        UsageError: no predictors or no seeds; and all that `fit` and `evaluate` raise.

    >>> import networkx as nx
    >>> from netgraph.linkpred.split import random_split
    >>> graph = nx.karate_club_graph()
    >>> rows = {"CN": LinkPredictor("common_neighbours"), "AA": LinkPredictor("adamic_adar")}
    >>> found = compare(rows, lambda seed: random_split(graph, seed=seed), range(3), metrics=["auc"])
    >>> found.rows()[0], 0.5 < found.mean("AA", "auc") < 1
    (('predictor', 'auc'), True)
    """
    every = tuple(seeds)
    if not predictors or not every:
        raise UsageError(
            f"compare: expected predictors and seeds, got {len(predictors)} and {len(every)}; pass some"
        )
    names = None if metrics is None else tuple(metrics)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in predictors}
    for i, seed in enumerate(every):
        parts = split(seed)
        for j, (name, predictor) in enumerate(predictors.items()):
            if progress is not None:
                progress(f"{name}, seed {seed}", i * len(predictors) + j, len(every) * len(predictors))
            fitted = clone(predictor).set_params(random_state=seed).fit(parts)
            for metric, value in fitted.evaluate(parts, stage, names, ties).items():
                found[name].setdefault(metric, []).append(value)
    values = {name: {m: tuple(v) for m, v in some.items()} for name, some in found.items()}
    return Comparison(values, every)
