"""Checks of what networks are given; the tables of refused input stand with the networks."""

import networkx as nx
import pytest
from torch_geometric.data import Batch

from netgraph.errors import UsageError
from netgraph.subgraph import SubgraphTransform
from netgraph.subgraph.encode import FeatureEncoder
from netgraph.subgraph.inputs import check_batch, check_numbers, check_trainable

MARKS = SubgraphTransform("marking")


def test_a_fitting_batch_passes() -> None:
    batch = Batch.from_data_list([MARKS(nx.path_graph(n)) for n in (1, 3)])
    check_batch("net", batch, MARKS, None, None)
    check_trainable("net", batch, "batch")
    check_numbers("net", 0, 1, 8, 2, None, 0.5)


def test_one_graph_of_another_transform_spoils_a_batch() -> None:
    batch = Batch.from_data_list([MARKS(nx.path_graph(3)), SubgraphTransform("deletion")(nx.path_graph(3))])
    with pytest.raises(UsageError, match=r"net: expected graphs of SubgraphTransform\('marking'.*'deletion'"):
        check_batch("net", batch, MARKS, None, None)


def test_messages_name_the_operation_and_the_remedy() -> None:
    data = MARKS(nx.path_graph(3))
    with pytest.raises(UsageError, match=r"^net: expected a tensor x, got none; .* in_channels$"):
        check_batch("net", data, MARKS, FeatureEncoder("x", 2, 4), None)
    with pytest.raises(UsageError, match=r"^net: expected at least two pairs .*; put more graphs"):
        check_trainable("net", MARKS(nx.empty_graph(1)), "batch")
    check_trainable("net", MARKS(nx.empty_graph(1)), None)
