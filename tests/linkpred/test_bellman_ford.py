"""Generalised Bellman-Ford, in chunks and in the kernel, against messages that stand in memory."""

import itertools

import pytest
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph, chunks
from netgraph.linkpred.bellman_ford import AGGREGATES, MESSAGES, propagate, scale_factors, statistics
from netgraph.nn.kernels import find_compiler
from tests.linkpred.bellman_ford_oracle import plain_propagate

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C++ compiler")

SHAPES = ((1, 2), (3, 6), (2, 16), (3, 32), (1, 40))
"""Samples and features: less than a row of the kernel, a bit more, whole rows, rows of several samples."""


def graph_of(seed: int, relations: int = 3, nodes: int = 20) -> LinkGraph:
    """Loops, parallel edges of other relations, nodes without edges, a node that most edges go to."""
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes - 3, (2, 70), generator=generator)
    edges[1, :30] = 5
    kind = torch.randint(relations, (70,), generator=generator)
    return LinkGraph.from_edges(edges, nodes, relation=kind, num_relations=relations, undirected=False)


def inputs(graph: LinkGraph, batch: int, features: int, *, shared: bool, weighted: bool) -> list[Tensor]:
    """States, relation, boundary and maybe weights, in double precision."""
    n, r = graph.num_nodes, graph.num_relations
    relation = (r, features) if shared else (batch, r, features)
    shapes: list[tuple[int, ...]] = [(n, batch, features), relation, (n, batch, features)]
    if weighted:
        shapes.append((len(graph.indices),))
    return [torch.randn(*shape, dtype=torch.double) for shape in shapes]


def ours(graph: LinkGraph, given: list[Tensor], message: str, aggregate: str, compile: bool) -> Tensor:
    weight = given[3] if len(given) > 3 else None
    options = {"message": message, "edge_weight": weight, "compile": compile}
    if aggregate == "statistics":
        return statistics(graph, *given[:3], **options)
    return propagate(graph, *given[:3], aggregate=aggregate, **options)


def plain(graph: LinkGraph, given: list[Tensor], message: str, aggregate: str) -> Tensor:
    return plain_propagate(graph, *given[:3], message, aggregate, *given[3:])


def with_gradients(out: Tensor, given: list[Tensor]) -> list[Tensor]:
    pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double).to(out)
    found = torch.autograd.grad(out, given, pull, allow_unused=True)
    return [out, *(torch.zeros_like(t) if g is None else g for g, t in zip(found, given, strict=True))]


def differences(
    graph: LinkGraph, given: list[Tensor], message: str, aggregate: str, compile: bool
) -> list[float]:
    """Of the result and of every gradient, relative to its largest number."""
    mine = [t.to(torch.float32 if compile else torch.double).requires_grad_() for t in given]
    found = with_gradients(ours(graph, mine, message, aggregate, compile), mine)
    exact = [t.detach().double().requires_grad_() for t in mine]
    expected = with_gradients(plain(graph, exact, message, aggregate), exact)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
    return [
        float((one - other).detach().abs().max() / other.detach().abs().max().clamp(min=1))
        for one, other in zip(found, expected, strict=True)
        if other.numel()
    ]


CASES = list(itertools.product(MESSAGES, (*AGGREGATES, "statistics")))


