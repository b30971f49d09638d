"""The cells of NAS-Bench-201: six operators on the edges between four nodes."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

import numpy as np
import numpy.typing as npt

from netgraph.errors import UsageError
from netgraph.search.space import Point, SearchSpace

if TYPE_CHECKING:
    from torch_geometric.data import Data

__all__ = ["NODE_KINDS", "OPERATORS", "NASBench201"]

OPERATORS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The options of each edge; `none` is no connection."""

NODE_KINDS: Final = ("input", "output", *OPERATORS[1:])
"""What the categories of the nodes of operator graphs mean."""

_EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_CHOICES: Final = MappingProxyType({f"{i}-{j}": OPERATORS for i, j in _EDGES})
_PLACES: Final = len(OPERATORS) ** np.arange(len(_EDGES))[::-1]
_SIZE: Final = len(OPERATORS) ** len(_EDGES)
_NODES: Final = 2 + len(_EDGES)
_INPUT, _OUTPUT = (-1, 0), (3, -2)  # as if edges; no node of the cell is negative


@final
class NASBench201(SearchSpace):
    """All 15,625 cells of NAS-Bench-201, also known as the topology space of NATS-Bench.

    A cell has four nodes, of which node 0 is its input and node 3 its output. Each of the six edges `i-j`,
    `i < j`, carries an operator, and a node is the sum of the edges into it. A point is the row of digits of
    the benchmark's tables: for edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3 the position in `OPERATORS`.

    `Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020
    <https://arxiv.org/abs/2001.00326>`_.

    >>> space = NASBench201()
    >>> point = space.from_index(3)
    >>> space.cell_string(point)
    '|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|'
    >>> [list(space.choices)[k] for k in space.live_operators(point)]
    ['0-2', '2-3']
    >>> [NODE_KINDS[kind] for kind in space.to_graph(point).x]
    ['input', 'output', 'skip_connect', 'skip_connect']
    """

    @property
    def choices(self) -> Mapping[str, tuple[str, ...]]:
        return _CHOICES

    def canonical(self, point: Point) -> Point:
        """The first, by its digits, of all cells that the benchmark counts as isomorphic: 6,466 classes.

        The rule is that of the benchmark: a node is the sorted sum of what reaches it, an identity is left
        out, and what an absent edge would bring is zero. A zero stays a term of its sum, so cells that differ
        only in operators without effect may be of two classes.

        Raises:
            UsageError: not a point of this space.
        """
        return _tables().points[_tables().canonical[_code(self.check(point))]]

    def index(self, point: Point) -> int:
        """The number of a cell in the benchmark, from 0 to 15,624.

        Raises:
            UsageError: not a point of this space.

        >>> NASBench201().index((4, 2, 1, 2, 1, 1))
        0
        """
        return int(_tables().index[_code(self.check(point))])

    def from_index(self, index: int) -> Point:
        """The cell of a number in the benchmark; the inverse of `index`.

        Raises:
            UsageError: no number of a cell.

        >>> NASBench201().from_index(0)
        (4, 2, 1, 2, 1, 1)
        """
        if not 0 <= index < _SIZE:
            raise UsageError(
                f"NASBench201.from_index: expected 0 to {_SIZE - 1:,}, got {index}; see NASBench201.index"
            )
        return _tables().points[_tables().order[index]]

    def live_operators(self, point: Point) -> tuple[int, ...]:
        """The variables whose operators lie on a path from the input to the output, by position.

        Raises:
            UsageError: not a point of this space.

        >>> NASBench201().live_operators((3, 0, 0, 1, 0, 2))  # node 1 leads nowhere, nothing leads to node 2
        (3,)
        """
        present = [edge for edge, option in zip(_EDGES, self.check(point), strict=True) if option]
        reached, useful = {0}, {3}
        for i, j in present:  # the edges into a node come before those out of it
            if i in reached:
                reached.add(j)
        for i, j in reversed(present):
            if j in useful:
                useful.add(i)
        live = {(i, j) for i, j in present if i in reached and j in useful}
        return tuple(k for k, edge in enumerate(_EDGES) if edge in live)

    def to_graph(self, point: Point) -> Data:
        """The operator graph of a cell: its input, its output, and the operators that have an effect.

        An edge leads from each operator to those that read the node it adds to, so the graph is acyclic. A
        cell without a path is its input and its output, with no edge.

        Args:
            point: the cell.

        Returns:
            `x` `(N,)`, the positions in `NODE_KINDS` (the input, the output, then the live operators in the
            order of the variables); `edge_index` `(2, E)` along the data.

        Raises:
            UsageError: not a point of this space.

        >>> graph = NASBench201().to_graph((3, 0, 0, 1, 2, 0))
        >>> graph.x.tolist(), graph.edge_index.T.tolist()
        ([0, 1, 4, 2, 3], [[0, 2], [0, 3], [2, 4], [3, 1], [4, 1]])
        """
        import torch
        from torch_geometric.data import Data

        live = self.live_operators(point)
        ends = [_INPUT, _OUTPUT, *(_EDGES[k] for k in live)]
        edges = [
            (a, b) for a, (_, adds) in enumerate(ends) for b, (reads, _) in enumerate(ends) if adds == reads
        ]
        return Data(
            x=torch.tensor([0, 1] + [point[k] + 1 for k in live]),
            edge_index=torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T.contiguous(),
        )

    def to_dense(self, points: Sequence[Point]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The operator graphs of many cells at once, the same as `to_graph` gives.

        Args:
            points: B cells.

        Returns:
            The category of each node, then -1 where there is none, `(B, 8)`; and whether data flows from node
            i to node j, `(B, 8, 8)`.

        Raises:
            UsageError: not points of this space.

        >>> kinds, adjacency = NASBench201().to_dense([(3, 0, 0, 1, 2, 0)])
        >>> kinds.tolist(), int(adjacency.sum())
        ([[0, 1, 4, 2, 3, -1, -1, -1]], 5)
        """
        digits = np.array(list(itertools.chain.from_iterable(points)), dtype=np.int64)
        if set(map(len, points)) - {len(_EDGES)} or ((digits < 0) | (digits >= len(OPERATORS))).any():
            for point in points:
                self.check(point)
        codes = digits.reshape(-1, len(_EDGES)) @ _PLACES
        kinds, adjacency = _dense_tables()
        return kinds[codes], adjacency[codes]

    def cell_string(self, point: Point) -> str:
        """A cell in the notation of the benchmark.

        Raises:
            UsageError: not a point of this space.

        >>> NASBench201().cell_string((4, 2, 1, 2, 1, 1))
        '|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|'
        """
        found = [f"{OPERATORS[k]}~{i}" for k, (i, _) in zip(self.check(point), _EDGES, strict=True)]
        return "+".join(f"|{'|'.join(part)}|" for part in (found[:1], found[1:3], found[3:]))

    def from_string(self, text: str) -> Point:
        """The cell of a string in the notation of the benchmark; the inverse of `cell_string`.

        Raises:
            UsageError: a string in another notation, or with an unknown operator.

        >>> NASBench201().from_string("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
        (0, 0, 0, 3, 0, 0)
        """
        names = re.findall(r"(\w+)~\d", text)
        if len(names) == len(_EDGES) and all(name in OPERATORS for name in names):
            point = tuple(OPERATORS.index(name) for name in names)
            if self.cell_string(point) == text:
                return point
        raise UsageError(
            f"NASBench201.from_string: expected '|op~0|+|op~0|op~1|+|op~0|op~1|op~2|' with operators among "
            f"{', '.join(OPERATORS)}, got {text[:120]!r}; see cell_string"
        )


@dataclass(frozen=True)
class _Tables:
    """What is known of all cells, by their code: the digits read as a number.

    Attributes:
        points: the cell of a code.
        order: the code of a number in the benchmark.
        index: the number in the benchmark of a code.
        canonical: the lowest code among those of isomorphic cells.
    """

    points: tuple[Point, ...]
    order: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    canonical: npt.NDArray[np.int64]


@cache
def _tables() -> _Tables:
    points = tuple(itertools.product(range(len(OPERATORS)), repeat=len(_EDGES)))
    shuffled = list(range(_SIZE))
    random.Random(88).shuffle(shuffled)  # how the benchmark numbered its cells
    order = np.array(shuffled)
    first: dict[str, int] = {}
    canonical = [first.setdefault(_unique_string(point), code) for code, point in enumerate(points)]
    return _Tables(points, order, np.argsort(order), np.array(canonical))


@cache
def _dense_tables() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Kinds `(15625, 8)` and adjacency `(15625, 8, 8)` of all cells, by code."""
    digits = np.array(_tables().points)
    present = dict(zip(_EDGES, (digits > 0).T, strict=True))
    to_2 = present[0, 2] | (present[0, 1] & present[1, 2])
    from_1 = present[1, 3] | (present[1, 2] & present[2, 3])
    reached = (np.True_, present[0, 1], to_2)
    useful = (None, from_1, present[2, 3], np.True_)
    live = np.stack([present[i, j] & reached[i] & useful[j] for i, j in _EDGES], 1)
    exists = np.concatenate((np.ones((_SIZE, 2), np.bool_), live), 1)  # input and output always are
    kinds = np.concatenate((np.broadcast_to([0, 1], (_SIZE, 2)), digits + 1), 1)
    reads, adds = np.array([_INPUT, _OUTPUT, *_EDGES]).T
    adjacency = (adds[:, None] == reads[None, :]) & exists[:, :, None] & exists[:, None, :]
    front = np.argsort(~exists, axis=1, kind="stable")  # live nodes first, in order
    rows = np.arange(_SIZE)[:, None]
    kinds = np.where(exists, kinds, -1)[rows, front]
    return kinds, adjacency[rows[:, :, None], front[:, :, None], front[:, None, :]]


def _code(point: Point) -> int:
    code = 0
    for digit in point:
        code = len(OPERATORS) * code + digit
    return code


def _unique_string(point: Point) -> str:
    """The string by which the benchmark tells cells apart, its `to_unique_str(consider_zero=True)`."""
    nodes = ["0"]
    digits = iter(point)
    for node in (1, 2, 3):
        terms = []
        for source in nodes[:node]:
            option = next(digits)
            if option == 0 or source == "#":
                terms.append("#")
            else:
                terms.append(source if option == 1 else f"({source})@{OPERATORS[option]}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]
