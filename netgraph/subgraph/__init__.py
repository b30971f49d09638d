"""Subgraph networks of the SWL hierarchy, and the exact colour-refinement tests beside them."""

from netgraph.subgraph.aggregate import AGGREGATIONS
from netgraph.subgraph.classifier import SubgraphClassifier
from netgraph.subgraph.conv import SubgraphConv
from netgraph.subgraph.counting import SUBSTRUCTURES, count_substructures, count_substructures_batch
from netgraph.subgraph.estimator import SubgraphEstimator
from netgraph.subgraph.fit import EpochRecord
from netgraph.subgraph.model import SubgraphNet
from netgraph.subgraph.pairing import pairs_of
from netgraph.subgraph.pairs import Pairs
from netgraph.subgraph.ppgn import PPGN
from netgraph.subgraph.presets import MODELS, Preset
from netgraph.subgraph.refinement import TESTS, color_counts, distinguishes
from netgraph.subgraph.regressor import SubgraphRegressor
from netgraph.subgraph.schedules import SCHEDULES
from netgraph.subgraph.transform import SubgraphData, SubgraphTransform

__all__ = [
    "AGGREGATIONS",
    "MODELS",
    "PPGN",
    "Pairs",
    "Preset",
    "SubgraphConv",
    "SubgraphData",
    "SubgraphNet",
    "SubgraphTransform",
    "pairs_of",
    "SubgraphClassifier",
    "SubgraphRegressor",
    "SubgraphEstimator",
    "EpochRecord",
    "SCHEDULES",
    "SUBSTRUCTURES",
    "count_substructures",
    "count_substructures_batch",
    "TESTS",
    "distinguishes",
    "color_counts",
]
