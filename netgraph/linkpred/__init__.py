"""Link prediction: common neighbours, Bellman-Ford networks, topology, evaluation without leaks."""

from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.net import LinkNet

__all__ = ["LinkGraph", "Links", "LinkSplit", "LinkNet"]
