import torch

from netgraph.pruning import CRITERIA, random_scores
from tests.pruning.nets import make_graph


def test_depends_on_the_seed_alone() -> None:
    graph = make_graph("digits")
    other = graph.replace({n: t + 1 for n, t in graph.state.items()})
    first, again, second = random_scores(3)(graph), random_scores(3)(other), random_scores(4)(graph)
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert any(not torch.equal(first[n], second[n]) for n in first)
    assert all(torch.equal(CRITERIA["random"](graph)[n], s) for n, s in random_scores(0)(graph).items())


def test_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    random_scores(0)(make_graph("mlp"))
    graph_made = torch.get_rng_state()
    random_scores(0)(make_graph("mlp"))
    assert before.shape == graph_made.shape
    state = torch.get_rng_state()
    graph = make_graph("mlp")
    torch.set_rng_state(state)
    random_scores(0)(graph)
    assert torch.equal(torch.get_rng_state(), state)
