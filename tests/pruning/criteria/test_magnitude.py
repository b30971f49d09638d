import pytest
import torch

from netgraph.errors import UsageError
from netgraph.pruning import l1, l2, magnitude
from tests.pruning.criteria.oracle import magnitude_loops
from tests.pruning.nets import NAMES, make_graph


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("p", "inside", "reduce"), [(2, "sum", "mean"), (1, "mean", "mean"), (3, "sum", "sum")]
)
def test_equals_loops(name: str, p: int, inside: str, reduce: str) -> None:
    graph = make_graph(name)
    got = magnitude(p=p, inside=inside, reduce=reduce, normalize=None)(graph)  # type: ignore[arg-type]
    expected = magnitude_loops(graph, p, inside, reduce)
    assert list(got) == list(expected)
    for group, scores in expected.items():
        assert got[group].tolist() == pytest.approx(scores, rel=1e-4)


@pytest.mark.parametrize(("criterion", "p"), [(l1, 1), (l2, 2)])
def test_registered_ones_are_normalised_by_the_maximum(criterion, p: int) -> None:  # type: ignore[no-untyped-def]
    graph = make_graph("digits")
    plain = magnitude(p=p, normalize=None)(graph)
    for name, scores in criterion(graph).items():
        assert float(scores.max()) == 1
        assert torch.allclose(scores, plain[name] / plain[name].max())


def test_mean_normalisation() -> None:
    for scores in magnitude(normalize="mean")(make_graph("mlp")).values():
        assert float(scores.mean()) == pytest.approx(1)


def test_half_precision_weights_are_scored_in_single() -> None:
    graph = make_graph("mlp")
    half = graph.replace({n: t.bfloat16() for n, t in graph.state.items()})
    scores = l2(half)
    assert all(s.dtype == torch.float32 and bool(s.isfinite().all()) for s in scores.values())


def test_buffers_do_not_count() -> None:
    graph = make_graph("mlp-norm")
    changed = graph.replace({n: t + 7 for n, t in graph.state.items() if "running" in n})
    assert all(torch.equal(a, l2(changed)[n]) for n, a in l2(graph).items())


@pytest.mark.parametrize("p", [0, -1, float("nan")])
def test_refuses_an_order(p: float) -> None:
    with pytest.raises(UsageError, match="magnitude: expected"):
        magnitude(p=p)
