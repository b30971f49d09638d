import pytest
import torch

from netgraph.pruning import fpgm
from tests.pruning.criteria.oracle import fpgm_loops
from tests.pruning.nets import NAMES, make_graph


@pytest.mark.parametrize("name", NAMES)
def test_equals_loops(name: str) -> None:
    graph = make_graph(name)
    got = fpgm(graph)
    for group, scores in fpgm_loops(graph).items():
        assert got[group].tolist() == pytest.approx([s / max(scores) for s in scores], rel=1e-4)


def test_a_duplicate_in_the_middle_goes_first() -> None:
    graph = make_graph("mlp")
    weight = torch.zeros(8, 6)
    weight[:, 0] = torch.tensor([-9.0, -4.0, 0.1, 0.1, 5.0, 8.0, -7.0, 11.0])
    scores = fpgm(graph.replace({"layers.0.weight": weight}))["layers.0"]
    assert set(torch.argsort(scores)[:2].tolist()) == {2, 3}
