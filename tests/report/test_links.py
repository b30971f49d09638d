"""Pictures of link prediction: their numbers are right, their text fits, their files are whole."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from netgraph.errors import UsageError
from netgraph.linkpred.topology import ConcentrationShift
from netgraph.report.links import _binned, draw_paths, plot_concentration


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """All figures that are saved."""
    found: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (found.append(self), save(self, *a, **k)))
    return found


def nodes(count: int = 200) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(0)
    degree = torch.randint(1, 9, (count,), generator=draw)
    degree[0] = 400
    concentration = torch.rand(count, generator=draw).double()
    performance = (concentration + 0.1 * torch.randn(count, generator=draw)).clamp(0, 1)
    performance[5], concentration[6] = torch.nan, torch.nan
    return performance, {"degree": degree, "topological concentration": concentration}


def shift() -> ConcentrationShift:
    draw = torch.Generator().manual_seed(1)
    train, valid, test = torch.rand(3, 50, generator=draw)
    valid[:10] = torch.nan
    return ConcentrationShift(train, valid, test * 0.5)


def texts(figure: Figure) -> str:
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts] + [
            axes.get_title("left"),
            axes.get_xlabel(),
            axes.get_ylabel(),
        ]
        if axes.get_legend() is not None:
            found += [t.get_text() for t in axes.get_legend().get_texts()]
    return "\n".join(found)


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Texts whose boxes meet, and texts that leave the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = [t for t in figure.texts if t.get_text().strip()]
    for axes in figure.axes:
        labels = [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]  # type: ignore[attr-defined]
        if axes.axison:
            for place, (least, most), ticks in (
                (0, axes.get_xlim(), axes.get_xticklabels(which="both")),
                (1, axes.get_ylim(), axes.get_yticklabels()),
            ):  # those beyond the axis are not drawn
                labels += [t for t in ticks if least <= t.get_position()[place] <= most]
        shown += [t for t in labels if t.get_text().strip()]
    boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in shown]
    whole = figure.bbox
    found = [(a, "the rim") for a, box in boxes if not (whole.x0 <= box.x0 and box.x1 <= whole.x1 + 1)]
    for i, (a, box) in enumerate(boxes):
        found += [(a, b) for b, other in boxes[i + 1 :] if box.overlaps(other)]
    return found


def test_bins_have_equally_many_nodes_and_their_means() -> None:
    x, y = np.arange(100.0), np.random.default_rng(0).random(100)
    centre, mean, spread = _binned(x, y, 4)
    for b in range(4):
        part = y[25 * b : 25 * b + 25]
        assert centre[b] == pytest.approx(x[25 * b : 25 * b + 25].mean())
        assert mean[b] == pytest.approx(part.mean())
        assert spread[b] == pytest.approx(1.96 * part.std(ddof=1) / 5)


def test_nodes_of_one_value_stay_together() -> None:
    x = np.array([1.0] * 50 + [2.0] * 3 + [7.0])
    centre, mean, _ = _binned(x, x * 0.1, 8)
    assert centre.tolist()[0] == 1 and len(centre) <= 3 and mean.tolist() == pytest.approx(centre * 0.1)
    assert _binned(np.zeros(0), np.zeros(0), 3)[0].size == 0
    assert _binned(x, x, 1)[0].tolist() == pytest.approx([x.mean()])


def test_what_the_picture_of_nodes_says(tmp_path: Path, drawn: list[Figure]) -> None:
    performance, values = nodes()
    plot_concentration(performance, values, tmp_path / "a.svg", shift=shift(), title="Some nodes")
    figure = drawn[0]
    said = texts(figure)
    for part in (
        "Some nodes",
        "198 nodes",
        "199 nodes",
        "degree",
        "topological concentration",
        "Pearson +0.9",
    ):
        assert part in said
    assert f"valid, mean {float(shift().valid.nanmean()):.3f}" in said
    assert len(figure.axes) == 3 and figure.axes[0].get_xscale() == "symlog"
    assert figure.axes[1].get_xscale() == "linear"
    curve = figure.axes[2].lines[1]
    assert len(curve.get_xdata()) == 40 and max(curve.get_ydata()) == 1


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_texts_of_nodes_keep_apart(panels: int, tmp_path: Path, drawn: list[Figure]) -> None:
    performance, values = nodes()
    some = dict(list(values.items())[: min(panels, 2)])
    plot_concentration(performance, some, tmp_path / "a.png", shift=shift() if panels == 3 else None)
    assert overlaps(drawn[0]) == []


def test_few_nodes_and_none(tmp_path: Path, drawn: list[Figure]) -> None:
    nothing = torch.full((4,), torch.nan)
    plot_concentration(
        nothing, {"degree": torch.arange(4)}, tmp_path / "a.png", shift=ConcentrationShift(*[nothing] * 3)
    )
    assert "Pearson n/a" in texts(drawn[0])
    plot_concentration(torch.ones(1), {"degree": torch.ones(1)}, tmp_path / "b.png", bins=1)


NAMES = [
    "Ada Lovelace",
    "Charles Babbage",
    "London",
    "a name that is by far too long to be drawn in full",
    "5 $ or $",
]
PATHS = [
    SimpleNamespace(nodes=(0, 2), relations=(0,), weight=0.8125),
    SimpleNamespace(nodes=(0, 1, 3, 2), relations=(1, 0, 2), weight=0.2),
    SimpleNamespace(nodes=(0, 4, 9, 1, 3, 1, 2), relations=(1, 1, 0, 2, 0, 1), weight=1.5e-5),
    SimpleNamespace(nodes=(0, 1, 2), relations=(2, 2), weight=-0.4),
]
RELATIONS = {0: "born in", 1: "worked with", 2: "a relation with a rather long name"}


def test_what_the_picture_of_paths_says(tmp_path: Path, drawn: list[Figure]) -> None:
    draw_paths(PATHS, tmp_path / "a.svg", names=NAMES, relation_names=RELATIONS)
    said = texts(drawn[0]).split("\n")
    assert said[0] == "Paths from Ada Lovelace to London"
    assert said.count("Ada Lovelace") == 4 and said.count("London") == 4 and said.count("born in") == 4
    for part in ("0.812", "1.5e−05", "−0.4", "9", r"5 \$ or \$", "a name that is by far too long …"):
        assert part in said
    bars = [p for p in drawn[0].axes[0].patches if type(p).__name__ == "Rectangle"]
    widths = [b.get_width() for b in bars]
    assert [w / widths[0] for w in widths] == pytest.approx([1, 0.2 / 0.8125, 1.5e-5 / 0.8125, 0.4 / 0.8125])
    assert [bool(b.get_hatch()) for b in bars] == [False, False, False, True]


@pytest.mark.parametrize("named", [False, True])
def test_texts_of_paths_keep_apart(named: bool, tmp_path: Path, drawn: list[Figure]) -> None:
    options = {"names": NAMES, "relation_names": RELATIONS} if named else {}
    draw_paths(PATHS, tmp_path / "a.png", **options)  # type: ignore[arg-type]
    assert overlaps(drawn[0]) == []
    chain = [p for p in drawn[0].axes[0].patches if type(p).__name__ == "FancyBboxPatch"]
    boxes = [p.get_window_extent() for p in chain]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_one_relation_needs_no_name(tmp_path: Path, drawn: list[Figure]) -> None:
    one = [SimpleNamespace(nodes=(3, 4, 5), relations=(0, 0), weight=0.0)]
    draw_paths(one, tmp_path / "a.png", title="Why")
    assert texts(drawn[0]).split("\n")[:6] == ["Why", "weight", "0", "3", "", "4"]


def test_files(tmp_path: Path) -> None:
    for name, start in (("a.png", b"\x89PNG"), ("b.svg", b"<?xml"), ("c.PDF", b"%PDF")):
        assert draw_paths(PATHS, tmp_path / name).read_bytes().startswith(start)
    performance, values = nodes(20)
    path = plot_concentration(performance, values, tmp_path / "d.png")
    colours = {c for n, c in Image.open(path).convert("RGB").getcolors(1 << 20) if n > 200}
    assert (0, 0x72, 0xB2) in colours
    assert {p.name for p in tmp_path.iterdir()} == {"a.png", "b.svg", "c.PDF", "d.png"}


REFUSED = {
    "no values": (
        lambda f: plot_concentration(torch.ones(2), {}, f / "a.png"),
        "some values and at least one bin",
    ),
    "no bins": (
        lambda f: plot_concentration(torch.ones(2), {"x": torch.ones(2)}, f / "a.png", bins=0),
        "got 1 and 0",
    ),
    "other length": (
        lambda f: plot_concentration(torch.ones(2), {"x": torch.ones(3)}, f / "a.png"),
        r"got \(3,\) and \(2,\)",
    ),
    "suffix": (
        lambda f: plot_concentration(*nodes(), f / "a.gif"),
        "plot_concentration: expected a file name",
    ),
    "suffix of paths": (lambda f: draw_paths(PATHS, f / "a"), "draw_paths: expected a file name"),
    "no folder": (lambda f: draw_paths(PATHS, f / "none" / "a.png"), "draw_paths: cannot write 'a.png'"),
    "no paths": (lambda f: draw_paths([], f / "a.png"), "expected some paths, got none"),
    "no relation": (
        lambda f: draw_paths([SimpleNamespace(nodes=(0, 1), relations=(), weight=1.0)], f / "a.png"),
        "got 2 nodes and 0 relations in path 0",
    ),
}


@pytest.mark.parametrize(("call", "words"), REFUSED.values(), ids=REFUSED)
def test_refusals(call: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        call(tmp_path)  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []
