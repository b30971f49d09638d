"""A small space of cells: three edges on three nodes, each with an operator or none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from netgraph.search.space import ChoiceSpace, FloatArray, Point

KINDS = {"skip": 2, "conv1": 3, "conv3": 4}
OPTIONS = ("none", *KINDS)


def cell_graph(options: dict[str, Any]) -> Data:
    first, short, second = (options[name] for name in ("0-1", "0-2", "1-2"))
    kinds, edges = [0, 1], []
    if first != "none" and second != "none":  # an operator without the other has no effect
        kinds += [KINDS[first], KINDS[second]]
        edges += [(0, 2), (2, 3), (3, 1)]
    if short != "none":
        edges += [(0, len(kinds)), (len(kinds), 1)]
        kinds.append(KINDS[short])
    return Data(x=torch.tensor(kinds), edge_index=torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T)


@pytest.fixture
def cells() -> ChoiceSpace:
    return ChoiceSpace({"0-1": OPTIONS, "0-2": OPTIONS, "1-2": OPTIONS}, graph=cell_graph)


@pytest.fixture
def flat() -> ChoiceSpace:
    """The same without graphs."""
    return ChoiceSpace({"0-1": OPTIONS, "0-2": OPTIONS, "1-2": OPTIONS})


@pytest.fixture
def points() -> list[Point]:
    return [(i, j, k) for i in range(4) for j in range(4) for k in range(4)]


@pytest.fixture
def values(points: list[Point]) -> FloatArray:
    """An accuracy that depends on the live operators alone."""
    worth = np.array([0.0, 1.0, 3.0, 5.0])
    return np.array(
        [
            90.0
            + worth[j]
            + (worth[i] + 1.5 * worth[k] if i and k else 0.0)
            - 0.1 * worth[j] * worth[i] * (k > 0)
            for i, j, k in points
        ]
    )
