"""`netgraph prune`."""

from pathlib import Path

import pytest
import torch

from netgraph.graph import NodeMask, load_graph, macs, params, select
from netgraph.nn import FactorisedConfig, FactorisedMetanetwork
from netgraph.pruning import Budget, prune


def test_a_graph_file_becomes_a_smaller_one(netgraph, work: Path) -> None:
    outcome = netgraph("prune", "conv.safetensors", "--budget", "macs=0.5")
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "wrote conv.pruned.safetensors"
    before, after = load_graph("conv.safetensors"), load_graph("conv.pruned.safetensors")
    assert 0.2 * macs(before) < macs(after) <= 0.5 * macs(before)
    assert after.to_module().eval()(torch.zeros(5, 1, 8, 8)).shape == (5, 10)


def test_json_is_the_report(netgraph, work: Path) -> None:
    result = netgraph(
        "prune", "mlp.safetensors", "--budget", "params=0.5", "-o", "p.safetensors", "--json"
    ).json
    after = load_graph("p.safetensors")
    assert result["params_after"] == params(after)
    assert result["widths_before"] != result["widths_after"]
    assert (result["criterion"], result["budget"], result["graph"]) == ("l2", "params=0.5", "p.safetensors")


def test_it_is_what_the_library_does(netgraph, work: Path) -> None:
    netgraph(
        "prune", "conv.safetensors", "--budget", "speedup=2", "--criterion", "l1", "--ranking", "uniform",
        "--min-keep", "2", "--ignore", "conv1", "-o", "p.safetensors",
    )  # fmt: skip
    before, after = load_graph("conv.safetensors"), load_graph("p.safetensors")
    expected = prune(
        before.to_module().eval(),
        torch.zeros(2, 1, 8, 8),
        budget=Budget(speedup=2),
        criterion="l1",
        ranking="uniform",
        min_keep=2,
        ignore=["conv1"],
        rebuild=True,
    )
    assert {g.name: g.size for g in after.structure.groups} == {
        g.name: g.size for g in select(before, NodeMask(expected.mask.keep)).structure.groups
    }
    assert all(torch.equal(t, expected.graph.state[n]) for n, t in after.state.items())


def test_a_module_and_a_picture(netgraph, work: Path) -> None:
    outcome = netgraph(
        "prune",
        "nets:conv",
        "--input-shape",
        "2,1,8,8",
        "--budget",
        "macs=0.5",
        "--picture",
        "cut.png",
        "--json",
    )
    assert outcome.json["picture"] == "cut.png"
    assert Path("cut.png").read_bytes().startswith(b"\x89PNG")
    assert outcome.json["graph"] == "conv.pruned.safetensors"


def test_a_shipped_network_by_a_shipped_metanetwork(netgraph, shelf: Path) -> None:
    outcome = netgraph("prune", "tiny", "--budget", "macs=0.5", "--criterion", "meta", "--json")
    assert outcome.status == 0, outcome.err
    assert outcome.json["criterion"] == "Metanetwork"
    assert outcome.json["macs_after"] <= 36


def test_a_metanetwork_with_scores(netgraph, work: Path) -> None:
    config = FactorisedConfig(hidden=4, layers=1, heads=("scores",))
    FactorisedMetanetwork(config).save_pretrained("judge")
    outcome = netgraph("prune", "conv.safetensors", "--budget", "macs=0.5", "--criterion", "judge", "--json")
    assert outcome.status == 0, outcome.err
    assert outcome.json["criterion"] == "FactorisedMetanetwork"


def test_latency_is_measured_on_request(netgraph, work: Path) -> None:
    result = netgraph("prune", "mlp.safetensors", "--budget", "macs=0.9", "--latency", "--json").json
    assert result["latency_before"] > 0 and result["latency_after"] > 0


@pytest.mark.parametrize("kind", ["int64", "float32"])
def test_inputs_are_rebuilt_from_the_file(netgraph, work: Path, kind: str) -> None:
    """A graph file knows the shapes and types of its inputs, two of them and an index here."""
    arguments = [
        "--input-shape",
        "2,5",
        "--input-shape",
        "2,5,1",
        "--input-dtype",
        "int64",
        "--input-dtype",
        "float32",
    ]
    assert netgraph("convert", "nets:Words", *arguments, "-o", "w.safetensors").status == 0
    outcome = netgraph("prune", "w.safetensors", "--budget", "params=0.6", "-o", "p.safetensors")
    assert outcome.status == 0, outcome.err
    ids = torch.zeros(3, 4, dtype=torch.int64)
    assert load_graph("p.safetensors").to_module()(ids, torch.ones(3, 4, 1)).shape == (3, 4, 3)


def test_layers_and_products_are_options(netgraph, work: Path) -> None:
    outcome = netgraph(
        "prune", "netgraph.zoo:resnet20", "--input-shape", "1,3,32,32", "--budget", "macs=0.3",
        "--layers", "--product", "inner", "-o", "p.safetensors", "--json",
    )  # fmt: skip
    assert 0 < outcome.json["macs_after"] <= 0.3 * outcome.json["macs_before"]
    assert outcome.json["skipped"]
    wrong = netgraph("prune", "conv.safetensors", "--budget", "macs=0.5", "--product", "sideways")
    assert wrong.status != 0 and "--product should be outer or inner, got 'sideways'" in wrong.err
