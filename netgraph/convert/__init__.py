"""Module to graph and back, and surgery on the user's own module."""

from netgraph.convert.load import load_into
from netgraph.convert.propagate import RULES, rule
from netgraph.convert.surgery import apply_mask, cuttable, random_inputs
from netgraph.convert.to_graph import to_graph

__all__ = ["RULES", "apply_mask", "cuttable", "load_into", "random_inputs", "rule", "to_graph"]
