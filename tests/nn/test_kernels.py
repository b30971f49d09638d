"""The C++ kernels: equal to the eager path on any structure, and built with care."""

import ctypes
import gc
import os
import random
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from netgraph.graph import Axis, Group, Segment, Structure, TensorSpec
from netgraph.nn import BlockEdges, Metanetwork, MetanetworkConfig, message_plan
from netgraph.nn.kernels import KernelEdges, build, find_compiler, load_kernels, tables
from netgraph.nn.plan import MessagePlan
from tests.nn import networks
from tests.nn.oracle import OracleMetanetwork, flatten

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C++ compiler")
TAPS = 9
Leaves = list[Tensor]


def structure(seed: int) -> Structure:
    """Weights of any shape between some groups: one channel or many, parallel edges, loops, equal shapes."""
    draw = random.Random(seed)
    sizes = [draw.choice([1, 1, 2, 3, 5, 8, 13]) for _ in range(4)]
    weights = []
    for i in range(draw.randint(1, 6)):
        out, into = draw.randrange(4), draw.randrange(4)
        kernel = draw.choice([(), (1, 1), (3, 3), (1, 3), (2, 2), (5, 5)])
        if draw.random() < 0.25:
            shape, axes, in_axis = (sizes[out], draw.choice([1, 2]), *kernel), (out,), 0
        else:
            parallel = (draw.choice([2, 3]),) if kernel and draw.random() < 0.3 else ()
            shape, axes, in_axis = (sizes[out], sizes[into], *parallel, *kernel), (out, into), 1
        whole = (*axes, *(None,) * (len(shape) - len(axes)))
        weights.append(TensorSpec(f"w{i}", shape, "float32", "parameter", whole, out_axis=0, in_axis=in_axis))
    groups = tuple(Group(f"g{i}", size) for i, size in enumerate(sizes))
    axes = tuple(Axis((Segment(i, 0, size),)) for i, size in enumerate(sizes))
    return Structure(groups, axes, tuple(weights))


def leaves(plan: MessagePlan, hidden: int, random: Callable[..., Tensor], layers: int = 3) -> Leaves:
    """Windows, encoder (2), decoder (4), and gates of some layers."""
    shapes = [(hidden, TAPS), (hidden,), (hidden, hidden), (hidden,), (TAPS, hidden), (TAPS,)]
    shapes += [(plan.num_nodes, 4 * hidden)] * layers
    windows = [random(s.edges, len(s.columns)) for s in plan.stacks]
    return [*windows, *(0.5 * random(*shape) for shape in shapes)]


def run(kind: Callable[..., BlockEdges | KernelEdges], plan: MessagePlan, given: Leaves) -> list[Tensor]:
    """Messages of all layers and new taps."""
    count = len(plan.stacks)
    windows, encoder, decoder = given[:count], given[count : count + 2], given[count + 2 : count + 6]
    edges = kind(plan, windows, *encoder)
    return [*(edges.step(gates) for gates in given[count + 6 :]), *edges.decode(*decoder)]


def everything(
    kind: Callable[..., BlockEdges | KernelEdges], plan: MessagePlan, given: Leaves, dtype: torch.dtype
) -> list[Tensor]:
    """Outputs, and the gradient of everything that was given."""
    given = [t.detach().to(dtype).requires_grad_() for t in given]
    outputs = run(kind, plan, given)
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(t.shape, generator=generator).to(dtype) for t in outputs]
    return [*outputs, *torch.autograd.grad(outputs, given, weights)]


def close(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-5) -> None:
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(other.detach().abs().max()))
        assert torch.allclose(one.double(), other.double(), rtol=0, atol=tolerance * scale)


