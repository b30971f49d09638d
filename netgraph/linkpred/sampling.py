"""Training on a part of a large graph at a time: sampled neighbourhoods of the nodes that a batch scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from netgraph.errors import UsageError
from netgraph.linkpred.encoders import Encoder
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.links import Links, LinkSplit
from netgraph.linkpred.ncn import NCN, NCNC
from netgraph.linkpred.net import LinkNet
from netgraph.linkpred.reading_pairs import PairNeighbours
from netgraph.linkpred.training_pairs import Removal, Sampling, TrainingPairs, without_targets

__all__ = ["SampledBatch", "SampledLinks", "neighbourhood", "sample_rows", "sampled_logits"]


def sample_rows(graph: LinkGraph, nodes: Tensor, fanout: int) -> Tensor:
    """Entries of some rows of a graph, at most so many of each, drawn by chance.

    Args:
        graph: edges left out of it are not drawn.
        nodes: the rows, each once, `(B,)`.
        fanout: the most draws from a row, of which repetitions are dropped; -1 for whole rows.

    Returns:
        Places in `graph.indices`, sorted, `(M,)`.

    >>> star = LinkGraph.from_edges(torch.stack((torch.zeros(9).long(), torch.arange(1, 10))), 10)
    >>> len(sample_rows(star, torch.tensor([0, 4]), 3)) <= 4, len(sample_rows(star, torch.tensor([0]), -1))
    (True, 9)
    """
    start = graph.indptr[nodes]
    size = graph.indptr[nodes + 1] - start
    whole = size <= fanout if fanout >= 0 else torch.ones_like(size, dtype=torch.bool)
    count = size[whole]
    entry = torch.repeat_interleave(start[whole] - count.cumsum(0) + count, count)
    entry = entry + torch.arange(len(entry), device=entry.device)
    if not bool(whole.all()):
        begin, width = start[~whole, None], size[~whole, None]
        share = torch.rand(len(begin), fanout, dtype=torch.float64, device=entry.device)
        drawn = (begin + (share * width).long()).sort(dim=1).values
        fresh = torch.ones_like(drawn, dtype=torch.bool)
        fresh[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
        entry = torch.cat((entry, drawn[fresh]))
    entry = entry.sort().values
    return entry if graph.kept is None else entry[graph.kept[entry]]


@final
@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A part of a graph from which the states of some of its nodes can be found.

    Attributes:
        nodes: numbers in the whole graph, first of the seeds, then of what each step reached, `(V,)`.
        within: how many nodes there are within 0, 1, ... steps.
        graph: these nodes, renumbered in their order, with the edges that were drawn, E of them.
        weight: of each edge, so that sums over neighbours are right in the mean, `(E,)`.
        degree: of each node in the whole graph, `(V,)`.
    """

    nodes: Tensor
    within: tuple[int, ...]
    graph: LinkGraph
    weight: Tensor
    degree: Tensor

    def number(self, nodes: Tensor) -> Tensor:
        """The numbers here of nodes of the whole graph that are among the seeds."""
        return torch.searchsorted(self.nodes[: self.within[0]], nodes.contiguous())

    def encode(self, encoder: Encoder) -> Tensor:
        """States of the seeds, `(within[0], F)`."""
        kind = next(encoder.parameters()).dtype
        return encoder(self.graph, self.weight.to(kind), self.nodes, self.degree, self.within)


def neighbourhood(graph: LinkGraph, seeds: Tensor, fanouts: Sequence[int]) -> Neighbourhood:
    """Neighbours of nodes, neighbours of these, and so on (Hamilton et al., NeurIPS 2017).

    With a fanout of -1 for each layer of an encoder, the seeds get the states of the whole graph.

    Args:
        graph: edges left out of it do not exist.
        seeds: in any order and number.
        fanouts: see `sample_rows`; the first is that of the seeds.

    >>> path = LinkGraph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), 5)
    >>> neighbourhood(path, torch.tensor([1]), [-1, -1]).nodes.tolist()
    [1, 0, 2, 3]
    """
    number = torch.full((graph.num_nodes,), -1, device=graph.device)
    seen = torch.zeros(graph.num_nodes, dtype=torch.bool, device=graph.device)
    seen[seeds] = True
    steps, entries = [seen.nonzero().squeeze(1)], []
    for fanout in fanouts:
        entry = sample_rows(graph, steps[-1], fanout)
        entries.append(entry)
        fresh = graph.indices[entry]
        fresh = fresh[~seen[fresh]].unique()
        seen[fresh] = True
        steps.append(fresh)
    nodes = torch.cat(steps)
    number[nodes] = torch.arange(len(nodes), device=graph.device)
    entry = torch.cat(entries) if entries else nodes[:0]
    row = number[torch.searchsorted(graph.indptr, entry, right=True) - 1]
    col = number[graph.indices[entry]]
    order = (row * len(nodes) + col).argsort()
    entry, row, col = entry[order], row[order], col[order]
    drawn = torch.bincount(row, minlength=len(nodes))
    degree = _degree(graph, nodes)
    part = LinkGraph(
        torch.cat((drawn.new_zeros(1), drawn.cumsum(0))),
        col,
        None if graph.relation is None else graph.relation[entry],
        graph.num_relations,
        None if graph.x is None else graph.x[nodes],
        undirected=False,
    )
    sizes = torch.tensor([len(step) for step in steps]).cumsum(0)
    return Neighbourhood(nodes, tuple(sizes.tolist()), part, (degree / drawn.clamp(min=1))[row], degree)


