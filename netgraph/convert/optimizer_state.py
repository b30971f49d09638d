"""What an optimiser remembers of a module's parameters, cut by the same indices."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netgraph.graph import NodeMask, Structure, kept_positions


def cut_optimizer_state(
    optimizer: Optimizer, module: nn.Module, structure: Structure, mask: NodeMask
) -> None:
    """Index every tensor of an optimiser's state that has the shape of its (uncut) parameter.

    Momentum buffers and second moments of the kept channels go on as they were. Call it after the module was
    cut in place, when parameters are the same objects with fewer entries.

    Args:
        optimizer: over parameters of `module` (and of anything else).
        module: the cut module.
        structure: its structure before the cut.
        mask: what was kept.
    """
    positions = [None if p is None else torch.from_numpy(p) for p in kept_positions(structure, mask)]
    alias = dict(structure.aliases)
    for name, parameter in module.named_parameters():
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
