"""The example on operator graphs: what it reads out of a network, and that it runs."""

import random

import pytest
import torch

from examples.skip_connections import SKIP, Residual, ask, main, read
from netgraph.convert import to_graph
from netgraph.convert.operator_exchange import OPERATOR_KINDS
from netgraph.graph.operators import operator_graph
from netgraph.zoo import DigitsResNet


def test_residual_sums_become_links() -> None:
    """Three blocks with the plain shortcut, and one whose shortcut has a convolution, which stays a sum."""
    net = DigitsResNet(4, (2, 2)).eval()
    chain = read(operator_graph(to_graph(net, torch.zeros(2, 1, 8, 8)), contract=True))
    kinds = [OPERATOR_KINDS[k] for k in chain.kinds]
    assert kinds.count("add") == 1 and len(chain.links) == 3
    for u, v in chain.links:
        assert kinds[u] == "relu" and kinds[v] == "batch_norm"
        assert chain.steps[u, v] == 5 and (u, v) in chain.candidates
    assert all(u < v for u, v in chain.flow)
    shapes = chain.x[:, len(OPERATOR_KINDS) + 1 : len(OPERATOR_KINDS) + 4]
    assert all(torch.equal(shapes[u], shapes[v]) for u, v in chain.candidates)


def test_as_many_links_as_blocks_that_have_one() -> None:
    for seed in range(2):
        net = Residual(random.Random(seed)).eval()
        chain = read(operator_graph(to_graph(net, torch.zeros(2, 3, 8, 8)), contract=True))
        blocks = [isinstance(part, torch.nn.ModuleList) for part in net.stages]
        assert len(chain.links) == sum(a and b for a, b in zip(net.skips, blocks, strict=True))


def test_what_is_hidden_is_not_in_the_graph() -> None:
    net = DigitsResNet(4, (3, 3)).eval()
    chain = read(operator_graph(to_graph(net, torch.zeros(2, 1, 8, 8)), contract=True))
    question = ask(chain, random.Random(0))
    assert len(question.hidden) == 3 and not set(question.false) & set(chain.links)
    graph = question.graph
    skips = graph.edge_index[:, graph.relation == SKIP].T.tolist()
    assert sorted([*map(tuple, skips), *question.hidden]) == sorted(chain.links)
    assert not graph.has(torch.tensor(question.hidden).T).any()


@pytest.mark.slow
def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--networks", "6", "--epochs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("4 networks to learn from, 2 to be asked about")
    assert [line[:28].strip() for line in lines[-3:]] == ["GAE (SAGE)", "NCN (SAGE)", "NBFNet"]
    assert all(0 <= float(n) <= 1 for line in lines[3:] for n in line[28:].split()[:5])
