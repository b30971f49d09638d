"""The permutation group of a network: reorder the nodes of its groups, in every tensor at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.graph.axis import Axis, IntArray
from netgraph.graph.neural_graph import NeuralGraph
from netgraph.graph.structure import Structure
from netgraph.graph.take import take


def permute(graph: NeuralGraph, permutations: Mapping[str, Tensor]) -> NeuralGraph:
    """Reorder nodes: node `i` of the result is node `permutations[group][i]` of `graph`.

    On `hidden` groups this leaves the network's function unchanged: it is the symmetry under which a
    metanetwork must be equivariant.

    Args:
        graph: any graph.
        permutations: per group name an integer tensor `(size,)`; groups left out stay as they are.

    Raises:
        GraphError: an unknown group, or a tensor that is no permutation of it.

    >>> import torch, netgraph
    >>> from netgraph.graph import permute
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> x = torch.randn(4, 2)
    >>> turned = permute(netgraph.to_graph(net, x), {"0": torch.tensor([2, 0, 1])})
    >>> torch.allclose(turned.to_module()(x), net(x))
    True
    """
    structure = graph.structure
    chosen = {_index(structure, name): _check(structure, name, p) for name, p in permutations.items()}
    sources = [
        _sources(axis, chosen) if set(axis.group_ids) & set(chosen) else None for axis in structure.axes
    ]
    return NeuralGraph(structure, take(graph, sources))


def _index(structure: Structure, name: str) -> int:
    if name not in structure.group_index:
        raise GraphError(
            f"permute: there is no group {name!r}; groups are {list(structure.group_index)[:8]} ..."
        )
    return structure.group_index[name]


def _check(structure: Structure, name: str, permutation: Tensor) -> IntArray:
    size = structure.groups[structure.group_index[name]].size
    given = permutation.cpu().numpy()
    whole = np.issubdtype(given.dtype, np.integer)
    if not whole or given.shape != (size,) or not np.array_equal(np.sort(given), np.arange(size)):
        raise GraphError(
            f"permute: group {name!r} needs a permutation of 0..{size - 1} as integers, "
            f"got {given.tolist()[:8]} ..."
        )
    return given.astype(np.int64)


def _sources(axis: Axis, chosen: Mapping[int, IntArray]) -> IntArray:
    """For each position: where its new content stands now. The r-th place of a node takes from the r-th place
    of the node that moves there."""
    groups, indices = axis.groups, axis.indices
    target = indices.copy()
    for group, permutation in chosen.items():
        here = groups == group
        target[here] = permutation[indices[here]]
    by_node = np.lexsort((np.arange(axis.size), indices, groups))
    by_target = np.lexsort((np.arange(axis.size), target, groups))
    out = np.empty(axis.size, dtype=np.int64)
    out[by_target] = by_node
    return out
