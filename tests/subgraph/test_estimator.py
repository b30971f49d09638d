"""What classifier and regressor share: scikit-learn's conventions, options, saving, and what is refused."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch_geometric.data import Data

from netgraph.errors import InterchangeError, TrainingError, UsageError
from netgraph.subgraph import EpochRecord, SubgraphClassifier, SubgraphEstimator, SubgraphRegressor

SMALL: dict[str, Any] = {"hidden_channels": 8, "num_layers": 2, "epochs": 3, "lr": 0.01, "random_state": 0}
GRAPHS = [nx.gnp_random_graph(4 + n % 4, 0.5, seed=n) for n in range(20)]
EDGES = np.array([float(g.number_of_edges()) for g in GRAPHS])
DENSE = np.where(np.median(EDGES) < EDGES, "dense", "thin")

BOTH = {"classifier": (SubgraphClassifier, DENSE), "regressor": (SubgraphRegressor, EDGES)}
both = pytest.mark.parametrize(("estimator", "y"), BOTH.values(), ids=BOTH)


@both
def test_parameters_and_clone(estimator: type[SubgraphEstimator], y: Any) -> None:
    made = estimator("GSWL", **SMALL)
    assert clone(made).get_params() == made.get_params()
    assert made.get_params()["model"] == "GSWL" and len(made.get_params()) == 23
    fitted = made.set_params(epochs=1).fit(GRAPHS, y)
    assert fitted is made and not hasattr(clone(fitted), "network_")
    assert "SubgraphClassifier" in repr(made) or "SubgraphRegressor" in repr(made)


def test_sklearn_knows_which_is_which() -> None:
    assert is_classifier(SubgraphClassifier()) and is_regressor(SubgraphRegressor())


@both
def test_grid_search_and_cross_validation_over_lists(estimator: type[SubgraphEstimator], y: Any) -> None:
    search = GridSearchCV(estimator(**SMALL), {"model": ["SSWL", "PPGN"], "lr": [0.01]}, cv=2)
    search.fit(GRAPHS, y)
    assert search.best_params_["model"] in ("SSWL", "PPGN")
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(cross_val_score(estimator(**SMALL), GRAPHS, y, cv=2)) == 2
    assert cross_val_predict(estimator(**SMALL), GRAPHS, y, cv=2).shape == (20,)
    pipeline = make_pipeline(FunctionTransformer(list), estimator(**SMALL))
    assert pipeline.fit(GRAPHS, y).predict(GRAPHS[:2]).shape == (2,)


@both
def test_fits_repeat_and_predictions_do_not_depend_on_the_batch(
    estimator: type[SubgraphEstimator], y: Any
) -> None:
    first, second = (estimator(**SMALL).fit(GRAPHS, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict(GRAPHS), second.predict(GRAPHS))
    assert [r.train_loss for r in first.history_] == [r.train_loss for r in second.history_]
    other = estimator(**SMALL | {"random_state": 1}).fit(GRAPHS, y)
    assert other.history_[0].train_loss != first.history_[0].train_loss
    alone = np.concatenate([first.predict([graph]) for graph in GRAPHS])
    if y.dtype.kind == "f":
        np.testing.assert_allclose(alone, first.predict(GRAPHS), rtol=1e-4)
    else:
        np.testing.assert_array_equal(alone, first.predict(GRAPHS))


def relabelled(graph: nx.Graph, seed: int) -> nx.Graph:
    order = np.random.default_rng(seed).permutation(len(graph))
    return nx.from_numpy_array(nx.to_numpy_array(graph)[np.ix_(order, order)])


def test_the_numbering_of_nodes_does_not_matter() -> None:
    fitted = SubgraphRegressor(**SMALL).fit(GRAPHS, EDGES)
    again = fitted.predict([relabelled(g, 1) for g in GRAPHS])
    np.testing.assert_allclose(again, fitted.predict(GRAPHS), rtol=1e-4)


@pytest.mark.parametrize("model", ["SWL", "SSWL+", "SUN", "ID-GNN", "PPGN"])
def test_models_by_name(model: str) -> None:
    fitted = SubgraphRegressor(model, **SMALL).fit(GRAPHS, EDGES)
    assert np.isfinite(fitted.predict(GRAPHS)).all()


@both
def test_best_and_last_epoch_are_both_there(estimator: type[SubgraphEstimator], y: Any) -> None:
    fitted = estimator(**SMALL | {"epochs": 8, "validation_fraction": 0.3}).fit(GRAPHS, y)
    losses = [r.validation_loss for r in fitted.history_]
    assert len(losses) == 8 and fitted.best_epoch_ == 1 + int(np.argmin(losses))
    assert fitted.last_state_.keys() == fitted.network_.state_dict().keys()


def test_a_validation_set_chooses_the_epoch() -> None:
    told: list[float] = []

    def report(done: float, history: Sequence[EpochRecord]) -> None:
        told.append(done)

    held = [nx.cycle_graph(n) for n in (5, 6)]
    regressor = SubgraphRegressor(**SMALL, loss="squared_error", batch_size=20)
    regressor.fit(GRAPHS, EDGES, (held, [5.0, 6.0]), report=report)
    best = regressor.history_[regressor.best_epoch_ - 1].validation_loss
    error = (regressor.predict(held) - [5, 6]) / EDGES.std()
    assert best == pytest.approx(np.square(error).mean(), rel=1e-4)
    assert told == [1, 1, 2, 2, 3, 3]  # all twenty train: one batch an epoch


@both
def test_without_validation_the_last_epoch_is_kept(estimator: type[SubgraphEstimator], y: Any) -> None:
    fitted = estimator(**SMALL, validation_fraction=0).fit(GRAPHS, y)
    assert fitted.best_epoch_ == 3 and fitted.history_[-1].validation_loss is None
    state = fitted.network_.state_dict()
    assert all(torch.equal(state[n], t) for n, t in fitted.last_state_.items())


def test_patience_ends_early() -> None:
    regressor = SubgraphRegressor(**SMALL | {"epochs": 200, "lr": 1e-7}, patience=2)
    regressor.fit(GRAPHS, EDGES, (GRAPHS[:4], [1e3, -1e3, 1e3, -1e3]))
    assert len(regressor.history_) < 200


def test_categories_and_edge_features_come_through() -> None:
    graphs = []
    for graph in GRAPHS:
        graph = graph.copy()
        nx.set_node_attributes(graph, {v: v % 3 for v in graph}, "x")
        nx.set_edge_attributes(graph, {e: [1.0, sum(e) % 2] for e in graph.edges}, "edge_attr")
        graphs.append(graph)
    fitted = SubgraphRegressor(**SMALL).fit(graphs, EDGES)
    assert (fitted.features_[0].count, fitted.features_[1].count) == (3, 2)
    assert fitted.predict(graphs).shape == (20,)
    with pytest.raises(UsageError, match="predict: expected a category from 0 to 2 for each node, got none"):
        fitted.predict(GRAPHS)


@both
def test_save_and_load(estimator: type[SubgraphEstimator], y: Any, tmp_path: Path) -> None:
    fitted = estimator("SWL", **SMALL | {"random_state": np.int64(3)}, hops=2).fit(GRAPHS, y)
    assert fitted.save(tmp_path / "new") == tmp_path / "new"
    again = estimator.load(tmp_path / "new")
    np.testing.assert_array_equal(again.predict(GRAPHS), fitted.predict(GRAPHS))
    assert again.get_params() == fitted.get_params()
    assert again.history_ == fitted.history_ and again.best_epoch_ == fitted.best_epoch_
    assert all(torch.equal(again.last_state_[n], t) for n, t in fitted.last_state_.items())
    assert again.score(GRAPHS, y) == fitted.score(GRAPHS, y)
    again.save(tmp_path / "twice")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()


def test_what_a_file_cannot_hold_is_left_out(tmp_path: Path) -> None:
    options = SMALL | {"random_state": np.random.RandomState(0)}
    SubgraphRegressor(**options, device="cpu").fit(GRAPHS, EDGES).save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["options"]["random_state"] is None
    assert SubgraphRegressor.load(tmp_path, device="cpu").device == "cpu"
    with pytest.raises(UsageError, match="load it with its own class"):
        SubgraphClassifier.load(tmp_path)


def change(config: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**config, "options": {**config["options"], **values}}


DAMAGE = {
    "another version": lambda c: {**c, "version": 2},
    "a missing part": lambda c: {n: v for n, v in c.items() if n != "targets"},
    "an unknown option": lambda c: change(c, depth=3),
    "an unknown model": lambda c: change(c, model="GCN"),
    "weights of another size": lambda c: change(c, hidden_channels=16),
    "weights of another depth": lambda c: change(c, num_layers=3),
    "a history that is none": lambda c: {**c, "history": [1]},
    "features that are none": lambda c: {**c, "features": []},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_files_that_do_not_fit_together(damage: Any, tmp_path: Path) -> None:
    path = SubgraphRegressor(**SMALL | {"epochs": 1}).fit(GRAPHS, EDGES).save(tmp_path) / "config.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(UsageError, match=r"load: the files in .* do not fit together"):
        SubgraphRegressor.load(tmp_path)


@both
def test_nothing_works_before_fit(estimator: type[SubgraphEstimator], y: Any, tmp_path: Path) -> None:
    made = estimator()
    calls = [lambda: made.predict(GRAPHS), lambda: made.score(GRAPHS, y), lambda: made.save(tmp_path / "a")]
    for call in calls:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call()
    assert os.listdir(tmp_path) == []


def test_ctrl_c_keeps_the_best_epoch_or_changes_nothing() -> None:
    def stop(when: float) -> Any:
        def report(done: float, history: Sequence[EpochRecord]) -> None:
            if done > when:
                raise KeyboardInterrupt

        return report

    made = SubgraphRegressor(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        made.fit(GRAPHS, EDGES, report=stop(0))
    assert not hasattr(made, "network_")
    with pytest.raises(KeyboardInterrupt):
        made.fit(GRAPHS, EDGES, report=stop(2))
    assert len(made.history_) == 2
    before = made.predict(GRAPHS)
    with pytest.raises(KeyboardInterrupt):
        made.fit(GRAPHS[:9], EDGES[:9], report=stop(0))
    np.testing.assert_array_equal(made.predict(GRAPHS), before)


def test_a_checkpoint_belongs_to_one_fit(tmp_path: Path) -> None:
    path = tmp_path / "fit.pt"
    first = SubgraphRegressor(**SMALL, checkpoint=path).fit(GRAPHS, EDGES)
    again = SubgraphRegressor(**SMALL, checkpoint=path, verbose=True).fit(GRAPHS, EDGES)
    np.testing.assert_array_equal(first.predict(GRAPHS), again.predict(GRAPHS))
    assert again.history_ == first.history_  # read, not done again: the seconds are the same
    for options, y in (
        (SMALL | {"lr": 0.1}, EDGES),
        (SMALL, EDGES[::-1]),
        (SMALL | {"random_state": 1}, EDGES),
    ):
        with pytest.raises(TrainingError, match="belongs to another run"):
            SubgraphRegressor(**options, checkpoint=path).fit(GRAPHS, y)


def test_the_bar_is_off_unless_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    SubgraphRegressor(**SMALL).fit(GRAPHS, EDGES)
    assert capfd.readouterr() == ("", "")
    SubgraphRegressor(**SMALL, verbose=True).fit(GRAPHS, EDGES)
    out, err = capfd.readouterr()
    assert out == "" and "epoch 3: loss" in err


OPTIONS = {
    "no epochs": ({"epochs": 0}, "expected epochs as a whole number from 1"),
    "half an epoch": ({"epochs": 0.5}, "expected epochs"),
    "no batch": ({"batch_size": 0}, "expected batch_size"),
    "no patience": ({"patience": 0}, "expected patience"),
    "no rate": ({"lr": 0}, "expected lr from 0"),
    "a rate in words": ({"lr": "high"}, "expected lr from 0"),
    "all held out": ({"validation_fraction": 1.0}, "expected validation_fraction from 0 to 1"),
    "NaN": ({"weight_decay": float("nan")}, "expected weight_decay"),
    "a schedule": ({"schedule": "step"}, "one of constant, cosine, one_cycle"),
    "a loss": ({"loss": "huber"}, "expected loss to be one of"),
    "a model": ({"model": "GCN"}, "expected a model of"),
    "a backend": ({"backend": "fast"}, "dense, sparse, got 'fast'"),
    "PPGN on ego-nets": ({"model": "PPGN", "hops": 2}, "choose another model"),
    "patience for nothing": ({"patience": 3, "validation_fraction": 0}, "expected validation graphs"),
    "chance beside a checkpoint": ({"checkpoint": "fit.pt", "random_state": None}, "expected a number as"),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
@both
def test_options_that_are_refused(
    estimator: type[SubgraphEstimator], y: Any, options: dict[str, Any], message: str
) -> None:
    made = estimator(**SMALL | options)
    with pytest.raises(UsageError, match=message):
        made.fit(GRAPHS, y)
    assert not hasattr(made, "network_")


WRONG_INPUT = {
    "no graphs": ([], [], UsageError, "at least one graph, got none"),
    "one graph": (GRAPHS[0], [1.0], UsageError, "put it into a list"),
    "too few targets": (GRAPHS, EDGES[1:], UsageError, r"\(20,\)"),
    "NaN": (GRAPHS, EDGES * np.nan, UsageError, "finite targets"),
    "no nodes": ([*GRAPHS, nx.empty_graph(0)], [*EDGES, 0.0], UsageError, "got none in graph 20"),
    "all held out": (GRAPHS[:1], EDGES[:1], UsageError, "expected graphs left to train on"),
    "a loop": ([nx.Graph([(0, 0)])] * 20, EDGES, InterchangeError, "self-loop"),
    "NaN features": (
        [Data(x=torch.full((3, 1), torch.nan), edge_index=torch.zeros(2, 0).long())] * 20,
        EDGES,
        InterchangeError,
        "NaN",
    ),
}


@pytest.mark.parametrize(("graphs", "y", "error", "message"), WRONG_INPUT.values(), ids=WRONG_INPUT)
def test_input_that_is_refused(graphs: Any, y: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SubgraphRegressor(**SMALL).fit(graphs, y)


def test_a_graph_of_one_node_is_a_graph() -> None:
    fitted = SubgraphRegressor(**SMALL).fit([*GRAPHS, nx.empty_graph(1)], [*EDGES, 0.0])
    assert np.isfinite(fitted.predict([nx.empty_graph(1)])).all()