@pytest.mark.parametrize(("message", "aggregate"), CASES)
def test_chunks_equal_plain_message_passing(
    message: str, aggregate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, (batch, features) in enumerate(SHAPES):
        # Chunks that end within the row of a node.
        monkeypatch.setitem(chunks._NUMBERS_AT_ONCE, "cpu", 7 * batch * features)
        for shared, weighted in itertools.product((False, True), repeat=2):
            graph = graph_of(seed)
            given = inputs(graph, batch, features, shared=shared, weighted=weighted)
            assert max(differences(graph, given, message, aggregate, False)) < 1e-10


@needs_compiler
@pytest.mark.parametrize(("message", "aggregate"), CASES)
def test_the_kernel_equals_plain_message_passing(message: str, aggregate: str) -> None:
    for seed, (batch, features) in enumerate(SHAPES):
        for shared, weighted in itertools.product((False, True), repeat=2):
            graph = graph_of(seed)
            given = inputs(graph, batch, features, shared=shared, weighted=weighted)
            assert max(differences(graph, given, message, aggregate, True)) < 1e-5


both_paths = pytest.mark.parametrize("compile", [False, pytest.param(True, marks=needs_compiler)])


@both_paths
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_edges_that_are_left_out_do_not_exist(aggregate: str, compile: bool) -> None:
    graph = graph_of(0)
    gone = graph.edge_index[:, ::5]
    less = graph.without(gone)
    pairs = set(zip(*gone.tolist(), strict=True))
    stay = [
        i
        for i, (u, v) in enumerate(graph.edge_index.T.tolist())
        if (u, v) not in pairs and (v, u) not in pairs
    ]
    assert graph.relation is not None and 0 < len(stay) < graph.num_edges
    fresh = LinkGraph.from_edges(
        graph.edge_index[:, stay], 20, relation=graph.relation[stay], num_relations=3, undirected=False
    )
    given = inputs(graph, 2, 6, shared=False, weighted=True)
    given = [t.to(torch.float32 if compile else torch.double).requires_grad_() for t in given]
    found = with_gradients(ours(less, given, "distmult", aggregate, compile), given)
    there = [*given[:3], given[3][stay].detach().requires_grad_()]
    expected = with_gradients(ours(fresh, there, "distmult", aggregate, compile), there)
    assert all(torch.equal(a, b) for a, b in zip(found[:-1], expected[:-1], strict=True))
    assert torch.equal(found[-1][stay], expected[-1])
    assert found[-1].count_nonzero() <= len(stay)
    assert max(differences(less, [t.detach().double() for t in given], "distmult", aggregate, compile)) < 1e-5


@both_paths
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_graphs_of_one_relation_and_without_edges(aggregate: str, compile: bool) -> None:
    edges = graph_of(1).edge_index
    for graph in (LinkGraph.from_edges(edges, 20), LinkGraph.from_edges(edges[:, :0], 4)):
        given = inputs(graph, 2, 4, shared=False, weighted=True)
        assert max(differences(graph, given, "distmult", aggregate, compile)) < (1e-5 if compile else 1e-10)


@both_paths
@pytest.mark.parametrize("shared", [True, False])
def test_no_samples(shared: bool, compile: bool) -> None:
    given = [t.float().requires_grad_() for t in inputs(graph_of(0), 0, 4, shared=shared, weighted=True)]
    out, *found = with_gradients(ours(graph_of(0), given, "distmult", "pna", compile), given)
    assert out.shape == (20, 0, 48)
    assert [g.shape for g in found] == [t.shape for t in given] and not any(g.any() for g in found)


@both_paths
@pytest.mark.parametrize(("aggregate", "sign"), [("max", 1), ("min", -1)])
def test_of_equal_extremes_the_boundary_and_then_the_first_edge_has_the_gradient(
    aggregate: str, sign: int, compile: bool
) -> None:
    graph = LinkGraph.from_edges(torch.tensor([[1, 2, 3], [0, 0, 0]]), 4, undirected=False)
    for own, winner in ((0.0, 1), (1.0, 0)):
        states = torch.tensor([0.0, 1.0, 1.0, 0.5]).view(4, 1, 1).mul(sign).requires_grad_()
        boundary = torch.tensor([own, 0.0, 0.0, 0.0]).view(4, 1, 1).mul(sign).requires_grad_()
        weight = torch.ones(3, requires_grad=True)
        out = propagate(
            graph,
            states,
            torch.ones(1, 1),
            boundary,
            aggregate=aggregate,  # type: ignore[arg-type]
            edge_weight=weight,
            compile=compile,
        )
        out[0].sum().backward()
        assert states.grad is not None and boundary.grad is not None and weight.grad is not None
        assert states.grad.flatten().tolist() == [0.0, float(winner == 1), 0.0, 0.0]
        assert boundary.grad.flatten().tolist() == [float(winner == 0), 0.0, 0.0, 0.0]
        assert weight.grad.tolist() == [float(sign * (winner == 1)), 0.0, 0.0]


@both_paths
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_numbers_that_are_not_finite_spread_as_in_plain_message_passing(
    aggregate: str, value: float, compile: bool
) -> None:
    graph = graph_of(2)
    given = [t.float() for t in inputs(graph, 2, 4, shared=True, weighted=False)]
    given[0][graph.indices[3], 0, 1] = value
    given[2][0, 1, 2] = value
    found, expected = ours(graph, given, "distmult", aggregate, compile), plain(
        graph, given, "distmult", aggregate
    )  # fmt: skip
    assert not expected.isfinite().all()
    # A deviation around an infinite mean is NaN in both, and so is its product with a scale.
    assert torch.equal(found.isnan(), expected.isnan())
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4, equal_nan=True)


