"""Sign and scale symmetries: exact on every network, as many as there are, none where none is allowed."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree

from netgraph.convert import to_graph
from netgraph.errors import GraphError
from netgraph.graph import NeuralGraph, Structure
from netgraph.graph.homogeneity import Symmetry, homogeneity, rescale
from tests.convert.cases import CASES, Case
from tests.convert.test_fuzz import PROFILE, networks
from tests.graph.homogeneity_cases import TABLE, Declared, image, make, padded_piece, shuffled
from tests.nn.networks import NETWORKS, build


def draw(structure: Structure, generator: torch.Generator | None = None) -> dict[Symmetry, Tensor]:
    """Random factors for all symmetries: between 0.2 and 5, or -1 and 1."""
    found = {}
    for s in homogeneity(structure):
        numbers = torch.rand(structure.groups[structure.group_index[s.group]].size, generator=generator)
        numbers = numbers.double()
        found[s] = 5 ** (2 * numbers - 1) if s.kind == "scale" else (numbers < 0.5).double() * 2 - 1
    return found


def outputs(graph: NeuralGraph, *args: Any) -> list[Tensor]:
    with torch.no_grad():
        found = graph.to_module().eval()(*args)
    return [t for t in pytree.tree_leaves(found) if isinstance(t, Tensor)]


def assert_unchanged(graph: NeuralGraph, factors: dict[Symmetry, Tensor], *args: Any) -> None:
    for before, after in zip(outputs(graph, *args), outputs(rescale(graph, factors), *args), strict=True):
        size = max(1.0, float(before.abs().max()))
        torch.testing.assert_close(after, before, rtol=0, atol=1e-10 * size)


@pytest.mark.parametrize("declared", TABLE, ids=lambda d: d.name)
def test_finds_what_there_is(declared: Declared) -> None:
    graph, inputs = make(declared)
    found = homogeneity(graph.structure)
    assert sorted(s.group for s in found if s.kind == "scale") == sorted(declared.scales)
    assert sorted(s.group for s in found if s.kind == "sign") == sorted(declared.signs)
    assert len({(s.kind, s.group, s.value) for s in found}) == len(found)
    assert_unchanged(graph, draw(graph.structure), inputs)


@pytest.mark.parametrize("declared", TABLE, ids=lambda d: d.name)
def test_every_symmetry_moves_weights_and_holds_alone(declared: Declared) -> None:
    graph, inputs = make(declared)
    for symmetry, factors in draw(graph.structure).items():
        assert symmetry.exponents and all(e.power in (-1, 1) for e in symmetry.exponents)
        turned = torch.where(torch.arange(len(factors)) % 2 == 0, -1.0, 1.0).double()
        turned = turned if symmetry.kind == "sign" else factors
        other = rescale(graph, {symmetry: turned})
        moved = {n for n, t in graph.state.items() if not torch.equal(other.state[n], t)}
        assert moved == {e.tensor for e in symmetry.exponents}
        assert all(graph.structure.tensor[n].kind == "parameter" for n in moved)
        assert_unchanged(graph, {symmetry: turned}, inputs)


def invariances(graph: NeuralGraph, group: str, inputs: Tensor) -> int:
    """The slow twin: how many independent scales the first node of a group has. Every weight of the node gets
    a factor of its own; what directions in the logarithms of these factors leave the outputs as they are, to
    first order and at several random states at once?"""
    structure, index = graph.structure, graph.structure.group_index[group]
    slots = []
    for spec in structure.tensors:
        for dim, axis in enumerate(spec.axes):
            if axis is not None and spec.kind == "parameter":
                here = (structure.axes[axis].groups == index) & (structure.axes[axis].indices == 0)
                if here.any():
                    shape = [-1 if d == dim else 1 for d in range(len(spec.shape))]
                    slots.append((spec.name, torch.from_numpy(here).double().reshape(shape)))
    if not slots:  # zeros beside a group are channels, too
        return 0
    module, rows, step = graph.to_module().eval(), [], 1e-5
    for _ in range(6):
        state = {n: 2 * torch.randn_like(t) if t.is_floating_point() else t for n, t in graph.state.items()}
        state = {n: t.abs() + 0.5 if n.endswith("running_var") else t for n, t in state.items()}
        columns = []
        for name, here in slots:
            ends = []
            for log in (step, -step):
                other = {**state, name: state[name] * torch.exp(log * here)}
                with torch.no_grad():
                    found = pytree.tree_leaves(functional_call(module, other, (inputs.clone(),)))
                ends.append(torch.cat([t.reshape(-1) for t in found]))
            columns.append((ends[0] - ends[1]) / (2 * step))
        block = torch.stack(columns, 1)
        rows.append(block / block.norm().clamp(min=1e-300))
    return len(slots) - int(torch.linalg.matrix_rank(torch.cat(rows), rtol=1e-7))


@pytest.mark.parametrize("declared", [d for d in TABLE if d.all_of_them], ids=lambda d: d.name)
def test_finds_as_many_scales_as_a_jacobian(declared: Declared) -> None:
    graph, inputs = make(declared)
    for group in graph.structure.groups:
        if group.role == "hidden":
            found = [s for s in homogeneity(graph.structure) if (s.kind, s.group) == ("scale", group.name)]
            assert len(found) == invariances(graph, group.name, inputs), group.name


def test_the_twin_finds_more_where_more_is_left_out() -> None:
    spare = {}
    for declared in TABLE:
        if not declared.all_of_them:
            graph, inputs = make(declared)
            hidden = [g.name for g in graph.structure.groups if g.role == "hidden"]
            spare[declared.name] = sum(invariances(graph, g, inputs) for g in hidden) - len(declared.scales)
    assert spare == {
        "product": 1,  # of two that meet in a product, one is taken
        "square": 1,  # powers other than 1 and -1 are not looked for
        "queries and keys": 1,  # a bias of keys does nothing at all
        "ones beside": 1,  # and cut away again
        "layer norm, no activation": 1,  # left out, to be on the safe side
        "cast": 2,  # steps have no derivative: the producer's weights do nothing, as far as the twin sees
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_holds_on_every_way_of_tying_channels(case: Case) -> None:
    module, args = case.make()
    args = tuple(a.double() if a.is_floating_point() else a for a in args)
    graph = to_graph(module.double(), args, product=case.product)  # type: ignore[arg-type]
    assert_unchanged(graph, draw(graph.structure), *args)


@pytest.mark.parametrize("name", NETWORKS)
def test_holds_on_every_kind_of_block(name: str) -> None:
    graph, inputs = build(name, torch.float64), NETWORKS[name]()[1]
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    assert_unchanged(graph, draw(graph.structure), inputs)


@pytest.mark.slow
@settings(PROFILE, max_examples=PROFILE.max_examples // 2)
@given(networks())
def test_holds_on_random_networks(drawn: tuple[nn.Module, Tensor, str]) -> None:
    module, x, product = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = to_graph(module, x, product=product)  # type: ignore[arg-type]
    assert_unchanged(graph, draw(graph.structure, torch.Generator().manual_seed(0)), x)


@pytest.mark.parametrize("build", [shuffled, padded_piece])
def test_holds_where_a_piece_no_longer_shows_its_nodes(build: Callable[[], nn.Module]) -> None:
    module, inputs = build().double(), image().double()
    graph = to_graph(module, inputs)
    assert homogeneity(graph.structure)
    assert_unchanged(graph, draw(graph.structure), inputs)


def test_a_wrong_exponent_is_noticed() -> None:
    """The comparison above can fail: without the consumer's half, outputs change."""
    graph, inputs = make(TABLE[0])
    (first, *_), factors = homogeneity(graph.structure), torch.tensor([0.5, 2, 3, 4]).double()
    whole = rescale(graph, {first: factors})
    half = graph.replace({n: whole.state[n] for n in ("layers.0.weight", "layers.0.bias")})
    (before,), (after,) = outputs(graph, inputs), outputs(half, inputs)
    assert (before - after).abs().max() > 1e-3


