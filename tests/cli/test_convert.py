"""`netgraph convert`."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from netgraph.convert import to_graph
from netgraph.graph import load_graph
from netgraph.zoo import MLP, DigitsResNet


def test_a_module_becomes_a_graph_file(netgraph, work: Path) -> None:
    outcome = netgraph("convert", "nets:conv", "--input-shape", "2,1,8,8")
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "wrote conv.graph.safetensors"
    assert "6 groups" in outcome.out
    torch.manual_seed(0)
    module = DigitsResNet(width=4, blocks=(1, 1)).eval()
    graph = load_graph("conv.graph.safetensors")
    for name, tensor in module.state_dict().items():
        assert torch.equal(graph.to_state_dict()[name], tensor)
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(graph.to_module().eval()(x), module(x))


def test_json_is_all_of_stdout(netgraph, work: Path) -> None:
    outcome = netgraph("convert", "nets:mlp", "--input-shape", "2,6", "--output", "a.safetensors", "--json")
    result = outcome.json
    assert outcome.status == 0 and outcome.err == ""
    assert (result["graph"], result["nodes"], result["edges"]) == ("a.safetensors", 17, 72)
    assert (result["parameters"], result["macs"], result["warnings"]) == (83, 72, [])
    assert sum(result["group_sizes"].values()) == 17


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_are_loaded(netgraph, work: Path, suffix: str) -> None:
    torch.manual_seed(7)
    state = MLP((6, 8, 3)).state_dict()
    if suffix == "pt":
        torch.save({"state_dict": state}, "w.pt")
    else:
        save_file(state, "w.safetensors")
    outcome = netgraph(
        "convert", "nets:mlp", "--weights", f"w.{suffix}", "--input-shape", "2,6", "-o", "g.safetensors"
    )
    assert outcome.status == 0, outcome.err
    graph = load_graph("g.safetensors")
    assert all(torch.equal(graph.to_state_dict()[k], v) for k, v in state.items())


def test_several_inputs_of_several_types(netgraph, work: Path) -> None:
    outcome = netgraph(
        "convert", "nets:Words", "--input-shape", "2,5", "--input-shape", "2,5,1",
        "--input-dtype", "int64", "--input-dtype", "float32", "-o", "w.safetensors",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    info = netgraph("info", "w.safetensors", "--json").json
    assert [i["dtype"] for i in info["inputs"]] == ["int64", "float32"]


def test_an_instance_will_do(netgraph, work: Path) -> None:
    assert netgraph("convert", "nets:instance", "--input-shape", "1,2").status == 0


def test_a_graph_file_can_be_converted_on(netgraph, work: Path) -> None:
    outcome = netgraph("convert", "mlp.safetensors", "-o", "again.safetensors")
    assert outcome.status == 0, outcome.err
    assert load_graph("again.safetensors") == load_graph("mlp.safetensors")


@pytest.mark.parametrize(
    ("to", "file"),
    [("pyg", "g.pyg.safetensors"), ("networkx", "g.networkx.json"), ("graphml", "g.graphml")],
)
def test_other_formats_lie_beside_it(netgraph, work: Path, to: str, file: str) -> None:
    outcome = netgraph("convert", "mlp.safetensors", "-o", "g.safetensors", "--to", to, "--json")
    assert outcome.json["exported"] == file
    assert Path(file).stat().st_size > 500


def test_warnings_are_lines_on_stderr(netgraph, work: Path) -> None:
    (work / "odd.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = torch.nn.Linear(4, 4)\n"
        "    def forward(self, x):\n"
        "        return self.fc(x).renorm(2, 1, 1.0)\n"
    )
    outcome = netgraph("convert", "odd:Odd", "--input-shape", "2,4", "--json")
    assert outcome.status == 0
    (line,) = outcome.err.splitlines()
    assert line.startswith("warning: to_graph: no channel rule for aten.renorm")
    assert [f"warning: {w}" for w in outcome.json["warnings"]] == outcome.err.splitlines()


def test_conversion_is_what_the_library_does(netgraph, work: Path) -> None:
    netgraph("convert", "nets:mlp", "--input-shape", "2,6", "-o", "g.safetensors")
    torch.manual_seed(0)
    assert load_graph("g.safetensors") == to_graph(MLP((6, 8, 3)).eval(), torch.zeros(2, 6))


def test_an_absent_library_is_one_line(netgraph, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dgl", None)
    outcome = netgraph("convert", "mlp.safetensors", "--to", "dgl")
    assert outcome.status == 1
    (line,) = outcome.err.splitlines()
    assert "pip install 'netgraph-metanet[dgl]'" in line


def test_onnx_out_and_in(netgraph, work: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; make test installs it")
    made = netgraph("convert", "conv.safetensors", "--to", "onnx", "-o", "g.safetensors", "--json").json
    assert made["exported"] == "g.onnx"
    back = netgraph("convert", "g.onnx", "-o", "back.safetensors", "--json").json
    assert back["macs"] == made["macs"]
    assert sorted(back["group_sizes"].values()) == sorted(made["group_sizes"].values())


def test_what_is_no_onnx_file_is_told(netgraph, work: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed; make test installs it")
    Path("broken.onnx").write_bytes(b"no protobuf at all")
    outcome = netgraph("info", "broken.onnx")
    assert outcome.status != 0 and "broken.onnx" in outcome.err and "Traceback" not in outcome.err