def _degree(graph: LinkGraph, nodes: Tensor) -> Tensor:
    """Degrees of some nodes, where few edges are left out."""
    size = graph.indptr[nodes + 1] - graph.indptr[nodes]
    if graph.kept is None:
        return size
    gone = torch.searchsorted(graph.indptr, (~graph.kept).nonzero().squeeze(1), right=True) - 1
    return size - torch.bincount(gone, minlength=graph.num_nodes)[nodes]


@final
@dataclass(frozen=True, eq=False)
class SampledBatch:
    """Links with their negatives, and all that a network reads to score them.

    Attributes:
        pairs: numbers among the seeds of `near`, `(2, P, 1 + K)`: the link first.
        near: what the encoder reads.
        read: the neighbours of the pairs in the whole graph, for networks that score by these.
    """

    pairs: Tensor
    near: Neighbourhood
    read: PairNeighbours | None


def sampled_logits(net: LinkNet, batch: SampledBatch) -> Tensor:
    """Logits of a batch `(P, 1 + K)`."""
    net = _checked(net)
    states = batch.near.encode(net.encoder)
    if isinstance(net, DotProduct):
        logits = net.score(batch.near.graph, states, batch.pairs.flatten(1))
    else:
        assert batch.read is not None
        logits = net.score_read(states, batch.read)
    return logits.view(batch.pairs.shape[1:])


@final
class SampledLinks(IterableDataset[SampledBatch]):
    """The training links of a split, batch by batch, each with sampled neighbourhoods: one pass over all.

    Common neighbours are those of the whole graph; the states of nodes come from what was sampled. It can
    be iterated as it is, or by workers: `DataLoader(sampled_links, batch_size=None, num_workers=2)`. Chance
    comes from torch's default generator of the CPU.

    Args:
        split: whose training links and graph these are.
        net: a `DotProduct`, an `NCN`, or an `NCNC`, whose `max_single` bounds what it reads of hubs.
        fanouts: a number per layer of the encoder: see `neighbourhood`.
        batch_size: links in a batch.
        negatives: as in `TrainingPairs`.
        sampling: as there.
        remove_targets: see `without_targets`.

    Raises:
        UsageError: another network, or another number of fanouts than layers.

    >>> from netgraph.linkpred.encoders import make_encoder
    >>> from netgraph.linkpred.split import random_split
    >>> ring = LinkGraph.from_edges(torch.stack((torch.arange(30), (torch.arange(30) + 1) % 30)), 30)
    >>> net = NCN(make_encoder("sage", 0, 8, 2))
    >>> [sampled_logits(net, b).shape for b in SampledLinks(random_split(ring), net, [5, 5], batch_size=11)]
    [torch.Size([11, 2]), torch.Size([10, 2])]
    """

    def __init__(
        self,
        split: LinkSplit,
        net: LinkNet,
        fanouts: Sequence[int],
        *,
        batch_size: int = 1024,
        negatives: int = 1,
        sampling: Sampling = "uniform",
        remove_targets: Removal = "pairs",
    ) -> None:
        layers = len(_checked(net).encoder.layers)
        if len(fanouts) != layers or not all(type(f) is int and (f >= 1 or f == -1) for f in fanouts):
            raise UsageError(
                f"fit: expected a fanout, from 1 or -1 for all, for each of {layers} layers, got "
                f"{list(fanouts)}; change fanouts"
            )
        self.net, self.graph, self.fanouts = _checked(net), split.graph, tuple(fanouts)
        self.source = TrainingPairs(split, negatives, sampling)
        self.batch_size, self.remove_targets = batch_size, remove_targets

    def __iter__(self) -> Iterator[SampledBatch]:
        worker = get_worker_info()
        # All workers need one order of the links; the seeds of their own chance differ.
        seed = int(torch.randint(2**62, ())) if worker is None else worker.seed - worker.id
        order = torch.randperm(len(self.source.links), generator=torch.Generator().manual_seed(seed))
        chosen = list(order.split(self.batch_size))
        if worker is not None:
            chosen = chosen[worker.id :: worker.num_workers]
        for part in chosen:
            for links in self.source.batches(self.batch_size, part):
                yield self.batch(links)

    def batch(self, links: Links) -> SampledBatch:
        """What it takes to score links with their negatives, `(2, P, 1 + K)`."""
        graph = without_targets(self.graph, Links(links.pairs[:, :, 0]), self.remove_targets)
        pairs = links.pairs.flatten(1)
        read = None if isinstance(self.net, DotProduct) else self.net.read(graph, pairs)
        near = neighbourhood(graph, pairs.flatten() if read is None else read.nodes(), self.fanouts)
        return SampledBatch(
            near.number(pairs).view_as(links.pairs),
            near,
            None if read is None else read.renumbered(near.number),
        )


def _checked(net: LinkNet) -> DotProduct | NCN | NCNC:
    if not isinstance(net, DotProduct | NCN | NCNC):
        raise UsageError(
            f"fit: expected a DotProduct, NCN or NCNC to sample for, got {type(net).__name__}; "
            "train it on the whole graph"
        )
    return net
