import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph.convert import load_into, to_graph
from netgraph.graph import CostModel, NeuralGraph
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.pruning import MetaTrainConfig, gate, l2, read_network, soft_macs, sparsity_penalty
from netgraph.pruning.meta_step import decided_gates, meta_gradient
from tests.pruning.heads import Heads, Said
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
    config = MetaTrainConfig(sparsity=0.01, alpha=4.0, relative=False)
    found = meta_gradient(meta, graph, module, batches, loss=F.cross_entropy, config=config, target=0.5)
    assert found.decision is None and found.overrun is None
    assert found.task + found.penalty == pytest.approx(slowly(graph, name, 0.9, batches), rel=1e-4)
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
    config = MetaTrainConfig(sparsity=0.1, alpha=16.0, relative=False)
    meta_gradient(meta, graph, module, batches, loss=F.cross_entropy, config=config, target=0.5)
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


SOFT = MetaTrainConfig(sparsity=0.01, alpha=4.0, relative=False, hard=False, overrun=0.3, decision=0.7)


def objective(graph: NeuralGraph, meta: Heads, batches: list[tuple[Tensor, Tensor]], target: float) -> Tensor:
    """All four parts as documented, in one graph of operations."""
    structure, module = graph.structure, graph.to_module().train()
    buffers = {t.name: graph.state[t.name].clone() for t in structure.tensors if t.kind == "buffer"}

    def task(state: dict[str, Tensor]) -> Tensor:
        losses = [
            F.cross_entropy(torch.func.functional_call(module, state | buffers, (x,)), y) for x, y in batches
        ]
        return torch.stack(losses).mean()

    said = meta.read(graph, target=target)
    weights = {t.name: graph.state[t.name] for t in structure.tensors if t.kind == "parameter"}
    total = torch.zeros(())
    if said.values is not None:
        weights = said.values
        total = task(weights) + 0.01 * sparsity_penalty(structure, weights, 4.0)
    macs = target * CostModel(structure).macs()
    gates = decided_gates(graph, read_network(meta, graph, target), macs, SOFT)
    assert gates is not None
    cut = weights | gate(structure, weights, gates)
    return total + 0.7 * task(cut) + 0.3 * (soft_macs(structure, gates) / macs - 1).clamp(min=0)


@pytest.mark.parametrize("name", ["mlp", "digits"])
@pytest.mark.parametrize(
    "heads", [("scores",), ("budgets",), ("rewrite", "scores"), ("rewrite", "scores", "budgets")], ids=str
)
def test_decisions_have_the_gradient_of_the_documented_objective(name: str, heads: tuple[str, ...]) -> None:
    graph, batches, meta = make_graph(name), data(name), Heads(*heads)
    module = graph.to_module().train()
    found = meta_gradient(meta, graph, module, batches, loss=F.cross_entropy, config=SOFT, target=0.2)
    parts = found.task + found.penalty + (found.decision or 0) + (found.overrun or 0)
    split = {n: p.grad.clone() for n, p in meta.named_parameters() if p.grad is not None}
    meta.zero_grad(set_to_none=True)
    whole = objective(graph, meta, batches, 0.2)
    assert parts == pytest.approx(float(whole.detach()), rel=1e-4)
    whole.backward()
    expected = {n: p.grad for n, p in meta.named_parameters() if p.grad is not None}
    assert set(split) == set(expected) != set()
    for n, gradient in split.items():
        assert float(gradient) == pytest.approx(float(expected[n]), rel=1e-3, abs=1e-5)
    assert (found.task > 0) == ("rewrite" in heads) and found.decision is not None
    if "budgets" in heads:  # these budgets keep about half of the nodes
        assert found.overrun is not None and found.overrun > 0
    else:
        assert found.overrun == pytest.approx(0, abs=1e-3)


def test_a_step_along_the_gradient_of_hard_decisions_keeps_the_nodes_that_matter() -> None:
    """Only the last three of eight nodes reach the output; the scores start in favour of the others."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    with torch.no_grad():
        net[2].weight.copy_(torch.cat([torch.zeros(3, 5), 3 * torch.eye(3)], 1))
    graph = to_graph(net, torch.zeros(1, 6)).clone()
    inputs = torch.randn(64, 6, generator=torch.Generator().manual_seed(0))
    batches = [(inputs, net(inputs).argmax(1))]

    class Free(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Parameter(torch.linspace(1, -1, 8))

        def read(self, graph: NeuralGraph, *, target: float | None = None):  # type: ignore[no-untyped-def]
            return Said(None, {"0": self.scores}, None)

    meta = Free()
    optimiser = torch.optim.Adam(meta.parameters(), lr=0.1)
    config, module = MetaTrainConfig(), graph.to_module().train()
    for _ in range(60):
        optimiser.zero_grad()
        meta_gradient(meta, graph, module, batches, loss=F.cross_entropy, config=config, target=3 / 8)
        optimiser.step()
    assert set(meta.scores.topk(3).indices.tolist()) == {5, 6, 7}


def test_without_scores_budgets_keep_the_highest_norms() -> None:
    graph = make_graph("digits")
    reading = read_network(Heads("budgets"), graph, 0.5)
    gates = decided_gates(graph, reading, 1.0, MetaTrainConfig())
    assert gates is not None
    for n, kept in gates.items():
        best = l2(graph)[n].topk(int(kept.sum())).indices
        assert set(best.tolist()) == set(kept.nonzero().flatten().tolist())
