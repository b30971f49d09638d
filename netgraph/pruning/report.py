"""What a pruning did, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

__all__ = ["PruneReport"]


@final
@dataclass(frozen=True)
class PruneReport:
    """Cost and size of a network before and after a pruning.

    Attributes:
        criterion, budget: what was asked for, in words.
        steps: cuts that were made.
        macs_before, macs_after: multiply-accumulates of one forward pass (batch of one where it is open).
        params_before, params_after: scalars in parameters.
        widths_before, widths_after: nodes by hidden group.
        latency_before, latency_after: measured milliseconds on the example inputs; None if not measured.
        metric_before, metric_after: the user's own metric; None if there is none.
        constraints: by hidden group, what its nodes are where they are several channels (whole heads, say).
        skipped: names of the branches that were left out. The groups that went with them have width 0.

    `print(report)` shows a table.

    >>> report = PruneReport("l2", "macs=0.5", 1, 100, 50, 20, 11, {"fc": 8}, {"fc": 4})
    >>> report.speedup
    2.0
    >>> print(report)
                before    after      ratio
    MACs           100       50      2.00x
    parameters      20       11      1.82x
    nodes            8        4      2.00x
    """

    criterion: str
    budget: str
    steps: int
    macs_before: int
    macs_after: int
    params_before: int
    params_after: int
    widths_before: Mapping[str, int]
    widths_after: Mapping[str, int]
    latency_before: float | None = None
    latency_after: float | None = None
    metric_before: float | None = None
    metric_after: float | None = None
    skipped: tuple[str, ...] = ()
    constraints: Mapping[str, str] = field(default_factory=dict)

    @property
    def speedup(self) -> float:
        """MACs before over MACs after."""
        return self.macs_before / max(self.macs_after, 1)

    @property
    def cut_groups(self) -> list[str]:
        """Names of the groups that lost nodes, all of them where the whole branch went."""
        return [n for n, width in self.widths_before.items() if self.widths_after[n] < width]

    def to_dict(self) -> dict[str, Any]:
        """All fields and the speed-up, ready for JSON."""
        plain = asdict(self)
        plain["widths_before"] = dict(self.widths_before)
        plain["widths_after"] = dict(self.widths_after)
        plain["constraints"] = dict(self.constraints)
        return {**plain, "skipped": list(self.skipped), "speedup": self.speedup}

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The table as text cells: quantity, before, after, ratio."""
        counts = {
            "MACs": (self.macs_before, self.macs_after),
            "parameters": (self.params_before, self.params_after),
            "nodes": (sum(self.widths_before.values()), sum(self.widths_after.values())),
        }
        rows = [(n, f"{a:,}", f"{b:,}", f"{a / max(b, 1):.2f}x") for n, (a, b) in counts.items()]
        if self.latency_before is not None and self.latency_after is not None:
            ratio = f"{self.latency_before / max(self.latency_after, 1e-9):.2f}x"
            rows.append(("latency, ms", f"{self.latency_before:.3f}", f"{self.latency_after:.3f}", ratio))
        if self.metric_before is not None and self.metric_after is not None:
            change = f"{self.metric_after - self.metric_before:+.4f}"
            rows.append(("metric", f"{self.metric_before:.4f}", f"{self.metric_after:.4f}", change))
        return rows

    def __str__(self) -> str:
        table = [("", "before", "after", "ratio"), *self.rows()]
        widths = [max(len(row[i]) for row in table) for i in range(4)]
        lines = [
            f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2] + 2}}  {d:>{widths[3] + 4}}"
            for a, b, c, d in table
        ]
        kinds = Counter(text.partition(":")[0] for text in self.constraints.values())
        if kinds:
            lines.append("kept whole: " + ", ".join(f"{kind} in {n} groups" for kind, n in kinds.items()))
        if self.skipped:
            lines.append(f"left out: {', '.join(self.skipped)}")
        return "\n".join(lines)
