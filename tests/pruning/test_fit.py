import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netgraph.errors import BudgetError, UsageError
from netgraph.graph import CostModel, Group, NodeMask, Structure, select_structure
from netgraph.pruning import fit_mask, magnitude, random_scores, smallest_width
from tests.pruning.nets import NAMES, make_graph

STRUCTURE = Structure((Group("in", 2, "input"), Group("a", 5), Group("b", 3), Group("c", 4)), (), ())


def kept(mask: NodeMask, structure: Structure = STRUCTURE) -> dict[str, int]:
    return {g.name: int(k.sum()) for g, k in zip(structure.groups, mask.arrays(structure), strict=True)}


def by_hand(scores: dict[str, torch.Tensor], cost: object, target: float, floors: dict[str, int], step: int):  # type: ignore[no-untyped-def]
    """Drop one node after another, as long as the cost is too high."""
    order = sorted((float(s), n, i) for n, t in scores.items() for i, s in enumerate(t))
    alive = {n: list(range(len(t))) for n, t in scores.items()}
    keep = {n: {*v} for n, v in alive.items()}
    while True:
        mask = NodeMask({n: torch.tensor([i in keep[n] for i in range(len(t))]) for n, t in scores.items()})
        if cost(mask) <= target:  # type: ignore[operator]
            return mask
        while True:
            if not order:
                return None
            _, name, node = order.pop(0)
            if len(alive[name]) - 1 < floors[name]:
                continue
            alive[name].remove(node)
            break
        size = len(scores[name])
        width = min(size, math.ceil(len(alive[name]) / step) * step)
        gone = torch.argsort(scores[name])[: size - width].tolist()
        keep[name] = set(range(size)) - set(gone)


@given(
    data=st.lists(st.integers(0, 10**6), min_size=12, max_size=12, unique=True),
    share=st.floats(0.05, 1.0),
    min_keep=st.sampled_from([1, 2, 0.5]),
    step=st.sampled_from([1, 2, 4]),
)
def test_equals_dropping_one_by_one(data: list[int], share: float, min_keep: float, step: int) -> None:
    scores = {
        "a": torch.tensor(data[:5]).double(),
        "b": torch.tensor(data[5:8]).double(),
        "c": torch.tensor(data[8:]).double(),
    }

    def cost(mask: NodeMask) -> float:
        n = kept(mask)
        return n["a"] * n["b"] + n["b"] * n["c"] + 3 * n["c"]

    floors = {n: smallest_width(len(t), min_keep, step) for n, t in scores.items()}
    target = share * cost(NodeMask({}))
    expected = by_hand(scores, cost, target, floors, step)
    if expected is None:
        with pytest.raises(BudgetError):
            fit_mask(STRUCTURE, scores, cost, target, floors=floors, round_to=step)
    else:
        given_mask = fit_mask(STRUCTURE, scores, cost, target, floors=floors, round_to=step)
        assert kept(given_mask) == kept(expected)
        assert all(torch.equal(k, expected.keep[n]) for n, k in given_mask.keep.items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("ranking", "kind"), [("global", "macs"), ("global", "params"), ("uniform", "macs")])
def test_budget_is_met_and_the_mask_can_be_applied(name: str, ranking: str, kind: str) -> None:
    graph = make_graph(name)
    model = CostModel(graph.structure)
    cost = model.macs if kind == "macs" else model.params
    target = 0.6 * cost()
    mask = fit_mask(graph.structure, magnitude()(graph), cost, target, ranking=ranking)
    small = CostModel(select_structure(graph.structure, mask))
    reached = small.macs() if kind == "macs" else small.params()
    assert reached == cost(mask) <= target
    # one node less dropped and the budget would be missed: give back the best of each group in turn
    scores = magnitude()(graph)
    if ranking == "global":
        gone = [(float(scores[n][i]), n, int(i)) for n, k in mask.keep.items() for i in (~k).nonzero()]
        _, group, node = max(gone)
        more = {n: k.clone() for n, k in mask.keep.items()}
        more[group][node] = True
        assert cost(NodeMask(more)) > target


def test_uniform_takes_equal_shares() -> None:
    structure = Structure((Group("a", 100), Group("b", 20), Group("c", 40)), (), ())
    scores = {g.name: torch.rand(g.size) for g in structure.groups}
    mask = fit_mask(structure, scores, lambda m: 160 - m.dropped, 80, ranking="uniform")
    assert kept(mask, structure) == {"a": 50, "b": 10, "c": 20}


def test_cost_is_asked_about_log2_n_times() -> None:
    structure = Structure((Group("a", 4096),), (), ())
    calls = itertools.count()

    def cost(mask: NodeMask) -> float:
        next(calls)
        return 4096 - mask.dropped

    mask = fit_mask(structure, {"a": torch.rand(4096)}, cost, 1000)
    assert mask.dropped == 3096
    assert next(calls) <= 15


def test_what_is_not_scored_or_not_allowed_stays() -> None:
    scores = {"a": torch.rand(5), "b": torch.rand(3)}
    mask = fit_mask(STRUCTURE, scores, lambda m: 8 - m.dropped, 6, floors={"b": 1})
    assert set(mask.keep) == {"b"} and mask.dropped == 2


def test_a_budget_that_is_met_already_drops_nothing() -> None:
    assert fit_mask(STRUCTURE, {"a": torch.rand(5)}, lambda m: 1.0, 1.0).keep == {}


def test_a_measurement_that_misses_is_never_returned() -> None:
    measured: dict[int, float] = {}
    noise = iter([1.0, 0.9, 1.2, 0.8, 1.1, 1.0, 1.3, 0.9, 1.0, 1.1] * 3)

    def cost(mask: NodeMask) -> float:
        measured[mask.dropped] = (64 - mask.dropped) * next(noise)
        return measured[mask.dropped]

    structure = Structure((Group("a", 64),), (), ())
    mask = fit_mask(structure, {"a": torch.rand(64)}, cost, 30)
    assert measured[mask.dropped] <= 30


def test_unreachable_budget_says_what_can_be_reached() -> None:
    graph = make_graph("digits")
    model = CostModel(graph.structure)
    scores = random_scores()(graph)
    smallest = model.macs(NodeMask({n: torch.arange(len(s)) == 0 for n, s in scores.items()}))
    with pytest.raises(BudgetError, match=f"got {smallest:,.6g} as the smallest that can be reached"):
        fit_mask(graph.structure, scores, model.macs, smallest - 1)
    assert model.macs(fit_mask(graph.structure, scores, model.macs, smallest)) == smallest


def test_no_group_at_all_is_an_unreachable_budget() -> None:
    with pytest.raises(BudgetError, match="cutting 0 groups"):
        fit_mask(STRUCTURE, {}, lambda m: 2.0, 1.0)


BAD = {
    "unknown group": {"d": torch.rand(5)},
    "wrong size": {"a": torch.rand(4)},
    "NaN": {"a": torch.tensor([1.0, float("nan"), 2.0, 3.0, 4.0])},
    "infinity": {"a": torch.tensor([1.0, float("inf"), 2.0, 3.0, 4.0])},
}


@pytest.mark.parametrize("scores", BAD.values(), ids=BAD)
def test_refuses_scores(scores: dict[str, torch.Tensor]) -> None:
    with pytest.raises(UsageError, match="criterion: expected"):
        fit_mask(STRUCTURE, scores, lambda m: 2.0, 1.0)
