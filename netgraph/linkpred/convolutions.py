"""Layers of node states over a graph: what encoders are made of."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn
from torch_geometric.nn import GATConv

from netgraph.errors import UsageError
from netgraph.linkpred.adjacency import Adjacency
from netgraph.linkpred.features import FeatureLinear, Features

__all__ = ["GAT", "GCN", "GIN", "MLP", "PureGCN", "SAGE"]

Input = Tensor | Features


def dense(x: Input) -> Tensor:
    """The input of a layer as a tensor."""
    return x if isinstance(x, Tensor) else x.to_dense()


def own_rows(x: Input, adjacency: Adjacency) -> Input:
    """The rows of the nodes that get a new state."""
    if isinstance(x, Tensor):
        return adjacency.own(x)
    return x if adjacency.targets is None else x.first(adjacency.targets)


@final
class GCN(nn.Module):
    """The graph convolution of Kipf and Welling, ICLR 2017.

        x' = D^(-1/2) (A + I) D^(-1/2) x W + b, with D the degrees plus 1

    >>> import torch
    >>> from netgraph.linkpred import LinkGraph
    >>> path = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
    >>> GCN(4, 2)(torch.ones(3, 4), Adjacency(path)).shape
    torch.Size([3, 2])
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = FeatureLinear(in_channels, out_channels, bias=False)
        self.bias = nn.Parameter(self.lin.weight.new_zeros(out_channels))
        nn.init.xavier_uniform_(self.lin.weight)

    def forward(self, x: Input, adjacency: Adjacency) -> Tensor:
        """`(N, F)` to `(T, out_channels)`."""
        return adjacency.normalised(self.lin(x)) + self.bias


@final
class PureGCN(nn.Module):
    """The propagation of `GCN` alone, without weights (Wang, Yang and Zhang, ICLR 2024).

    x' = D^(-1/2) (A + I) D^(-1/2) x
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        if in_channels != out_channels:
            raise UsageError(
                f"puregcn: expected as many channels to come out as go in, got {in_channels} and "
                f"{out_channels}; put a linear layer before it"
            )

    def forward(self, x: Input, adjacency: Adjacency) -> Tensor:
        """`(N, F)` to `(T, F)`."""
        return adjacency.normalised(dense(x))


@final
class SAGE(nn.Module):
    """The convolution of Hamilton, Ying and Leskovec, NeurIPS 2017, with means.

    x'_v = W_1 mean over u in N(v) of x_u + W_2 x_v + b
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.near = FeatureLinear(in_channels, out_channels, bias=False)
        self.own = FeatureLinear(in_channels, out_channels)

    def forward(self, x: Input, adjacency: Adjacency) -> Tensor:
        """`(N, F)` to `(T, out_channels)`."""
        return adjacency.mean(self.near(x)) + self.own(own_rows(x, adjacency))


@final
class GIN(nn.Module):
    """The convolution of Xu, Hu, Leskovec and Jegelka, ICLR 2019.

    x'_v = MLP((1 + eps) x_v + sum over u in N(v) of x_u)
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = FeatureLinear(in_channels, out_channels, bias=False)
        self.bias = nn.Parameter(self.lin.weight.new_zeros(out_channels))
        self.mlp = nn.Sequential(nn.LayerNorm(out_channels), nn.ReLU(), nn.Linear(out_channels, out_channels))
        self.eps = nn.Parameter(self.lin.weight.new_zeros(()))

    def forward(self, x: Input, adjacency: Adjacency) -> Tensor:
        """`(N, F)` to `(T, out_channels)`."""
        y = self.lin(x)  # before the sum, where it is as good and narrower
        return self.mlp((1 + self.eps) * adjacency.own(y) + adjacency.sum(y) + self.bias)


@final
class GAT(nn.Module):
    """The attention of Velickovic et al., ICLR 2018, as PyTorch Geometric computes it, with four heads.

    Weights of edges do not count here. Holds a message per edge.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        heads = 4
        if out_channels % heads:
            raise UsageError(
                f"gat: expected a multiple of {heads} channels, got {out_channels}; change the width"
            )
        self.conv = GATConv(in_channels, out_channels // heads, heads)

    def forward(self, x: Input, adjacency: Adjacency) -> Tensor:
        """`(N, F)` to `(T, out_channels)`."""
        return adjacency.own(self.conv(dense(x), adjacency.edge_index))


@final
class MLP(nn.Module):
    """A linear layer that sees no neighbours."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.lin = FeatureLinear(in_channels, out_channels)

    def forward(self, x: Input, adjacency: Adjacency) -> Tensor:
        """`(N, F)` to `(T, out_channels)`."""
        return self.lin(own_rows(x, adjacency))
