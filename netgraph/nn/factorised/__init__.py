"""A metanetwork whose messages are products with the weights: no state per edge, any kernel, four heads."""

from netgraph.nn.factorised.config import HEADS, FactorisedConfig
from netgraph.nn.factorised.features import num_structure_features, structure_features
from netgraph.nn.factorised.heads import BudgetHead, EdgeHead, GraphHead, ScoreHead, group_statistics
from netgraph.nn.factorised.kinds import KINDS, Use, weight_uses
from netgraph.nn.factorised.layer import FactorisedLayer, Weights
from netgraph.nn.factorised.model import FactorisedMetanetwork, Reading
from netgraph.nn.factorised.plan import FactorisedPlan, Kernel, WeightMatrix, factorised_plan
from netgraph.nn.factorised.products import (
    Products,
    Squares,
    low_rank_change,
    weight_products,
    weight_squares,
)
from netgraph.nn.factorised.taps import TapEncoder, tap_positions

__all__ = [
    "HEADS",
    "KINDS",
    "BudgetHead",
    "EdgeHead",
    "FactorisedConfig",
    "FactorisedLayer",
    "FactorisedMetanetwork",
    "FactorisedPlan",
    "GraphHead",
    "Kernel",
    "Products",
    "Reading",
    "ScoreHead",
    "Squares",
    "TapEncoder",
    "Use",
    "WeightMatrix",
    "Weights",
    "factorised_plan",
    "group_statistics",
    "low_rank_change",
    "num_structure_features",
    "structure_features",
    "tap_positions",
    "weight_products",
    "weight_squares",
    "weight_uses",
]
