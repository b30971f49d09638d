"""Predictors: numbers of architectures learned from few of them."""

from netgraph.search.predictors.base import Predictor
from netgraph.search.predictors.dense_graphs import DenseGraphs, dense_graphs, has_graphs
from netgraph.search.predictors.features import Path, path_counts, path_table
from netgraph.search.predictors.graph_network import OperatorGraphNetworks, message_weights, ranking_loss
from netgraph.search.predictors.graph_predictor import GraphPredictor
from netgraph.search.predictors.linear import FeaturePredictor, RidgePredictor, SVRPredictor
from netgraph.search.predictors.rank_scale import RankScale
from netgraph.search.predictors.registry import PREDICTORS, make_predictor, register_predictor
from netgraph.search.predictors.trees import TreesPredictor

__all__ = [
    "Predictor",
    "PREDICTORS",
    "make_predictor",
    "register_predictor",
    "RidgePredictor",
    "SVRPredictor",
    "FeaturePredictor",
    "TreesPredictor",
    "GraphPredictor",
    "OperatorGraphNetworks",
    "message_weights",
    "ranking_loss",
    "RankScale",
    "DenseGraphs",
    "dense_graphs",
    "has_graphs",
    "Path",
    "path_counts",
    "path_table",
]
