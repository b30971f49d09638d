"""What an optimiser remembers of a module's parameters, cut by the same indices."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from netgraph.graph import NodeMask, Structure, kept_positions
from netgraph.graph.branches import chosen


def cut_optimizer_state(
    optimizer: Optimizer, parameters: Mapping[str, Parameter], structure: Structure, mask: NodeMask
) -> None:
    """Index every tensor of an optimiser's state that has the shape of its (uncut) parameter.

    Momentum buffers and second moments of the kept channels go on as they were; parameters of branches that
    the mask leaves out are forgotten. Call it after the module was cut in place, when parameters are the same
    objects with fewer entries.

    Args:
        optimizer: over these parameters (and any others).
        parameters: those of the module before the cut, by name.
        structure: its structure before the cut.
        mask: what was kept.
    """
    gone = {t for b in chosen(structure, mask.skip) for t in b.tensors}
    lost = {id(p) for n, p in parameters.items() if n in gone}
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in lost]
    positions = [
        None if p is None else torch.from_numpy(p) for p in kept_positions(structure, NodeMask(mask.keep))
    ]
    alias = dict(structure.aliases)
    for name, parameter in parameters.items():
        if id(parameter) in lost:
            optimizer.state.pop(parameter, None)
            continue
        spec = structure.tensor.get(alias.get(name, name))
        state = optimizer.state.get(parameter)
        if spec is None or not state:
            continue
        for key, value in state.items():
            if isinstance(value, Tensor) and tuple(value.shape) == spec.shape:
                for dim, axis in enumerate(spec.axes):
                    kept = None if axis is None else positions[axis]
                    if kept is not None:
                        value = value.index_select(dim, kept.to(value.device))
                state[key] = value


__all__ = ["cut_optimizer_state"]
