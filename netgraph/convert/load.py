"""Put a graph's state back into a module of the original class."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from netgraph.errors import ConversionError
from netgraph.graph import NeuralGraph, dtype_name

M = TypeVar("M", bound=nn.Module)


def load_into(module: M, graph: NeuralGraph) -> M:
    """Copy a graph's state into a module, in place, and return the module.

    All names, shapes and dtypes are checked before the first byte is written.

    Raises:
        ConversionError: the module's `state_dict` and the graph differ; the first differences are named.

    >>> import torch, netgraph
    >>> one, two = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    >>> two = netgraph.load_into(two, netgraph.to_graph(one, torch.zeros(1, 3)))
    >>> torch.equal(one.weight, two.weight)
    True
    """
    target = {n: t for n, t in module.state_dict(keep_vars=True).items() if isinstance(t, Tensor)}
    source = graph.to_state_dict()
    missing, extra = sorted(set(target) - set(source)), sorted(set(source) - set(target))
    if missing or extra:
        raise ConversionError(
            f"load_into: the graph lacks {missing[:3]} and has {extra[:3]} that {type(module).__name__} does "
            "not know; load it into the architecture that it was converted from, or use graph.to_module()"
        )
    for name, tensor in source.items():
        given = target[name]
        if tensor.shape != given.shape or tensor.dtype != given.dtype:
            raise ConversionError(
                f"load_into: {name!r} is {dtype_name(tensor.dtype)}{list(tensor.shape)} in the graph but "
                f"{dtype_name(given.dtype)}{list(given.shape)} in {type(module).__name__}; for a pruned "
                "graph use apply_mask(module, graph, mask) or graph.to_module()"
            )
    with torch.no_grad():
        for name, tensor in source.items():
            target[name].copy_(tensor)
    return module
