"""Configurations: plain values there and back, senseless ones refused."""

import math

import pytest

from netgraph.errors import UsageError
from netgraph.nn import MetanetworkConfig


def test_there_and_back() -> None:
    config = MetanetworkConfig(hidden=16, layers=2, taps=25, rho=0.5)
    assert MetanetworkConfig.from_dict(config.to_dict()) == config
    assert MetanetworkConfig.from_dict({}) == MetanetworkConfig()


def test_it_is_frozen_and_hashable() -> None:
    assert hash(MetanetworkConfig()) == hash(MetanetworkConfig())
    with pytest.raises(AttributeError):
        MetanetworkConfig().hidden = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden", 0),
        ("hidden", -4),
        ("hidden", 8.0),
        ("hidden", "64"),
        ("hidden", True),
        ("layers", 0),
        ("layers", None),
        ("taps", 2),
        ("taps", 4),
        ("taps", 16),
        ("taps", -9),
        ("rho", math.nan),
        ("rho", math.inf),
        ("rho", "0.01"),
        ("rho", True),
        ("rho", None),
    ],
)
def test_senseless_values_are_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"MetanetworkConfig: expected {field} to be .*, got .*; "):
        MetanetworkConfig.from_dict({field: value})


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(UsageError, match=r"expected fields among .*'hidden'.*, got \['depth'\]; remove"):
        MetanetworkConfig.from_dict({"depth": 3})
