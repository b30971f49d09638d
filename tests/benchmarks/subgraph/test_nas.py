"""Cells of NAS-Bench-201 as graphs, and the example that learns from them."""

from pathlib import Path

import pytest

from benchmarks.subgraph import nas
from examples.nas_accuracy import cell_graph, main
from netgraph.convert import as_data


def test_cells_become_graphs() -> None:
    graph = cell_graph([0, 1, 2, 3, 4, 0])
    assert graph.x.tolist() == [0, 1, 1, 2, 3, 4, 5, 6]  # four maps, then the operators but for `none`
    ends = graph.edge_index.T.tolist()[:8]
    assert ends == [[0, 4], [4, 2], [1, 5], [5, 2], [0, 6], [6, 3], [1, 7], [7, 3]]
    assert graph.edge_attr.tolist() == [0, 1] * 8
    assert as_data(graph).num_edges == 16


def test_the_example_says_when_its_data_is_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_the_example_runs(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--cells", "40", "--epochs", "3", "--held-out", "50"]
    assert main([str(shared_data / "nasbench201"), *arguments]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["SSWL", "GIN"]
    assert nas.run(shared_data, True)["rows"][0]["cells"] == 156
