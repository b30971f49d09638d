"""The differentiable cost beside the counting one."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netgraph.convert import to_graph
from netgraph.errors import UsageError
from netgraph.graph import CostModel, NodeMask, Structure
from netgraph.graph.cost import MACS
from netgraph.pruning import soft_macs
from netgraph.pruning.soft_cost import FORMULAS
from netgraph.zoo import VGG, MobileNet, ViT
from tests.pruning.nets import NAMES, make_graph


class Odd(nn.Module):
    """Kinds that image classifiers do not have: transposed and 1-D convolutions, products, einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv1d(3, 6, 3, padding=1)
        self.up = nn.ConvTranspose1d(6, 8, 2, 2)
        self.grouped = nn.Conv1d(8, 8, 3, padding=1, groups=2)
        self.q = nn.Linear(8, 6)
        self.k = nn.Linear(8, 6)
        self.v = nn.Linear(8, 5)
        self.mix = nn.Parameter(torch.randn(5, 4))
        self.out = nn.Parameter(torch.randn(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.grouped(F.relu(self.up(F.relu(self.a(x)))))).transpose(1, 2)
        attention = (self.q(x) @ self.k(x).transpose(1, 2)).softmax(-1)
        x = torch.einsum("bnm,bmc->bnc", attention, self.v(x))
        x = torch.einsum("bnc,cd->bnd", x, self.mix).relu().mean(1)
        return torch.addmm(torch.zeros(2), x, self.out)


def structures() -> dict[str, Structure]:
    found = {name: make_graph(name).structure for name in NAMES}
    found["odd"] = to_graph(Odd(), torch.randn(2, 3, 8)).structure
    found["vgg"] = to_graph(VGG(width=4, hidden=9), torch.randn(2, 1, 8, 8)).structure
    found["mobile"] = to_graph(MobileNet(width=6), torch.randn(2, 1, 8, 8)).structure
    found["vit"] = to_graph(ViT(dim=8, heads=2), torch.randn(2, 1, 8, 8)).structure
    found["vit, inner"] = to_graph(ViT(dim=16, heads=2), torch.randn(2, 1, 8, 8), product="inner").structure
    return found


STRUCTURES = structures()


def random_mask(structure: Structure, generator: torch.Generator) -> NodeMask:
    keep = {}
    for group in structure.groups:
        if group.role == "hidden":
            keep[group.name] = torch.rand(group.size, generator=generator) < 0.6
            keep[group.name][int(torch.randint(group.size, (), generator=generator))] = True
    return NodeMask(keep)


@pytest.mark.parametrize("name", STRUCTURES)
def test_gates_of_zero_and_one_cost_what_the_mask_costs(name: str) -> None:
    structure = STRUCTURES[name]
    cost, generator = CostModel(structure), torch.Generator().manual_seed(0)
    assert float(soft_macs(structure, {})) == cost.macs() > 0
    for _ in range(20):
        mask = random_mask(structure, generator)
        assert float(soft_macs(structure, {n: k.float() for n, k in mask.keep.items()})) == cost.macs(mask)


def test_every_kind_that_costs_is_known() -> None:
    assert set(FORMULAS) == set(MACS)
    assert {o.kind for o in STRUCTURES["odd"].operators} >= {"conv_transpose1d", "einsum", "addmm"}


@pytest.mark.parametrize("name", ["mlp", "digits", "concat", "vit"])
def test_widths_stand_for_equal_gates(name: str) -> None:
    structure = STRUCTURES[name]
    hidden = [g for g in structure.groups if g.role == "hidden"]
    widths = {g.name: torch.tensor(0.4 * g.size) for g in hidden}
    gates = {g.name: torch.full((g.size,), 0.4) for g in hidden}
    assert float(soft_macs(structure, widths)) == pytest.approx(float(soft_macs(structure, gates)), rel=1e-6)


@pytest.mark.parametrize("name", ["mlp", "digits", "concat", "odd", "vit", "vit, inner"])
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    structure, generator = STRUCTURES[name], torch.Generator().manual_seed(1)
    gates = {
        g.name: torch.rand(g.size, generator=generator, dtype=torch.float64).requires_grad_()
        for g in structure.groups
        if g.role == "hidden"
    }
    names = list(gates)
    assert torch.autograd.gradcheck(
        lambda *given: soft_macs(structure, dict(zip(names, given, strict=True))) / 1000,
        tuple(gates.values()),
    )


@pytest.mark.parametrize(
    "gates", [{"absent": torch.ones(3)}, {"layers.0": torch.ones(3)}, {"layers.0": torch.ones(8, 1)}], ids=str
)
def test_refuses(gates: dict[str, Tensor]) -> None:
    with pytest.raises(UsageError, match="soft_macs: expected gates of shape"):
        soft_macs(STRUCTURES["mlp"], gates)
