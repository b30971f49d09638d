"""The predictor as users meet it: fit, predict, topk, evaluate, save and load, with names and refusals."""

import json
from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch_geometric.data import Data

from netgraph.errors import GraphError, TrainingError, UsageError
from netgraph.linkpred import LinkGraph, LinkSplit
from netgraph.linkpred.fit import EpochRecord
from netgraph.linkpred.heuristics import score_pairs
from netgraph.linkpred.models import MODELS
from netgraph.linkpred.predictor import LinkPredictor
from netgraph.linkpred.reading import as_link_graph
from netgraph.linkpred.split import random_split
from netgraph.linkpred.triples import Triples

SMALL = {"options": {"encoder": {"hidden": 8}}, "epochs": 6, "batch_size": 16, "random_state": 0}
NBF = {"options": {"dim": 8, "layers": 2}, "epochs": 3, "batch_size": 16, "negatives": 4, "random_state": 0}


def data(seed: int = 0, nodes: int = 30) -> Data:
    """Two dense groups with noisy features."""
    chance = torch.Generator().manual_seed(seed)
    group = torch.arange(nodes) % 2
    pairs = torch.combinations(torch.arange(nodes)).T
    share = torch.where(group[pairs[0]] == group[pairs[1]], 0.5, 0.03)
    edges = pairs[:, torch.rand(pairs.size(1), generator=chance) < share]
    x = torch.nn.functional.one_hot(group).float() + 0.3 * torch.randn(nodes, 2, generator=chance)
    return Data(edge_index=torch.cat((edges, edges.flip(0)), 1), x=x, num_nodes=nodes)


def split() -> LinkSplit:
    return random_split(data(), 0.1, 0.2, num_negatives=60)


FACTS = Triples.of(
    [(f"p{i}", "knows", f"p{(i + 1) % 9}") for i in range(9)]
    + [(f"p{i}", "likes", f"p{(i + 2) % 9}") for i in range(9)]
)


def options(name: str) -> dict[str, object]:
    return {"gae": SMALL, "ncn": SMALL, "ncnc": SMALL, "nbfnet": NBF}.get(name, {})


@pytest.mark.parametrize("name", ["gae", "ncn", "ncnc", "nbfnet", "adamic_adar"])
def test_fit_predict_topk_evaluate_save_load(name: str, tmp_path: Path) -> None:
    parts = split()
    predictor = LinkPredictor(name, **options(name)).fit(parts)
    pairs = parts.test.pairs
    scores = predictor.predict(pairs)
    assert scores.shape == (pairs.size(1),) and not scores.requires_grad
    torch.testing.assert_close(predictor.predict(pairs.T.tolist()), scores)
    best, nodes = predictor.topk(torch.tensor([0, 7]), 4)
    assert best.shape == nodes.shape == (2, 4) and (best.diff(dim=1) <= 0).all()
    again = torch.stack((torch.tensor([0, 7]).repeat_interleave(4), nodes.flatten()))
    torch.testing.assert_close(predictor.predict(again), best.flatten(), rtol=1e-4, atol=1e-5)
    assert not parts.test_graph.has(again).any() and (again[0] != again[1]).all()
    measures = predictor.evaluate(parts)
    assert set(measures) == {"hits@100", "mrr", "auc", "ap"} and measures["auc"] > 0.5
    predictor.save(tmp_path / "saved")
    loaded = LinkPredictor.load(tmp_path / "saved")
    torch.testing.assert_close(loaded.predict(pairs), scores)
    assert loaded.evaluate(parts) == measures
    assert loaded.history_ == predictor.history_ and loaded.best_epoch_ == predictor.best_epoch_
    assert loaded.get_params() == predictor.get_params()
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["kind"] == "LinkPredictor"


