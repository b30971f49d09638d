"""A picture of what a mask cuts out of a network."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from netgraph.graph import CostModel, NodeMask, Structure, select_structure
from netgraph.report.picture import BLUE, INK, QUIET, picture_file, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_cut"]

# Two hues of Okabe and Ito's palette that differ in lightness too; a hatch marks what is gone in print.
_KEPT: Final = BLUE
_GONE: Final = "#F6D9AE"
_EDGE: Final = "#D99A3A"


@dataclass(frozen=True)
class _Row:
    name: str
    size: int
    kept: int
    macs_before: int
    macs_after: int
    fixed: bool


def draw_cut(structure: Structure, mask: NodeMask, path: str | Path, *, title: str = "") -> Path:
    """Draw, for each group in program order, how many channels are kept and what its layers cost then.

    The left bars count channels; the right ones count the multiply-accumulates (one sample) of the layers
    that produce the group, which add up to those of the network, contractions of two activations aside.
    Groups that face the user are named in grey.

    Args:
        structure: of the network before the cut.
        mask: what is kept.
        path: a `.png`, `.svg` or `.pdf` file; its folder must exist.
        title: what the picture is about; the figures follow it on a second line.

    Raises:
        GraphError: the mask does not fit the structure.
        UsageError: the suffix is unknown, or the file cannot be written.

    >>> import tempfile, torch
    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> mask = NodeMask({"0": torch.tensor([True, False, True])})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     picture = draw_cut(to_graph(net, torch.zeros(1, 2)).structure, mask, f"{folder}/cut.png")
    ...     picture.stat().st_size > 1000
    True
    """
    target = picture_file("draw_cut", path)
    mask.validate(structure)
    rows = _rows(structure, mask)
    height = min(1.75 + 0.27 * max(len(rows), 1), 80)
    figure = Figure(
        figsize=(10, height), layout=ConstrainedLayoutEngine(w_pad=0.12, rect=(0, 0, 1, 1 - 0.8 / height))
    )
    channels, work = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _draw_channels(channels, rows)
    _draw_work(work, rows)
    name = title or "What was cut"
    figure.text(0.012, 1 - 0.14 / height, name, va="top", size=13, weight="bold", color=INK)
    figure.text(0.012, 1 - 0.45 / height, _facts(structure, mask), va="top", size=10, color=QUIET)
    figure.legend(
        handles=[
            Patch(facecolor=_KEPT, label="kept"),
            Patch(facecolor=_GONE, edgecolor=_EDGE, hatch="////", linewidth=0, label="cut"),
        ],
        loc="upper right",
        bbox_to_anchor=(0.995, 1 - 0.02 / height),
        ncols=2,
        frameon=False,
        fontsize=10,
    )
    return save_picture("draw_cut", figure, target)


def _rows(structure: Structure, mask: NodeMask) -> list[_Row]:
    left = select_structure(structure, NodeMask({}, mask.skip))
    running = {op.name for op in left.operators}
    before = _macs_per_group(structure, None)
    after = _macs_per_group(structure, NodeMask(mask.keep), running)
    order = [*before, *(g for g in range(len(structure.groups)) if g not in before)]
    keep = mask.arrays(structure)
    return [
        _Row(
            name=structure.groups[g].name,
            size=structure.groups[g].size,
            kept=int(keep[g].sum()) if structure.groups[g].name in left.group_index else 0,
            macs_before=before.get(g, 0),
            macs_after=after.get(g, 0),
            fixed=structure.groups[g].role != "hidden",
        )
        for g in order
        if structure.groups[g].role == "hidden" or before.get(g, 0)
    ]


def _macs_per_group(
    structure: Structure, mask: NodeMask | None, running: Collection[str] | None = None
) -> dict[int, int]:
    """MACs of the operators that produce each group, in the order in which the program meets the groups; of
    some operators only, if names are given."""
    found: dict[int, int] = {}
    for operator in structure.operators:
        if running is not None and operator.name not in running:
            continue
        cost = CostModel(replace(structure, operators=(operator,))).macs(mask)
        for name in operator.results:
            for axis in structure.value[name].axes:
                for group in () if axis is None else structure.axes[axis].group_ids:
                    found[group] = found.get(group, 0) + cost
                    cost = 0  # an output of several groups (a packed projection) counts once, for the first
    return found


def _draw_channels(axes: Axes, rows: list[_Row]) -> None:
    _bars(axes, [r.kept for r in rows], [r.size for r in rows])
    widest = max((r.size for r in rows), default=1)
    for y, row in enumerate(rows):
        text = f"{row.kept} of {row.size}" if row.kept < row.size else f"{row.size}"
        axes.text(row.size + 0.012 * widest, y, text, va="center", fontsize=8.5, color=INK)
    axes.set_xlim(0, widest * 1.16)
    axes.set_yticks(range(len(rows)), [r.name + " (output)" * r.fixed for r in rows], fontsize=8.5)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(QUIET if row.fixed else INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _heading(axes, "channels")


def _draw_work(axes: Axes, rows: list[_Row]) -> None:
    most = max((r.macs_before for r in rows), default=1)
    factor, unit = _unit(most)
    _bars(axes, [r.macs_after / factor for r in rows], [r.macs_before / factor for r in rows])
    for y, row in enumerate(rows):
        if row.macs_before:
            share = f"{100 * row.macs_after / row.macs_before:.0f} %"
            axes.text(
                row.macs_before / factor + 0.02 * most / factor,
                y,
                share,
                va="center",
                fontsize=8.5,
                color=INK,
            )
    axes.set_xlim(0, max(most, 1) / factor * 1.16)
    axes.tick_params(axis="y", length=0)
    _heading(axes, f"MACs to compute them{unit and ', in ' + unit}")


def _heading(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10, color=INK, pad=5)


def _bars(axes: Axes, kept: list[float] | list[int], size: list[float] | list[int]) -> None:
    places = range(len(size))
    gone = [s - k for s, k in zip(size, kept, strict=True)]
    axes.barh(places, kept, height=0.7, color=_KEPT, zorder=2)
    axes.barh(
        places,
        gone,
        left=kept,
        height=0.7,
        color=_GONE,
        edgecolor=_EDGE,
        hatch="////",
        linewidth=0,
        zorder=2,
    )
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.8, zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#BBBBBB")
    axes.tick_params(axis="both", colors=QUIET, length=0, labelsize=8.5)


def _facts(structure: Structure, mask: NodeMask) -> str:
    cost = CostModel(structure)
    hidden = sum(g.size for g in structure.groups if g.role == "hidden")
    kept = sum(g.size for g in select_structure(structure, mask).groups if g.role == "hidden")
    return "     ".join(
        f"{what} {_short(before)} → {_short(after)} ({_change(after / max(before, 1) - 1)})"
        for what, before, after in (
            ("MACs", cost.macs(), cost.macs(mask)),
            ("parameters", cost.params(), cost.params(mask)),
            ("hidden channels", hidden, kept),
        )
    )


def _change(share: float) -> str:
    return f"{share:+.0%}".replace("-", "\N{MINUS SIGN}").replace("%", " %")


def _short(number: int) -> str:
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= factor:
            return f"{number / (1e3 if letter == 'k' else factor):.3g} {letter}"
    return f"{number:,}"


def _unit(number: float) -> tuple[float, str]:
    for factor, name in ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands")):
        if number >= factor:
            return factor, name
    return 1.0, ""
