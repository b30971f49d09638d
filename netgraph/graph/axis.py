"""How one tensor axis is made of nodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Segment(NamedTuple):
    """A run of consecutive nodes of one group, each standing `repeat` times in a row.

    A plain channel axis is one segment; a concatenation is two; a flattened feature map is one segment whose
    `repeat` is the number of positions; a packed query-key-value projection is three.
    """

    group: int
    start: int
    length: int
    repeat: int = 1

    @property
    def size(self) -> int:
        """Positions that the segment covers on its axis."""
        return self.length * self.repeat


@dataclass(frozen=True)
class Axis:
    """The nodes along one tensor axis, as an ordered list of segments.

    >>> axis = Axis((Segment(group=0, start=0, length=2, repeat=3),))
    >>> axis.size
    6
    >>> axis.indices.tolist()
    [0, 0, 0, 1, 1, 1]
    """

    segments: tuple[Segment, ...]

    @cached_property
    def size(self) -> int:
        """Number of positions."""
        return sum(s.size for s in self.segments)

    @cached_property
    def groups(self) -> IntArray:
        """Group of every position, `(size,)`."""
        return _concat(np.full(s.size, s.group, dtype=np.int64) for s in self.segments)

    @cached_property
    def indices(self) -> IntArray:
        """Node inside its group of every position, `(size,)`."""
        return _concat(
            np.repeat(np.arange(s.start, s.start + s.length, dtype=np.int64), s.repeat) for s in self.segments
        )

    @property
    def group_ids(self) -> tuple[int, ...]:
        """The distinct groups on this axis, in order of appearance."""
        return tuple(dict.fromkeys(s.group for s in self.segments))

    @classmethod
    def from_nodes(cls, groups: IntArray, indices: IntArray) -> Axis:
        """Compress explicit `(group, index)` pairs, one per position, into the fewest runs found greedily."""
        size = len(groups)
        if size == 0:
            return cls(())
        new = (np.diff(groups) != 0) | (np.diff(indices) != 0)
        starts = np.flatnonzero(np.concatenate(([True], new)))
        repeats = np.diff(np.append(starts, size))
        segments: list[Segment] = []
        for group, index, repeat in zip(groups[starts], indices[starts], repeats, strict=True):
            last = segments[-1] if segments else None
            if (
                last is not None
                and last.group == group
                and last.repeat == repeat
                and last.start + last.length == index
            ):
                segments[-1] = last._replace(length=last.length + 1)
            else:
                segments.append(Segment(int(group), int(index), 1, int(repeat)))
        return cls(tuple(segments))


def _concat(parts: Iterable[IntArray]) -> IntArray:
    found = list(parts)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
