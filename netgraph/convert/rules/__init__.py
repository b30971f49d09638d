"""Label rules, one file per family of operators. Importing this package registers them."""

from netgraph.convert.rules import (
    attention,
    contraction,
    convolution,
    elementwise,
    movement,
    normalisation,
    picking,
    recurrent,
    reduction,
    tables,
)

__all__ = [
    "attention",
    "contraction",
    "convolution",
    "elementwise",
    "movement",
    "normalisation",
    "picking",
    "recurrent",
    "reduction",
    "tables",
]
