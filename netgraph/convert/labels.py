"""Integer labels for channels, and their union.

Every channel gets a label; operators that tie channels together unite labels. Label tensors have the shape of
the activation they describe, but hold each number once: a dimension along which labels do not change is
expanded (stride 0), so a feature map costs as much as its channels.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from netgraph.graph.axis import IntArray

FIXED, INPUT, OUTPUT = 1, 2, 4
"""Marks on labels; a label without a mark is free to be permuted and pruned."""

WOVEN = 8
"""Not a mark that fixes anything: the channel is made or read by a weight, not only scaled by a vector."""


class LabelSpace:
    """A union-find over integer labels, vectorised; the root of a set is its smallest label."""

    def __init__(self) -> None:
        self._parent: IntArray = np.arange(1024, dtype=np.int64)
        self._marks = np.zeros(1024, dtype=np.int64)
        self.size = 0

    def fresh(self, count: int, mark: int = 0) -> Tensor:
        """New labels `(count,)`, numbered upwards."""
        while self.size + count > len(self._parent):
            self._parent = np.concatenate([self._parent, np.arange(len(self._parent), 2 * len(self._parent))])
            self._marks = np.concatenate([self._marks, np.zeros_like(self._marks)])
        labels = np.arange(self.size, self.size + count, dtype=np.int64)
        self._marks[labels] = mark
        self.size += count
        return torch.from_numpy(labels)

    def roots(self, labels: IntArray) -> IntArray:
        """The root of every label; paths are shortened on the way."""
        found = self._parent[labels]
        while True:
            above = self._parent[found]
            if np.array_equal(above, found):
                break
            found = above
        self._parent[labels] = found
        return found

    def find(self, labels: Tensor) -> Tensor:
        """`roots` of a label tensor; expanded dimensions stay expanded."""
        small = compact(labels)
        return self._rooted(small).expand(labels.shape)

    def _rooted(self, labels: Tensor) -> Tensor:
        return torch.from_numpy(self.roots(labels.reshape(-1).numpy())).view(labels.shape)

    def union(self, a: Tensor, b: Tensor) -> None:
        """Unite two label tensors element by element, broadcasting."""
        a, b = torch.broadcast_tensors(a, b)
        for dim in range(a.dim()):
            if a.stride(dim) == 0 and b.stride(dim) == 0:
                a, b = a.narrow(dim, 0, 1), b.narrow(dim, 0, 1)
        left, right = a.reshape(-1).numpy(), b.reshape(-1).numpy()
        while True:
            left, right = self.roots(left), self.roots(right)
            differ = left != right
            if not differ.any():
                return
            low, high = np.minimum(left, right)[differ], np.maximum(left, right)[differ]
            np.minimum.at(self._parent, high, low)
            np.bitwise_or.at(self._marks, low, self._marks[high])

    def mark(self, labels: Tensor, mark: int) -> None:
        """Mark the sets of these labels."""
        roots = self.roots(compact(labels).reshape(-1).numpy())
        np.bitwise_or.at(self._marks, roots, mark)

    def marks(self, labels: Tensor) -> IntArray:
        """The marks of the sets of these labels."""
        return self._marks[self.roots(compact(labels).reshape(-1).numpy())] & ~WOVEN

    def woven(self, labels: Tensor) -> bool:
        """Whether a weight makes or reads any of these channels."""
        return bool((self._marks[self.roots(compact(labels).reshape(-1).numpy())] & WOVEN).any())

    def settle(self) -> IntArray:
        """All labels' marks, gathered at their roots. Call once, after the last union."""
        roots = self.roots(np.arange(self.size, dtype=np.int64))
        total = np.zeros(self.size, dtype=np.int64)
        np.bitwise_or.at(total, roots, self._marks[: self.size])
        self._marks[: self.size] = total
        return total

    def normal(self, labels: Tensor) -> Tensor:
        """The same labels as roots, with every dimension along which they do not change expanded."""
        small = self._rooted(compact(labels))
        for dim in range(small.dim()):
            first = small.narrow(dim, 0, 1) if small.shape[dim] else small
            if small.shape[dim] > 1 and bool((small == first).all()):
                small = first
        return small.contiguous().expand(labels.shape)


def compact(labels: Tensor) -> Tensor:
    """A label tensor with every expanded dimension cut to one entry."""
    for dim in range(labels.dim()):
        if labels.stride(dim) == 0 and labels.shape[dim] > 1:
            labels = labels.narrow(dim, 0, 1)
    return labels.contiguous()


def varying(labels: Tensor) -> frozenset[int]:
    """Dimensions along which a normal label tensor changes."""
    return frozenset(d for d in range(labels.dim()) if labels.shape[d] > 1 and labels.stride(d) != 0)


def along(vector: Tensor, dim: int, shape: Iterable[int]) -> Tensor:
    """A label vector laid along one dimension of a shape, expanded over the others."""
    sizes = list(shape)
    dim %= len(sizes)
    return vector.view([-1 if d == dim else 1 for d in range(len(sizes))]).expand(sizes)
