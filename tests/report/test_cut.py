"""The picture of a cut: its figures are right, its file is whole, and what does not fit is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from netgraph.convert import to_graph
from netgraph.errors import GraphError, UsageError
from netgraph.graph import CostModel, NeuralGraph, NodeMask, branches
from netgraph.report import draw_cut
from netgraph.report.cut import _rows
from netgraph.zoo import DigitsResNet, resnet8


@pytest.fixture(scope="module")
def graph() -> NeuralGraph:
    return to_graph(DigitsResNet(width=4, blocks=(1, 1)), torch.zeros(2, 1, 8, 8))


@pytest.fixture
def mask(graph: NeuralGraph) -> NodeMask:
    """Half of each hidden group goes."""
    hidden = [g for g in graph.structure.groups if g.role == "hidden"]
    return NodeMask({g.name: torch.arange(g.size) % 2 == 0 for g in hidden})


def test_rows_stand_in_program_order_and_add_up(graph: NeuralGraph, mask: NodeMask) -> None:
    rows = _rows(graph.structure, mask)
    assert [r.name for r in rows] == ["conv1", "layer1.0.conv1", "layer2.0.conv1", "layer2.0.conv2", "linear"]
    assert [(r.size, r.kept) for r in rows] == [(4, 2), (4, 2), (8, 4), (8, 4), (10, 10)]
    assert [r.fixed for r in rows] == [False] * 4 + [True]
    cost = CostModel(graph.structure)
    assert sum(r.macs_before for r in rows) == cost.macs()
    assert sum(r.macs_after for r in rows) == cost.macs(mask)


def test_macs_of_a_row_are_those_of_its_layers(graph: NeuralGraph, mask: NodeMask) -> None:
    """By hand: `conv1` is written by the stem and, over the residual sum, by the second convolution."""
    stem, second = 64 * 9 * 1 * 4, 64 * 9 * 4 * 4
    conv1 = _rows(graph.structure, mask)[0]
    assert conv1.macs_before == stem + second
    assert conv1.macs_after == stem // 2 + second // 4


def texts(figure: Figure) -> str:
    found = [t.get_text() for t in figure.texts]
    for axes in figure.axes:
        found += [t.get_text() for t in axes.texts] + [axes.get_title("left")]
        found += [t.get_text() for t in axes.get_yticklabels()]
    return "\n".join(found)


def test_the_picture_says_it_in_words(
    graph: NeuralGraph, mask: NodeMask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k)))
    draw_cut(graph.structure, mask, tmp_path / "cut.svg", title="Half of it")
    said = texts(drawn[0])
    for part in ("Half of it", "2 of 4", "4 of 8", "linear (output)", "hidden channels 24 → 12 (−50 %)"):
        assert part in said
    kept = [bar.get_width() for bar in drawn[0].axes[0].containers[0]]
    gone = [bar.get_width() for bar in drawn[0].axes[0].containers[1]]
    assert kept == [2, 2, 4, 4, 10] and gone == [2, 2, 4, 4, 0]


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
def test_formats(graph: NeuralGraph, mask: NodeMask, tmp_path: Path, name: str, start: bytes) -> None:
    path = draw_cut(graph.structure, mask, tmp_path / name)
    assert path.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_picture_uses_both_colours(graph: NeuralGraph, mask: NodeMask, tmp_path: Path) -> None:
    image = Image.open(draw_cut(graph.structure, mask, tmp_path / "a.png")).convert("RGB")
    assert image.width == 1600 and image.height > 400
    colours = {colour for count, colour in image.getcolors(1 << 20) if count > 1000}
    assert (0, 0x72, 0xB2) in colours and (0xF6, 0xD9, 0xAE) in colours


def test_nothing_cut_and_no_program(graph: NeuralGraph, tmp_path: Path) -> None:
    assert draw_cut(graph.structure, NodeMask({}), tmp_path / "a.svg").stat().st_size > 1000
    bare = replace(graph.structure, operators=(), values=(), inputs=(), outputs=(), symbols=())
    rows = _rows(bare, NodeMask({}))
    assert [r.name for r in rows] == [g.name for g in bare.groups if g.role == "hidden"]
    assert draw_cut(bare, NodeMask({}), tmp_path / "b.svg").stat().st_size > 1000


def test_many_groups_still_fit(tmp_path: Path) -> None:
    net = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(320)))
    structure = to_graph(net, torch.zeros(1, 2)).structure
    image = Image.open(draw_cut(structure, NodeMask({}), tmp_path / "a.png"))
    assert image.height <= 80 * 160


def test_what_does_not_fit_is_refused(graph: NeuralGraph, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no group 'absent'"):
        draw_cut(graph.structure, NodeMask({"absent": torch.ones(2, dtype=torch.bool)}), tmp_path / "a.png")
    for name in ("a", "a.gif", "a.png.txt"):
        with pytest.raises(UsageError, match=r"^draw_cut: expected a file name that ends in"):
            draw_cut(graph.structure, NodeMask({}), tmp_path / name)
    with pytest.raises(UsageError, match="choose a folder that exists"):
        draw_cut(graph.structure, NodeMask({}), tmp_path / "absent" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_layers_that_are_left_out_are_drawn_as_cut(tmp_path: Path) -> None:
    structure = to_graph(resnet8(), torch.zeros(1, 3, 8, 8)).structure
    branch = branches(structure)[0]
    rows = {r.name: r for r in _rows(structure, NodeMask({}, frozenset({branch.name})))}
    for name in branch.groups:
        assert rows[name].kept == 0 and rows[name].macs_after == 0 < rows[name].macs_before
    draw_cut(structure, NodeMask({}, frozenset({branch.name})), tmp_path / "cut.png")
    assert (tmp_path / "cut.png").stat().st_size > 1000