@needs_compiler
@pytest.mark.parametrize("seed", range(24))
def test_equals_the_eager_path_on_any_structure(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole weights, and weights cut into tiles of 4 x 4."""
    monkeypatch.setattr(tables, "SIDE", (64, 4)[seed % 2])
    plan = message_plan(structure(seed), TAPS)
    given = leaves(plan, (1, 4, 8, 9, 16, 21)[seed % 6], torch.randn)
    close(
        everything(KernelEdges, plan, given, torch.float32), everything(BlockEdges, plan, given, torch.double)
    )


@needs_compiler
@pytest.mark.parametrize("seed", range(8))
def test_ties_share_the_gradient_as_in_the_eager_path(seed: int) -> None:
    """Small whole numbers, exact in every step, so that extremes are attained many times."""
    plan = message_plan(structure(seed), TAPS)

    def number(*shape: int) -> Tensor:
        return torch.randint(-1, 2, shape).float() * 2

    given = leaves(plan, 5, number, layers=2)
    found = everything(KernelEdges, plan, given, torch.float32)
    close(found, everything(BlockEdges, plan, given, torch.double))


@needs_compiler
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("seed", range(6))
def test_numbers_that_are_not_finite_spread_as_in_the_eager_path(seed: int, value: float) -> None:
    plan = message_plan(structure(seed), TAPS)
    given = leaves(plan, 6, torch.randn, layers=2)
    given[seed % len(plan.stacks)].view(-1)[0] = value
    found, expected = (everything(kind, plan, given, torch.float32) for kind in (KernelEdges, BlockEdges))
    assert not all(t.isfinite().all() for t in expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.isnan(), other.isnan())
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3, equal_nan=True)


@needs_compiler
@pytest.mark.parametrize("name", ["cifar_resnet_conv", "depthwise", "grouped", "large_kernels", "attention"])
def test_the_metanetwork_equals_the_oracle(name: str) -> None:
    graph = networks.build(name)
    meta = Metanetwork(MetanetworkConfig(hidden=6, layers=3, rho=1.0), compile=True)
    state = {n: t.detach().clone().requires_grad_() for n, t in graph.state.items() if t.is_floating_point()}
    wanted = [*meta.parameters(), *state.values()]
    results = []
    for model in (meta, OracleMetanetwork(meta, flatten(graph.structure, TAPS))):
        outputs = {
            n: v for n, v in model(graph, state).items() if graph.structure.tensor[n].placement != "graph"
        }
        total = sum(v.square().sum() for _, v in sorted(outputs.items()))
        found = torch.autograd.grad(total, wanted, allow_unused=True)
        results.append(
            [*(v for _, v in sorted(outputs.items())), *(torch.zeros(()) if g is None else g for g in found)]
        )
    close(*results)


@needs_compiler
def test_the_number_of_threads_changes_nothing_of_the_messages() -> None:
    plan = message_plan(networks.build("digits_resnet").structure, TAPS)
    given = leaves(plan, 16, torch.randn)
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            results.append(run(KernelEdges, plan, given))
        finally:
            torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@needs_compiler
def test_a_large_mean_does_not_drown_the_deviation() -> None:
    axes = (Axis((Segment(0, 0, 40),)), Axis((Segment(1, 0, 3),)))
    weight = TensorSpec("w", (3, 40), "float32", "parameter", (1, 0), out_axis=0, in_axis=1)
    plan = message_plan(Structure((Group("in", 40), Group("out", 3)), axes, (weight,)), TAPS)
    given = leaves(plan, 4, torch.randn, layers=1)
    given[0] = 1000 + 0.01 * given[0]
    given[1], given[2], given[-1] = torch.ones(4, TAPS), torch.zeros(4), torch.ones(43, 16)
    found, expected = run(KernelEdges, plan, given), run(BlockEdges, plan, [t.double() for t in given])
    assert torch.allclose(found[0][40:, 4:8].double(), expected[0][40:, 4:8], rtol=1e-2)


@needs_compiler
def test_silu_to_the_last_places() -> None:
    values = torch.cat([torch.linspace(-100, 100, 80_000), torch.randn(16) * 1e-6, torch.tensor([0.0] * 16)])
    values[:4] = torch.tensor([torch.nan, torch.inf, -1e30, 1e30])
    found, expected = torch.empty_like(values), torch.nn.functional.silu(values)
    library = load_kernels()
    assert library is not None
    pointers = (ctypes.c_void_p(t.data_ptr()) for t in (values, found))
    library.netgraph_silu(*pointers, ctypes.c_long(len(values)))
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-35, equal_nan=True)


@needs_compiler
def test_memory_does_not_grow_with_edges_and_layers() -> None:
    plan, hidden = message_plan(networks.build("flatten").structure, TAPS), 8
    given = [t.requires_grad_() for t in leaves(plan, hidden, torch.randn, layers=5)]
    saved: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.untyped_storage().nbytes() // tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        run(KernelEdges, plan, given)
    table = tables.kernel_tables(plan)
    rows = 4 * len(table.row_node) * 16 * -(-hidden // 16)
    assert saved and max(saved) <= max(rows, 4 * hidden * plan.num_nodes, *(w.numel() for w in given))


@needs_compiler
def test_the_state_is_freed_and_the_graph_holds_no_ring() -> None:
    plan = message_plan(networks.build("concat").structure, TAPS)
    given = [t.requires_grad_() for t in leaves(plan, 4, torch.randn)]
    count = len(plan.stacks)
    edges = KernelEdges(plan, given[:count], *given[count : count + 2])
    edges.step(given[-1])
    total = sum(t.sum() for t in edges.decode(*given[count + 2 : count + 6]))
    assert edges.state is None
    alive = weakref.ref(edges)
    gc.disable()
    try:
        del edges
        assert alive() is not None  # the backward pass needs it
        del total
        assert alive() is None
    finally:
        gc.enable()


@needs_compiler
def test_a_second_backward_pass_gives_the_same_and_a_part_is_enough() -> None:
    plan = message_plan(networks.build("concat").structure, TAPS)
    given = [t.requires_grad_() for t in leaves(plan, 4, torch.randn)]
    outputs = run(KernelEdges, plan, given)
    total = sum(t.square().sum() for t in outputs)
    first = torch.autograd.grad(total, given, retain_graph=True)
    second = torch.autograd.grad(total, given, retain_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    count = len(plan.stacks)
    for part in (outputs[1], outputs[-1]):
        found = torch.autograd.grad(part.sum(), given[: count + 2], retain_graph=True)
        assert all(g.isfinite().all() for g in found) and found[-1].abs().sum() > 0


@needs_compiler
def test_weights_changed_before_the_backward_pass_are_noticed() -> None:
    plan = message_plan(networks.build("concat").structure, TAPS)
    for changed in (0, len(plan.stacks), -1):
        given = [t.requires_grad_() for t in leaves(plan, 4, torch.randn)]
        total = sum(t.sum() for t in run(KernelEdges, plan, given))
        with torch.no_grad():
            given[changed].add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            total.backward()


@needs_compiler
def test_second_derivatives_are_refused() -> None:
    plan = message_plan(networks.build("mlp").structure, TAPS)
    given = [t.requires_grad_() for t in leaves(plan, 4, torch.randn)]
    (grad,) = torch.autograd.grad(run(KernelEdges, plan, given)[0].sum(), given[-3], create_graph=True)
    with pytest.raises(RuntimeError):
        grad.sum().backward()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a process that has loaded nothing."""
    monkeypatch.setenv("NETGRAPH_CACHE", str(tmp_path))
    load_kernels.cache_clear()
    yield tmp_path / "kernels"
    load_kernels.cache_clear()


def test_without_a_compiler_it_is_told_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    with pytest.warns(
        RuntimeWarning, match=r"netgraph kernels: expected to build them, found no C\+\+ compiler"
    ):
        assert load_kernels() is None
    assert load_kernels() is None


def test_a_build_that_fails_is_told_and_the_eager_path_goes_on(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = cache.parent / "broken-compiler"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "no such dialect" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    eager = Metanetwork(MetanetworkConfig(4, 1))
    meta = Metanetwork(eager.config, compile=True)
    meta.load_state_dict(eager.state_dict())
    graph = networks.build("concat")
    with pytest.warns(RuntimeWarning, match=r"broken-compiler said 'no such dialect'; going on without them"):
        found = meta(graph)
    expected = eager(graph)
    assert all(torch.equal(found[n], v) for n, v in expected.items())
    assert list(cache.iterdir()) == []


@needs_compiler
def test_a_library_is_built_once_and_again_when_it_is_broken(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_kernels() is not None
    (path,) = cache.iterdir()
    assert path.stat().st_mode & 0o077 == 0 and cache.stat().st_mode & 0o077 == 0
    content = path.read_bytes()
    os.replace(path, path.with_name("kept"))  # what is mapped into this process must stay as it is
    path.write_bytes(content[: len(content) // 2])
    load_kernels.cache_clear()
    assert load_kernels() is not None
    found = [p for p in cache.glob("*.so") if p.read_bytes() == content[: len(content) // 2]]
    assert found == [] and len(list(cache.glob("*.so"))) == 1
    load_kernels.cache_clear()
    monkeypatch.setattr(build, "_built", None)
    assert load_kernels() is not None


@needs_compiler
def test_another_program_has_its_own_library_and_may_include_both_folders(cache: Path) -> None:
    folder = cache.parent / "other"
    folder.mkdir()
    program, header = folder / "other.cpp", folder / "number.h"
    program.write_text(
        '#include "vectors.h"\n#include "number.h"\nextern "C" long other() { return NUMBER + W * 0; }\n'
    )
    for number in (3, 4):  # a header that changes is noticed
        header.write_text(f"constexpr long NUMBER = {number};\n")
        load_kernels.cache_clear()
        library = load_kernels(program)
        assert library is not None and library.other() == number
    assert len(list(cache.glob("*.so"))) == 2


@needs_compiler
def test_many_may_build_at_once(cache: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = [f.result() for f in [pool.submit(load_kernels.__wrapped__) for _ in range(3)]]
    assert all(library is not None for library in found)
    assert {p.suffix for p in cache.iterdir()} == {".so"}


@needs_compiler
def test_a_cache_that_others_may_write_to_is_not_trusted(cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)
    assert load_kernels() is not None
    assert list(cache.iterdir()) == []


@needs_compiler
@pytest.mark.parametrize(("dtype", "kind"), [(torch.float32, KernelEdges), (torch.double, BlockEdges)])
def test_which_path_is_taken(dtype: torch.dtype, kind: type) -> None:
    plan = message_plan(networks.build("mlp").structure, TAPS)
    windows = [torch.randn(s.edges, len(s.columns), dtype=dtype) for s in plan.stacks]
    compiled, eager = (Metanetwork(MetanetworkConfig(4, 1), compile=c).to(dtype) for c in (True, False))
    assert type(compiled._edges(plan, windows)) is kind
    assert type(eager._edges(plan, windows)) is BlockEdges
