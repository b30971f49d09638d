"""BREC's protocol: the statistic, training on one copy, verdicts that are kept."""

import json
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Batch

from benchmarks.subgraph import brec
from netgraph.convert import as_data
from netgraph.subgraph import SubgraphNet

SETTINGS = {"hidden": 8, "layers": 3, "lr": 1e-3, "seed": 1, "double": False}


def test_the_threshold_is_the_published_one() -> None:
    assert brec.threshold() == pytest.approx(72.34, abs=0.01)


def test_the_statistic_equals_the_textbook_formula() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(32, 16)) @ rng.normal(size=(16, 16)) + 0.3
    mean, centred = differences.mean(0), differences - differences.mean(0)
    expected = mean @ np.linalg.inv(centred.T @ centred / 31) @ mean
    assert brec.statistic(differences) == pytest.approx(expected)
    assert brec.statistic(np.zeros((32, 16))) == 0


def test_embeddings_without_any_error_are_compared_by_what_they_may_be_wrong_by() -> None:
    assert brec.statistic(np.full((32, 16), 1e-6), error=1e-5) < 1
    assert brec.statistic(np.full((32, 16), 1e-3), error=1e-5) > brec.threshold()


def test_equal_distributions_are_hardly_ever_apart() -> None:
    rng = np.random.default_rng(1)
    assert max(brec.statistic(rng.normal(size=(32, 16))) for _ in range(200)) < brec.threshold() / 2


def test_a_copy_of_a_pair_adds_nothing_to_its_gradient() -> None:
    pair = [as_data(g) for g in (nx.cycle_graph(6), nx.path_graph(6))]
    torch.manual_seed(0)
    network = SubgraphNet(0, 4, hidden_channels=8, num_layers=2).double()
    gradients = []
    for copies in (1, 5):
        rng = np.random.default_rng(0)
        graphs = [g for _ in range(copies) for g in pair]
        if copies > 1:
            graphs = [brec._copies(g, rng)[0] for g in graphs]
        out = network(Batch.from_data_list([network.transform(g) for g in graphs]))
        apart = -torch.ones(copies, dtype=out.dtype)
        network.zero_grad()
        F.cosine_embedding_loss(out[::2], out[1::2], apart).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("model", ["SSWL", "PPGN"])
def test_pairs_that_differ_are_separated_and_a_graph_from_itself_is_not(model: str) -> None:
    triangles = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    found = brec.compare(model, (triangles, nx.cycle_graph(6)), **SETTINGS)
    assert found["separated"] and found["reliable"]
    shuffled = nx.relabel_nodes(triangles, {i: (5 * i + 2) % 6 for i in range(6)})
    assert not brec.compare(model, (triangles, shuffled), **SETTINGS)["separated"]


def test_verdicts_are_kept_and_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = (nx.cycle_graph(6), nx.path_graph(6))
    monkeypatch.setattr(brec, "RUNS", tmp_path)
    monkeypatch.setattr(brec, "brec", lambda data: {"basic": [pair, pair]})
    options: dict[str, Any] = {"models": ["SSWL"], "categories": ["basic"], "hidden": 8, "layers": 2}
    first = brec.run(tmp_path, False, **options)
    assert first["counts"]["SSWL"]["basic"] == {
        "pairs": 2,
        "exact": 2,
        "trained": 2,
        "separated": 2,
        "unreliable": 0,
    }
    (kept,) = tmp_path.iterdir()
    lines = kept.read_text().splitlines()
    assert len(lines) == 4
    kept.write_text("\n".join([*lines[:-1], lines[-1][:20]]))  # killed within the last line
    calls: list[str] = []

    def counted(model: str, *args: object, **kwargs: object) -> dict[str, Any]:
        calls.append(model)
        return json.loads(lines[-1])

    monkeypatch.setattr(brec, "compare", counted)
    assert brec.run(tmp_path, False, **options)["counts"] == first["counts"] and calls == ["SSWL"]


def test_norms_know_the_pair_under_the_last_weights() -> None:
    torch.manual_seed(0)
    network = SubgraphNet(0, 4, hidden_channels=8, num_layers=2)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    pair = [as_data(g) for g in (nx.cycle_graph(6), nx.path_graph(6))]
    brec._separate(network, pair, 1e-2)
    kept = {n: b.clone() for n, b in network.named_buffers() if "running" in n}
    network(Batch.from_data_list([network.transform(g) for g in pair]))
    assert kept
    for name, buffer in network.named_buffers():
        if "running" in name:
            torch.testing.assert_close(buffer, kept[name])


def test_what_no_network_can_separate_is_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(nx.cycle_graph(6), nx.path_graph(6)), (nx.cycle_graph(6), nx.cycle_graph(6))]
    monkeypatch.setattr(brec, "RUNS", tmp_path)
    monkeypatch.setattr(brec, "brec", lambda data: {"cfi": pairs, "str": pairs[1:]})
    options: dict[str, Any] = {"models": ["SSWL"], "categories": ["cfi", "str"], "hidden": 8, "layers": 2}
    counts = brec.run(tmp_path, False, **options)["counts"]["SSWL"]
    assert (counts["cfi"]["pairs"], counts["cfi"]["exact"], counts["cfi"]["trained"]) == (2, 1, 1)
    assert counts["str"]["trained"] == 1 and counts["str"].get("separated", 0) == 0


def test_a_run_goes_on_from_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = (nx.cycle_graph(6), nx.path_graph(6))
    same = (nx.cycle_graph(6), nx.cycle_graph(6))
    monkeypatch.setattr(brec, "RUNS", tmp_path / "one")
    monkeypatch.setattr(brec, "brec", lambda data: {"basic": [pair, same], "cfi": [same]})
    options: dict[str, Any] = {"categories": ["basic", "cfi"], "hidden": 8, "layers": 2}
    first = brec.run(tmp_path, False, models=["SSWL"], **options)
    assert first["verdicts"]["SSWL"]["basic"]["pairs"] == "10"
    assert "cfi" not in first["verdicts"]["SSWL"] and first["verdicts"]["test SSWL"]["cfi"]["pairs"] == "0"
    monkeypatch.setattr(brec, "RUNS", tmp_path / "two")
    record = json.loads(json.dumps(first))
    fresh = brec.compare
    calls: list[str] = []

    def counted(model: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        calls.append(model)
        return fresh(model, *args, **kwargs)

    monkeypatch.setattr(brec, "compare", counted)
    second = brec.run(tmp_path, False, models=["SSWL", "GSWL"], earlier=record, **options)
    assert calls == ["GSWL", "GSWL"] and second["counts"]["SSWL"] == first["counts"]["SSWL"]
    assert second["verdicts"]["SSWL"] == first["verdicts"]["SSWL"]
    assert brec._told(record, {**record["settings"], "seed": 1}) == {}
