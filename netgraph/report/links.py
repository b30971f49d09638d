"""Pictures of link prediction: which nodes are served well, and which paths speak for a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, MaxNLocator, SymmetricalLogLocator

from netgraph.errors import UsageError
from netgraph.linkpred.node_performance import Correlation, correlations
from netgraph.linkpred.topology import ConcentrationShift
from netgraph.report.picture import BLUE, GREEN, INK, ORANGE, QUIET, bare, picture_file, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["WeightedPath", "draw_paths", "plot_concentration"]

_POINTS: Final = 4000
_STAGES: Final = (("train", BLUE, "-"), ("valid", ORANGE, "--"), ("test", GREEN, "-."))
_Floats = npt.NDArray[np.float64]


def plot_concentration(
    performance: torch.Tensor,
    values: Mapping[str, torch.Tensor],
    path: str | Path,
    *,
    shift: ConcentrationShift | None = None,
    measure: str = "share of links that are hits",
    bins: int = 8,
    title: str = "",
) -> Path:
    """Draw the performance of nodes against each of several numbers of theirs, and how concentration shifts.

    Each panel shows nodes as dots and, for bins with equally many nodes, their mean with its 95 % interval;
    its heading gives the two correlations. A number with a long tail is drawn on an axis that is logarithmic
    from 1 on. The last panel, if there is a `shift`, shows for each stage which share of the nodes has at
    most some concentration.

    Args:
        performance: `(N,)`, as `netgraph.linkpred.node_performance` gives it; NaN where there is none.
        values: `(N,)` each, by what the axis shall say: `"degree"`, `"topological concentration"`.
        path: a `.png`, `.svg` or `.pdf` file; its folder must exist.
        shift: of the concentration between stages.
        measure: what the performance is.
        bins: how many.
        title: what the picture is about.

    Raises:
        UsageError: no values, lengths that differ, no bins, an unknown suffix, or a file that cannot be
            written.

    >>> import tempfile
    >>> degree = torch.tensor([1, 2, 3, 4])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = plot_concentration(degree / 4, {"degree": degree}, f"{folder}/nodes.png", bins=2)
    ...     file.stat().st_size > 1000
    True
    """
    target = picture_file("plot_concentration", path)
    if not values or bins < 1:
        raise UsageError(
            f"plot_concentration: expected some values and at least one bin, got {len(values)} and {bins}; "
            'pass values={"degree": graph.degree}'
        )
    found = correlations(values, performance)
    panels = len(values) + (shift is not None)
    figure = Figure(
        figsize=(3.9 * panels + 0.3, 4.5), layout=ConstrainedLayoutEngine(w_pad=0.1, rect=(0, 0, 1, 0.85))
    )
    name = title or "Performance of nodes"
    figure.text(0.15 / figure.get_figwidth(), 0.97, name, va="top", size=13, weight="bold", color=INK)
    key = "grey: nodes     blue: means with their 95 % intervals"
    figure.text(0.15 / figure.get_figwidth(), 0.895, key, va="top", size=9, color=QUIET)
    every = list(figure.subplots(1, panels, squeeze=False)[0])
    against = _numbers(performance)
    for i, (name, value) in enumerate(values.items()):
        axes = every[i]
        _draw_nodes(axes, _numbers(value), against, bins, found[name])
        axes.set_xlabel(name, fontsize=9.5, color=INK)
        if i == 0:
            axes.set_ylabel(measure, fontsize=9.5, color=INK)
        else:
            axes.sharey(every[0])
    if shift is not None:
        _draw_shift(every[-1], shift)
    return save_picture("plot_concentration", figure, target)


class WeightedPath(Protocol):
    """A path from the head of a link to its tail, as explanations give it."""

    @property
    def nodes(self) -> Sequence[int]:
        """All nodes, head first."""

    @property
    def relations(self) -> Sequence[int]:
        """The relation of each step, one fewer than nodes."""

    @property
    def weight(self) -> float:
        """How much it speaks for the link."""


Names = Mapping[int, str] | Sequence[str]


def draw_paths(
    paths: Sequence[WeightedPath],
    path: str | Path,
    *,
    names: Names | None = None,
    relation_names: Names | None = None,
    title: str = "",
) -> Path:
    """Draw paths that speak for a link, one under another: the weight as a bar, then node by node.

    Head and tail are coloured. A path whose weight is negative speaks against the link; its bar is hatched.

    Args:
        paths: heaviest first; each has `nodes`, `relations` and `weight`.
        path: a `.png`, `.svg` or `.pdf` file; its folder must exist.
        names: of nodes, by number; those without one are numbered. Long names are shortened.
        relation_names: of relations; None to leave them out where there is only one.
        title: what the picture is about; None for the names of head and tail.

    Raises:
        UsageError: no paths, a path without nodes or with another number of relations than steps, an unknown
            suffix, or a file that cannot be written.

    >>> import tempfile
    >>> from types import SimpleNamespace
    >>> found = [SimpleNamespace(nodes=(0, 2, 1), relations=(0, 0), weight=0.7)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = draw_paths(found, f"{folder}/paths.png", names=["Ada", "Grace", "London"])
    ...     file.stat().st_size > 1000
    True
    """
    target = picture_file("draw_paths", path)
    _check_paths(paths)
    rows = [_row(p, names, relation_names, _several(paths)) for p in paths]
    boxes = [[_width(label, 9) + 0.24 for label in labels] for labels, _ in rows]
    steps = [[max(_width(label, 8) + 0.3, 0.5) for label in labels] for _, labels in rows]
    width = max(2.51 + sum(b) + sum(s) + 0.25 for b, s in zip(boxes, steps, strict=True))
    name = title or f"Paths from {rows[0][0][0]} to {rows[0][0][-1]}"
    width = max(width, _width(name, 13) * 1.1 + 0.3, 4.5)
    height = 0.85 + 0.52 * len(rows)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.text(0.15, 0.13, name, va="top", size=13, weight="bold", color=INK)
    axes.text(0.78, 0.6, "weight", va="center", ha="right", size=8.5, color=QUIET)
    most = max(abs(p.weight) for p in paths) or 1.0
    for i, (p, (labels, kinds)) in enumerate(zip(paths, rows, strict=True)):
        y = 0.98 + 0.52 * i
        _draw_weight(axes, y, p.weight, most)
        _draw_chain(axes, y, labels, kinds, boxes[i], steps[i])
    return save_picture("draw_paths", figure, target)


def _draw_nodes(axes: Axes, value: _Floats, against: _Floats, bins: int, found: Correlation) -> None:
    both = np.isfinite(value) & np.isfinite(against)
    x, y = value[both], against[both]
    few = slice(None, None, max(len(x) // _POINTS, 1))
    axes.plot(x[few], y[few], "o", ms=2.5, mew=0, color=QUIET, alpha=0.25, rasterized=True)
    centre, mean, spread = _binned(x, y, bins)
    axes.errorbar(centre, mean, spread, fmt="o-", ms=5, lw=1.6, capsize=3, color=BLUE, zorder=3)
    if len(x) and x.min() >= 0 and x.max() > 10 * max(np.median(x), 1):
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axes.xaxis.set_minor_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=[2, 5]))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    bare(axes)
    says = f"Pearson {_signed(found.pearson)}    Spearman {_signed(found.spearman)}    {found.nodes:,} nodes"
    axes.set_title(says, loc="left", fontsize=8.5, color=QUIET, pad=6)


def _binned(x: _Floats, y: _Floats, bins: int) -> tuple[_Floats, _Floats, _Floats]:
    """Mean value, mean performance and half the width of its 95 % interval, for bins of equally many nodes.

    Nodes of one value are never parted, so there may be fewer bins than asked for."""
    if not len(x):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1])) if bins > 1 else np.zeros(0)
    place = np.searchsorted(edges, x)
    rows = []
    for b in np.unique(place):
        here = place == b
        n = int(here.sum())
        spread = 1.96 * y[here].std(ddof=1) / np.sqrt(n) if n > 1 else 0.0
        rows.append((x[here].mean(), y[here].mean(), spread))
    return tuple(np.array(column) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def _draw_shift(axes: Axes, shift: ConcentrationShift) -> None:
    for stage, colour, line in _STAGES:
        value = np.sort(_numbers(getattr(shift, stage)))
        value = value[np.isfinite(value)]
        if not len(value):
            continue
        share = np.arange(1, len(value) + 1) / len(value)
        axes.step(
            value, share, line, where="post", color=colour, lw=1.8, label=f"{stage}, mean {value.mean():.3f}"
        )
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_title("Shift between stages", loc="left", fontsize=8.5, color=QUIET, pad=6)
    axes.set_xlabel("topological concentration over links of a stage", fontsize=9.5, color=INK)
    axes.set_ylabel("share of nodes with at most that", fontsize=9.5, color=INK)
    if axes.lines:
        axes.legend(loc="lower right", fontsize=8.5, frameon=True, framealpha=0.9, edgecolor="none")
    bare(axes)


def _draw_weight(axes: Axes, y: float, weight: float, most: float) -> None:
    axes.text(0.78, y, _number(weight), va="center", ha="right", size=9, color=INK)
    bar = (
        {"facecolor": BLUE} if weight >= 0 else {"facecolor": "#F6D9AE", "edgecolor": ORANGE, "hatch": "////"}
    )
    length = 1.3 * abs(weight) / most
    axes.add_patch(Rectangle((0.88, y - 0.09), length, 0.18, linewidth=0, **bar))  # type: ignore[arg-type]


def _draw_chain(
    axes: Axes,
    y: float,
    labels: Sequence[str],
    kinds: Sequence[str],
    boxes: Sequence[float],
    steps: Sequence[float],
) -> None:
    x = 2.41
    for i, (label, width) in enumerate(zip(labels, boxes, strict=True)):
        end = i in (0, len(labels) - 1)
        axes.add_patch(
            FancyBboxPatch(
                (x + 0.06, y - 0.09),
                width - 0.12,
                0.18,
                boxstyle="round,pad=0.06",
                facecolor="#D6E8F5" if end else "#F2F2F2",
                edgecolor=BLUE if end else "#BBBBBB",
                linewidth=1.1 if end else 0.8,
            )
        )
        axes.text(x + width / 2, y, label, va="center", ha="center", size=9, color=INK)
        x += width
        if i < len(steps):
            arrow = FancyArrowPatch(
                (x + 0.03, y), (x + steps[i] - 0.03, y), arrowstyle="-|>", mutation_scale=9, color=QUIET, lw=1
            )
            axes.add_patch(arrow)
            axes.text(x + steps[i] / 2, y - 0.05, kinds[i], va="bottom", ha="center", size=8, color=QUIET)
            x += steps[i]


def _row(
    path: WeightedPath, names: Names | None, relation_names: Names | None, several: bool
) -> tuple[list[str], list[str]]:
    shown = several or relation_names is not None
    return (
        [_name(n, names) for n in path.nodes],
        [_name(r, relation_names) if shown else "" for r in path.relations],
    )


def _several(paths: Sequence[WeightedPath]) -> bool:
    return len({r for p in paths for r in p.relations}) > 1


def _name(number: int, names: Names | None) -> str:
    known = names is not None and (number in names if isinstance(names, Mapping) else number < len(names))
    text = str(names[number]) if known and names is not None else str(number)
    # A dollar sign would begin a formula.
    text = text.replace("$", r"\$")
    return text if len(text) <= 32 else f"{text[:31]}…"


def _width(text: str, size: float) -> float:
    """Of a line of text, in inches."""
    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72 if text.strip() else 0.0


def _number(value: float) -> str:
    text = f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"
    return text.replace("-", "\N{MINUS SIGN}")


def _signed(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _numbers(tensor: torch.Tensor) -> _Floats:
    return tensor.detach().cpu().double().numpy()


def _check_paths(paths: Sequence[WeightedPath]) -> None:
    if not paths:
        raise UsageError("draw_paths: expected some paths, got none; no path may join the two nodes")
    for i, p in enumerate(paths):
        if not p.nodes or len(p.relations) != len(p.nodes) - 1:
            raise UsageError(
                f"draw_paths: expected one relation per step, got {len(p.nodes)} nodes and "
                f"{len(p.relations)} relations in path {i}; pass paths as explain returns them"
            )
