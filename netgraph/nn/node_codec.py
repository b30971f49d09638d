"""One-dimensional tensors (biases, scales, statistics) to node states, and node states to new tensors."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.nn.plan import GROUP_ROLES, MessagePlan
from netgraph.nn.roles import ROLES

__all__ = ["NodeDecoder", "NodeEncoder"]


@final
class NodeEncoder(nn.Module):
    """The first state of every node, from the tensors that sit on it.

        h_i = mean over tensors t at node i of (w_role(t) t_i + b_role(t)) + group_role(i)

    A tensor that has several scalars on one node (repeated positions, further axes) counts once, with their
    mean. A node without any tensor gets a learned constant in place of the mean.

    Args:
        hidden: F, features of a node.

    Shapes: entries `(T,)` to `(N, F)`.

    >>> from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
    >>> from netgraph.nn import message_plan
    >>> bias = TensorSpec("b", (3,), "float32", "parameter", (0,), out_axis=0)
    >>> plan = message_plan(Structure((Group("out", 3),), (Axis((Segment(0, 0, 3),)),), (bias,)), taps=9)
    >>> NodeEncoder(hidden=4)(torch.randn(3), plan).shape
    torch.Size([3, 4])
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(ROLES), hidden).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.empty(len(ROLES), hidden).uniform_(-1, 1))
        self.empty = nn.Parameter(torch.empty(hidden).uniform_(-1, 1))
        self.group_role = nn.Parameter(torch.empty(len(GROUP_ROLES), hidden).uniform_(-1, 1))

    def forward(self, entries: Tensor, plan: MessagePlan) -> Tensor:
        # The map is linear, so the values of a node and role may be added up before it.
        place = plan.entry_node * len(ROLES) + plan.entry_role
        sums = entries.new_zeros(plan.num_nodes * len(ROLES))
        sums = sums.index_add(0, place, entries / plan.entry_repeats).view(-1, len(ROLES))
        counts = plan.role_counts.to(entries)
        total = counts.sum(1, keepdim=True)
        mean = (sums @ self.weight + counts @ self.bias) / total.clamp(min=1)
        return torch.where(total > 0, mean, self.empty) + self.group_role[plan.group_role]


@final
class NodeDecoder(nn.Module):
    """The change of every scalar that sits on a node, from the node's last state and the scalar itself.

        d_t = head_role(t) . SiLU(W LayerNorm(h_i + w_role(t) t_i + b_role(t)) + b) + c_role(t)

    Args:
        hidden: F, features of a node.

    Shapes: nodes `(N, F)` and entries `(T,)`, with the node and the role of each, to `(T,)`.

    >>> node, role = torch.tensor([0, 1, 1]), torch.tensor([4, 0, 1])
    >>> NodeDecoder(hidden=4)(torch.randn(2, 4), torch.randn(3), node, role).shape
    torch.Size([3])
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(ROLES), hidden).uniform_(-1, 1))
        self.bias = nn.Parameter(torch.empty(len(ROLES), hidden).uniform_(-1, 1))
        self.mix = nn.Linear(hidden, hidden)
        self.heads = nn.Linear(hidden, len(ROLES))

    def forward(self, nodes: Tensor, entries: Tensor, node: Tensor, role: Tensor) -> Tensor:
        state = nodes[node] + entries.unsqueeze(1) * self.weight[role] + self.bias[role]  # (T, F)
        state = F.silu(self.mix(F.layer_norm(state, (state.shape[1],))))
        changes: Tensor = self.heads(state)  # (T, roles)
        return changes.gather(1, role.unsqueeze(1)).squeeze(1)
