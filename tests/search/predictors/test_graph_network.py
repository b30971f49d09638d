from __future__ import annotations

import pytest
import torch
from torch import Tensor

from netgraph.search.predictors import OperatorGraphNetworks, message_weights, ranking_loss

MEMBERS, BATCH, NODES, KINDS, CHANNELS = 3, 4, 6, 5, 8


@pytest.fixture
def networks() -> OperatorGraphNetworks:
    found = OperatorGraphNetworks(MEMBERS, KINDS, CHANNELS, num_layers=3, seed=0)
    with torch.no_grad():
        for parameter in (*found.biases, *found.gains, found.hidden_bias):
            parameter += torch.randn_like(parameter) / 2
    return found


@pytest.fixture
def graphs() -> tuple[Tensor, Tensor]:
    """Kinds `(B, N)` and adjacency `(B, N, N)` of graphs with 6, 5, 3 and 1 nodes."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randint(KINDS, (BATCH, NODES), generator=generator)
    adjacency = (torch.rand(BATCH, NODES, NODES, generator=generator) < 0.5).triu(1)
    for row, count in enumerate((6, 5, 3, 1)):
        kinds[row, count:] = -1
        adjacency[row, count:] = adjacency[row, :, count:] = False
    return kinds, adjacency


def run(networks: OperatorGraphNetworks, kinds: Tensor, adjacency: Tensor) -> Tensor:
    messages = message_weights(adjacency)
    return networks(kinds.expand(MEMBERS, *kinds.shape), messages.expand(MEMBERS, *messages.shape))


def slow_score(
    networks: OperatorGraphNetworks, member: int, kinds: list[int], edges: set[tuple[int, int]]
) -> Tensor:
    """One member on one graph, node by node."""
    h = [networks.embedding[member, kind] for kind in kinds]
    nodes = range(len(kinds))
    for weight, bias, gain in zip(networks.weights, networks.biases, networks.gains, strict=True):
        own, forth, back = weight[member].split(CHANNELS, dim=1)
        new = []
        for i in nodes:
            z = h[i] @ own + bias[member, 0]
            z = z + sum((h[j] @ forth for j in nodes if (j, i) in edges), torch.zeros(CHANNELS))
            z = z + sum((h[j] @ back for j in nodes if (i, j) in edges), torch.zeros(CHANNELS))
            z = (z - z.mean()) / (z.var(unbiased=False) + 1e-5).sqrt()
            new.append(h[i] + (z * gain[member, 0]).relu())
        h = new
    last = [h[i] for i in nodes if not any((i, j) in edges for j in nodes)]
    pooled = torch.cat((sum(h, torch.zeros(CHANNELS)) / 4, torch.stack(last).mean(0)))
    return (
        (pooled @ networks.hidden[member] + networks.hidden_bias[member, 0]).relu() @ networks.out[member]
    )[0]


def test_node_by_node(networks: OperatorGraphNetworks, graphs: tuple[Tensor, Tensor]) -> None:
    kinds, adjacency = graphs
    found = run(networks, kinds, adjacency)
    for member in range(MEMBERS):
        for row in range(BATCH):
            names = [kind for kind in kinds[row].tolist() if kind >= 0]
            edges = {(i, j) for i, j in adjacency[row].nonzero().tolist()}
            expected = slow_score(networks, member, names, edges)
            torch.testing.assert_close(found[member, row], expected, atol=1e-4, rtol=1e-4)


def test_order_of_nodes_does_not_matter(
    networks: OperatorGraphNetworks, graphs: tuple[Tensor, Tensor]
) -> None:
    kinds, adjacency = graphs
    order = torch.randperm(NODES, generator=torch.Generator().manual_seed(1))
    mixed = run(networks, kinds[:, order], adjacency[:, order][:, :, order])
    torch.testing.assert_close(mixed, run(networks, kinds, adjacency), atol=1e-4, rtol=1e-4)


def test_direction_matters(networks: OperatorGraphNetworks, graphs: tuple[Tensor, Tensor]) -> None:
    kinds, adjacency = graphs
    change = run(networks, kinds, adjacency.transpose(1, 2)) - run(networks, kinds, adjacency)
    assert (change[:, :3].abs() > 1e-3).all()


def test_padding_does_not_matter(networks: OperatorGraphNetworks, graphs: tuple[Tensor, Tensor]) -> None:
    kinds, adjacency = graphs
    padded = torch.nn.functional.pad(kinds, (0, 3), value=-1)
    larger = torch.nn.functional.pad(adjacency, (0, 3, 0, 3))
    torch.testing.assert_close(
        run(networks, padded, larger), run(networks, kinds, adjacency), atol=1e-4, rtol=1e-4
    )


def test_members_learn_on_their_own(networks: OperatorGraphNetworks, graphs: tuple[Tensor, Tensor]) -> None:
    run(networks, *graphs)[1].sum().backward()
    for name, parameter in networks.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad[0].any() and not parameter.grad[2].any(), name
        assert parameter.grad[1].any(), name


def test_new_kinds_carry_nothing(networks: OperatorGraphNetworks, graphs: tuple[Tensor, Tensor]) -> None:
    kinds, adjacency = graphs
    assert not networks.embedding[:, KINDS].any()
    new = kinds.clone()
    new[0, 2] = KINDS
    newer = kinds.clone()
    newer[0, 2] = KINDS + 7
    torch.testing.assert_close(run(networks, new, adjacency), run(networks, newer, adjacency))


def test_seed() -> None:
    def weights(seed: int) -> Tensor:
        return OperatorGraphNetworks(2, 3, 4, 1, seed=seed).embedding

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))
    assert not torch.equal(*weights(0))


@pytest.mark.parametrize("margin", [0.1, 1.0])
def test_loss_pair_by_pair(margin: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 7, generator=generator)
    targets = torch.randint(4, (2, 7), generator=generator).float()
    expected = []
    for s, t in zip(scores.tolist(), targets.tolist(), strict=True):
        short = [max(0.0, margin - (s[i] - s[j])) for i in range(7) for j in range(7) if t[i] > t[j]]
        expected.append(sum(short) / len(short))
    torch.testing.assert_close(ranking_loss(scores, targets, margin), torch.tensor(expected))


def test_loss_without_pairs() -> None:
    assert ranking_loss(torch.randn(2, 3), torch.ones(2, 3), 0.1).tolist() == [0.0, 0.0]
