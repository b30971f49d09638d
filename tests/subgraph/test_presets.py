"""The named models."""

import pytest

from netgraph.errors import UsageError
from netgraph.subgraph import AGGREGATIONS, MODELS, TESTS, SubgraphNet
from netgraph.subgraph.presets import preset


def test_every_model_is_built_of_known_parts_and_has_an_exact_test() -> None:
    for name, kind in MODELS.items():
        assert set(kind.aggregations) <= set(AGGREGATIONS)
        assert "local_u" in kind.aggregations  # without it no copy is a graph
        assert kind.test in TESTS
        assert (
            SubgraphNet(0, 1, model=name, hidden_channels=4, num_layers=1).aggregations == kind.aggregations
        )


def test_models_named_like_a_test_belong_to_it() -> None:
    assert all(kind.test == name for name, kind in MODELS.items() if name in TESTS)


def test_short_names_pool_subgraphs_last() -> None:
    assert preset("SWL") == MODELS["SWL(SV)"] and preset("PSWL") == MODELS["PSWL(SV)"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'GNN-AK'"):
        preset("GNNAK")


def test_arguments_override_a_preset() -> None:
    net = SubgraphNet(
        0, 1, model="NGNN", hops=1, policy="marking", pooling="SV", hidden_channels=4, num_layers=1
    )
    assert repr(net.transform) == "SubgraphTransform('marking', hops=1)"
    assert net.readout.pooling == "SV"