@both_paths
def test_a_large_mean_does_not_drown_the_deviation(compile: bool) -> None:
    graph = graph_of(3)
    states = 1000 + 0.01 * torch.randn(20, 2, 16, dtype=torch.double)
    given = [states, torch.ones(3, 16, dtype=torch.double), states.flip(0)]
    mine = [t.float() for t in given]
    found = ours(graph, mine, "distmult", "statistics", compile)[..., -16:]
    expected = plain(graph, [t.double() for t in mine], "distmult", "statistics")[..., -16:]
    assert torch.allclose(found.double(), expected, rtol=2e-2)


@both_paths
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_no_message_is_kept(aggregate: str, compile: bool) -> None:
    edges = torch.randint(20, (2, 300))
    graph = LinkGraph.from_edges(edges, 20, relation=torch.arange(300) % 3, undirected=False)
    given = [t.float().requires_grad_() for t in inputs(graph, 3, 16, shared=False, weighted=True)]
    saved: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        saved.append(tensor.untyped_storage().nbytes() // 4)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        ours(graph, given, "distmult", aggregate, compile)
    one_message_each = len(graph.indices) * 3 * 16
    assert saved and sum(saved) <= 9 * given[0].numel() + 1000 < one_message_each


@needs_compiler
@pytest.mark.parametrize("message", MESSAGES)
def test_the_number_of_threads_changes_nothing_but_sums_over_samples(message: str) -> None:
    graph = graph_of(0)
    given = [t.float().requires_grad_() for t in inputs(graph, 3, 6, shared=False, weighted=True)]
    results = []
    for threads in (1, 3, 8):
        torch.set_num_threads(threads)
        try:
            results.append(with_gradients(ours(graph, given, message, "pna", True), given))
        finally:
            torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0][:-1], other[:-1], strict=True))
        assert torch.allclose(results[0][-1], other[-1], rtol=1e-4, atol=1e-4)


@both_paths
def test_only_what_is_asked_for_has_a_gradient_and_that_is_the_same(compile: bool) -> None:
    graph = graph_of(1)
    given = [t.float().requires_grad_() for t in inputs(graph, 2, 6, shared=False, weighted=True)]
    every = with_gradients(ours(graph, given, "rotate", "pna", compile), given)[1:]
    for i in range(4):
        alone = [t.detach().requires_grad_(i == j) for j, t in enumerate(given)]
        out = ours(graph, alone, "rotate", "pna", compile)
        pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.double)
        assert torch.equal(torch.autograd.grad(out, alone[i], pull.float())[0], every[i])
    with torch.no_grad():
        assert torch.equal(ours(graph, given, "rotate", "pna", compile), out)


@needs_compiler
def test_views_are_read_as_what_they_show() -> None:
    graph = graph_of(1)
    given = inputs(graph, 3, 8, shared=False, weighted=False)
    strange = [t.float().transpose(0, 2).contiguous().transpose(0, 2) for t in given]
    found = ours(graph, strange, "rotate", "pna", True)
    assert torch.allclose(found.double(), plain(graph, given, "rotate", "pna"), atol=1e-4)
    expanded = [given[0].float(), given[1][:1].float().expand(3, -1, -1), given[2].float()]
    exact = [t.double() for t in expanded]
    found = ours(graph, expanded, "distmult", "sum", True)
    assert torch.allclose(found.double(), plain(graph, exact, "distmult", "sum"), atol=1e-4)


