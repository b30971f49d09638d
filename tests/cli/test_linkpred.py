"""`netgraph linkpred`."""

from pathlib import Path

import networkx as nx
import pytest

from netgraph.linkpred import LinkPredictor


@pytest.fixture
def edges(work: Path) -> Path:
    path = work / "club.tsv"
    path.write_text("".join(f"member{u}\tmember{v}\n" for u, v in nx.karate_club_graph().edges))
    return path


@pytest.fixture
def paths_predictor(netgraph, edges: Path) -> str:
    outcome = netgraph(
        "linkpred", "fit", "club.tsv", "-o", "paths", "--model", "nbfnet", "--epochs", "1", "--valid", "0",
        "--option", "options.dim=4", "--option", "options.layers=3", "--option", "lr=0.01",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    return "paths"


def test_fit_writes_a_predictor_and_measures_what_was_held_out(netgraph, edges: Path) -> None:
    found = netgraph(
        "linkpred", "fit", "club.tsv", "-o", "gae", "--model", "gae", "--epochs", "2", "--test", "0.2",
        "--metric", "auc", "--option", 'options.encoder={"hidden": 8}', "--seed", "3", "--json",
    ).json  # fmt: skip
    assert set(found) == {"predictor", "best_epoch", "auc"} and 0 <= found["auc"] <= 1
    predictor = LinkPredictor.load("gae")
    assert predictor.model == "gae" and predictor.random_state == 3
    assert "member33" in predictor.node_names_ and predictor.graph_.num_edges < 156


def test_evaluate_makes_a_table(netgraph, edges: Path) -> None:
    words = ("--model", "common_neighbours", "--model", "adamic_adar", "--seeds", "2", "--metric", "auc")
    found = netgraph("linkpred", "evaluate", "club.tsv", *words, "--json").json
    assert len(found["values"]["adamic_adar"]["auc"]) == 2
    text = netgraph("linkpred", "evaluate", "club.tsv", *words).out
    assert "predictor" in text and "adamic_adar" in text and "±" in text


def test_predict_knows_names(netgraph, edges: Path, paths_predictor: str) -> None:
    found = netgraph("linkpred", "predict", "paths", "--node", "member0", "--top", "3", "--json").json[
        "links"
    ]
    expected = LinkPredictor.load("paths")
    scores, tails = expected.topk(["member0"], 3)
    names = expected.node_names_
    assert [link["tail"] for link in found] == [names[int(t)] for t in tails[0]]
    assert [link["score"] for link in found] == pytest.approx(scores[0].tolist())
    Path("asked.txt").write_text("member0 member9\n")
    (link,) = netgraph("linkpred", "predict", "paths", "--pairs", "asked.txt", "--json").json["links"]
    assert link["score"] == pytest.approx(float(expected.predict([("member0", "member9")])[0]))


def test_explain_gives_paths_and_a_picture(netgraph, edges: Path, paths_predictor: str) -> None:
    found = netgraph(
        "linkpred", "explain", "paths", "member0", "member33", "--top", "2", "--picture", "why.png", "--json"
    ).json
    assert len(found["paths"]) == 2 and Path("why.png").stat().st_size > 1000
    for path in found["paths"]:
        assert path["nodes"][0] == "member0" and path["nodes"][-1] == "member33"
    weights = [path["weight"] for path in found["paths"]]
    assert weights == sorted(weights, reverse=True)
    assert "member0 – " in netgraph("linkpred", "explain", "paths", "member0", "member33").out


def test_triples_and_relations(netgraph, work: Path) -> None:
    facts = [f"n{i}\t{('likes', 'knows')[i % 2]}\tn{(3 * i + 1) % 13}" for i in range(26)]
    Path("facts.tsv").write_text("\n".join(facts))
    outcome = netgraph(
        "linkpred", "fit", "facts.tsv", "-o", "facts", "--model", "nbfnet", "--epochs", "1", "--valid", "0",
        "--option", "options.dim=4", "--option", "negatives=2",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    found = netgraph("linkpred", "predict", "facts", "--node", "n1", "--relation", "likes", "--json").json
    assert found["links"]
    text = netgraph("linkpred", "explain", "facts", "n1", "n4", "--relation", "knows").out
    assert "–(knows)→" in text or "–(likes)→" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("fit", "nowhere", "-o", "x"), "expected a file, a folder of triples"),
        (("fit", "club.tsv", "-o", "x", "--model", "magic"), "expected model as one of"),
        (("fit", "club.tsv", "-o", "x", "--option", "lr"), "should read like lr=0.01"),
        (("fit", "club.tsv", "-o", "x", "--option", "speed=3"), "got 'speed'"),
        (("evaluate", "club.tsv", "--model", "jaccard", "--ties", "fair"), "'fair'"),
        (("predict", "nowhere", "--node", "a"), "expected config.json"),
        (("predict", "nowhere"), "either --node or --pairs"),
    ],
)
def test_one_line_says_what_is_wrong(netgraph, edges: Path, words: tuple[str, ...], says: str) -> None:
    outcome = netgraph("linkpred", *words)
    assert outcome.status == 1 and says in outcome.err and outcome.err.count("\n") == 1


def test_unknown_nodes_and_other_models(netgraph, edges: Path) -> None:
    assert netgraph("linkpred", "fit", "club.tsv", "-o", "cn", "--model", "jaccard").status == 0
    outcome = netgraph("linkpred", "predict", "cn", "--node", "stranger")
    assert outcome.status == 1 and "stranger" in outcome.err
    outcome = netgraph("linkpred", "explain", "cn", "member0", "member1")
    assert outcome.status == 1 and "expected the model 'nbfnet'" in outcome.err
