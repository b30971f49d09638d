"""Weights as matrices: views of the tensors, exact ways back, the right nodes."""

import pytest
import torch

from netgraph.graph import Structure
from netgraph.nn.factorised import factorised_plan
from tests.nn.factorised.networks import random_graph
from tests.nn.factorised.oracle import weights_of
from tests.nn.networks import NETWORKS, build


@pytest.mark.parametrize("name", NETWORKS)
def test_matrices_are_views_and_come_back(name: str) -> None:
    graph = build(name)
    for weight in factorised_plan(graph.structure).weights:
        tensor = graph.state[weight.name]
        matrix = weight.matrix(tensor)
        assert matrix.data_ptr() == tensor.data_ptr()
        assert torch.equal(weight.tensor(matrix), tensor)
        assert weight.part is None
        assert matrix.shape == (len(weight.rows), 1 if weight.loop else len(weight.cols), weight.kernel.taps)


@pytest.mark.parametrize("name", NETWORKS)
def test_nodes_and_fans_equal_those_listed_scalar_by_scalar(name: str) -> None:
    structure = build(name).structure
    plan, listed = factorised_plan(structure), weights_of(structure)
    arrivals = torch.zeros(2, structure.num_nodes, dtype=torch.long)
    for weight, found in zip(plan.weights, listed, strict=True):
        sides = (weight.rows, weight.cols) if weight.rows_are_targets else (weight.cols, weight.rows)
        fans = weight.fans if weight.rows_are_targets else weight.fans[::-1]
        assert fans == found.fans
        for way in range(2):
            assert torch.equal(sides[way], found.places[way])
            arrivals[way] += torch.bincount(found.places[way], minlength=structure.num_nodes)
    assert torch.equal(plan.arrivals, arrivals)


def test_a_stack_of_experts_is_one_matrix_for_each() -> None:
    graph = random_graph(3)
    structure = graph.structure
    weights = [w for w in factorised_plan(structure).weights if w.name == "up"]
    experts = structure.axis_of(structure.tensor["up"], 0)
    first = structure.offsets[experts.segments[0].group]
    assert [w.owner.tolist() for w in weights] == [[first + i] for i in range(experts.size)]
    for i, weight in enumerate(weights):
        assert torch.equal(weight.tensor(weight.matrix(graph.state["up"])), graph.state["up"][i])
        assert (weight.cols if weight.rows_are_targets else weight.rows).numel() == 4


def test_equal_structures_share_a_plan() -> None:
    assert factorised_plan(build("concat").structure) is factorised_plan(build("concat").structure)


def test_joins_of_concatenated_groups() -> None:
    structure = build("concat").structure
    plan = factorised_plan(structure)
    left, right = structure.group_index["left"], structure.group_index["right"]
    joins = zip(plan.join_to.tolist(), plan.join_from.tolist(), plan.join_kind.tolist(), strict=True)
    assert {(to, source) for to, source, kind in joins if kind == 3} == {(left, right), (right, left)}


def test_an_empty_structure() -> None:
    plan = factorised_plan(Structure((), (), ()))
    assert plan.weights == () and plan.facts.shape[0] == 0
