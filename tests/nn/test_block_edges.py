"""The edge state: what it keeps, what it gives back, and when it refuses to go on."""

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor

from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
from netgraph.nn import BlockEdges, Metanetwork, MetanetworkConfig, block_edges, edge_pass, message_plan
from tests.nn.networks import build

HIDDEN, TAPS = 4, 9


def made(name: str = "concat", *, grad: bool = True) -> tuple[BlockEdges, list[Tensor], list[Tensor]]:
    """An edge state with random windows and encoder; its windows; its encoder."""
    plan = message_plan(build(name).structure, TAPS)
    windows = [torch.randn(s.edges, len(s.columns), dtype=torch.float64) for s in plan.stacks]
    encoder = [torch.randn(HIDDEN, TAPS, dtype=torch.float64), torch.randn(HIDDEN, dtype=torch.float64)]
    for tensor in (*windows, *encoder):
        tensor.requires_grad_(grad)
    return BlockEdges(plan, windows, *encoder), windows, encoder


def decoder() -> list[Tensor]:
    shapes = (HIDDEN, HIDDEN), (HIDDEN,), (TAPS, HIDDEN), (TAPS,)
    return [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]


def gates(edges: BlockEdges) -> Tensor:
    return torch.randn(edges.plan.num_nodes, 4 * HIDDEN, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("cut", [1, 64, 1 << 20])
@pytest.mark.parametrize("name", ["concat", "depthwise", "large_kernels"])
def test_gradients_of_everything(name: str, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_pass, "CACHE_ELEMENTS", cut)
    _, windows, encoder = made(name)
    plan = message_plan(build(name).structure, TAPS)
    own, weights = [torch.randn(plan.num_nodes, 4 * HIDDEN, dtype=torch.float64) for _ in range(2)], decoder()

    def run(*leaves: Tensor) -> tuple[Tensor, ...]:
        given = list(leaves)
        first, second = given[:2]
        edges = BlockEdges(plan, given[8:], given[2], given[3])
        messages = edges.step(first), edges.step(second)
        return *messages, *edges.decode(*given[4:8])

    leaves = [*(g.requires_grad_() for g in own), *encoder, *weights, *windows]
    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)


def test_nothing_of_the_edges_size_is_saved() -> None:
    edges, windows, _ = made("flatten")
    limit = HIDDEN * edges.plan.num_edges
    saved: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.untyped_storage().nbytes() // tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        for _ in range(3):
            edges.step(gates(edges))
        edges.decode(*decoder())
    taps = max(w.numel() for w in windows)
    rows = (edges.plan.num_rows + 2) * 4 * HIDDEN
    assert saved and max(saved) <= max(taps, rows, 4 * HIDDEN * edges.plan.num_nodes)
    assert taps < limit


def test_the_state_is_freed_and_the_graph_holds_no_ring() -> None:
    edges, *_ = made()
    edges.step(gates(edges))
    total = sum(t.sum() for t in edges.decode(*decoder()))
    assert edges.states == []
    alive = weakref.ref(edges)
    gc.disable()
    try:
        del edges
        assert alive() is not None  # the backward pass needs it
        del total
        assert alive() is None
    finally:
        gc.enable()


def test_no_factors_are_kept_without_gradients() -> None:
    with torch.no_grad():
        edges, *_ = made(grad=False)
        edges.step(gates(edges))
    assert edges.factors == []


def test_a_second_backward_pass_gives_the_same() -> None:
    edges, _, encoder = made()
    own = gates(edges)
    total = edges.step(own).sum() + sum(t.square().sum() for t in edges.decode(*decoder()))
    first = torch.autograd.grad(total, (own, *encoder), retain_graph=True)
    second = torch.autograd.grad(total, (own, *encoder))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_part_of_the_outputs_is_enough() -> None:
    edges, _, encoder = made()
    own = gates(edges)
    messages = edges.step(own)
    assert all(g.isfinite().all() for g in torch.autograd.grad(messages.sum(), (own, *encoder)))
    edges, _, encoder = made()
    own = gates(edges)
    edges.step(own)
    first, *_ = edges.decode(*decoder())
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(first.sum(), (own, *encoder)))


def test_weights_changed_before_the_backward_pass_are_noticed() -> None:
    edges, windows, _ = made()
    total = edges.step(gates(edges)).sum()
    with torch.no_grad():
        windows[0].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_second_derivatives_are_refused() -> None:
    edges, *_ = made()
    own = gates(edges)
    (grad,) = torch.autograd.grad(edges.step(own).sum(), own, create_graph=True)
    with pytest.raises(RuntimeError):
        grad.sum().backward()


def test_decoder_normalises_features() -> None:
    weights = [w.detach() for w in decoder()]
    e = torch.randn(HIDDEN, 6, dtype=torch.float64)
    normal = torch.nn.functional.layer_norm(e.t(), (HIDDEN,))
    expected = torch.nn.functional.silu(normal @ weights[0].t() + weights[1]) @ weights[2].t() + weights[3]
    assert torch.allclose(block_edges.decode_edges(e, *weights), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.04), (torch.float16, 0.005)])
@pytest.mark.parametrize("name", ["concat", "depthwise", "digits_resnet", "attention"])
def test_half_precision_is_close_to_single(name: str, dtype: torch.dtype, tolerance: float) -> None:
    """About ten units in the last place of the largest number: 2^-8 and 2^-11."""
    graph = build(name)
    half = Metanetwork(MetanetworkConfig(hidden=6, layers=3, rho=1.0)).to(dtype)
    single = copy.deepcopy(half).float()
    results = []
    for meta in (half, single):
        outputs = meta(graph)
        total = sum(v.square().sum() for v in outputs.values())
        gradients = torch.autograd.grad(total, list(meta.parameters()), allow_unused=True)
        results.append([*outputs.values(), *(g for g in gradients if g is not None)])
    assert {g.dtype for g in results[0][len(outputs) :]} == {dtype}
    for one, other in zip(*results, strict=True):
        assert (one - other).norm() <= tolerance * (other.norm() + 1e-3)


def test_half_precision_joins_many_edges() -> None:
    """Sums over 4,096 edges, which 16 bits alone would lose: the deviation of nearly equal messages."""
    axes = Axis((Segment(0, 0, 4096),)), Axis((Segment(1, 0, 2),))
    spec = TensorSpec("w", (2, 4096), "float32", "parameter", (1, 0), out_axis=0, in_axis=1)
    plan = message_plan(Structure((Group("in", 4096), Group("out", 2)), axes, (spec,)), TAPS)
    windows, weight = [torch.randn(2 * 4096, 1)], torch.ones(HIDDEN, TAPS)
    found, expected = (
        BlockEdges(plan, [w.to(d) for w in windows], weight.to(d), torch.zeros(HIDDEN, dtype=d)).step(
            torch.ones(plan.num_nodes, 4 * HIDDEN, dtype=d)
        )
        for d in (torch.bfloat16, torch.double)
    )
    assert torch.allclose(found[4096:].double(), expected[4096:], rtol=0.01, atol=2e-3)