def test_topk_equals_sorting_all_scores() -> None:
    predictor = LinkPredictor("ncn", **SMALL).fit(split())
    every = predictor.predict(torch.stack((torch.full((30,), 4), torch.arange(30))))
    best, nodes = predictor.topk([4], 30, exclude_known=False)
    torch.testing.assert_close(best[0], every.sort(descending=True).values, rtol=1e-4, atol=1e-5)
    assert sorted(nodes[0].tolist()) == list(range(30))
    best, nodes = predictor.topk([4], 30)
    known = set(predictor.graph_.edge_index[1, predictor.graph_.edge_index[0] == 4].tolist()) | {4}
    left = 30 - len(known)
    assert set(nodes[0, :left].tolist()) == set(range(30)) - known
    assert (nodes[0, left:] == -1).all() and (best[0, left:] == -torch.inf).all()


def test_the_best_epoch_is_kept_and_training_helps() -> None:
    predictor = LinkPredictor("ncn", **(SMALL | {"epochs": 20}), metric="auc", lr=0.02).fit(split())
    metrics = [r.metric for r in predictor.history_]
    assert predictor.best_epoch_ == 1 + metrics.index(max(metrics))
    assert predictor.evaluate(split(), "valid", ["auc"])["auc"] == max(metrics)
    assert predictor.evaluate(split(), metrics=["auc"])["auc"] > 0.7


def test_a_plain_graph_is_read_whole_in_the_end() -> None:
    graph = as_link_graph(data())
    for valid in (0.0, 0.2):
        predictor = LinkPredictor("gae", **SMALL, valid=valid).fit(data())
        assert torch.equal(predictor.graph_.edge_index, graph.edge_index)
        assert all((r.metric is None) == (valid == 0) for r in predictor.history_)
    assert predictor.best_epoch_ >= 1


def test_heuristics_only_keep_the_graph() -> None:
    graph = as_link_graph(data())
    predictor = LinkPredictor("katz", options={"beta": 0.01}).fit(data())
    pairs = torch.tensor([[0, 3], [5, 8]])
    torch.testing.assert_close(predictor.predict(pairs), score_pairs("katz", graph, pairs, beta=0.01))
    assert predictor.history_ == [] and predictor.best_epoch_ == 0


def test_seeds_repeat_and_options_stay_as_given() -> None:
    pairs = torch.tensor([[0, 3], [5, 8]])

    def scores(seed: int) -> torch.Tensor:
        torch.rand(3)
        return LinkPredictor("ncn", **(SMALL | {"random_state": seed})).fit(split()).predict(pairs)

    assert torch.equal(scores(1), scores(1)) and not torch.equal(scores(1), scores(2))
    given = {"encoder": {"hidden": 8}}
    predictor = LinkPredictor("gae", options=given, epochs=1)
    assert predictor.get_params()["options"] is given
    copy = clone(predictor).set_params(epochs=2)
    assert copy.epochs == 2 and copy.options == given and not hasattr(copy, "network_")


def test_names_of_networkx_and_of_triples(tmp_path: Path) -> None:
    named = nx.relabel_nodes(nx.karate_club_graph(), lambda n: f"member {n}")
    predictor = LinkPredictor("common_neighbours").fit(named)
    assert predictor.predict([("member 0", "member 33")]).tolist() == [4.0]
    _, nodes = predictor.topk(["member 0"], 1)
    assert predictor.node_names_[int(nodes)] == "member 33"
    with pytest.raises(UsageError, match="unknown node 'member 34'"):
        predictor.predict([("member 0", "member 34")])
    typed = LinkPredictor("nbfnet", **NBF, valid=0.2).fit(FACTS)
    assert typed.relation_names_ == ["knows", "likes"]
    scores = typed.predict([("p0", "p1"), ("p3", "p5")], ["knows", "likes"])
    pairs = torch.tensor([[0, 3], [1, 5]])
    torch.testing.assert_close(typed.predict(pairs, torch.tensor([0, 1])), scores)
    typed.save(tmp_path)
    loaded = LinkPredictor.load(tmp_path)
    assert loaded.node_names_ == list(FACTS.entities) and loaded.relation_names_ == ["knows", "likes"]
    torch.testing.assert_close(loaded.predict(pairs, "knows"), typed.predict(pairs, "knows"))
    assert set(loaded.topk(["p0"], 9, "knows")[1][0].tolist()) == {-1, *range(2, 9)}
    asked = loaded.topk(torch.tensor([1]), 9, torch.tensor([2]))[1]  # who knows p1
    assert set(asked[0].tolist()) == {-1, *range(2, 9)}


