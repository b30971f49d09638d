"""Pairs and start colours, against breadth-first search by NetworkX."""

import importlib

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.utils import to_networkx

from netgraph.errors import InterchangeError, UsageError
from netgraph.subgraph import SubgraphTransform
from tests.subgraph.graphs import random_data


def expected(data: Data, policy: str, hops: int | None, most: int) -> list[tuple[int, int, int]]:
    net = to_networkx(data, to_undirected=True)
    found = []
    for u in net:
        length = nx.single_source_shortest_path_length(net, u)
        for v in net:
            if hops is not None and length.get(v, hops + 1) > hops:
                continue
            if policy == "marking":
                found.append((u, v, int(u == v)))
            elif policy == "distance":
                found.append((u, v, min(length[v], most) if v in length else most + 1))
            elif u != v:
                found.append((u, v, 0))
    return found


@pytest.mark.parametrize("policy", ["marking", "distance", "deletion"])
@pytest.mark.parametrize("hops", [None, 1, 2, 20])
def test_pairs_are_those_of_the_policy(policy: str, hops: int | None) -> None:
    transform = SubgraphTransform(policy, hops=hops, max_distance=2)
    for seed in range(12):
        data = random_data(seed)
        out = transform(data)
        found = list(zip(*out.pair_index.tolist(), out.pair_start.tolist(), strict=True))
        assert found == expected(data, policy, hops, 2)
        assert max(out.pair_start.tolist(), default=0) < transform.num_starts


def test_input_stays_as_it_was_and_attributes_go_along() -> None:
    data = random_data(3, "float")
    data.y = torch.tensor([1.5])
    before = data.clone()
    out = SubgraphTransform()(data)
    assert set(data.keys()) == set(before.keys())
    assert torch.equal(out.y, before.y) and torch.equal(out.x, before.x)


@pytest.mark.parametrize("graph", [nx.empty_graph(0), nx.empty_graph(1), nx.empty_graph(3)])
@pytest.mark.parametrize("hops", [None, 2])
def test_graphs_with_few_nodes_and_no_edges(graph: nx.Graph, hops: int | None) -> None:
    out = SubgraphTransform("distance", hops=hops)(graph)
    n = len(graph)
    assert out.num_nodes == n
    assert out.num_pairs == (n if hops else n * n)


def test_loaders_batch_pairs_like_nodes() -> None:
    data = [SubgraphTransform()(random_data(seed, "int")) for seed in range(6)]
    (batch,) = DataLoader(data, batch_size=6)
    offset = 0
    parts = []
    for one in data:
        parts.append(one.pair_index + offset)
        offset += one.num_nodes
    assert torch.equal(batch.pair_index, torch.cat(parts, dim=1))
    back = batch.to_data_list()[4]
    assert torch.equal(back.pair_index, data[4].pair_index)
    assert torch.equal(back.pair_start, data[4].pair_start)


class Cached(InMemoryDataset):
    calls = 0

    @property
    def processed_file_names(self) -> list[str]:
        return ["data.pt"]

    def process(self) -> None:
        type(self).calls += 1
        self.save([self.pre_transform(random_data(s)) for s in range(4)], self.processed_paths[0])


@pytest.mark.filterwarnings("error:Weights only load failed")
def test_a_dataset_caches_the_pairs(tmp_path) -> None:  # type: ignore[no-untyped-def]
    # Collecting doctests imports the module once more, and files name the class that is there now.
    here = importlib.import_module("netgraph.subgraph.transform")
    transform = here.SubgraphTransform("distance", hops=2)
    for _ in range(2):
        dataset = Cached(str(tmp_path), pre_transform=transform)
        dataset.load(dataset.processed_paths[0])
        batch = Batch.from_data_list(list(dataset))
    fresh = Batch.from_data_list([transform(random_data(s)) for s in range(4)])
    assert Cached.calls == 1
    assert torch.equal(batch.pair_index, fresh.pair_index)
    assert set(batch.subgraph_policy) == {repr(transform)}


def test_ego_nets_of_a_large_graph_take_memory_of_their_pairs() -> None:
    out = SubgraphTransform("distance", hops=2)(nx.cycle_graph(20_000))  # all pairs would be 3 GB
    assert out.num_pairs == 5 * 20_000


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"policy": "marks"}, "got 'marks'"),
        ({"hops": 0}, "hops"),
        ({"hops": 1.5}, "hops"),
        ({"max_distance": 0}, "max_distance"),
        ({"max_distance": True}, "max_distance"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], part: str) -> None:
    with pytest.raises(UsageError, match=part):
        SubgraphTransform(**arguments)  # type: ignore[arg-type]


BAD_GRAPHS = {
    "directed": Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2),
    "self-loop": Data(edge_index=torch.tensor([[0], [0]]), num_nodes=1),
    "multi-edge": Data(edge_index=torch.tensor([[0, 1, 0, 1], [1, 0, 1, 0]]), num_nodes=2),
    "NaN": Data(x=torch.tensor([[float("nan")]]), edge_index=torch.zeros(2, 0, dtype=torch.long)),
    "no graph": 3,
}


@pytest.mark.parametrize("graph", BAD_GRAPHS.values(), ids=BAD_GRAPHS)
def test_bad_graphs_are_refused(graph: object) -> None:
    with pytest.raises(InterchangeError):
        SubgraphTransform()(graph)
