"""The exact tests behind subgraph networks: joint colour refinement of pairs of nodes.

Refinement starts from a colour per pair (u, v). A round gives a new colour to each combination of a pair's
colour and the multisets of colours that it sees; rounds end when no colour splits any more. Rounds are hashed
with random 64-bit numbers (`netgraph.subgraph.refinement_rounds`): that can merge different multisets, by bad
luck, but never splits equal ones, so the hashed colouring is at no time finer than the true one. Once it has
come to rest, every pair is compared with the others of its colour, multiset by multiset. If all agree, the
colouring is stable in truth and hence the coarsest stable one, which is what a test is defined by; if not,
refinement goes on with other random numbers. A collision thus costs time and changes no verdict.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from netgraph.subgraph.refinement_input import GraphStack, Ints, stack_graphs
from netgraph.subgraph.refinement_rounds import ABSENT, Hashes, hashed, mix, seen
from netgraph.subgraph.refinement_rules import TESTS, Aggregation, RefinementTest, find_test

__all__ = ["TESTS", "color_counts", "distinguishes"]

_BLOCK: Final = 1 << 21  # numbers that the exact round holds at a time


def distinguishes(test: str, g: Any, h: Any) -> bool:
    """Whether a test tells two graphs apart; labels of nodes and edges count.

    Args:
        test: a name of `TESTS`.
        g: a NetworkX, PyG or DGL graph; see `color_counts` for its labels.
        h: another.

    Raises:
        UsageError: an unknown test.
        InterchangeError: `g` or `h` is no simple undirected graph.

    >>> import networkx as nx
    >>> triangles, hexagon = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)), nx.cycle_graph(6)
    >>> distinguishes("1-WL", triangles, hexagon), distinguishes("SWL(VS)", triangles, hexagon)
    (False, True)
    """
    rules = find_test(test)
    stacks = stack_graphs([g, h])
    if len(stacks) == 2:
        return True
    colors = _refine(rules, stacks, done=lambda found: _apart(rules, found[0]))
    one, other = _counts(rules, stacks, colors)
    return one != other


def color_counts(test: str, *graphs: Any) -> list[Counter[int]]:
    """How often each stable colour occurs in each of some graphs, refined together.

    A test tells two of the graphs apart if and only if their counts differ. Colours are those of nodes,
    pooled over the copies or within a copy as the test says, but of pairs of nodes for LFWL(2), SLFWL(2) and
    FWL(2). Their numbers mean the same in all graphs of one call, and nothing beyond it.

    Args:
        test: a name of `TESTS`.
        graphs: NetworkX, PyG or DGL graphs, as `netgraph.convert.as_data` reads them. The label of a node is
            its `x` and its `label`, that of an edge its `edge_attr` and its `edge_label`, as far as there are
            any (`as_data` calls the attribute `label` of a NetworkX edge `edge_label`).

    Raises:
        UsageError: an unknown test.
        InterchangeError: something is no simple undirected graph.

    >>> import networkx as nx
    >>> path, star, edge = color_counts("1-WL", nx.path_graph(3), nx.star_graph(2), nx.path_graph(2))
    >>> path == star, sorted(path.values()), list(edge.values()), path & edge
    (True, [1, 2], [2], Counter())
    """
    rules = find_test(test)
    stacks = stack_graphs(graphs)
    return _counts(rules, stacks, _refine(rules, stacks)) if stacks else []


def _refine(
    test: RefinementTest, stacks: Sequence[GraphStack], done: Callable[[list[Ints]], bool] = lambda _: False
) -> list[Ints]:
    """The stable colours `(B, N, K)` of each stack, or those of an earlier round that are already `done`."""
    start = _start(test, stacks)
    colors, number = _numbered(start)
    for salt in itertools.count(0, 100):
        hashes = [mix(known, salt) for known in colors]
        # Numbering sorts, which costs more than a round, and a path takes as many rounds as it has nodes.
        for rounds in itertools.chain([1, 2, 4, 8], itertools.repeat(16)):
            if done(colors):
                return colors
            for _ in range(rounds):
                hashes = [_round(test, *pair, salt) for pair in zip(stacks, hashes, strict=True)]
            finer, more = _numbered(hashes)
            if more <= number:
                break
            colors, number = finer, more
        if _is_stable(test, stacks, colors, start):
            break
        # A collision: keep what is found, split by the start in case that was merged, and take other numbers.
        span = 1 + max(int(first.max(initial=0)) for first in start)
        colors, number = _numbered([k * span + s for k, s in zip(colors, start, strict=True)])
    return colors


def _start(test: RefinementTest, stacks: Sequence[GraphStack]) -> list[Ints]:
    """A number for what the test knows of each pair at first, `(B, N, K)`."""
    labels = 1 + max(int(stack.node_labels.max(initial=0)) for stack in stacks)
    start = []
    for stack in stacks:
        colors = stack.node_labels[:, :, None]
        same = np.eye(stack.shape[1], dtype=np.int64)
        if test.start == "marked":
            colors = colors + labels * same
        elif test.start == "pair":
            relation = stack.edge_labels + (stack.edge_labels > 0) + same  # 0: none, 1: u = v, above: an edge
            colors = colors + labels * (stack.node_labels[:, None, :] + labels * relation)
        start.append(colors)
    return start


def _round(test: RefinementTest, stack: GraphStack, hashes: Hashes, salt: int) -> Hashes:
    out = hashes
    for i, aggregation in enumerate(test.sees):
        out = mix(out, salt) + hashed(aggregation, stack, hashes, salt + 10 * i + 1)
    return out


def _numbered(values: Sequence[Hashes] | Sequence[Ints]) -> tuple[list[Ints], int]:
    """Numbers from 0 for the different values of all stacks, and how many there are."""
    different, numbers = np.unique(np.concatenate([v.ravel() for v in values]), return_inverse=True)
    parts = np.split(numbers.ravel(), np.cumsum([v.size for v in values])[:-1])
    return [part.reshape(v.shape) for part, v in zip(parts, values, strict=True)], len(different)


def _is_stable(
    test: RefinementTest, stacks: Sequence[GraphStack], colors: Sequence[Ints], start: Sequence[Ints]
) -> bool:
    """Whether pairs of one colour started alike and see the same, multiset by multiset."""
    flat, first = (np.concatenate([c.ravel() for c in each]) for each in (colors, start))
    order = np.argsort(flat, kind="stable")
    order = order[np.bincount(flat)[flat[order]] > 1]
    alike = flat[order[1:]] == flat[order[:-1]]
    if (first[order[1:]] != first[order[:-1]])[alike].any():
        return False
    block = 2 + _BLOCK // max(1, *(stack.shape[1] for stack in stacks))
    for aggregation in test.sees:
        for begin in range(0, len(order) - 1, block - 1):
            rows = _seen(aggregation, stacks, colors, order[begin : begin + block])
            equal = (rows[1:] == rows[:-1]).all(axis=1)
            if not equal[alike[begin : begin + block - 1]].all():
                return False
    return True


def _seen(
    aggregation: Aggregation, stacks: Sequence[GraphStack], colors: Sequence[Ints], pairs: Ints
) -> Ints:
    """What pairs see, `pairs` being positions in the colours of all stacks, one after the other."""
    above = 1 + max(int(a.max(initial=0)) for a in [*colors, *(stack.edge_labels for stack in stacks)])
    begin, owners, found = 0, [], []
    for stack, own in zip(stacks, colors, strict=True):
        mine = (begin <= pairs) & (pairs < begin + own.size)
        owners.append(mine)
        found.append(seen(aggregation, stack, own, above, pairs[mine] - begin))
        begin += own.size
    width = max(rows.shape[1] for rows in found)
    out = np.empty((len(pairs), width), dtype=np.int64)
    for mine, rows in zip(owners, found, strict=True):
        out[mine] = _padded(rows, width)
    return out


def _padded(rows: Ints, width: int) -> Ints:
    return np.pad(rows, ((0, 0), (width - rows.shape[1], 0)), constant_values=ABSENT)


def _apart(test: RefinementTest, colors: Ints) -> bool:
    """Whether the pooled colours of two graphs differ already; a collision can hide that, not feign it."""
    pooled = mix(colors, 0)
    if test.pooling != "ALL":
        pooled = pooled.sum(axis=1 if test.pooling == "VS" else 2, dtype=np.uint64)
    one, other = np.sort(pooled.reshape(2, -1), axis=1)
    return not np.array_equal(one, other)


def _counts(test: RefinementTest, stacks: Sequence[GraphStack], colors: Sequence[Ints]) -> list[Counter[int]]:
    """The pooled colours of each graph, counted; graphs come in the order in which they were given."""
    pooled = list(colors)
    if test.pooling != "ALL":
        turned = [own.transpose(0, 2, 1) if test.pooling == "VS" else own for own in colors]
        width = max(own.shape[2] for own in turned)
        rows = [_padded(np.sort(row), width) for own in turned for row in own]
        numbers = np.unique(np.concatenate(rows), axis=0, return_inverse=True)[1].ravel()
        pooled = np.split(numbers, np.cumsum([own.shape[0] * own.shape[1] for own in turned])[:-1])
    counts = {}
    for stack, own in zip(stacks, pooled, strict=True):
        for place, row in zip(stack.places.tolist(), np.split(own.ravel(), len(stack.places)), strict=True):
            counts[place] = Counter(row.tolist())
    return [counts[place] for place in range(len(counts))]
