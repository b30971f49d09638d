"""Operator graphs as PyTorch Geometric `Data` and as NetworkX graphs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import torch

from netgraph.errors import InterchangeError
from netgraph.graph.operators import OPERATOR_FEATURES, OperatorGraph

if TYPE_CHECKING:
    from networkx import MultiDiGraph
    from torch_geometric.data import Data

__all__ = ["OPERATOR_KINDS", "kind_categories", "operators_to_networkx", "operators_to_pyg"]

OPERATOR_KINDS: Final = (
    *("other", "input", "output"),
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "scaled_dot_product_attention"),
    *("embedding", "lstm", "gru", "rnn_tanh", "rnn_relu"),
    *("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"),
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "mish", "softplus", "glu"),
    *("sigmoid", "hardsigmoid", "hardswish", "hardtanh", "tanh", "clamp", "softmax", "log_softmax"),
    *("add", "sub", "mul", "div", "neg", "pow", "sqrt", "rsqrt", "exp", "log", "sin", "cos", "abs"),
    *("cat", "stack", "where", "masked_fill", "index", "index_select", "gather", "scatter_add", "index_add"),
    *("sum", "mean", "amax", "amin", "max", "min", "prod", "var", "std", "cumsum", "argmax", "topk"),
    *("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d"),
    *("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "grid_sampler", "pad"),
    *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "squeeze", "unsqueeze"),
    *("expand", "repeat", "slice", "select", "chunk", "split", "unbind", "roll", "flip", "pixel_shuffle"),
    *("contiguous", "clone", "to", "dropout", "arange", "zeros", "ones", "full"),
)
"""Categories of operators, the first for all that have none of their own. None ever changes its number."""


def kind_categories(kinds: Iterable[str], vocabulary: Sequence[str] = OPERATOR_KINDS) -> list[int]:
    """Place of each kind in a vocabulary; that of `other`, which must be in it, for those it lacks.

    Raises:
        InterchangeError: a vocabulary that has an entry twice or lacks `other`.

    >>> kind_categories(["input", "conv2d", "bernoulli"], ["input", "conv2d", "other"])
    [0, 1, 2]
    """
    places = {kind: i for i, kind in enumerate(vocabulary)}
    if len(places) != len(vocabulary) or "other" not in places:
        raise InterchangeError(
            f"kind_categories: expected distinct kinds with 'other' among them, got {len(vocabulary)} "
            f"of them, of which {len(places)} distinct; add what is missing, and each kind once"
        )
    return [places.get(kind, places["other"]) for kind in kinds]


def operators_to_pyg(graph: OperatorGraph, vocabulary: Sequence[str] = OPERATOR_KINDS) -> Data:
    """An operator graph as PyTorch Geometric `Data`, which batches like any other.

    - `kind` `(N,)`: category of each operator in the vocabulary;
    - `x` `(N, F)`: `log(1 + n)` of the numbers of `OPERATOR_FEATURES`;
    - `depth` `(N,)`: edges on the longest way to a node;
    - `edge_index` `(2, E)`, from producer to consumer; `position` and `result` `(E,)`, as in `OperatorEdge`.

    Raises:
        InterchangeError: a vocabulary that has an entry twice or lacks `other`.

    >>> import netgraph
    >>> from netgraph.graph.operators import operator_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    >>> data = operators_to_pyg(operator_graph(netgraph.to_graph(net, torch.zeros(1, 3))))
    >>> [OPERATOR_KINDS[k] for k in data.kind.tolist()], data.edge_index.tolist(), data.x.shape
    (['input', 'linear', 'relu', 'output'], [[0, 1, 2], [1, 2, 3]], torch.Size([4, 10]))
    """
    from torch_geometric.data import Data

    return Data(
        kind=torch.tensor(kind_categories(graph.kinds, vocabulary), dtype=torch.long),
        x=graph.x.log1p().float(),
        depth=torch.tensor(graph.depth, dtype=torch.long),
        edge_index=graph.edge_index.contiguous(),
        position=graph.position.contiguous(),
        result=graph.result.contiguous(),
        num_nodes=graph.num_nodes,
    )


def operators_to_networkx(
    graph: OperatorGraph, vocabulary: Sequence[str] = OPERATOR_KINDS
) -> MultiDiGraph[int]:
    """An operator graph as a NetworkX `MultiDiGraph` of plain data, which survives JSON.

    Nodes are numbered and carry `kind` (the operator's own name, also where the vocabulary lacks it),
    `category`, `name`, `depth` and `x`, the numbers of `OPERATOR_FEATURES` as they are. Edges have their
    `position` as key, and `result`.

    Raises:
        InterchangeError: a vocabulary that has an entry twice or lacks `other`.

    >>> import netgraph
    >>> from netgraph.graph.operators import operator_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    >>> drawn = operators_to_networkx(operator_graph(netgraph.to_graph(net, torch.zeros(1, 3))))
    >>> drawn.nodes[1]["kind"], dict(zip(drawn.graph["features"], drawn.nodes[1]["x"]))["parameters"]
    ('linear', 8)
    """
    import networkx as nx

    net: MultiDiGraph[int] = nx.MultiDiGraph(features=list(OPERATOR_FEATURES))
    categories = kind_categories(graph.kinds, vocabulary)
    names = graph.names or graph.kinds
    for i, (kind, numbers) in enumerate(zip(graph.kinds, graph.features, strict=True)):
        net.add_node(
            i, kind=kind, category=categories[i], name=names[i], depth=graph.depth[i], x=list(numbers)
        )
    for edge in graph.edges:
        net.add_edge(edge.source, edge.target, edge.position, position=edge.position, result=edge.result)
    return net
