"""Graph neural networks convert like any other network: nodes and edges may be as many as they like."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import (
    GATConv,
    GATv2Conv,
    GCNConv,
    GINConv,
    SAGEConv,
    TransformerConv,
    global_mean_pool,
)

from netgraph import NodeMask, apply_mask, select, to_graph
from netgraph.errors import ConversionWarning, SurgeryError
from netgraph.graph import NeuralGraph, permute, same_bytes


def random_graph(nodes: int, edges: int) -> tuple[Tensor, Tensor]:
    """Features `(N, 5)` and a list of edges `(2, E)`, loops among them."""
    generator = torch.Generator().manual_seed(nodes)
    places = torch.randint(0, nodes, (2, edges), generator=generator)
    places[:, 0] = 1
    return torch.randn(nodes, 5, generator=generator), places


class Two(nn.Module):
    """Two layers with an activation between them."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        out: Tensor = self.second(torch.relu(self.first(x, edge_index)), edge_index)
        return out


def gin(*widths: int) -> nn.Module:
    a, b, c = widths
    return GINConv(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c)), train_eps=True)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str, tuple[int, ...]]] = {
    "gcn": (lambda: Two(GCNConv(5, 8), GCNConv(8, 3)), "outer", (8,)),
    "sage": (lambda: Two(SAGEConv(5, 8), SAGEConv(8, 3)), "outer", (8,)),
    "sage, maximum": (lambda: Two(SAGEConv(5, 8, aggr="max"), SAGEConv(8, 3, aggr="max")), "outer", (8,)),
    "gat": (lambda: Two(GATConv(5, 4, heads=3), GATConv(12, 3)), "outer", (3,)),
    "gat, inner": (lambda: Two(GATConv(5, 4, heads=3), GATConv(12, 3)), "inner", (4,)),
    "gat v2": (lambda: Two(GATv2Conv(5, 4, heads=3), GATv2Conv(12, 3)), "outer", (3,)),
    "gin": (lambda: Two(gin(5, 8, 6), gin(6, 7, 3)), "outer", (8, 6, 7)),
    "transformer": (lambda: Two(TransformerConv(5, 4, heads=3), TransformerConv(12, 3)), "outer", (3, 3)),
}
networks = pytest.mark.parametrize("name", NETWORKS)


@cache
def convert(name: str) -> tuple[nn.Module, NeuralGraph]:
    build, product, _ = NETWORKS[name]
    torch.manual_seed(0)
    module = build().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        graph = to_graph(module, random_graph(6, 14), product=product)  # type: ignore[arg-type]
    graph.validate()
    return module, graph


def half(graph: NeuralGraph) -> NodeMask:
    hidden = [g for g in graph.structure.groups if g.role == "hidden"]
    return NodeMask({g.name: torch.arange(g.size) % 2 == 0 for g in hidden})


@networks
def test_hidden_groups_are_found(name: str) -> None:
    _, graph = convert(name)
    assert tuple(g.size for g in graph.structure.groups if g.role == "hidden") == NETWORKS[name][2]


@networks
def test_the_round_trip_is_exact_on_graphs_of_any_size(name: str) -> None:
    module, graph = convert(name)
    assert all(same_bytes(graph.to_state_dict()[n], t) for n, t in module.state_dict().items())
    rebuilt = graph.to_module().eval()
    for nodes, edges in [(6, 14), (9, 30), (4, 3)]:
        inputs = random_graph(nodes, edges)
        assert torch.equal(rebuilt(*inputs), module(*inputs))


@networks
def test_permuting_leaves_the_function_unchanged(name: str) -> None:
    module, graph = convert(name)
    turns = {g.name: torch.randperm(g.size) for g in graph.structure.groups if g.role == "hidden"}
    inputs = random_graph(9, 30)
    torch.testing.assert_close(
        permute(graph, turns).to_module().eval()(*inputs), module(*inputs), rtol=1e-4, atol=1e-5
    )


@networks
def test_cutting_equals_masking_and_keeps_the_class(name: str) -> None:
    module, graph = convert(name)
    mask, inputs = half(graph), random_graph(9, 30)
    small = select(graph, mask)
    small.validate()
    cut = small.to_module().eval()(*inputs)
    torch.testing.assert_close(cut, mask.apply(graph).to_module().eval()(*inputs), rtol=1e-4, atol=1e-5)
    if name == "transformer":  # one number of its second layer holds the width of keys and of values
        with pytest.raises(SurgeryError, match="keep its class"):
            apply_mask(module, graph, mask)
        return
    kept: Any = apply_mask(module, graph, mask)
    assert type(kept) is type(module)
    torch.testing.assert_close(kept(*inputs), cut, rtol=1e-4, atol=1e-5)


def test_a_graph_classifier_with_several_graphs_in_a_batch() -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = GCNConv(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)

        def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
            h = torch.relu(self.norm(self.conv(x, edge_index)))
            out: Tensor = self.head(global_mean_pool(h, batch, 2))
            return out

    module = Classifier().eval()
    graph = to_graph(module, (*random_graph(6, 14), torch.tensor([0, 0, 0, 1, 1, 1])))
    assert [(g.name, g.size) for g in graph.structure.groups if g.role == "hidden"] == [("conv", 8)]
    inputs = (*random_graph(9, 30), torch.arange(9) // 5)
    assert torch.equal(graph.to_module().eval()(*inputs), module(*inputs))
    small = select(graph, half(graph)).to_module().eval()
    masked = half(graph).apply(graph).to_module().eval()
    torch.testing.assert_close(small(*inputs), masked(*inputs), rtol=1e-4, atol=1e-5)


def test_scattering_keeps_what_it_scatters_over() -> None:
    class Scatter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.slots = nn.Linear(3, 6), nn.Linear(6, 2), nn.Parameter(torch.randn(4, 6))

        def forward(self, x: Tensor, where: Tensor) -> Tensor:
            put = self.slots.index_put((where,), self.a(x), accumulate=True)
            out: Tensor = self.b(torch.relu(self.slots.index_add(0, where, self.a(x)) + put))
            return out

    module = Scatter().eval()
    inputs = (torch.randn(5, 3), torch.tensor([0, 1, 1, 3, 2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        graph = to_graph(module, inputs)
    assert [g.size for g in graph.structure.groups if g.role == "hidden"] == [6]
    small = select(graph, half(graph)).to_module().eval()
    masked = half(graph).apply(graph).to_module().eval()
    torch.testing.assert_close(small(*inputs), masked(*inputs), rtol=1e-4, atol=1e-5)
