"""Facts about groups: the right numbers in their places, nothing from weights or the order of nodes."""

from math import log1p

import pytest
import torch
from torch import nn

from netgraph.convert import to_graph
from netgraph.graph import Structure, permute
from netgraph.nn.factorised import KINDS, num_structure_features, structure_features
from tests.nn.networks import NETWORKS, build

SIDE = len(KINDS) + 1
COUNTS = 4 + 2 * SIDE
PROGRAM = COUNTS + 15


def features(structure: Structure, group: str) -> torch.Tensor:
    return structure_features(structure)[structure.group_index[group]]


def chain() -> Structure:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 1),
        nn.SiLU(),
        nn.Conv2d(8, 2, 1),
    )
    return to_graph(net.eval(), torch.zeros(1, 3, 8, 8)).structure


@pytest.mark.parametrize("name", NETWORKS)
def test_finite_and_of_the_announced_width(name: str) -> None:
    structure = build(name).structure
    found = structure_features(structure)
    assert found.shape == (len(structure.groups), num_structure_features())
    assert found.isfinite().all()


def test_role_kinds_and_counts() -> None:
    found = features(chain(), "0")
    assert found[:4].tolist() == [1, 0, 0, 0]
    conv = KINDS.index("conv2d")
    assert found[4 + conv] == 1 and found[4 : 4 + SIDE].sum() == 1
    assert found[4 + SIDE + conv] == 1
    made, used = found[COUNTS : COUNTS + 5], found[COUNTS + 5 : COUNTS + 10]
    expected = [log1p(n) / 4 for n in (27, 9, 2, 1, 1)]
    assert torch.allclose(made, torch.tensor(expected))
    assert torch.allclose(used, torch.tensor([log1p(n) / 4 for n in (8, 1, 1, 1, 1)]))


def test_shares_of_the_macs() -> None:
    structure = chain()
    costs = [27 * 4 * 16, 4 * 8 * 16, 8 * 2 * 16]
    found = features(structure, "3")[COUNTS + 12 : COUNTS + 14]
    assert torch.allclose(found, torch.tensor([costs[1], costs[2]]) / sum(costs))


def test_norms_activations_and_places() -> None:
    structure = chain()
    first, second = features(structure, "0")[PROGRAM:], features(structure, "3")[PROGRAM:]
    assert first[0] == 1 and second[0] == 0  # batch_norm
    assert first[5] == 1 and second[5] == 0  # relu
    assert second[7] == 1 and first[7] == 0  # silu
    places = torch.stack([first, second])[:, 5 + 13 + 1 :]
    assert torch.allclose(places[:, 0], torch.tensor([1 / 3, 2 / 3]))
    assert torch.allclose(places[:, 2], torch.tensor([2 / 3, 1 / 3]))


def test_attention_heads_and_joins() -> None:
    found = features(build("attention").structure, "attention")[PROGRAM:]
    assert found[5 + 13] == pytest.approx(log1p(2) / 4)
    concat = features(build("concat").structure, "left")[PROGRAM:]
    assert concat[-2] == pytest.approx(log1p(1) / 4)


def test_unknown_kinds_share_the_last_place() -> None:
    found = structure_features(chain(), ("linear",))
    assert found[1, 4 : 4 + 2].tolist() == [0, 1]


def test_order_of_nodes_and_weights_are_not_read() -> None:
    graph = build("digits_resnet")
    orders = {g.name: torch.randperm(g.size) for g in graph.structure.groups}
    assert torch.equal(
        structure_features(graph.structure), structure_features(permute(graph, orders).structure)
    )


def test_without_a_program_what_operators_say_is_zero() -> None:
    s = build("concat").structure
    found = structure_features(Structure(s.groups, s.axes, s.tensors))
    assert not found[:, 4:COUNTS].any() and not found[:, PROGRAM:].any()
    assert (found[:, COUNTS + 14] > 0).all()
