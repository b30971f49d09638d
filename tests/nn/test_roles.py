"""Roles are read from the program: from the operator and the argument, through packed and moved tensors."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from netgraph.convert import to_graph
from netgraph.nn import ROLES, tensor_roles
from tests.nn.networks import NETWORKS, build

EXPECTED = {
    "concat": {
        "left.bias": "bias",
        "norm.weight": "norm_weight",
        "norm.bias": "norm_bias",
        "norm.running_mean": "running_mean",
        "norm.running_var": "running_var",
    },
    "attention": {
        "attention.in_proj_bias": "bias",
        "attention.out_proj.bias": "bias",
        "norm.weight": "norm_weight",
        "norm.bias": "norm_bias",
        "head.bias": "bias",
    },
    "grouped": {"0.bias": "bias", "1.weight": "norm_weight", "1.bias": "norm_bias", "2.bias": "bias"},
    "transposed": {"1.weight": "norm_weight", "1.bias": "norm_bias", "2.bias": "bias"},
    "scaled": {"scale": "other", "second.bias": "bias"},
    "one_and_three_dimensions": {"0.bias": "bias", "3.bias": "bias"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_role_of_each_tensor(name: str) -> None:
    found = tensor_roles(build(name).structure)
    assert {key: found[key] for key in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_exactly_the_tensors_on_nodes_have_one_known_role(name: str) -> None:
    structure = build(name).structure
    found = tensor_roles(structure)
    assert set(found) == {t.name for t in structure.tensors if t.placement == "node"}
    assert set(found.values()) <= set(ROLES)


def test_names_do_not_matter_where_there_is_a_program() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight_of = nn.Linear(3, 2)
            self.bias = nn.Parameter(torch.ones(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.weight_of(x) * self.bias

    assert tensor_roles(to_graph(Odd(), torch.zeros(1, 3)).structure)["bias"] == "other"


def test_names_decide_where_there_is_no_program() -> None:
    structure = replace(build("concat").structure, operators=())
    assert tensor_roles(structure)["norm.running_var"] == "running_var"
    assert tensor_roles(structure)["join.bias"] == "bias"
