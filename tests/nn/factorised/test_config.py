"""Configurations: plain values there and back, senseless ones refused."""

import json
import math
from typing import Any

import pytest

from netgraph.errors import UsageError
from netgraph.nn.factorised import HEADS, FactorisedConfig


def test_there_and_back() -> None:
    config = FactorisedConfig(hidden=16, heads=HEADS, probe=4, kinds=("linear", "conv2d"))
    assert FactorisedConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert FactorisedConfig.from_dict({}) == FactorisedConfig()
    assert hash(config) != hash(FactorisedConfig())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden", 0),
        ("hidden", 8.0),
        ("hidden", True),
        ("layers", -1),
        ("views", 0),
        ("rank", "8"),
        ("outputs", 0),
        ("probe", -1),
        ("rho", math.nan),
        ("rho", "0.01"),
        ("heads", ()),
        ("heads", ("rewrite", "rewrite")),
        ("heads", ("scores", "sizes")),
        ("heads", ["scores"]),
        ("kinds", "linear"),
        ("kinds", ("linear", 3)),
    ],
)
def test_senseless_values_are_refused(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"FactorisedConfig: expected {field} "):
        FactorisedConfig(**{field: value})


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(UsageError, match=r"got \['taps'\]; remove them"):
        FactorisedConfig.from_dict({"hidden": 8, "taps": 9})
