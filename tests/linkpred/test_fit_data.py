"""Splits that a fit makes, splits on a device, and graphs of files."""

import pytest
import torch

from netgraph.linkpred import LinkGraph
from netgraph.linkpred.fit_data import graph_of_tensors, graph_tensors, moved, split_for_fit
from netgraph.linkpred.split import random_split
from netgraph.linkpred.triples import Triples


def example() -> LinkGraph:
    edges = torch.randint(12, (2, 40), generator=torch.Generator().manual_seed(0))
    return LinkGraph.from_edges(edges, 12, x=torch.randn(12, 3)).without(edges[:, :3])


def test_splits_stay_and_graphs_are_read_whole_in_the_end() -> None:
    split = random_split(example(), 0.1, 0.1)
    assert split_for_fit(split, 0.5, 0) is split
    made = split_for_fit(example(), 0.2, 0)
    assert torch.equal(made.test_graph.edge_index, example().edge_index) and not len(made.test)
    assert made.graph.num_edges == 2 * len(made.train) < example().num_edges
    assert torch.equal(made.valid.pairs, split_for_fit(example(), 0.2, 0).valid.pairs)
    facts = Triples.of([(f"p{i}", "knows", f"p{i + 1}") for i in range(9)])
    typed = split_for_fit(facts, 0.2, 0)
    assert typed.graph.num_relations == 2 and typed.test_graph.num_edges == 18 and len(typed.valid) == 1


def test_moving_keeps_one_graph_one() -> None:
    split = random_split(example(), 0.1, 0.1)
    far = moved(split, torch.device("meta"))
    assert far.graph.device.type == far.train.pairs.device.type == "meta"
    assert far.valid_graph is far.graph and (far.test_graph is far.graph) == (split.test_graph is split.graph)
    assert moved(split, torch.device("cpu")).graph is split.graph


def test_tensors_there_and_back_and_those_that_are_no_graph() -> None:
    graph = example()
    tensors = graph_tensors(graph)
    again = graph_of_tensors(tensors, 1, True)
    assert torch.equal(again.edge_index, graph.edge_index) and torch.equal(again.x, graph.x)
    typed = {**tensors, "relation": torch.zeros_like(graph.indices)}
    for changes in (
        {"indices": graph.indices + 12},
        {"indices": graph.indices.float()},
        {"indptr": graph.indptr.flip(0)},
        {"indptr": graph.indptr[:-1]},
        {"kept": graph.kept[:-1]},
        {"x": graph.x[:-1]},
        {"relation": typed["relation"] + 5},
        {"relation": typed["relation"][:-1]},
    ):
        with pytest.raises(ValueError, match=r"."):
            graph_of_tensors({**typed, **changes}, 1, True)
    with pytest.raises(TypeError):
        graph_of_tensors({"indptr": graph.indptr}, 1, True)
