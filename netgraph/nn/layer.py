"""One layer of message passing over blocks."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.nn.block_edges import BlockEdges
from netgraph.nn.kernels import KernelEdges

__all__ = ["BlockMessageLayer"]


@final
class BlockMessageLayer(nn.Module):
    """Message passing along and against all edges of a network, with one state per edge.

    With `x = LayerNorm(h)` (no learned scale) and `A_k(x) = SiLU(W_k x + b_k)`, an edge from node `j` to node
    `i` in state `e_ij` sends one message each way:

        along    to i:  m_ij = A2(x_i) * A1(x_j) * e_ij
        against  to j:  n_ij = A2(x_j) * A1(x_i) * s * e_ij

    where `s` is +1 on the first half of the features and -1 on the rest. Every node aggregates the messages
    of all edges that reach it, of all blocks and parallel edges at once, by mean, standard deviation
    `sqrt(var + 1e-6)`, maximum and minimum, each way for itself; both ways go through the same linear map:

        h_i <- h_i + U agg(m_i.) + u + U agg(n_.i) + u
        e_ij <- e_ij * (1 + A3(x_j) A4(x_i) + A3(x_i) A4(x_j))

    The aggregate of a node that no edge reaches in one way is zero there (its state still receives `u`). Both
    ways share one edge state: what the reversed edge would grow by, `A3(x_i) A4(x_j) s e`, is multiplied with
    `s` once more and added. A loop edge sends its node one message each way.

    No `edge_index` exists: the work runs over stacked dense blocks, see `BlockEdges`.

    Paper: Liu et al., Meta Pruning via Graph Metanetworks, 2025, arXiv 2506.12041.

    Args:
        hidden: F, features of a node and of an edge.

    Shapes: nodes `(N, F)` to `(N, F)`; the edge state inside `edges` moves on by one layer.

    >>> import torch
    >>> from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
    >>> from netgraph.nn import message_plan
    >>> axes = Axis((Segment(0, 0, 2),)), Axis((Segment(1, 0, 3),))
    >>> spec = TensorSpec("w", (3, 2), "float32", "parameter", (1, 0), out_axis=0, in_axis=1)
    >>> plan = message_plan(Structure((Group("in", 2), Group("out", 3)), axes, (spec,)), taps=9)
    >>> edges = BlockEdges(plan, [torch.randn(6, 1)], torch.randn(4, 9), torch.zeros(4))
    >>> BlockMessageLayer(hidden=4)(torch.randn(5, 4), edges).shape
    torch.Size([5, 4])
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gates = nn.Linear(hidden, 4 * hidden)
        self.update = nn.Linear(4 * hidden, hidden)

    def forward(self, nodes: Tensor, edges: BlockEdges | KernelEdges) -> Tensor:
        gates = F.silu(self.gates(F.layer_norm(nodes, (nodes.shape[1],))))
        return nodes + F.linear(edges.step(gates), self.update.weight, 2 * self.update.bias)