def test_evaluation_of_typed_links_is_filtered_ranking() -> None:
    graph = LinkGraph.from_edges(FACTS.pairs, 9, relation=FACTS.relation, undirected=False)
    parts = random_split(graph, 0.2, 0.2)
    measures = LinkPredictor("nbfnet", **NBF).fit(parts).evaluate(parts)
    assert set(measures) == {"mrr", "hits@1", "hits@3", "hits@10"} and measures["hits@10"] == 1


def test_before_fit() -> None:
    for act in (
        lambda p: p.predict(torch.tensor([[0], [1]])),
        lambda p: p.topk([0]),
        lambda p: p.evaluate(split()),
        lambda p: p.save("nowhere"),
    ):
        with pytest.raises(NotFittedError):
            act(LinkPredictor())


@pytest.fixture(scope="module")
def fitted() -> LinkPredictor:
    return LinkPredictor("gae", **SMALL).fit(split())


def test_bad_questions(fitted: LinkPredictor) -> None:
    cases = {
        "nodes from 0 to 29, got 30": lambda: fitted.predict(torch.tensor([[0], [30]])),
        "expected pairs, got none": lambda: fitted.predict([]),
        "no relation for each pair": lambda: fitted.predict([(0, 1)], 0),
        "nodes from 0 to 29, got -2": lambda: fitted.topk([-2]),
        "expected nodes, got none": lambda: fitted.topk([]),
        "k from 1 to 30, the number of nodes, got 31": lambda: fitted.topk([0], 31),
        "k from 1 to 30, the number of nodes, got 0": lambda: fitted.topk([0], 0),
        "expected a LinkSplit, got Data": lambda: fitted.evaluate(data()),
        "the stage valid or test, got 'final'": lambda: fitted.evaluate(split(), "final"),
        "'accuracy'": lambda: fitted.evaluate(split(), metrics=["accuracy"]),
    }
    for words, ask in cases.items():
        with pytest.raises(UsageError, match=words):
            ask()
    other = random_split(LinkGraph.from_edges(data().edge_index, 30, x=torch.randn(30, 5)), 0.1, 0.1)
    with pytest.raises(UsageError, match="expected 2 features per node, got 5"):
        fitted.evaluate(other)
    typed = LinkPredictor("nbfnet", **NBF, valid=0.2).fit(FACTS)
    for kind, words in ((None, "a relation for each pair"), ("hates", "unknown relation 'hates'")):
        with pytest.raises(UsageError, match=words):
            typed.predict([("p0", "p1")], kind)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model": "gcn"}, UsageError, "model as one of"),
        ({"options": {"depth": 1}}, UsageError, "options of the model"),
        ({"loss": "hinge"}, UsageError, "loss as one of"),
        ({"epochs": 0}, UsageError, "epochs as a whole number"),
        ({"valid": 1.0}, UsageError, "shares"),
        ({"checkpoint": "x", "random_state": None}, UsageError, "a number as random_state"),
    ],
)
def test_bad_options_leave_the_predictor_as_it_was(
    changes: dict[str, object], error: type[Exception], words: str
) -> None:
    predictor = LinkPredictor("ncn", **SMALL).set_params(**changes)
    with pytest.raises(error, match=words):
        predictor.fit(data())
    assert not hasattr(predictor, "network_")


