"""Plans: degrees as in the flat edge list, tables that cover every row, a bounded cache."""

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.nn import ROLES, message_plan, tensor_roles
from netgraph.nn.plan import CACHED_PLANS
from tests.nn.networks import NETWORKS, build
from tests.nn.oracle import flatten


@pytest.mark.parametrize("name", NETWORKS)
def test_slots_have_the_degrees_of_the_flat_graph(name: str) -> None:
    structure = build(name).structure
    plan, flat = message_plan(structure, 9), flatten(structure, 9)
    source, target = flat.edge_index
    degrees = [torch.bincount(ends, minlength=structure.num_nodes) for ends in (target, source)]
    assert torch.equal(plan.slot_edges, torch.cat(degrees).float())


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_of_tensors_on_nodes(name: str) -> None:
    structure = build(name).structure
    plan, roles = message_plan(structure, 9), tensor_roles(structure)
    shares = torch.zeros_like(plan.role_counts)
    shares.index_put_((plan.entry_node, plan.entry_role), 1 / plan.entry_repeats, accumulate=True)
    assert torch.allclose(shares, plan.role_counts)
    assert sorted({ROLES[r] for r in plan.entry_role.tolist()}) == sorted(
        {roles[t.name] for t in structure.tensors if t.placement == "node" and "float" in t.dtype}
    )


def test_parameters_come_before_buffers() -> None:
    structure = build("concat").structure
    plan = message_plan(structure, 9)
    kinds = [structure.tensor[n].kind for n in plan.vectors]
    assert kinds == ["parameter"] * plan.num_parameters + ["buffer"] * 2


def test_equal_structures_share_one_plan() -> None:
    assert message_plan(build("mlp").structure, 9) is message_plan(build("mlp").structure, 9)
    assert message_plan(build("mlp").structure, 9) is not message_plan(build("mlp").structure, 1)


def test_the_cache_is_bounded() -> None:
    assert message_plan.cache_info().maxsize == CACHED_PLANS


def test_moving_a_plan_is_remembered() -> None:
    plan = message_plan(build("mlp").structure, 9)
    moved = plan.to(torch.device("meta"))
    assert moved.row_node.is_meta and moved.stacks is plan.stacks
    assert plan.to(torch.device("meta")) is moved
    assert plan.to(torch.device("cpu")) is plan


def test_bad_taps_are_refused() -> None:
    with pytest.raises(UsageError, match="square of an odd number"):
        message_plan(build("mlp").structure, 4)
