"""What networks with random weights separate, beside the exact test of their class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import torch
from torch import nn
from torch_geometric.data import Batch

from benchmarks.subgraph.data import swl_pairs
from netgraph.subgraph import MODELS, PPGN, SubgraphNet, distinguishes

APART = 1e-6
"""Outputs that differ by more than this, relative to their size, are apart."""

EQUAL = 1e-8
"""Outputs of isomorphic graphs differ by less: rounding, enlarged by norms of nearly constant states."""


def run(data: Path, quick: bool) -> dict[str, Any]:
    """Verdict of network and test for each model and each pair of `swl_pairs`.

    Args:
        data: the folder that holds `expressivity/`.
        quick: two draws of the weights instead of five; a network separates if one of them does.

    Returns:
        `models`: per model the name of its `test`, and per pair the verdict of the `network` (None if the
        difference is neither clear nor rounding), that of the `test` and the largest relative `difference`;
        `agree` and `total`, how many verdicts are the same; `rounding`, the largest difference between
        isomorphic copies.
    """
    pairs = swl_pairs(data)
    models: dict[str, Any] = {}
    rounding, agree, total = 0.0, 0, 0
    for model in (*MODELS, "PPGN"):
        test = "FWL(2)" if model == "PPGN" else MODELS[model].test
        verdicts = {}
        for name, (g, h, _) in pairs.items():
            difference, noise = separation(model, g, h, seeds=range(2 if quick else 5))
            found = True if difference > APART else False if difference < EQUAL else None
            exact = distinguishes(test, g, h)
            verdicts[name] = {"network": found, "test": exact, "difference": difference}
            rounding, agree, total = max(rounding, noise), agree + (found is exact), total + 1
        models[model] = {"test": test, "pairs": verdicts}
    return {"models": models, "agree": agree, "total": total, "rounding": rounding}


def separation(
    model: str, g: Any, h: Any, *, seeds: Sequence[int] = range(2), layers: int = 6, **options: Any
) -> tuple[float, float]:
    """How far apart a network with random weights sets two graphs, and how far a graph and a permuted copy.

    Both are the largest over some draws of the weights, relative to the largest output. Copies hold the whole
    graph, states are in double precision and pooled by sums. Norms are fixed to the statistics of the graphs
    before the outputs are compared: a fixed norm is an affine map like any other, and it keeps states
    around the kink of the ReLU, without which differences drown in what all states share.

    Args:
        model: a name of `MODELS`, or `"PPGN"`.
        g, h: graphs.
        seeds: for each draw.
        layers: at least the rounds that the test needs.
        options: more of the network, `in_channels` among them.
    """
    apart = noise = 0.0
    for seed in seeds:
        torch.manual_seed(seed)
        network = _network(model, layers, **options)
        batch = Batch.from_data_list([network.transform(graph) for graph in (g, h, _permuted(g))])
        with torch.no_grad():
            network.train()(batch)
            out, other, copy = network.eval()(batch)
        size = float(out.abs().max())
        apart = max(apart, float((out - other).abs().max()) / size)
        noise = max(noise, float((out - copy).abs().max()) / size)
    return apart, noise


def _network(model: str, layers: int, in_channels: int = 0, **options: Any) -> nn.Module:
    options = {"policy": "marking", "hidden_channels": 16, "num_layers": layers, "pool": "sum", **options}
    network: nn.Module
    if model == "PPGN":
        network = PPGN(in_channels, 8, **options)
    else:
        kind = MODELS[model]
        network = SubgraphNet(in_channels, 8, aggregations=kind.aggregations, pooling=kind.pooling, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1.0  # the statistics of the last batch alone
    return network.double()


def _permuted(graph: Any) -> Any:
    order = [list(graph)[i] for i in torch.randperm(len(graph)).tolist()]
    copy = nx.Graph()
    copy.add_nodes_from((node, graph.nodes[node]) for node in order)
    copy.add_edges_from(graph.edges(data=True))
    return copy
