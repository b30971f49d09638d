"""What a pair of nodes sees in one round of colour refinement, as one number and in full.

Colours stand in arrays `(B, N, K)`: graph, node v, copy. There is a copy for each node u, K = N, or a single
one, K = 1. Every aggregation is here twice. `hashed` gives a 64-bit number for the multiset that a pair sees:
sums and matrix products modulo 2^64 over random numbers that stand for the colours. Equal multisets get equal
numbers; different ones do so with a chance of about 2^-60. `seen` lists the multiset itself.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from netgraph.subgraph.refinement_input import GraphStack, Ints
from netgraph.subgraph.refinement_rules import Aggregation

Hashes: TypeAlias = NDArray[np.uint64]

ABSENT: Final = -1
"""Fills rows of multisets up to equal length."""


def mix(values: NDArray[np.integer], salt: int) -> Hashes:
    """64-bit numbers as good as random, one for each different value; another salt gives others.

    The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    z = values.astype(np.uint64) + np.uint64((salt + 1) * 0x9E3779B97F4A7C15 % 2**64)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def hashed(aggregation: Aggregation, stack: GraphStack, colors: Hashes, salt: int) -> Hashes:
    """A number for what each pair sees; the answer broadcasts to the shape of `colors`, `(B, N, K)`."""
    first = mix(colors, salt)
    match aggregation:
        case "point_vv":
            return np.diagonal(first, axis1=1, axis2=2)[:, :, None]
        case "global_v":
            return first.sum(axis=2, keepdims=True, dtype=np.uint64)
        case "local_u":
            return _times(stack, _edge_weights(stack, salt), first)
        case "local_v":
            return _turned(_times(stack, _edge_weights(stack, salt), _turned(first)))
    second = mix(colors, salt + 1)  # first stands for the colour of (u, w), second for that of (w, v)
    if aggregation == "product":
        return second @ first
    graph, node, near = stack.closed_edges
    over_v = _times(stack, second[graph, node, near], first, closed=True)
    if aggregation == "product_v":
        return over_v
    over_u = _turned(_times(stack, first[graph, near, node], _turned(second), closed=True))
    return over_v + over_u  # a node near both counts twice, which the colours that stand for it imply


def seen(aggregation: Aggregation, stack: GraphStack, colors: Ints, above: int, pairs: Ints) -> Ints:
    """The sorted multiset that each of some pairs sees, a row each, absent entries first.

    Args:
        aggregation: its name.
        stack: the graphs.
        colors: `(B, N, K)`.
        above: a number above all colours and all labels of edges.
        pairs: positions in the flattened `colors`.
    """
    graph, v, u = np.unravel_index(pairs, colors.shape)
    nodes = stack.shape[1]
    g = graph[:, None]
    match aggregation:
        case "point_vv":
            return colors[graph, v, v][:, None]
        case "global_v":
            return np.sort(colors[graph, v], axis=1)
        case "local_u":
            w = stack.neighbours[graph, v]
            there = np.minimum(w, nodes - 1)
            found = colors[g, there, u[:, None]], stack.edge_labels[g, there, v[:, None]], w < nodes
        case "local_v":
            w = stack.neighbours[graph, u]
            there = np.minimum(w, nodes - 1)
            found = colors[g, v[:, None], there], stack.edge_labels[g, there, u[:, None]], w < nodes
        case "product":
            found = colors[graph, :, u], colors[graph, v], np.ones((len(pairs), 1), dtype=bool)
        case _:
            inside = _near(stack, graph, v)
            if aggregation == "product_uv":
                inside |= _near(stack, graph, u)
            found = colors[graph, :, u], colors[graph, v], inside
    one, other, inside = found
    return np.sort(np.where(inside, one * above + other, ABSENT), axis=1)


def _times(stack: GraphStack, weights: Hashes, values: Hashes, *, closed: bool = False) -> Hashes:
    """The weighted sum of `values` `(B, N, K)` over neighbours, closed neighbourhoods if so asked."""
    graphs, nodes = stack.shape
    product = _matrix(stack, weights, closed) @ values.reshape(graphs * nodes, values.shape[2])
    return product.reshape(values.shape)


def _matrix(stack: GraphStack, weights: Hashes, closed: bool) -> sparse.csr_array:
    graphs, nodes = stack.shape
    graph, node, near = stack.closed_edges if closed else stack.edges
    starts = np.searchsorted(graph * nodes + node, np.arange(graphs * nodes + 1))
    return sparse.csr_array((weights, graph * nodes + near, starts), shape=(graphs * nodes, graphs * nodes))


def _edge_weights(stack: GraphStack, salt: int) -> Hashes:
    return mix(stack.edge_labels[stack.edges], salt + 1)


def _near(stack: GraphStack, graph: Ints, node: Ints) -> NDArray[np.bool_]:
    near = stack.edge_labels[graph, node] > 0
    near[np.arange(len(node)), node] = True
    return near


def _turned(values: Hashes) -> Hashes:
    return np.ascontiguousarray(values.transpose(0, 2, 1))
