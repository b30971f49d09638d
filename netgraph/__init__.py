"""Neural networks as graphs: convert, prune, and learn on them."""

from netgraph.convert import to_graph
from netgraph.errors import NetgraphError
from netgraph.graph import EdgeMask, NeuralGraph, NodeMask, select

__version__ = "0.1.0"

__all__ = ["EdgeMask", "NetgraphError", "NeuralGraph", "NodeMask", "select", "to_graph"]
