"""Neural networks as graphs: convert them, prune them, learn on them."""

from netgraph import hub
from netgraph.convert import (
    apply_mask,
    from_dgl,
    from_networkx,
    from_pyg,
    load_into,
    to_dgl,
    to_graph,
    to_networkx,
    to_pyg,
)
from netgraph.errors import NetgraphError
from netgraph.graph import EdgeMask, NeuralGraph, NodeMask, load_graph, save_graph, select
from netgraph.pruning import Budget, PruneResult, prune

__version__ = "0.1.0"

__all__ = [
    "NeuralGraph",
    "NodeMask",
    "EdgeMask",
    "select",
    "to_graph",
    "load_into",
    "apply_mask",
    "to_pyg",
    "from_pyg",
    "to_networkx",
    "from_networkx",
    "to_dgl",
    "from_dgl",
    "save_graph",
    "load_graph",
    "prune",
    "Budget",
    "PruneResult",
    "NetgraphError",
    "hub",
]
