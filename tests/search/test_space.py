"""The contract of search spaces, and spaces of one's own."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from netgraph.errors import UsageError
from netgraph.search.nasbench201 import NASBench201
from netgraph.search.space import ChoiceSpace, SearchSpace

CHOICES: dict[str, tuple[Any, ...]] = {"depth": (2, 3, 4), "act": ("relu", "gelu"), "width": (16, 32)}


def small(options: dict[str, Any]) -> bool:
    return bool(options["depth"] * options["width"] < 100)


@pytest.fixture(params=["free", "constrained", "one", "cells"])
def space(request: pytest.FixtureRequest) -> SearchSpace:
    made: dict[str, SearchSpace] = {
        "free": ChoiceSpace(CHOICES),
        "constrained": ChoiceSpace(CHOICES, valid=small),
        "one": ChoiceSpace({"only": ["this"]}),
        "cells": NASBench201(),
    }
    return made[request.param]


def test_sizes_are_those_of_the_choices(space: SearchSpace) -> None:
    assert space.sizes == tuple(map(len, space.choices.values()))
    assert space.size == np.prod(space.sizes)


def test_samples_are_valid_and_repeatable(space: SearchSpace) -> None:
    first, second = ([space.sample(rng) for _ in range(20)] for rng in map(np.random.default_rng, (3, 3)))
    assert first == second
    for point in first:
        assert space.is_valid(point) and space.check(point) == point
        assert all(type(i) is int for i in point)


def test_decode_and_point_are_inverse(space: SearchSpace) -> None:
    for point in (space.sample(np.random.default_rng(seed)) for seed in range(10)):
        options = space.decode(point)
        if all(name.isidentifier() for name in options):
            assert space.point(**options) == point
        assert space.point(**{name: options[name] for name in reversed(list(options))}) == point
        assert list(options) == list(space.choices)


def test_neighbours_differ_in_one_variable(space: SearchSpace) -> None:
    point = space.sample(np.random.default_rng(0))
    near = [
        other
        for other in itertools.product(*map(range, space.sizes))
        if sum(a != b for a, b in zip(point, other, strict=True)) == 1 and space.is_valid(other)
    ]
    found = space.neighbours(point)
    assert sorted(found) == sorted(near) and len(set(found)) == len(found)
    assert all(point in space.neighbours(other) for other in found)


def test_encode_has_a_column_for_each_option(space: SearchSpace) -> None:
    points = [space.sample(np.random.default_rng(seed)) for seed in range(7)]
    rows = [[float(i == k) for i, n in zip(p, space.sizes, strict=True) for k in range(n)] for p in points]
    assert space.encode(points).tolist() == rows
    assert space.encode([]).shape == (0, sum(space.sizes))


def test_canonical_is_idempotent(space: SearchSpace) -> None:
    point = space.sample(np.random.default_rng(0))
    assert space.canonical(space.canonical(point)) == space.canonical(point)


def test_all_options_are_sampled_alike() -> None:
    space, rng = ChoiceSpace(CHOICES), np.random.default_rng(0)
    found = np.mean([space.encode([space.sample(rng)])[0] for _ in range(3000)], axis=0)
    assert np.abs(found - np.repeat([1 / 3, 1 / 2, 1 / 2], [3, 2, 2])).max() < 0.04


def test_constraints_hold_everywhere() -> None:
    space, rng = ChoiceSpace(CHOICES, valid=small), np.random.default_rng(0)
    assert all(small(space.decode(space.sample(rng))) for _ in range(100))
    assert space.neighbours((2, 0, 0)) == [(0, 0, 0), (1, 0, 0), (2, 1, 0)]  # (2, 0, 1) is too large
    with pytest.raises(UsageError, match=r"expected a valid point.*'depth': 4"):
        space.check((2, 0, 1))


def test_choices_are_a_copy_and_read_only() -> None:
    choices = {"depth": [2, 3]}
    space = ChoiceSpace(choices)
    choices["depth"].append(4)
    assert space.choices["depth"] == (2, 3)
    with pytest.raises(TypeError):
        space.choices["depth"] = (1,)  # type: ignore[index]


def test_options_need_not_be_hashable() -> None:
    space = ChoiceSpace({"widths": [[16, 32], [8, 8]], "kind": [None, 1]})
    assert space.point(widths=[8, 8], kind=None) == (1, 0)
    assert space.decode((0, 1)) == {"widths": [16, 32], "kind": 1}


def test_graphs_are_made_of_options() -> None:
    def chain(options: dict[str, Any]) -> Data:
        nodes = torch.arange(options["depth"])
        return Data(x=0 * nodes, edge_index=torch.stack((nodes[:-1], nodes[1:])))

    space = ChoiceSpace(CHOICES, graph=chain)
    assert space.to_graph((1, 0, 0)).edge_index.tolist() == [[0, 1], [1, 2]]


REFUSED = [
    (lambda s: ChoiceSpace({}), "at least one variable"),
    (lambda s: ChoiceSpace({"a": []}), "distinct options for 'a'"),
    (lambda s: ChoiceSpace({"a": [1, 2], "b": [3, 3]}), r"distinct options for 'b', got \(3, 3\)"),
    (lambda s: ChoiceSpace({"a": [1, True]}), "distinct options for 'a'"),
    (lambda s: s.check((0, 0)), r"expected 3 positions below \(3, 2, 2\), got \(0, 0\)"),
    (lambda s: s.check((0, 0, 2)), r"got \(0, 0, 2\)"),
    (lambda s: s.check((-1, 0, 0)), r"got \(-1, 0, 0\)"),
    (lambda s: s.check(()), r"got \(\)"),
    (lambda s: s.point(depth=2, act="relu"), "expected depth, act, width, got depth, act"),
    (lambda s: s.point(depth=2, act="relu", width=16, more=1), "give each variable once"),
    (lambda s: s.point(depth=5, act="relu", width=16), r"expected depth among \(2, 3, 4\), got 5"),
    (lambda s: s.to_graph((0, 0, 0)), "expected a space whose points have graphs"),
    (
        lambda s: ChoiceSpace(CHOICES, valid=lambda options: False).sample(np.random.default_rng(0)),
        "expected valid points, found none",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(ChoiceSpace(CHOICES))
