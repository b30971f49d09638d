"""Permutations: against a walk, back and forth, and the symmetry of the network."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph, permute
from tests.graph.networks import NETWORKS, by_hand, graph, network


def random_permutations(converted: NeuralGraph, seed: int, roles: tuple[str, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        g.name: torch.randperm(g.size, generator=generator)
        for g in converted.structure.groups
        if g.role in roles
    }


def slow_permute(converted: NeuralGraph, permutations: dict[str, Tensor]) -> NeuralGraph:
    """At every position: find where the node that moves here stands for the same time."""
    structure = converted.structure
    state = {}
    for spec in structure.tensors:
        tensor = converted.state[spec.name]
        for dim, index in enumerate(spec.axes):
            if index is None:
                continue
            axis = structure.axes[index]
            nodes = list(zip(axis.groups.tolist(), axis.indices.tolist(), strict=True))
            source = []
            for position, (group, node) in enumerate(nodes):
                name = structure.groups[group].name
                mover = int(permutations[name][node]) if name in permutations else node
                times = nodes[:position].count((group, node))
                places = [p for p, n in enumerate(nodes) if n == (group, mover)]
                source.append(places[times])
            tensor = tensor[(slice(None),) * dim + (source,)]
        state[spec.name] = tensor
    return NeuralGraph(structure, state)


ALL = ("hidden", "input", "output", "fixed")


@pytest.mark.parametrize("name", NETWORKS)
def test_against_a_walk(name: str) -> None:
    converted = graph(name)
    chosen = random_permutations(converted, 5, ALL)
    turned = permute(converted, chosen)
    turned.validate()
    assert turned == slow_permute(converted, chosen)


@given(name=st.sampled_from(sorted(NETWORKS)), seed=st.integers(0, 2**31))
def test_the_inverse_restores_the_bytes(name: str, seed: int) -> None:
    converted = graph(name)
    chosen = random_permutations(converted, seed, ALL)
    inverse = {n: p.argsort() for n, p in chosen.items()}
    assert permute(permute(converted, chosen), inverse) == converted


@given(seed=st.integers(0, 2**31))
def test_two_permutations_are_one(seed: int) -> None:
    converted = graph("grouped")
    one, two = random_permutations(converted, seed, ALL), random_permutations(converted, seed + 1, ALL)
    both = {n: one[n][two[n]] for n in one}
    assert permute(permute(converted, one), two) == permute(converted, both)


@pytest.mark.parametrize("name", ["mlp", "concat", "grouped", "language", "odds"])
def test_hidden_groups_are_a_symmetry(name: str) -> None:
    _, x, converted = network(name)
    hidden = [g for g in converted.structure.groups if g.role == "hidden"]
    turned = permute(converted, {g.name: torch.arange(g.size).roll(1) for g in hidden})
    assert turned != converted
    expected = converted.to_module().eval()(x)
    assert torch.allclose(turned.to_module().eval()(x), expected, atol=1e-5, rtol=1e-5)


def test_output_group_permutes_the_output() -> None:
    _, x, converted = network("mlp")
    turned = permute(converted, {"4": torch.tensor([1, 0])})
    assert torch.allclose(turned.to_module()(x), converted.to_module()(x)[:, [1, 0]])


def test_the_identity_shares_nothing_it_need_not() -> None:
    converted = graph("mlp")
    turned = permute(converted, {"0": torch.arange(5)})
    assert turned == converted
    assert turned.state["4.weight"] is converted.state["4.weight"]


REFUSED: dict[str, tuple[dict[str, Tensor], str]] = {
    "unknown group": ({"nowhere": torch.arange(3)}, "no group 'nowhere'"),
    "too short": ({"hidden": torch.arange(2)}, "permutation of 0..2"),
    "twice the same": ({"hidden": torch.tensor([0, 1, 1])}, "permutation of 0..2"),
    "out of range": ({"hidden": torch.tensor([1, 2, 3])}, "permutation of 0..2"),
    "negative": ({"hidden": torch.tensor([0, 1, -1])}, "permutation of 0..2"),
    "booleans": ({"hidden": torch.tensor([True, False, True])}, "permutation of 0..2"),
    "a matrix": ({"hidden": torch.eye(3)}, "permutation of 0..2"),
    "fractions": ({"hidden": torch.tensor([0.5, 1.5, 2.5])}, "permutation of 0..2"),
}


@pytest.mark.parametrize(("permutations", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(permutations: dict[str, Tensor], message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        permute(by_hand(), permutations)
    assert str(caught.value).startswith("permute: ")