def test_bad_data() -> None:
    with pytest.raises(GraphError, match="some links for each part"):
        LinkPredictor("gae", **SMALL).fit(nx.path_graph(3))
    with pytest.raises(UsageError, match="names of 30 nodes, each once, got 2"):
        LinkPredictor("gae", **SMALL).fit(data(), nodes=["a", "b"])
    with pytest.raises(UsageError, match="one relation for the model 'ncn'"):
        LinkPredictor("ncn", **SMALL).fit(FACTS)


def test_a_killed_fit_goes_on_and_ctrl_c_keeps_the_best_epoch(tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    whole = LinkPredictor("ncn", **SMALL).fit(split())

    def stop(error: type[BaseException]) -> object:
        def report(done: float, history: Sequence[EpochRecord]) -> None:
            if done > 2.2:
                raise error

        return report

    killed = LinkPredictor("ncn", **SMALL, checkpoint=path)
    with pytest.raises(MemoryError):
        killed.fit(split(), report=stop(MemoryError))
    assert not hasattr(killed, "network_")
    killed.fit(split())
    pairs = torch.tensor([[0, 3], [5, 8]])
    assert torch.equal(killed.predict(pairs), whole.predict(pairs))
    with pytest.raises(TrainingError, match="belongs to another run"):
        LinkPredictor("ncn", **(SMALL | {"random_state": 5}), checkpoint=path).fit(split())
    broken = LinkPredictor("ncn", **SMALL)
    with pytest.raises(KeyboardInterrupt):
        broken.fit(split(), report=stop(KeyboardInterrupt))
    assert len(broken.history_) == 2 and broken.best_epoch_ in (1, 2)


def test_damaged_files(tmp_path: Path, fitted: LinkPredictor) -> None:
    with pytest.raises(UsageError, match=r"expected config\.json"):
        LinkPredictor.load(tmp_path / "nothing")
    fitted.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change in (
        {"version": 2},
        {"options": config["options"] | {"model": "ncn"}},
        {"names": {"node_names": ["a"], "relation_names": None}},
        {"graph": {}},
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(UsageError, match="do not fit together"):
            LinkPredictor.load(tmp_path)
    from safetensors.torch import load_file, save_file

    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name, value in (
        ("graph.indices", tensors["graph.indices"] + 30),
        ("graph.indptr", tensors["graph.indptr"].flip(0)),
        ("graph.x", tensors["graph.x"][:5]),
    ):
        save_file(tensors | {name: value.contiguous()}, tmp_path / "model.safetensors")
        with pytest.raises(UsageError, match="do not fit together"):
            LinkPredictor.load(tmp_path)


def test_options_that_json_does_not_have(tmp_path: Path) -> None:
    predictor = LinkPredictor("ncn", **(SMALL | {"options": {"beta": np.float32(1.0)}})).fit(split())
    with pytest.raises(UsageError, match="options that JSON has"):
        predictor.save(tmp_path)


def test_verbose_shows_a_bar_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    LinkPredictor("gae", **SMALL, verbose=True).fit(split())
    shown = capsys.readouterr()
    assert "epoch 6: loss" in shown.err and not shown.out


def test_a_registered_model_is_trained_and_loaded(tmp_path: Path) -> None:
    from netgraph.linkpred.encoders import make_encoder
    from netgraph.linkpred.gae import DotProduct
    from netgraph.linkpred.models import register_model

    @register_model("mine", epochs=2)
    def mine(graph: LinkGraph) -> DotProduct:
        return DotProduct(make_encoder("gcn", graph.x.size(1), 8))

    try:
        predictor = LinkPredictor("mine", random_state=0).fit(split())
        assert len(predictor.history_) == 2
        predictor.save(tmp_path)
        pairs = torch.tensor([[0], [1]])
        assert torch.equal(LinkPredictor.load(tmp_path).predict(pairs), predictor.predict(pairs))
    finally:
        del MODELS["mine"]
    with pytest.raises(UsageError, match="do not fit together"):
        LinkPredictor.load(tmp_path)
