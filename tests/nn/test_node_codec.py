"""Node encoder and decoder by hand, on a plan small enough to read."""

import torch
import torch.nn.functional as F
from torch import nn

from netgraph.convert import to_graph
from netgraph.nn import ROLES, NodeDecoder, NodeEncoder, message_plan
from netgraph.nn.plan import GROUP_ROLES

PLAN = message_plan(
    to_graph(
        nn.Sequential(nn.Linear(2, 3), nn.Unflatten(1, (3, 1)), nn.BatchNorm1d(3)).eval(), torch.zeros(2, 2)
    ).structure,
    9,
)


def test_encoder_takes_the_mean_over_tensors() -> None:
    encoder = NodeEncoder(4)
    entries = torch.randn(len(PLAN.entry_node))
    found = encoder(entries, PLAN)
    for node in range(PLAN.num_nodes):
        here = (PLAN.entry_node == node).nonzero().flatten().tolist()
        kind = encoder.group_role[PLAN.group_role[node]]
        if not here:
            assert torch.allclose(found[node], encoder.empty + kind)
            continue
        assert sorted(ROLES[PLAN.entry_role[t]] for t in here) == [
            "bias",
            "norm_bias",
            "norm_weight",
            "running_mean",
            "running_var",
        ]
        each = [
            entries[t] * encoder.weight[PLAN.entry_role[t]] + encoder.bias[PLAN.entry_role[t]] for t in here
        ]
        assert torch.allclose(found[node], torch.stack(each).mean(0) + kind, atol=1e-6)


def test_groups_are_told_apart_by_their_role() -> None:
    roles = [GROUP_ROLES[r] for r in PLAN.group_role.tolist()]
    assert roles[:2] == ["input", "input"] and set(roles[2:]) <= {"hidden", "output"}
    encoder = NodeEncoder(4)
    entries = torch.zeros(len(PLAN.entry_node))
    first = encoder(entries, PLAN)
    with torch.no_grad():
        encoder.group_role[GROUP_ROLES.index("input")] += 1
    assert torch.allclose(
        encoder(entries, PLAN) - first, torch.tensor([[1.0]] * 2 + [[0.0]] * 3).expand(5, 4)
    )


def test_decoder_by_hand() -> None:
    decoder = NodeDecoder(4)
    nodes, entries = torch.randn(3, 4), torch.randn(5)
    node, role = torch.tensor([0, 2, 2, 1, 0]), torch.tensor([4, 0, 1, 5, 0])
    found = decoder(nodes, entries, node, role)
    for t in range(5):
        state = nodes[node[t]] + entries[t] * decoder.weight[role[t]] + decoder.bias[role[t]]
        mixed = F.silu(decoder.mix.weight @ F.layer_norm(state, (4,)) + decoder.mix.bias)
        expected = decoder.heads.weight[role[t]] @ mixed + decoder.heads.bias[role[t]]
        assert torch.allclose(found[t], expected, atol=1e-6)


def test_no_entries_and_no_nodes() -> None:
    empty = torch.zeros(0, dtype=torch.long)
    assert NodeDecoder(4)(torch.zeros(0, 4), torch.zeros(0), empty, empty).shape == (0,)
