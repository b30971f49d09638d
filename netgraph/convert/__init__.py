"""Module to graph and back."""

from netgraph.convert.propagate import RULES, rule
from netgraph.convert.to_graph import to_graph

__all__ = ["RULES", "rule", "to_graph"]
