"""Neural networks as graphs: convert, prune, and learn on them."""

from netgraph.convert import apply_mask, load_into, to_graph
from netgraph.errors import NetgraphError
from netgraph.graph import EdgeMask, NeuralGraph, NodeMask, select

__version__ = "0.1.0"

__all__ = [
    "EdgeMask",
    "NetgraphError",
    "NeuralGraph",
    "NodeMask",
    "apply_mask",
    "load_into",
    "select",
    "to_graph",
]
