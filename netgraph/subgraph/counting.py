"""Exact counts of small substructures, from powers of the adjacency matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from netgraph.convert.plain import as_data
from netgraph.errors import UsageError

__all__ = ["SUBSTRUCTURES", "count_substructures", "count_substructures_batch"]

_Ints: TypeAlias = npt.NDArray[np.int64]
_Numbers: TypeAlias = npt.NDArray[np.object_]

# The diagonal of the sixth power, at most degree^5, must fit into 64 bits.
_LARGEST_DEGREE: Final = 6208


def count_substructures(graph: Any, names: str | Sequence[str] | None = None) -> dict[str, int]:
    """How often a graph contains each substructure, as a subgraph that need not be induced.

    With the adjacency matrix `A`, degrees `d`, and sums over all nodes or pairs of nodes:

        triangle         tr A^3 / 6
        tailed_triangle  sum_v (A^3)_vv (d_v - 2) / 2
        star             sum_v d_v (d_v - 1) (d_v - 2) / 6, a node with three leaves
        cycle4           (tr A^4 - 2 sum_v d_v^2 + sum_v d_v) / 8
        cycle5           (tr A^5 - 5 tr A^3 - 5 sum_v (d_v - 2) (A^3)_vv) / 10
        cycle6           (tr A^6 - 6 sum_v d_v (A^4)_vv - 3 sum_v (A^3)_vv^2 + 9 sum_uv A_uv (A^2)_uv^2
                          + 3 sum_uv A_uv d_u d_v + 6 tr A^4 - 4 tr A^3
                          + 4 sum_v d_v^3 - 12 sum_v d_v^2 + 4 sum_v d_v) / 12

    The last three are closed walks, less those that meet a node twice.

    Papers: Harary and Manvel, On the number of cycles in a graph, 1971; Alon, Yuster and Zwick, Finding and
    counting given length cycles, 1997; the targets of Chen et al., Can graph neural networks count
    substructures?, 2020, arXiv 2002.04025.

    Args:
        graph: a NetworkX, PyG or DGL graph; of its features nothing is read. Dense: memory grows with the
            square of the number of nodes.
        names: one substructure or several; None for all.

    Raises:
        InterchangeError: the graph is directed, has loops or multiple edges, or cannot be read.
        UsageError: an unknown name, or a node with more than 6,208 neighbours.

    >>> import networkx as nx
    >>> count_substructures(nx.complete_graph(4))
    {'triangle': 4, 'tailed_triangle': 12, 'star': 4, 'cycle4': 3, 'cycle5': 0, 'cycle6': 0}
    >>> count_substructures(nx.cycle_graph(6), "cycle6")
    {'cycle6': 1}
    """
    chosen = _choose(names)
    data = as_data(graph)
    adjacency = np.zeros((1, data.num_nodes, data.num_nodes), dtype=np.float64)  # (1, N, N)
    source, target = data.edge_index.cpu().numpy()
    adjacency[0, source, target] = 1.0
    powers = _Powers(adjacency)
    return {name: int(SUBSTRUCTURES[name](powers)[0]) for name in chosen}


def count_substructures_batch(
    adjacency: npt.ArrayLike, names: str | Sequence[str] | None = None, *, chunk: int = 1024
) -> _Ints:
    """The counts of `count_substructures` for many graphs at once.

    Args:
        adjacency: `(B, N, N)` of zeros and ones, symmetric, without loops; smaller graphs are padded with
            rows and columns of zeros.
        names: one substructure or several; None for all.
        chunk: graphs that are worked on at a time.

    Returns:
        `(B, len(names))`, in the order of the names.

    Raises:
        UsageError: another shape or other entries, an unknown name, a node with more than 6,208 neighbours,
            or a count that does not fit into 64 bits.

    >>> count_substructures_batch(1 - np.eye(5, dtype=int)[None], ["triangle", "cycle5"])
    array([[10, 12]])
    """
    chosen = _choose(names)
    given = np.asarray(adjacency)
    if given.ndim != 3 or given.shape[1] != given.shape[2]:
        raise UsageError(
            f"count_substructures_batch: expected adjacency matrices (B, N, N), got {given.shape}; "
            "stack them, padded with zeros"
        )
    counts = np.zeros((len(given), len(chosen)), dtype=np.int64)
    for start in range(0, len(given), chunk):
        part = given[start : start + chunk]
        _check(part, start)
        powers = _Powers(part.astype(np.float64))
        for column, name in enumerate(chosen):
            try:
                counts[start : start + chunk, column] = SUBSTRUCTURES[name](powers)
            except OverflowError:
                raise UsageError(
                    f"count_substructures_batch: expected counts below 2^63, got more of {name!r}; "
                    "count_substructures has no such limit"
                ) from None
    return counts


class _Powers:
    """Per node, what the formulas are made of; exact integers throughout.

    Products of matrices run in float64, which is exact here: no entry of the second or third power, and no
    partial sum on the way, exceeds the square of the largest degree. Sums over nodes are Python integers.
    """

    def __init__(self, adjacency: npt.NDArray[np.float64]) -> None:
        self.degree: _Ints = adjacency.sum(-1).astype(np.int64)  # (B, N)
        if self.degree.max(initial=0) > _LARGEST_DEGREE:
            raise UsageError(
                f"count_substructures: expected nodes with at most {_LARGEST_DEGREE:,} neighbours, got one "
                f"with {self.degree.max():,}; count in parts of the graph"
            )
        second = adjacency @ adjacency  # (B, N, N)
        third = second @ adjacency
        edge, a2, a3 = (m.astype(np.int64) for m in (adjacency, second, third))
        self.closed3: _Ints = (a2 * edge).sum(-1)  # diagonals of the powers, (B, N)
        self.closed4: _Ints = (a2 * a2).sum(-1)
        self.closed5: _Ints = (a2 * a3).sum(-1)
        self.closed6: _Ints = (a3 * a3).sum(-1)
        self.diamonds: _Ints = (edge * a2 * a2).sum(-1)
        self.neighbour_degrees: _Ints = (edge * self.degree[:, None, :]).sum(-1)


def _total(per_node: _Ints) -> _Numbers:
    return per_node.sum(-1, dtype=object)


def _triangle(p: _Powers) -> _Numbers:
    return _total(p.closed3) // 6


def _tailed_triangle(p: _Powers) -> _Numbers:
    return _total(p.closed3 * (p.degree - 2)) // 2


def _star(p: _Powers) -> _Numbers:
    return _total(p.degree * (p.degree - 1) * (p.degree - 2)) // 6


def _cycle4(p: _Powers) -> _Numbers:
    return (_total(p.closed4) - _total(2 * p.degree**2 - p.degree)) // 8


def _cycle5(p: _Powers) -> _Numbers:
    return (_total(p.closed5) - 5 * _total((p.degree - 1) * p.closed3)) // 10


def _cycle6(p: _Powers) -> _Numbers:
    # Moebius inversion over the ways to identify nodes of the hexagon that are not neighbours: each
    # coefficient is the number of ways that lead to a quotient times the sign and factorials of its blocks.
    walks = _total(p.closed6) + 6 * _total(p.closed4) - 4 * _total(p.closed3)
    bowties_and_pendants = 3 * _total(p.closed3**2) + 6 * _total(p.degree * p.closed4)
    diamonds_and_paths = 9 * _total(p.diamonds) + 3 * _total(p.degree * p.neighbour_degrees)
    stars = 4 * _total(p.degree**3 - 3 * p.degree**2 + p.degree)
    return (walks - bowties_and_pendants + diamonds_and_paths + stars) // 12


SUBSTRUCTURES: Final[dict[str, Callable[[_Powers], _Numbers]]] = {
    "triangle": _triangle,
    "tailed_triangle": _tailed_triangle,
    "star": _star,
    "cycle4": _cycle4,
    "cycle5": _cycle5,
    "cycle6": _cycle6,
}
"""The substructures that can be counted, by name."""


def _choose(names: str | Sequence[str] | None) -> list[str]:
    chosen = list(SUBSTRUCTURES) if names is None else [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in SUBSTRUCTURES:
            raise UsageError(
                f"count_substructures: expected names among {', '.join(SUBSTRUCTURES)}, got {name!r}; "
                "choose one of these"
            )
    return chosen


def _check(part: npt.NDArray[Any], start: int) -> None:
    wrong = ((part != 0) & (part != 1)).any((1, 2))
    wrong |= (part != part.swapaxes(1, 2)).any((1, 2))
    wrong |= part.diagonal(axis1=1, axis2=2).any(1)
    if wrong.any():
        raise UsageError(
            "count_substructures_batch: expected symmetric matrices of zeros and ones with empty diagonals, "
            f"got another at index {start + int(wrong.argmax())}; make the graph undirected and simple"
        )
