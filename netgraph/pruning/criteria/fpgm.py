"""Distance to the other filters of the group."""

from __future__ import annotations

import torch
from torch import Tensor

from netgraph.graph import NeuralGraph
from netgraph.pruning.criteria.node_sums import NodeSlice, node_slices
from netgraph.pruning.criteria.normalize import normalize_scores
from netgraph.pruning.criteria.registry import Scores, criterion

__all__ = ["fpgm"]


@criterion("fpgm")
@torch.no_grad()
def fpgm(graph: NeuralGraph) -> Scores:
    """How far a node's filters lie from all others of its group: near the geometric median is redundant.

    `score_k = mean over weights t that make k of sum over nodes l of || t_k - t_l ||_2`, divided by the
    maximum of the group. `t_k` is the whole filter of node `k`, repeated positions included. Groups that no
    weight makes compare the weights that read them.

    Paper: He et al., Filter Pruning via Geometric Median for Deep CNN Acceleration, CVPR 2019.

    >>> import torch
    >>> from netgraph.convert import to_graph
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.Linear(3, 1))
    >>> _ = net[0].weight.data.copy_(torch.tensor([[0.0], [1.0], [4.0]]))
    >>> fpgm(to_graph(net, torch.zeros(1, 1)))["0"]
    tensor([0.7143, 0.5714, 1.0000])
    """
    structure = graph.structure
    sizes = {g.name: g.size for g in structure.groups}
    out = {}
    for name, items in node_slices(structure).items():
        weights = [i for i in items if structure.tensor[i.tensor].placement == "block"]
        chosen = [i for i in weights if i.makes] or weights
        total, touched = torch.zeros(sizes[name]), torch.zeros(sizes[name])
        for item in chosen:
            total += _distances(graph.state[item.tensor].float().cpu(), item, sizes[name])
            touched += item.share
        out[name] = normalize_scores(total / touched.clamp(min=1), "max")
    return out


def _distances(tensor: Tensor, item: NodeSlice, size: int) -> Tensor:
    """Sum of the distances from each node's filter to the others, `(size,)`."""
    rows = tensor.movedim(item.dim, 0).flatten(1)
    if item.positions is None or item.nodes is None:
        return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
    out = torch.zeros(size)
    counts = torch.bincount(item.nodes, minlength=size)
    order = item.positions[torch.argsort(item.nodes, stable=True)]
    places = torch.repeat_interleave(counts[counts > 0], counts[counts > 0])
    for count in counts[counts > 0].unique().tolist():  # filters of different length cannot be compared
        filters = rows[order[places == count]].reshape(-1, count * rows.shape[1])
        out[counts == count] = torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist").sum(
            1
        )
    return out