def test_exponents_of_a_norm_and_of_a_loop() -> None:
    graph, _ = make(next(d for d in TABLE if d.name == "depthwise, normed"))
    first, second, sign = homogeneity(graph.structure)
    assert [tuple(e) for e in first.exponents] == [("0.weight", 0, 1), ("0.bias", 0, 1), ("2.weight", 0, -1)]
    for symmetry in (second, sign):  # what comes into the norm has no say
        assert [tuple(e) for e in symmetry.exponents] == [
            *(("3.weight", 0, 1), ("3.bias", 0, 1), ("4.weight", 1, -1))
        ]


def test_queries_grow_as_keys_shrink() -> None:
    graph, _ = make(next(d for d in TABLE if d.name == "queries and keys"))
    scores, values = (s for s in homogeneity(graph.structure) if s.kind == "scale")
    assert {(e.tensor, e.power) for e in scores.exponents} == {
        *(("q.weight", 1), ("q.bias", 1), ("k.weight", -1), ("k.bias", -1))
    }
    assert {(e.tensor, e.power) for e in values.exponents} == {
        *(("v.weight", 1), ("v.bias", 1), ("out.weight", -1))
    }


def test_a_structure_without_a_program_has_none() -> None:
    graph, _ = make(TABLE[0])
    bare = replace(graph.structure, operators=(), outputs=(), values=(), inputs=(), symbols=())
    assert homogeneity(bare) == ()


@pytest.mark.parametrize(
    ("kind", "factors", "words"),
    [
        ("scale", torch.tensor([1.0, 2.0]), "group 'a' needs 4 positive numbers for its scale"),
        ("scale", torch.tensor([1.0, 2.0, -1.0, 1.0]), "group 'a' needs 4 positive numbers"),
        ("scale", torch.tensor([1.0, torch.nan, 1.0, 1.0]), "group 'a' needs 4 positive numbers"),
        ("scale", torch.tensor([1, 2, 1, 1]), "group 'a' needs 4 positive numbers"),
        ("sign", torch.tensor([1.0, 2.0, -1.0, 1.0]), "group 'a' needs 4 numbers -1.0 or 1.0 for its sign"),
    ],
)
def test_refuses_factors_that_do_not_fit(kind: str, factors: Tensor, words: str) -> None:
    graph, _ = make(next(d for d in TABLE if d.name == "linear mlp"))
    symmetry = next(s for s in homogeneity(graph.structure) if s.kind == kind)
    with pytest.raises(GraphError, match=f"rescale: {words}"):
        rescale(graph, {symmetry: factors})


def test_refuses_another_networks_symmetry() -> None:
    graph, _ = make(TABLE[0])
    with pytest.raises(GraphError, match="expected symmetries of this structure, got a sign of group 'x'"):
        rescale(graph, {Symmetry("sign", "x", "y", ()): torch.ones(1)})
