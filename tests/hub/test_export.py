"""Files for other libraries: read back with the library's own reader, they hold the whole graph."""

import importlib.util
import json
from pathlib import Path

import networkx as nx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch_geometric.data import Data

from netgraph.convert import to_graph
from netgraph.convert.networkx_ import from_networkx
from netgraph.convert.origin import Origin
from netgraph.convert.pyg import from_pyg
from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph, decode_structure
from netgraph.hub import export_graph
from netgraph.zoo import DigitsResNet


@pytest.fixture
def graph() -> NeuralGraph:
    torch.manual_seed(0)
    return to_graph(DigitsResNet(width=2, blocks=(1, 1)), torch.zeros(1, 1, 8, 8))


def test_pyg(tmp_path: Path, graph: NeuralGraph) -> None:
    path = export_graph(graph, tmp_path / "net", "pyg")
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        structure = decode_structure(json.loads(file.metadata()["structure"]))
    verbatim = {n.removeprefix("verbatim."): t for n, t in tensors.items() if n.startswith("verbatim.")}
    data = Data(**{n: t for n, t in tensors.items() if not n.startswith("verbatim.")})
    assert data.num_edges == graph.num_edges and data.num_nodes == graph.num_nodes
    data.origin = Origin(structure, verbatim)
    assert from_pyg(data) == graph


def test_networkx(tmp_path: Path, graph: NeuralGraph) -> None:
    path = export_graph(graph, tmp_path / "net", "networkx")
    net = nx.node_link_graph(json.loads(path.read_text()), edges="edges")
    assert from_networkx(net) == graph


@pytest.mark.skipif(importlib.util.find_spec("dgl") is None, reason="needs the extra netgraph-metanet[dgl]")
def test_dgl(tmp_path: Path, graph: NeuralGraph) -> None:
    path = export_graph(graph, tmp_path / "net", "dgl")
    import dgl

    (made,), extra = dgl.load_graphs(str(path))
    from netgraph.convert.dgl_ import from_dgl

    made.graph_attr = extra["graph_attr"]
    structure = decode_structure(json.loads(bytes(extra["structure"].tolist())))
    verbatim = {
        n: extra[f"verbatim.{n}"].reshape(t.shape)
        for n, t in structure.tensor.items()
        if f"verbatim.{n}" in extra
    }
    made.origin = Origin(structure, verbatim)
    assert from_dgl(made) == graph


def test_graphml(tmp_path: Path, graph: NeuralGraph) -> None:
    path = export_graph(graph, tmp_path / "net", "graphml")
    net = nx.read_graphml(path, force_multigraph=True)
    assert (net.number_of_nodes(), net.number_of_edges()) == (graph.num_nodes, graph.num_edges)
    for i in range(2):
        (edge,) = net.get_edge_data("input/0", f"conv1/{i}").values()
        kernel = graph.state["conv1.weight"][i, 0].double()
        assert edge["tensor"] == "conv1.weight"
        assert json.loads(edge["taps"]) == kernel.flatten().tolist()
        assert edge["weight"] == pytest.approx(float(kernel.norm()), rel=1e-12)
    assert net.nodes["conv1/1"]["group"] == "conv1"


def test_nan_survives(tmp_path: Path, graph: NeuralGraph) -> None:
    broken = graph.clone()
    broken.state["conv1.weight"][0, 0, 0, 0] = float("nan")
    for to in ("pyg", "networkx", "graphml"):
        assert export_graph(broken, tmp_path / "net", to).stat().st_size > 1000


@pytest.mark.parametrize(
    ("stem", "to", "message"),
    [
        ("net", "", "expected one of pyg, networkx, dgl, graphml, onnx, got ''"),
        ("net", "PyG", "got 'PyG'"),
        ("absent/net", "pyg", "cannot write"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, graph: NeuralGraph, stem: str, to: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_graph(graph, tmp_path / stem, to)
    assert list(tmp_path.iterdir()) == []
