"""Canonical networks are those of their orbits, and a wrapped metanetwork follows every rescaling exactly."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.convert import to_graph
from netgraph.errors import GraphError, UsageError
from netgraph.graph import NeuralGraph, permute
from netgraph.graph.homogeneity import Symmetry, homogeneity, rescale
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.nn.symmetry import Symmetric, canonical
from netgraph.pruning import Budget, prune
from netgraph.zoo import MLP, CifarResNet, DigitsResNet
from tests.convert.cases import CASES, scramble

SMALL = MetanetworkConfig(hidden=6, layers=2, rho=0.5)


class Loop(nn.Module):
    """One layer used twice, with or without a way in from outside the loop."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.enter, self.turn, self.leave, self.act = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2), act

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.enter(x))
        return self.leave(self.act(self.turn(self.act(self.turn(h)))))


class Ring(nn.Module):
    """Two groups that feed each other; each has a bias of its own only where it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 5), nn.Linear(5, 4, bias=False), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.b(F.relu(self.a.bias.expand(len(x), -1))))
        return self.out(F.relu(self.b(F.relu(self.a(h))))) + x[:, :2]


def tanh_mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))


def mixed_cnn() -> nn.Module:
    """Scale, sign and both, depthwise and plain."""
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 4, 1, groups=4), nn.ReLU()),
        *(nn.Conv2d(4, 5, 1), nn.AvgPool2d(2), nn.Conv2d(5, 3, 1), nn.GELU(), nn.Flatten(), nn.Linear(12, 2)),
    )


def case(name: str) -> Callable[[], nn.Module]:
    return next(c for c in CASES if c.name == name).build


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "mlp": (lambda: MLP((3, 5, 4, 2)), lambda: torch.randn(4, 3)),
    "tanh mlp": (tanh_mlp, lambda: torch.randn(4, 3)),
    "normed mlp": (lambda: MLP((3, 5, 2), norm=True), lambda: torch.randn(4, 3)),
    "mixed cnn": (mixed_cnn, lambda: torch.randn(2, 3, 6, 6)),
    "residual, pad": (lambda: CifarResNet(1, widths=(2, 4, 6)), lambda: torch.randn(2, 3, 8, 8)),
    "residual, conv": (lambda: DigitsResNet(3, (2, 1)), lambda: torch.randn(2, 1, 8, 8)),
    "dense block": (case("dense block"), lambda: torch.randn(2, 3, 8, 8)),
    "depth multiplier": (case("depth multiplier"), lambda: torch.randn(2, 3, 8, 8)),
    "attention": (case("attention"), lambda: torch.randn(2, 5, 3)),
    "loop, relu": (lambda: Loop(F.relu), lambda: torch.randn(4, 3)),
    "loop, tanh": (lambda: Loop(torch.tanh), lambda: torch.randn(4, 3)),
    "ring": (Ring, lambda: torch.randn(4, 4)),
}


@cache
def build(name: str) -> tuple[NeuralGraph, Tensor]:
    """A network in double precision, and inputs. Shared between tests: do not write into it."""
    torch.manual_seed(sum(map(ord, name)))
    module, inputs = scramble(NETWORKS[name][0]()).double().eval(), NETWORKS[name][1]().double()
    return to_graph(module, inputs), inputs


def factors(graph: NeuralGraph, kinds: tuple[str, ...] = ("scale", "sign")) -> dict[Symmetry, Tensor]:
    found = {}
    for s in homogeneity(graph.structure):
        numbers = torch.rand(graph.structure.groups[graph.structure.group_index[s.group]].size).double()
        if s.kind in kinds:
            numbers[0] = 0.9  # a factor that is not 1 of either kind
            found[s] = (
                5 ** (2 * numbers - 1)
                if s.kind == "scale"
                else torch.where(numbers < 0.5, 1.0, -1.0).double()
            )
    return found


def distance(a: NeuralGraph, b: NeuralGraph) -> float:
    """The largest difference of a tensor, relative to its largest entry."""
    found = [0.0]
    for name, tensor in a.state.items():
        if tensor.is_floating_point():
            size = max(float(tensor.abs().max()), 1e-9)
            found.append(float((tensor - b.state[name]).abs().max()) / size)
    return max(found)


def meta(seed: int = 0) -> Metanetwork:
    torch.manual_seed(seed)
    return Metanetwork(SMALL).double()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_canonical_network_computes_the_same(name: str) -> None:
    graph, inputs = build(name)
    found = canonical(graph)
    other = graph.replace(found.state)
    with torch.no_grad():
        expected, given = graph.to_module().eval()(inputs), other.to_module().eval()(inputs)
    torch.testing.assert_close(given, expected, rtol=1e-10, atol=1e-10)
    assert distance(graph, other) > 1e-3
    restored = graph.replace(found.restore(found.state))
    assert distance(graph, restored) < 1e-13
    assert found.scales.shape == (graph.num_nodes,)


@pytest.mark.parametrize("name", NETWORKS)
def test_all_networks_of_an_orbit_have_one_canonical_network(name: str) -> None:
    graph, _ = build(name)
    one = canonical(graph)
    for _ in range(3):
        other = canonical(rescale(graph, factors(graph)))
        assert distance(graph.replace(one.state), graph.replace(other.state)) < 1e-11
    again = canonical(graph.replace(one.state))
    assert distance(graph.replace(one.state), graph.replace(again.state)) < 1e-13
    torch.testing.assert_close(again.scales, torch.ones_like(again.scales), rtol=1e-12, atol=1e-12)


def test_scales_follow_the_factors() -> None:
    graph, _ = build("mlp")
    given = factors(graph)
    before, after = canonical(graph).scales, canonical(rescale(graph, given)).scales
    expected = torch.ones(graph.num_nodes, dtype=torch.float64)
    for symmetry, values in given.items():
        start = graph.structure.offsets[graph.structure.group_index[symmetry.group]]
        expected[start : start + len(values)] = values
    torch.testing.assert_close(after / before, expected)
    assert ((expected - 1).abs() > 1e-3).sum() > 5


def test_equals_a_canonical_form_written_as_loops() -> None:
    """The slow twin, node by node: a multilayer perceptron with ReLU and one with tanh."""
    for name, layers in (("mlp", ["layers.0", "layers.1", "layers.2"]), ("tanh mlp", ["0", "2", "4"])):
        graph, _ = build(name)
        state = {n: t.clone() for n, t in graph.state.items()}
        for layer, after in pairwise(layers):
            weight, bias, read = state[f"{layer}.weight"], state[f"{layer}.bias"], state[f"{after}.weight"]
            for i in range(len(bias)):
                row = torch.cat([weight[i], bias[i : i + 1]])
                c = row.norm() if name == "mlp" else 1.0 if (row**3).sum() >= 0 else -1.0
                weight[i] /= c
                bias[i] /= c
                read[:, i] *= c
        assert distance(graph.replace(state), graph.replace(canonical(graph).state)) < 1e-13


def test_everything_that_comes_in_is_measured_together() -> None:
    """The stream of a residual stage: all norms that write into it."""
    graph, _ = build("residual, conv")
    state = canonical(graph).state
    stream = [f"{n}.{part}" for n in ("bn1", "layer1.0.bn2", "layer1.1.bn2") for part in ("weight", "bias")]
    torch.testing.assert_close(
        torch.stack([state[n] for n in stream]).norm(dim=0), torch.ones(3, dtype=torch.float64)
    )


def test_a_loop_is_measured_by_what_comes_in_from_outside() -> None:
    graph, _ = build("loop, relu")
    state = canonical(graph).state
    incoming = torch.cat(
        [state["enter.weight"], state["enter.bias"][:, None], state["turn.bias"][:, None]], 1
    )
    torch.testing.assert_close(incoming.norm(dim=1), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("name", ["mlp", "tanh mlp", "normed mlp", "loop, relu", "depth multiplier"])
def test_is_differentiable(name: str) -> None:
    graph, _ = build(name)
    names = [t.name for t in graph.structure.tensors if t.kind == "parameter"]
    leaves = [graph.state[n].detach().clone().requires_grad_() for n in names]

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        found = canonical(graph, dict(zip(names, given, strict=True)))
        return *(found.state[n] for n in names), found.scales

    assert torch.autograd.gradcheck(run, leaves)


def test_gradients_of_the_wrapper_reach_weights_and_network() -> None:
    graph, _ = build("mixed cnn")
    model = Symmetric(meta())
    state = {n: t.detach().clone().requires_grad_() for n, t in graph.state.items() if t.is_floating_point()}
    sum((t**2).sum() for t in model(graph, state).values()).backward()
    assert all(state[n].grad is not None for n in ("0.weight", "1.weight", "3.weight", "10.bias"))
    assert all(t.grad is not None and t.grad.isfinite().all() for t in state.values() if t.grad is not None)
    assert sum(float(p.grad.abs().sum()) > 0 for p in model.parameters() if p.grad is not None) > 10


@pytest.mark.parametrize("kinds", [("scale", "sign"), ("scale",), ("sign",)])
@pytest.mark.parametrize("name", NETWORKS)
def test_rescaling_a_network_rescales_its_rewriting_and_nothing_else(
    name: str, kinds: tuple[str, ...]
) -> None:
    """Outgoing weights change with every rescaling: this holds for messages along and against the edges."""
    graph, _ = build(name)
    model = Symmetric(meta(), kinds)  # type: ignore[arg-type]
    given = factors(graph, kinds)
    one, other = rescale(model.rewrite(graph), given), model.rewrite(rescale(graph, given))
    assert distance(one, other) < 1e-9
    assert distance(graph, model.rewrite(graph)) > 1e-3  # something was rewritten


@pytest.mark.parametrize("name", NETWORKS)
def test_without_the_wrapper_it_does_not_hold(name: str) -> None:
    """So the test above can fail; nor does it for the kind that a wrapper leaves out."""
    graph, _ = build(name)
    for model, kinds in (
        *((meta(), (kind,)) for kind in ("scale", "sign")),
        (Symmetric(meta(), ("scale",)), ("sign",)),
        (Symmetric(meta(), ("sign",)), ("scale",)),
    ):
        given = factors(graph, kinds)
        if given:
            one, other = rescale(model.rewrite(graph), given), model.rewrite(rescale(graph, given))
            assert distance(one, other) > 1e-4


@pytest.mark.parametrize("name", ["mixed cnn", "residual, pad", "loop, tanh"])
def test_reordering_nodes_reorders_the_result(name: str) -> None:
    graph, _ = build(name)
    model = Symmetric(meta())
    orders = {g.name: torch.randperm(g.size) for g in graph.structure.groups if g.role == "hidden"}
    assert distance(permute(model.rewrite(graph), orders), model.rewrite(permute(graph, orders))) < 1e-10


def test_a_node_into_which_nothing_comes_stays() -> None:
    graph, _ = build("mlp")
    state = {n: t.clone() for n, t in graph.state.items()}
    state["layers.0.weight"][1], state["layers.0.bias"][1] = 0, 0
    leaf = state["layers.0.weight"].requires_grad_()
    found = canonical(graph, state)
    start = graph.structure.offsets[graph.structure.group_index["layers.0"]]
    assert found.scales[start + 1] == 1 and found.scales[start] != 1
    (gradient,) = torch.autograd.grad(sum(t.sum() for t in found.state.values()), leaf)
    assert gradient.isfinite().all()


def test_a_sign_that_nothing_decides_stays() -> None:
    graph = to_graph(tanh_mlp().double(), torch.zeros(1, 3).double()).clone()
    graph.state["0.weight"][0] = torch.tensor([-2.0, 2.0, 0.0])
    graph.state["0.bias"][0] = 0
    graph.state["0.weight"][1] = -1
    graph.state["0.bias"][1] = 0
    start = graph.structure.offsets[graph.structure.group_index["0"]]
    assert canonical(graph).scales[start : start + 2].tolist() == [1, -1]


def test_small_weights_are_weights() -> None:
    graph = to_graph(MLP((3, 4, 2)), torch.zeros(1, 3))
    small = {
        n: t.detach() * 1e-25 if n.startswith("layers.0") else t.detach() for n, t in graph.state.items()
    }
    state = canonical(graph, small).state
    incoming = torch.cat([state["layers.0.weight"], state["layers.0.bias"][:, None]], 1)
    torch.testing.assert_close(incoming.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_keep_their_dtype(dtype: torch.dtype) -> None:
    graph = to_graph(MLP((3, 4, 2)).to(dtype), torch.zeros(1, 3, dtype=dtype))
    found = canonical(graph)
    graph.replace(found.state).validate()
    assert {t.dtype for t in found.restore(found.state).values()} == {dtype}
    assert found.scales.dtype == torch.float32
    Symmetric(Metanetwork(SMALL)).rewrite(graph).validate()


def test_what_no_symmetry_moves_is_handed_through() -> None:
    graph, _ = build("normed mlp")
    found = canonical(graph)
    for name in ("layers.0.weight", "norms.0.running_mean", "norms.0.running_var", "layers.1.bias"):
        assert found.state[name] is graph.state[name]
    scores = torch.ones(3)
    assert found.restore({"score": scores})["score"] is scores
    nothing = canonical(to_graph(nn.ReLU(), torch.zeros(1, 3)))
    assert nothing.state == {} and nothing.scales.tolist() in ([], [1.0] * 3)


def test_a_wrapped_metanetwork_prunes() -> None:
    torch.manual_seed(0)
    module, x = MLP((4, 12, 3)), torch.randn(8, 4)
    result = prune(module, x, budget=Budget(macs=0.6), criterion=Symmetric(Metanetwork(SMALL)))
    assert sum(p.numel() for p in result.module.parameters()) < sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_rewrite_refuses_weights_that_are_not_finite(value: float) -> None:
    graph = build("mlp")[0].clone()
    graph.state["layers.1.bias"][0] = value
    with pytest.raises(GraphError, match=r"rewrite: expected finite weights, tensor 'layers.1.bias' holds"):
        Symmetric(meta()).rewrite(graph)


def test_refuses_what_does_not_fit() -> None:
    graph, _ = build("mlp")
    with pytest.raises(UsageError, match="expected kinds among 'scale' and 'sign', got \\('size',\\)"):
        canonical(graph, kinds=("size",))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected kinds among 'scale' and 'sign', got 'scale'"):
        Symmetric(meta(), "scale")  # type: ignore[arg-type]
    with pytest.raises(GraphError, match="no tensor 'nothing'"):
        canonical(graph, {"nothing": torch.zeros(1)})
