"""The choices that make a factorised metanetwork."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Final

from netgraph.errors import UsageError
from netgraph.nn.factorised.kinds import KINDS

__all__ = ["HEADS", "FactorisedConfig"]

HEADS: Final = ("rewrite", "scores", "budgets", "graph")
"""What a factorised metanetwork can say about a network."""


@dataclass(frozen=True)
class FactorisedConfig:
    """Size and heads of a `FactorisedMetanetwork`.

    Attributes:
        hidden: features of a node.
        layers: rounds of message passing.
        views: linear views of a kernel that messages are made of, shared by kernels of all sizes.
        rank: terms of either kind in the change of a weight.
        rho: how far one pass moves a weight: `theta' = theta + rho * output`.
        heads: what is computed, among `HEADS`.
        outputs: numbers that the head `graph` gives for a network.
        probe: statistics per node that `probe` must hold; 0 for a metanetwork that reads weights alone.
        kinds: operator kinds, as in `Operator.kind`, with an embedding of their own. All others share one.

    Raises:
        UsageError: a value makes no sense.

    >>> config = FactorisedConfig(hidden=16, heads=("rewrite", "scores"))
    >>> FactorisedConfig.from_dict(config.to_dict()) == config
    True
    """

    hidden: int = 32
    layers: int = 4
    views: int = 4
    rank: int = 8
    rho: float = 0.01
    heads: tuple[str, ...] = ("rewrite",)
    outputs: int = 1
    probe: int = 0
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        for name, least in (
            ("hidden", 1),
            ("layers", 0),
            ("views", 1),
            ("rank", 1),
            ("outputs", 1),
            ("probe", 0),
        ):
            value: object = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(
                    f"FactorisedConfig: expected {name} to be an integer of at least {least}, got {value!r}; "
                    f"the default is {type(self).__dataclass_fields__[name].default}"
                )
        rho: object = self.rho
        if not isinstance(rho, int | float) or isinstance(rho, bool) or not isfinite(rho):
            raise UsageError(f"FactorisedConfig: expected rho to be a finite number, got {rho!r}; try 0.01")
        for name in ("heads", "kinds"):
            names: object = getattr(self, name)
            if (
                not isinstance(names, tuple)
                or not all(isinstance(n, str) for n in names)
                or len(set(names)) != len(names)
            ):
                raise UsageError(
                    f"FactorisedConfig: expected {name} to be a tuple of different names, got {names!r}; "
                    f"the default is {type(self).__dataclass_fields__[name].default}"
                )
        if not self.heads or not set(self.heads) <= set(HEADS):
            raise UsageError(
                f"FactorisedConfig: expected heads among {HEADS}, at least one, got {self.heads!r}; "
                "leave out what is not among them"
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, ready for JSON."""
        return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FactorisedConfig:
        """A configuration from plain values; fields left out keep their defaults.

        Raises:
            UsageError: an unknown field or a bad value.
        """
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise UsageError(f"FactorisedConfig: expected fields among {known}, got {unknown}; remove them")
        given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        return cls(**given)