@both_paths
def test_second_derivatives_are_refused(compile: bool) -> None:
    graph = graph_of(0)
    given = [t.float().requires_grad_() for t in inputs(graph, 1, 4, shared=False, weighted=False)]
    out = ours(graph, given, "distmult", "sum", compile)
    (grad,) = torch.autograd.grad(out.square().sum(), given[0], create_graph=True)
    with pytest.raises(RuntimeError):
        grad.sum().backward()


def test_steps_of_bellman_ford_are_powers_of_the_adjacency() -> None:
    """With sums and products of ones: the walks from each source, of all lengths up to the steps."""
    graph = LinkGraph.from_edges(graph_of(4).edge_index, 20, undirected=False)
    adjacency = torch.zeros(20, 20, dtype=torch.double)
    adjacency[tuple(graph.edge_index.flip(0))] = 1
    boundary = torch.eye(20, dtype=torch.double).unsqueeze(-1)  # (N, B, 1)
    states, walks, power = boundary, torch.eye(20, dtype=torch.double), torch.eye(20, dtype=torch.double)
    for _ in range(4):
        states = propagate(graph, states, torch.ones(1, 1, dtype=torch.double), boundary)
        power = adjacency @ power
        walks = walks + power
    assert torch.equal(states.squeeze(-1), walks)


def test_shortest_paths_are_a_special_case() -> None:
    """`"min"` and `"transe"`: lengths of edges add up."""
    networkx = pytest.importorskip("networkx")
    graph = graph_of(5)
    lengths = torch.tensor([1.0, 2.5, 4.0], dtype=torch.double)
    boundary = torch.full((20, 1, 1), torch.inf, dtype=torch.double)
    boundary[3] = 0
    states = boundary
    for _ in range(20):
        states = propagate(graph, states, lengths.view(3, 1), boundary, message="transe", aggregate="min")
    peer = networkx.MultiDiGraph()
    peer.add_nodes_from(range(20))
    assert graph.edge_relation is not None
    for (u, v), r in zip(graph.edge_index.T.tolist(), graph.edge_relation.tolist(), strict=True):
        peer.add_edge(u, v, length=float(lengths[r]))
    expected = networkx.single_source_bellman_ford_path_length(peer, 3, weight="length")
    assert states.flatten().tolist() == [expected.get(v, float("inf")) for v in range(20)]


def test_factors_count_what_is_kept() -> None:
    graph = LinkGraph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 5)
    less = graph.without(torch.tensor([[0], [1]]))
    count = torch.tensor([1, 2, 3, 2, 1], dtype=torch.double)
    ones, scale, inverse = scale_factors(less, torch.double)
    assert torch.allclose(scale, count.log() / count.log().mean())
    assert torch.equal(inverse, 1 / scale.clamp(min=0.01)) and torch.equal(ones, torch.ones(5).double())
    assert scale_factors(graph.without(graph.edge_index))[1].tolist() == [0.0] * 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"states": torch.zeros(19, 2, 4)}, r"states of shape \(20, B, F\), got \(19, 2, 4\)"),
        ({"states": torch.zeros(20, 4)}, "states of shape"),
        ({"relation": torch.zeros(2, 4)}, r"relation of shape \(3, 4\) or \(2, 3, 4\), got \(2, 4\)"),
        ({"boundary": torch.zeros(20, 2, 5)}, r"boundary of shape \(20, 2, 4\)"),
        ({"edge_weight": torch.zeros(3)}, "edge_weight of shape"),
        ({"message": "product"}, "a message of distmult, transe, rotate, got 'product'"),
        ({"aggregate": "median"}, "an aggregate of sum, mean, max, min, pna, got 'median'"),
        ({"compile": True}, "float32 on a CPU"),
    ],
)
def test_refusals(changes: dict[str, object], words: str) -> None:
    graph = graph_of(0)
    zeros = torch.zeros(20, 2, 4, dtype=torch.double)
    given = {"states": zeros, "relation": torch.zeros(3, 4), "boundary": zeros} | changes
    with pytest.raises(UsageError, match=words):
        propagate(graph, **given)  # type: ignore[arg-type]


def test_an_odd_width_cannot_rotate() -> None:
    zeros = torch.zeros(20, 2, 3)
    with pytest.raises(UsageError, match="even number of features"):
        propagate(graph_of(0), zeros, torch.zeros(3, 3), zeros, message="rotate")
