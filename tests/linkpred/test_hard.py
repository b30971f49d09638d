"""Hard negatives against dense matrices."""

import importlib.util
import sys
import types

import pytest
import torch

from netgraph.errors import GraphError, UsageError
from netgraph.linkpred import LinkGraph, Links
from netgraph.linkpred.hard import hard_negatives
from netgraph.linkpred.known import KnownTails


def random_graph(seed: int, nodes: int = 14, count: int = 24, undirected: bool = True) -> LinkGraph:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes - 1, (2, count), generator=generator)  # the last node is isolated
    x = torch.randn(nodes, 3, generator=generator)
    return LinkGraph.from_edges(edges, nodes, x=x, undirected=undirected)


def dense(graph: LinkGraph, name: str) -> torch.Tensor:
    nodes = graph.num_nodes
    a = torch.zeros(nodes, nodes, dtype=torch.float64)
    a[graph.edge_index[0], graph.edge_index[1]] = 1
    a = ((a + a.T) > 0).double()
    degree = a.sum(0)
    if name == "pagerank":
        walk = a / degree.clamp(min=1)[:, None]
        return 0.15 * torch.linalg.inv(torch.eye(nodes).double() - 0.85 * walk)
    if name == "features":
        unit = torch.nn.functional.normalize(graph.x.double(), dim=1)
        return unit @ unit.T
    weight = {
        "common_neighbours": torch.ones_like(degree),
        "resource_allocation": 1 / degree.clamp(min=1),
        "adamic_adar": 1 / degree.clamp(min=2).log(),
    }[name]
    return a @ torch.diag(weight) @ a


def mean_ranks(graph: LinkGraph, names: list[str], node: int, barred: set[int]) -> dict[int, float]:
    rows = [dense(graph, name)[node] for name in names]
    free = [v for v in range(graph.num_nodes) if v not in barred]
    # Equal scores of different sums differ in their last bits.
    return {
        v: sum(1 + sum(float(row[u] - row[v]) > 1e-7 for u in free) for row in rows) / len(rows) for v in free
    }


NAMES = ["common_neighbours", "resource_allocation", "adamic_adar", "pagerank", "features"]


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("names", [*([name] for name in NAMES), NAMES[1:4:2], None])
def test_the_best_mean_ranks_come_first(names: list[str] | None, undirected: bool) -> None:
    graph = random_graph(0, undirected=undirected)
    links = Links(torch.tensor([[0, 3, 13, 0], [5, 2, 4, 9]]))
    graph = graph.without(links.pairs)
    hidden = Links(torch.tensor([[0, 6], [7, 2]]))
    known = KnownTails.from_links(Links(graph.edge_index), links, hidden, num_nodes=14, undirected=undirected)
    found = hard_negatives(graph, links, 5, known=known, heuristics=names)
    true = set(zip(*torch.cat((graph.edge_index, links.pairs, hidden.pairs), 1).tolist(), strict=True))
    if undirected:
        true |= {(v, u) for u, v in true}
    for row, (head, tail) in enumerate(links.pairs.T.tolist()):
        pairs = found[:, row].T.tolist()
        assert len({tuple(p) for p in pairs}) == 5 and not {tuple(p) for p in pairs} & true
        assert all(u == head for u, _ in pairs[:3]) and all(v == tail for _, v in pairs[3:])
        for new, node, other in (
            ([v for _, v in pairs[:3]], head, "tail"),
            ([u for u, _ in pairs[3:]], tail, "head"),
        ):
            answers = (
                {v for u, v in true if u == node} if other == "tail" else {u for u, v in true if v == node}
            )
            ranks = mean_ranks(
                graph, names or ["resource_allocation", "pagerank", "features"], node, answers | {node}
            )
            best = sorted(ranks.values())[: len(new)]
            assert [ranks[v] for v in new] == pytest.approx(best)


def test_blocks_and_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(1)
    links = Links(graph.edge_index[:, :6])
    graph = graph.without(links.pairs)

    def draw(seed: int) -> torch.Tensor:
        return hard_negatives(
            graph, links, 6, heuristics=["common_neighbours"], generator=torch.Generator().manual_seed(seed)
        )

    whole = draw(0)
    assert torch.equal(whole, draw(0)) and not torch.equal(whole, draw(1))
    monkeypatch.setattr("netgraph.linkpred.hard._SCORES_AT_ONCE", 14 * 3)
    assert torch.equal(whole, draw(0))


def test_ties_are_broken_for_each_node_anew() -> None:
    graph = LinkGraph.from_edges(torch.empty(2, 0, dtype=torch.long), 40)
    links = Links(torch.stack((torch.arange(20), torch.arange(20, 40))))
    found = hard_negatives(graph, links, 1, heuristics=["common_neighbours"])
    assert len(set(found[1, :, 0].tolist())) > 8


@pytest.mark.skipif(
    importlib.util.find_spec("netgraph.linkpred.heuristics") is None, reason="needs the heuristics"
)
def test_names_of_the_registry() -> None:
    graph = random_graph(2)
    links = Links(graph.edge_index[:, :4])
    graph = graph.without(links.pairs)
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    names = ["jaccard", "preferential_attachment"]
    found = hard_negatives(graph, links, 4, heuristics=names, generator=generators[0])
    assert not graph.has(found.reshape(2, -1)).any()
    with pytest.raises(UsageError, match="got 'luck'; choose one"):
        hard_negatives(graph, links, 4, heuristics=["luck"])


def test_other_heuristics_are_asked_for_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def score_pairs(name: str, graph: LinkGraph, pairs: torch.Tensor) -> torch.Tensor:
        return -(pairs[0] - pairs[1]).abs().float()  # close numbers are alike

    module = types.ModuleType("netgraph.linkpred.heuristics")
    module.__dict__.update(HEURISTICS={"near": None}, score_pairs=score_pairs)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    graph = LinkGraph.from_edges(torch.tensor([[4], [5]]), 10)
    found = hard_negatives(graph, Links(torch.tensor([[4], [9]])), 4, heuristics=["near"])
    assert found[:, 0].T.tolist()[0] == [4, 3] and set(found[1, 0, :2].tolist()) <= {3, 2, 6}
    assert found[0, 0, 2:].tolist() == [8, 7]
    with pytest.raises(UsageError, match="features, near, got 'far'; choose one"):
        hard_negatives(graph, Links(torch.tensor([[4], [9]])), 4, heuristics=["far"])


def test_refusals() -> None:
    graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 4)
    links = Links(torch.tensor([[0], [2]]))
    for bad in (Links(links.pairs, torch.tensor([0])), links):
        with pytest.raises(UsageError, match="links of one relation and a count from 0"):
            hard_negatives(graph, bad, 2 if bad.relation is not None else -1)
    with pytest.raises(UsageError, match="leave features out"):
        hard_negatives(graph, links, 2, heuristics=["features"])
    with pytest.raises(UsageError, match="at least one heuristic"):
        hard_negatives(graph, links, 2, heuristics=[])
    with pytest.raises(UsageError, match="all links among the known"):
        hard_negatives(graph, links, 2, known=KnownTails.from_graph(graph))
    with pytest.raises(GraphError, match="3 nodes that are not linked to node 0, got 1"):
        hard_negatives(graph, links, 6)
    assert hard_negatives(graph, links[:0], 2).shape == (2, 0, 2)
    assert hard_negatives(graph, links, 0).shape == (2, 1, 0)
