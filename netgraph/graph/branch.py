"""One layer that a network can do without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["Branch"]


@final
@dataclass(frozen=True)
class Branch:
    """A part of a program that ends in one operand of a residual sum and can be left out.

    Attributes:
        name: the qualified name of the module that computes it, or of its largest layer where that would
            name two branches; unique in its structure.
        join: name of the operator that adds it.
        kept: name of the value that takes the sum's place when the branch is left out.
        dropped: name of the value that the branch computes.
        operators, tensors, groups: names of what goes with it. What others use as well stays.

    >>> import torch, netgraph
    >>> from netgraph.graph import branches
    >>> from netgraph.zoo import CifarResNet
    >>> graph = netgraph.to_graph(CifarResNet(1, widths=(2, 4, 6)), torch.zeros(1, 3, 8, 8))
    >>> (branch,) = branches(graph.structure)
    >>> branch.name, branch.groups, branch.tensors[0]
    ('layer1.0', ('layer1.0.conv1',), 'layer1.0.conv1.weight')
    """

    name: str
    join: str
    kept: str
    dropped: str
    operators: tuple[str, ...]
    tensors: tuple[str, ...]
    groups: tuple[str, ...]
