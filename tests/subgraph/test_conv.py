"""One layer: what it is built of, and what it refuses."""

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.subgraph import SubgraphConv, SubgraphTransform, pairs_of


def test_a_layer_is_its_formula_on_whole_copies() -> None:
    """The equation of the docstring, on the adjacency matrix of one graph."""
    net = nx.gnp_random_graph(6, 0.5, seed=1)
    pairs = pairs_of(SubgraphTransform()(net))
    conv = SubgraphConv(4, 5, ["local_u", "local_v", "global_v", "point_vu"], norm=None).double()
    h = torch.randn(36, 4, dtype=torch.float64)
    a = torch.from_numpy(nx.to_numpy_array(net))
    square = h.reshape(6, 6, 4)
    read = {
        "local_u": torch.einsum("vw,uwf->uvf", a, square),
        "local_v": torch.einsum("uw,wvf->uvf", a, square),
        "global_v": square.sum(0).expand(6, 6, 4),
        "point_vu": square.transpose(0, 1),
    }
    total: Tensor = torch.zeros(6, 6, 5, dtype=torch.float64)
    for name, value in read.items():
        term = conv.terms[name]
        term.eps.data.normal_()
        total = total + term.second(F.relu(term.first((1 + term.eps) * square + value)))
    assert torch.allclose(conv(h, pairs).reshape(6, 6, 5), F.relu(total), atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"aggregations": ["local_w"]}, "point_uv, point_vu"),
        ({"aggregations": []}, "list of names"),
        ({"aggregations": "local_u"}, "list of names"),
        ({"aggregations": ["local_u", "local_u"]}, "each name once"),
        ({"norm": "group"}, "'batch' or None"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SubgraphConv(2, 2, **arguments)  # type: ignore[arg-type]
