import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph.convert import load_into
from netgraph.graph import NeuralGraph
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.pruning import sparsity_penalty
from netgraph.pruning.meta_step import meta_gradient
from tests.pruning.nets import make, make_graph


class Scale(nn.Module):
    """A metanetwork with one number: it scales every parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.9))

    def forward(self, graph: NeuralGraph) -> dict[str, Tensor]:
        return {
            t.name: graph.state[t.name] * self.scale for t in graph.structure.tensors if t.kind == "parameter"
        }


def data(name: str) -> list[tuple[Tensor, Tensor]]:
    _, x = make(name)
    return [(torch.randn_like(x), torch.randint(3, (len(x),))) for _ in range(2)]


def slowly(graph: NeuralGraph, name: str, scale: float, batches: list[tuple[Tensor, Tensor]]) -> float:
    net, _ = make(name)
    new = {t.name: graph.state[t.name] * scale for t in graph.structure.tensors if t.kind == "parameter"}
    load_into(net, graph.replace(new)).train()
    task = sum(float(F.cross_entropy(net(x), y).detach()) for x, y in batches) / len(batches)
    return task + 0.01 * float(sparsity_penalty(graph.structure, {**graph.state, **new}, 4.0))


@pytest.mark.parametrize("name", ["mlp", "mlp-norm", "digits", "attention"])
def test_gradient_is_that_of_the_documented_objective(name: str) -> None:
    graph, batches, meta = make_graph(name), data(name), Scale()
    before = {n: t.clone() for n, t in graph.state.items()}
    module = graph.to_module().train()
    task, penalty = meta_gradient(
        meta, graph, module, batches, loss=F.cross_entropy, sparsity=0.01, alpha=4.0, relative=False
    )
    assert task + penalty == pytest.approx(slowly(graph, name, 0.9, batches), rel=1e-4)
    step = 1e-2
    numeric = (slowly(graph, name, 0.9 + step, batches) - slowly(graph, name, 0.9 - step, batches)) / (
        2 * step
    )
    assert float(meta.scale.grad) == pytest.approx(numeric, rel=0.05, abs=1e-3)
    assert all(torch.equal(t, before[n]) for n, t in graph.state.items())
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())


def test_real_metanetwork_gets_the_gradient_of_the_plain_graph_of_operations() -> None:
    graph, batches = make_graph("digits"), data("digits")
    meta = Metanetwork(MetanetworkConfig(hidden=4, layers=2, rho=0.1))
    module = graph.to_module().train()
    meta_gradient(
        meta, graph, module, batches, loss=F.cross_entropy, sparsity=0.1, alpha=16.0, relative=False
    )
    split = [p.grad.clone() for p in meta.parameters() if p.grad is not None]
    meta.zero_grad(set_to_none=True)
    new = meta(graph)
    buffers = {t.name: graph.state[t.name].clone() for t in graph.structure.tensors if t.kind == "buffer"}
    value = 0.1 * sparsity_penalty(graph.structure, new)
    for x, y in batches:
        value = value + F.cross_entropy(torch.func.functional_call(module, new | buffers, (x,)), y) / 2
    value.backward()
    whole = [p.grad for p in meta.parameters() if p.grad is not None]
    assert len(split) == len(whole) > 0
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(split, whole, strict=True))
