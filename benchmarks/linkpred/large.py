"""A graph of a million nodes and ten million links: what training on samples and asking for links take."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F

from benchmarks._memory import _peak, _reset_peak
from benchmarks._record import say
from netgraph.linkpred.encoders import make_encoder
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.ncn import NCN, NCNC
from netgraph.linkpred.net import LinkNet
from netgraph.linkpred.sampling import SampledLinks, sampled_logits

SIZES: Final[Mapping[bool, tuple[int, int]]] = {False: (1_000_000, 10_000_000), True: (20_000, 200_000)}
"""Nodes and links of a full and of a quick run."""

CHANNELS: Final = 64
BATCH: Final = 1024
FANOUTS: Final = (10, 5)


def run(data: Path, quick: bool) -> dict[str, Any]:
    """Some batches of each network and the best links of some nodes, on one random graph of heavy tail.

    Seconds of an epoch are those of the batches, times how many there are.

    Args:
        data: not read.
        quick: a small graph and few batches.
    """
    nodes, links = SIZES[quick]
    torch.manual_seed(0)
    _reset_peak()
    start = time.perf_counter()
    split = heavy_tailed(nodes, links)
    graph = split.graph
    found: dict[str, Any] = {
        "nodes": nodes,
        "links": len(split.train),
        "largest degree": int(graph.degree.max()),
        "seconds to build the graph": time.perf_counter() - start,
    }
    for name, net in networks().items():
        seconds = per_batch(split, net, 3 if quick else 12)
        found[f"{name}: seconds per batch of {BATCH}"] = seconds
        found[f"{name}: seconds per epoch"] = seconds * -(-len(split.train) // BATCH)
        say(f"{name}: {seconds:.2f} s per batch")
    for name, net in networks().items():
        if name == "ncnc":
            continue  # it completes each of a million pairs
        net.eval()
        with torch.no_grad():
            start = time.perf_counter()
            states = net.encode(graph)
            found[f"{name}: seconds for the states of all nodes"] = time.perf_counter() - start
            heads = torch.arange(3) if quick else torch.randint(nodes, (3,))
            start = time.perf_counter()
            net.score_all(graph, states, heads).topk(10)
            found[f"{name}: seconds for the best links of a node"] = (time.perf_counter() - start) / 3
    found["peak memory in GiB"] = _peak() / 2**30
    return found


def heavy_tailed(nodes: int, links: int, features: int = 32) -> LinkSplit:
    """Random links whose ends are drawn in proportion to 1 / sqrt(rank), all for training."""
    ends = torch.rand(2, links, dtype=torch.float64).square_().mul_(nodes).long()
    ends = torch.randperm(nodes)[ends]
    graph = LinkGraph.from_edges(ends, nodes, x=torch.randn(nodes, features))
    pairs = graph.edge_index
    none = Links(pairs[:, :0])
    return LinkSplit(Links(pairs[:, pairs[0] < pairs[1]]), none, none, graph, graph, graph)


def networks() -> dict[str, LinkNet]:
    """Networks of two layers, bounded where hubs are read."""

    def encoder() -> Any:
        return make_encoder("sage", 32, CHANNELS, len(FANOUTS))

    return {
        "gae": DotProduct(encoder()),
        "ncn": NCN(encoder(), max_common=64),
        "ncnc": NCNC(encoder(), max_common=64, max_single=8),
    }


def per_batch(split: LinkSplit, net: LinkNet, batches: int) -> float:
    """Seconds of a training step on a sampled batch, the first one left out."""
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    source = SampledLinks(split, net, FANOUTS, batch_size=BATCH)
    start = 0.0
    for i, batch in enumerate(itertools.islice(source, batches + 1)):
        logits = sampled_logits(net, batch)
        loss = F.softplus(-logits[:, 0]).mean() + F.softplus(logits[:, 1:]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if i == 0:
            start = time.perf_counter()
    return (time.perf_counter() - start) / batches
