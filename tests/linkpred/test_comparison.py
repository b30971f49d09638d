"""Tables over seeds."""

import json
import statistics

import networkx as nx
import pytest

from netgraph.errors import UsageError
from netgraph.linkpred import LinkPredictor, compare, random_split

GRAPH = nx.karate_club_graph()
ROWS = {
    "CN": LinkPredictor("common_neighbours"),
    "GAE": LinkPredictor("gae", epochs=2, options={"encoder": {"hidden": 8}}),
}


def test_each_cell_is_one_fit_of_its_own() -> None:
    told: list[tuple[str, int, int]] = []
    found = compare(
        ROWS,
        lambda seed: random_split(GRAPH, seed=seed),
        (3, 5),
        metrics=["auc", "mrr"],
        progress=lambda *words: told.append(words),
    )
    for name, row in ROWS.items():
        expected = []
        for seed in (3, 5):
            split = random_split(GRAPH, seed=seed)
            given = row.get_params() | {"random_state": seed}
            expected.append(LinkPredictor(**given).fit(split).evaluate(split, metrics=["auc"])["auc"])
        assert found.values[name]["auc"] == pytest.approx(expected)
        assert found.mean(name, "auc") == pytest.approx(statistics.mean(expected))
        assert found.deviation(name, "auc") == pytest.approx(statistics.stdev(expected))
    assert told[0] == ("CN, seed 3", 0, 4) and told[-1] == ("GAE, seed 5", 3, 4)
    assert not hasattr(ROWS["GAE"], "network_")
    assert found.rows()[0] == ("predictor", "auc", "mrr") and str(found).startswith("predictor  auc")
    assert json.loads(json.dumps(found.to_dict()))["seeds"] == [3, 5]


def test_one_seed_has_no_deviation() -> None:
    found = compare({"CN": ROWS["CN"]}, lambda seed: random_split(GRAPH, seed=seed), [0], metrics=["auc"])
    assert found.deviation("CN", "auc") == 0


@pytest.mark.parametrize(("rows", "seeds"), [({}, [0]), (ROWS, [])])
def test_nothing_to_compare(rows: dict[str, LinkPredictor], seeds: list[int]) -> None:
    with pytest.raises(UsageError, match="expected predictors and seeds"):
        compare(rows, lambda seed: random_split(GRAPH, seed=seed), seeds)
