"""Architecture search: spaces, measured architectures, and predictors of what is not measured."""

from netgraph.search.nasbench201 import NODE_KINDS, OPERATORS, NASBench201
from netgraph.search.predictors import PREDICTORS, Predictor, make_predictor, register_predictor
from netgraph.search.space import ChoiceSpace, Point, SearchSpace
from netgraph.search.tabular import TabularBenchmark

__all__ = [
    "SearchSpace",
    "ChoiceSpace",
    "Point",
    "NASBench201",
    "OPERATORS",
    "NODE_KINDS",
    "TabularBenchmark",
    "Predictor",
    "PREDICTORS",
    "make_predictor",
    "register_predictor",
]
