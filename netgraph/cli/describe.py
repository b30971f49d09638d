"""A graph in numbers, as every command reports it."""

from __future__ import annotations

from typing import Any

from netgraph.graph import NeuralGraph, macs

__all__ = ["describe"]


def describe(graph: NeuralGraph) -> dict[str, Any]:
    """Sizes of a graph and of its groups; `macs` is null where the graph has no program."""
    structure = graph.structure
    return {
        "groups": len(structure.groups),
        "blocks": len(structure.blocks),
        "joins": len(structure.joins),
        "nodes": structure.num_nodes,
        "edges": structure.num_edges,
        "operators": len(structure.operators),
        "parameters": graph.num_parameters,
        "macs": macs(graph) if structure.operators else None,
        "group_sizes": {g.name: g.size for g in structure.groups},
        "digest": structure.digest,
    }
