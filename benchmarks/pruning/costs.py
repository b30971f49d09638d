"""MACs without a trace: what `netgraph.graph.CostModel` counts, found by one forward pass."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

__all__ = ["multiplications"]


@torch.no_grad()
def multiplications(module: nn.Module, example: Tensor, without: Collection[nn.Module] = ()) -> int:
    """MACs of one image in all convolutions and linear layers; the module is left in evaluation mode.

    Args:
        module: on the device of the example.
        example: inputs, of which the first is taken.
        without: layers that do not count.
    """
    found: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        found.append(weight[0].numel() * output[0].numel())

    layers = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear)) and m not in without]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        module.eval()(example[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return sum(found)
