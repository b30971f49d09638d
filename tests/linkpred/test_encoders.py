"""Encoders against PyTorch Geometric's layers and dense matrices, with edges left out."""

import copy

import pytest
import torch
from torch import nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred.encoders import ENCODERS, Encoder, make_encoder, register_encoder


def example(seed: int = 0, nodes: int = 14, features: int = 6) -> LinkGraph:
    """A graph with an isolated node and mostly empty features, of which some edges are left out."""
    chance = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes - 1, (2, 30), generator=chance)
    x = torch.rand(nodes, features, generator=chance, dtype=torch.float64)
    graph = LinkGraph.from_edges(edges, nodes, x=x * (x > 0.85))
    return graph.without(edges[:, :5])


def rebuilt(graph: LinkGraph) -> LinkGraph:
    return LinkGraph.from_edges(graph.edge_index, graph.num_nodes, x=graph.x)


def pyg_twin(name: str, layer: nn.Module) -> nn.Module:
    """PyG's layer with the same weights."""
    own = dict(layer.named_parameters())
    if name == "gcn":
        twin = GCNConv(6, 8).double()
        twin.load_state_dict({"bias": own["bias"], "lin.weight": own["lin.weight"].T})
    elif name == "sage":
        twin = SAGEConv(6, 8).double()
        twin.load_state_dict(
            {
                "lin_l.weight": own["near.weight"].T,
                "lin_l.bias": own["own.bias"],
                "lin_r.weight": own["own.weight"].T,
            }
        )
    elif name == "gin":
        first = nn.Linear(6, 8).double()
        twin = GINConv(nn.Sequential(first, *copy.deepcopy(layer.mlp))).double()
        first.load_state_dict({"weight": own["lin.weight"].T, "bias": own["bias"]})
        for mine, theirs in zip(layer.mlp, twin.nn[1:], strict=True):
            theirs.load_state_dict(mine.state_dict())
        twin.eps = own["eps"].detach()
    else:
        twin = GATConv(6, 2, heads=4).double()
        twin.load_state_dict(layer.conv.state_dict())
    return twin


@pytest.mark.parametrize("name", ["gcn", "sage", "gin", "gat"])
def test_layers_equal_those_of_pyg_and_so_do_their_gradients(name: str) -> None:
    graph = example()
    encoder = make_encoder(name, 6, 8, 1).double()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    twin = pyg_twin(name, encoder.layers[0])
    mine, theirs = encoder(graph), twin(graph.x, rebuilt(graph).edge_index)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10)
    weight = torch.randn_like(mine)
    (mine * weight).sum().backward()
    (theirs * weight).sum().backward()
    assert sum(p.grad.pow(2).sum() for p in encoder.parameters()) == pytest.approx(
        float(sum(p.grad.pow(2).sum() for n, p in twin.named_parameters() if n != "eps"))
        + (float(encoder.layers[0].eps.grad) ** 2 if name == "gin" else 0)
    )


