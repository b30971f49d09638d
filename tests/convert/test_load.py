"""Graph state back into a module: everything or nothing."""

import pytest
import torch
from torch import nn

from netgraph import load_into, to_graph
from netgraph.errors import ConversionError
from netgraph.graph import same_bytes
from tests.convert.cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_fresh_module_takes_the_same_bytes(case: Case) -> None:
    module, inputs = case.make()
    graph = to_graph(module, inputs, product=case.product).clone()
    fresh = case.build()
    assert load_into(fresh, graph) is fresh
    expected = module.state_dict()
    assert all(same_bytes(t, expected[n]) for n, t in fresh.state_dict().items())


def test_ties_stay_tied() -> None:
    case = next(c for c in CASES if c.name == "tied embedding")
    module, inputs = case.make()
    graph = to_graph(module, inputs)
    fresh = load_into(case.build(), graph)
    assert fresh.head.weight is fresh.words.weight
    rebuilt = graph.to_module()
    assert rebuilt.get_parameter("head.weight") is rebuilt.get_parameter("words.weight")
    assert len(graph.structure.aliases) == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (nn.Linear(3, 4), r"float32\[2, 3\] in the graph but float32\[4, 3\] in Linear"),
        (nn.Linear(3, 2).double(), r"'weight' is float32.* but float64"),
        (nn.Linear(3, 2, bias=False), r"has \['bias'\] that Linear does not know"),
        (nn.Sequential(nn.Linear(3, 2)), r"lacks \['0.bias', '0.weight'\]"),
    ],
    ids=["shape", "dtype", "missing", "other names"],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(target: nn.Module, message: str) -> None:
    before = {n: t.clone() for n, t in target.state_dict().items()}
    with pytest.raises(ConversionError, match=message):
        load_into(target, to_graph(nn.Linear(3, 2), torch.zeros(1, 3)))
    assert all(same_bytes(t, before[n]) for n, t in target.state_dict().items())
