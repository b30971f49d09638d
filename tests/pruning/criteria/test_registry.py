import pytest
import torch

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph
from netgraph.pruning import CRITERIA, criterion, resolve_criterion
from netgraph.pruning.criteria import Scores
from tests.pruning.nets import make, make_graph


def test_shipped_names() -> None:
    assert set(CRITERIA) == {"bn_scale", "fpgm", "l1", "l2", "random", "taylor"}


def test_register_and_resolve() -> None:
    try:

        @criterion("ones")
        def ones(graph: NeuralGraph) -> Scores:
            return {g.name: torch.ones(g.size) for g in graph.structure.groups if g.role == "hidden"}

        assert resolve_criterion("ones") is ones
        with pytest.raises(UsageError, match="expected a new name, got 'ones'"):
            criterion("ones")(ones)
    finally:
        CRITERIA.pop("ones", None)


def test_a_parameter_called_loss_gets_the_closure() -> None:
    net, x = make("mlp")

    def by_loss(graph: NeuralGraph, loss) -> Scores:  # type: ignore[no-untyped-def]
        return {"layers.0": torch.full((8,), float(loss(net).detach()))}

    scores = resolve_criterion(by_loss, loss=lambda m: m(x).sum())(make_graph("mlp"))
    assert float(scores["layers.0"][0]) == pytest.approx(float(net(x).sum().detach()))


def test_a_loss_that_nobody_needs_is_fine() -> None:
    assert resolve_criterion("l2", loss=lambda m: torch.zeros(())) is CRITERIA["l2"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("l3", "expected one of bn_scale, fpgm, l1, l2, random, taylor, got 'l3'; did you mean"),
        ("", "choose one of these"),
        ("taylor", "'taylor' expected a loss closure, got none"),
        (3, "expected a name, a function or a metanetwork, got int"),
    ],
    ids=str,
)
def test_refuses(given, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        resolve_criterion(given)