def test_puregcn_is_the_normalised_adjacency_times_the_projection() -> None:
    graph = example()
    dense = torch.zeros(14, 14, dtype=torch.float64)
    dense[graph.edge_index[1], graph.edge_index[0]] = 1
    dense += torch.eye(14)
    norm = dense.sum(1).rsqrt()
    operator = norm[:, None] * dense * norm
    encoder = make_encoder("puregcn", 6, 5, 3).double()
    h = graph.x @ encoder.projection.weight + encoder.projection.bias
    torch.testing.assert_close(encoder(graph), operator @ operator @ operator @ h, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_edges_left_out_do_not_exist(name: str) -> None:
    graph = example()
    encoder = make_encoder(name, 6, 8, 2, norm=True, residual=True, jumping="sum").double()
    torch.testing.assert_close(encoder(graph), encoder(rebuilt(graph)), rtol=0, atol=1e-12)
    whole = example().without(torch.empty(2, 0, dtype=torch.long))
    all_edges = LinkGraph(whole.indptr, whole.indices, x=graph.x)
    assert torch.allclose(encoder(graph), encoder(all_edges)) == (name == "mlp")
    structural = make_encoder(name, 0, 8, 2).double()
    torch.testing.assert_close(structural(graph), structural(rebuilt(graph)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_permuted_nodes_give_permuted_states(name: str) -> None:
    graph = example()
    order = torch.randperm(14)
    moved = LinkGraph.from_edges(order.argsort()[graph.edge_index], 14, x=graph.x[order])
    encoder = make_encoder(name, 6, 8, 2, norm=True).double()
    torch.testing.assert_close(encoder(moved), encoder(graph)[order], rtol=0, atol=1e-10)


def test_layers_by_hand_with_norm_residual_and_jumping() -> None:
    graph = example()
    options = {"norm": True, "residual": True, "activation": "gelu"}
    for jumping in ("none", "sum", "softmax"):
        encoder = make_encoder("gcn", 6, 8, 3, jumping=jumping, **options).double()
        if encoder.jump is not None:
            nn.init.normal_(encoder.jump)
        edges, states = rebuilt(graph).edge_index, []
        h = graph.x
        for i, layer in enumerate(encoder.layers):
            twin = GCNConv(*layer.lin.weight.shape).double()
            twin.load_state_dict({"bias": layer.bias, "lin.weight": layer.lin.weight.T})
            z = nn.functional.gelu(encoder.norms[i](h)) if i else h
            h = twin(z, edges) + (h if i else 0)
            states.append(h)
        if jumping != "none":
            share = encoder.jump.softmax(0) if jumping == "softmax" else encoder.jump
            h = sum(s * state for s, state in zip(share, states, strict=True))
        torch.testing.assert_close(encoder(graph), h, rtol=0, atol=1e-10)


def test_embeddings_stand_beside_features_and_are_chosen_by_node() -> None:
    graph = example()
    encoder = make_encoder("puregcn", 6, 8, 1, num_nodes=14, embedding=4).double()
    gram = encoder.embedding.T @ encoder.embedding
    torch.testing.assert_close(gram, torch.eye(4).double(), rtol=0, atol=1e-6)
    wide = LinkGraph(
        graph.indptr, graph.indices, x=torch.cat((graph.x, encoder.embedding.detach()), 1), kept=graph.kept
    )
    twin = make_encoder("puregcn", 10, 8, 1).double()
    twin.load_state_dict(encoder.state_dict(), strict=False)
    torch.testing.assert_close(encoder(graph), twin(wide), rtol=0, atol=1e-12)
    nodes = torch.tensor([3, 7, 9])
    part = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, x=graph.x[nodes])
    chosen = LinkGraph(part.indptr, part.indices, x=wide.x[nodes])
    torch.testing.assert_close(encoder(part, nodes=nodes), twin(chosen), rtol=0, atol=1e-12)
    encoder(graph).sum().backward()
    assert encoder.embedding.grad.abs().sum() > 0
    with pytest.raises(UsageError, match="the 14 nodes whose embeddings were learned, got 3"):
        encoder(part)


def test_without_features_nodes_start_with_their_degree() -> None:
    graph = example()
    encoder = make_encoder("mlp", 0, 3, 1).double()
    start = torch.stack((torch.ones(14), graph.degree.log1p()), 1).double()
    weight, bias = encoder.layers[0].lin.weight, encoder.layers[0].lin.bias
    torch.testing.assert_close(encoder(graph), start @ weight + bias, rtol=0, atol=1e-6)


def test_dropout_is_for_training_only_and_keeps_the_mean() -> None:
    graph = example()
    options = {"x_dropout": 0.5, "tail_dropout": 0.3, "edge_dropout": 0.4}
    encoder = Encoder(ENCODERS["puregcn"], 6, 6, 1, 0.2, activation="none", project=True, **options).double()
    encoder.eval()
    still = encoder(graph)
    assert torch.equal(still, encoder(graph))
    encoder.train()
    assert not torch.equal(encoder(graph), encoder(graph))
    for name in ("x_dropout", "tail_dropout", "dropout"):
        quiet = make_encoder("puregcn", 6, 6, 1, **{name: 0.5}).double()
        mean = torch.stack([quiet(graph) for _ in range(800)]).mean(0)
        torch.testing.assert_close(mean, quiet.eval()(graph), rtol=0, atol=0.2)


def test_edge_dropout_takes_each_edge_as_often_as_it_says() -> None:
    graph = example()
    encoder = make_encoder("sage", 6, 8, 1, edge_dropout=0.25).double()
    seen = []

    class Spy(nn.Module):
        def forward(self, x: object, adjacency: object) -> torch.Tensor:
            seen.append(adjacency)
            return torch.zeros(14, 8)

    encoder.layers[0] = Spy()
    for _ in range(200):
        encoder(graph)
    share = sum(a.graph.num_edges for a in seen) / 200 / graph.num_edges
    assert share == pytest.approx(0.75, abs=0.03)
    assert all(a.scale == 1 / 0.75 and not (a.graph.kept & ~graph.kept).any() for a in seen)


def test_users_add_their_own() -> None:
    with pytest.raises(UsageError, match="'gcn', which is taken"):
        register_encoder("gcn")

    @register_encoder("still")
    class Still(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.lin = nn.Linear(inputs, outputs)

        def forward(self, x: object, adjacency: object) -> torch.Tensor:
            return self.lin(x.to_dense())

    try:
        assert make_encoder("still", 6, 7, 1).double()(example()).shape == (14, 7)
    finally:
        del ENCODERS["still"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "transformer"}, "one of gcn, .*, got 'transformer'"),
        ({"dropout": 1.0}, "dropout from 0 to below 1, got 1.0"),
        ({"edge_dropout": -0.1}, "edge_dropout from 0"),
        ({"hidden": 0}, "hidden from 1, got 0"),
        ({"layers": -1}, "layers from 0, got -1"),
        ({"jumping": "max"}, "jumping to be one of none, sum, softmax"),
        ({"activation": "tanh"}, "activation to be one of relu"),
        ({"embedding": 4}, "num_nodes beside embedding"),
        ({"name": "gat", "hidden": 6}, "a multiple of 4 channels, got 6"),
    ],
)
def test_refusals(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_encoder(**({"name": "gcn", "in_channels": 3} | changes))


def test_other_features_than_it_was_made_for() -> None:
    encoder = make_encoder("gcn", 5, 8)
    with pytest.raises(UsageError, match="expected 5 features per node, got 6"):
        encoder(example())
    with pytest.raises(UsageError, match="expected 5 features per node, got 0"):
        encoder(LinkGraph.from_edges(torch.tensor([[0], [1]]), 2))
