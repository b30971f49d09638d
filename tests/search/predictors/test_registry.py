from __future__ import annotations

from typing import Any

import pytest

from netgraph.errors import UsageError
from netgraph.search.predictors import PREDICTORS, RidgePredictor, make_predictor, register_predictor
from netgraph.search.space import ChoiceSpace, SearchSpace


def test_names() -> None:
    assert {"ridge", "svr", "trees", "macs", "gnn"} <= PREDICTORS.keys()


def test_random_state_goes_where_it_is_wanted(cells: ChoiceSpace) -> None:
    assert isinstance(make_predictor("ridge", cells, random_state=3), RidgePredictor)
    assert make_predictor("trees", cells, random_state=3).get_params()["random_state"] == 3


def test_own_function_with_any_options(cells: ChoiceSpace) -> None:
    @register_predictor("own")
    def own(room: SearchSpace, **options: Any) -> RidgePredictor:
        assert options == {"strength": 2}
        return RidgePredictor(room)

    try:
        assert make_predictor("own", cells, strength=2, random_state=1).get_params() == {"space": cells}
        with pytest.raises(UsageError, match="expected a new name, got 'own'"):
            register_predictor("own")
    finally:
        del PREDICTORS["own"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gnm", {}, "got 'gnm'; did you mean 'gnn'"),
        ("quantum", {}, "expected one of gnn, macs, ridge, svr, trees, got 'quantum'; register_predictor"),
        (None, {}, "got None"),
        ("gnn", {"layers": 3}, "expected members, .* for gnn, got 'layers'"),
        ("ridge", {"alpha": 3}, "expected no options for ridge, got 'alpha'"),
        ("macs", {}, "expected feature for macs, got none"),
    ],
)
def test_refused(name: Any, options: dict[str, Any], message: str, cells: ChoiceSpace) -> None:
    with pytest.raises(UsageError, match=message):
        make_predictor(name, cells, **options)
