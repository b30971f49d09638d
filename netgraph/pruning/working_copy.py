"""The network while it is being pruned: a module and its graph, kept in step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from torch import Tensor, nn

from netgraph.convert import apply_mask, load_into
from netgraph.convert.surgery import copy_module
from netgraph.graph import NeuralGraph, NodeMask, select

__all__ = ["WorkingCopy", "composed", "read_state"]


@final
class WorkingCopy:
    """A copy of the user's module that is cut step by step.

    Args:
        module: the user's module; never touched.
        graph: its graph.
        rebuild: work on the graph's own module rather than by surgery on a copy of the user's class.
    """

    def __init__(self, module: nn.Module, graph: NeuralGraph, rebuild: bool) -> None:
        self._rebuild = rebuild
        self._training = module.training
        self.module: nn.Module = self._built(graph) if rebuild else copy_module(module)
        self.graph = read_state(self.module, graph.clone())

    def load(self, graph: NeuralGraph) -> None:
        """Take over the weights of a graph of the present structure."""
        if self._rebuild:
            self.module = self._built(graph)
        else:
            load_into(self.module, graph)
        self.refresh()

    def cut(self, mask: NodeMask) -> None:
        """Drop what a mask over the present graph drops."""
        smaller = select(self.graph, mask)
        if self._rebuild:
            self.module = self._built(smaller)
        else:
            apply_mask(self.module, self.graph, mask, inplace=True)
        self.graph = read_state(self.module, smaller)

    def refresh(self) -> None:
        """Read the weights anew after someone trained the module."""
        self.graph = read_state(self.module, self.graph)

    def _built(self, graph: NeuralGraph) -> nn.Module:
        return graph.to_module().train(self._training)


def read_state(module: nn.Module, graph: NeuralGraph) -> NeuralGraph:
    """The graph with every tensor that the module owns in place of its own, as views of the module's."""
    owned: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
    owned.update(module.named_buffers(remove_duplicate=False))
    return graph.replace({n: owned[n].detach() for n in graph.structure.tensor if n in owned})


def composed(total: NodeMask, step: NodeMask, names: Mapping[str, str] | None = None) -> NodeMask:
    """One mask for two cuts in a row: `step` is over what `total` left.

    Args:
        total: the first cut.
        step: the second.
        names: what the branches that `step` may leave out are called in the graph that `total` is over, where
            that differs.

    >>> import torch
    >>> first = NodeMask({"a": torch.tensor([True, False, True])})
    >>> composed(first, NodeMask({"a": torch.tensor([False, True])})).keep["a"].tolist()
    [False, False, True]
    """
    keep = {name: mask.clone() for name, mask in total.keep.items()}
    for name, mask in step.keep.items():
        if name in keep:
            keep[name][keep[name].nonzero().squeeze(1)] = mask.to(keep[name].device)
        else:
            keep[name] = mask.clone()
    renamed = names or {}
    return NodeMask(keep, total.skip | {renamed.get(n, n) for n in step.skip})
