"""`netgraph info`."""

from pathlib import Path


def test_text(netgraph) -> None:
    outcome = netgraph("info", "mlp.safetensors")
    assert outcome.status == 0
    assert "3 groups" in outcome.out and "17 nodes" in outcome.out
    assert "MACs of one forward pass, batch of one: 72" in outcome.out
    assert "float32[any, 6]" in outcome.out


def test_json(netgraph) -> None:
    result = netgraph("info", "mlp.safetensors", "--json").json
    assert result["bytes"] == Path("mlp.safetensors").stat().st_size
    assert result["inputs"] == [{"name": "x", "shape": ["any", 6], "dtype": "float32"}]
    assert (result["groups"], result["nodes"], result["macs"]) == (3, 17, 72)
    assert sum(result["group_sizes"].values()) == 17
    assert len(result["digest"]) == 64


def test_a_shipped_model_by_name(netgraph, shelf: Path) -> None:
    assert netgraph("info", "tiny", "--json").json["macs"] == 72
