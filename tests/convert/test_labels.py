"""The vectorised union-find against a slow one, and label tensors that store each label once."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from netgraph.convert.labels import FIXED, INPUT, LabelSpace, along, compact, varying


class SlowUnion:
    def __init__(self, size: int) -> None:
        self.sets = [{i} for i in range(size)]

    def union(self, a: int, b: int) -> None:
        x = next(s for s in self.sets if a in s)
        y = next(s for s in self.sets if b in s)
        if x is not y:
            self.sets.remove(y)
            x |= y

    def root(self, a: int) -> int:
        return min(next(s for s in self.sets if a in s))


pairs = st.lists(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), min_size=1), max_size=8)


@given(pairs)
def test_union_agrees_with_a_slow_one(batches: list[list[tuple[int, int]]]) -> None:
    space, slow = LabelSpace(), SlowUnion(20)
    labels = space.fresh(20)
    for batch in batches:
        a, b = torch.tensor(batch).T
        space.union(a, b)
        for x, y in batch:
            slow.union(x, y)
    assert space.find(labels).tolist() == [slow.root(i) for i in range(20)]


@given(pairs, st.sets(st.integers(0, 19)))
def test_marks_reach_the_whole_set_in_any_order(
    batches: list[list[tuple[int, int]]], marked: set[int]
) -> None:
    space, slow = LabelSpace(), SlowUnion(20)
    labels = space.fresh(20)
    for i in sorted(marked):
        space.mark(labels[i : i + 1], FIXED)
    for batch in batches:
        space.union(*torch.tensor(batch).T)
        for x, y in batch:
            slow.union(x, y)
    space.settle()
    marked_roots = {slow.root(i) for i in marked}
    assert [bool(m) for m in space.marks(labels)] == [slow.root(i) in marked_roots for i in range(20)]


def test_labels_grow_past_the_first_block_and_keep_their_marks() -> None:
    space = LabelSpace()
    first = space.fresh(3, INPUT)
    rest = space.fresh(5000)
    assert rest[-1] == 5002 and space.marks(first).tolist() == [INPUT] * 3
    assert not space.marks(rest).any()


def test_expanded_labels_are_stored_once() -> None:
    space = LabelSpace()
    labels = along(space.fresh(4), 1, (2, 4, 100, 100))
    assert labels.untyped_storage().nbytes() <= 4 * 8
    assert varying(labels) == {1} and compact(labels).shape == (1, 4, 1, 1)
    dense = labels.contiguous()
    assert varying(dense) == {0, 1, 2, 3}
    assert varying(space.normal(dense)) == {1}
    assert torch.equal(space.normal(dense), dense)


def test_union_broadcasts() -> None:
    space = LabelSpace()
    rows, columns = space.fresh(3), space.fresh(2)
    space.union(rows.view(3, 1), columns.view(1, 2)[:, :1])
    assert space.find(rows).tolist() == [0, 0, 0]
    assert space.find(columns).tolist() == [0, 4]
