"""Torch-Pruning's GroupNorm with sparse learning, as its authors run it, within a budget of steps.

Paper: Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023. As in the authors' script: training
with the library's group regulariser and without weight decay, then small global cuts by the group norm (each
group divided by its maximum) until the MACs are reached.

Two things had to be decided here. With the authors' strength of the regulariser a short training hardly
shrinks a weight, so it can also be scaled: learning rate times strength, summed over the steps, is then that
of the authors' 100 epochs. And the library takes the padded shortcuts of `netgraph.zoo` for plain sums, and
cuts networks that have them into ones that do not run; it is given the equal network whose shortcuts are
fixed 1x1 convolutions, which its importance does not look at. After the cut these are a choice of channels
again, which costs no MACs.
"""

from __future__ import annotations

import copy
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.pruning.costs import multiplications
from benchmarks.pruning.training import Trainer
from netgraph.errors import BudgetError
from netgraph.zoo import BasicBlock, PadShortcut

__all__ = ["Placed", "sparse_learning"]

AUTHORS_STRENGTH = 1e-4
AUTHORS_RATES = 391 * (60 * 0.01 + 20 * 0.001 + 20 * 0.0001)
"""Learning rates, summed over 100 epochs of 391 steps whose rate falls at 60 and 80."""

CUTS = 400
"""Cuts into which the way down to no channel at all is divided."""


@final
class Placed(nn.Module):
    """A shortcut that puts channels in places: `out[o] = x[source[o]]`, or zero where there is no source.

    Args:
        source: for each channel out the channel in, or the number of channels in for none.
        stride: of the pixels.
    """

    def __init__(self, source: Tensor, stride: int) -> None:
        super().__init__()
        self.register_buffer("source", source, persistent=False)
        self.source: Tensor
        self.pixels = slice(None, None, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, self.pixels, self.pixels], (0, 0, 0, 0, 0, 1))[:, self.source]


def sparse_learning(
    network: nn.Module, example: Tensor, trainer: Trainer, speedup: float, *, scaled: bool
) -> nn.Module:
    """Train with the regulariser for the steps before the cut, and cut.

    Args:
        network: changed.
        example: inputs.
        trainer: whose schedule says for how many steps.
        speedup: how many times fewer MACs the result has at least.
        scaled: whether the strength of the regulariser is scaled to the steps.

    Raises:
        BudgetError: the library cannot cut so much.
    """
    import torch_pruning as tp  # type: ignore[import-untyped]

    target = multiplications(network, example) / speedup
    fixed = _with_fixed_convolutions(network)
    steps = trainer.schedule.steps_before
    rates = sum(trainer.schedule.rate(step, steps) for step in range(steps))

    class TrainedNorm(tp.importance.GroupMagnitudeImportance):  # type: ignore[misc]
        """The group norm without the convolutions that are not trained."""

        def __call__(self, group: Any) -> Tensor | None:
            part = copy.copy(group)
            part._group = [item for item in group if item[0].target.module not in fixed]
            return super().__call__(part)

    network.to(trainer.device)
    pruner = tp.pruner.GroupNormPruner(
        network,
        example.to(trainer.device),
        importance=TrainedNorm(p=2, normalizer="max"),
        reg=AUTHORS_STRENGTH * (AUTHORS_RATES / max(rates, 1e-12) if scaled else 1),
        global_pruning=True,
        pruning_ratio=1.0,
        iterative_steps=CUTS,
        ignored_layers=[network.linear],
    )
    trainer.train(network, steps, choose=False, penalise=pruner.regularize, weight_decay=0.0)
    for _ in range(CUTS):
        pruner.step()
        if multiplications(network, example, fixed) <= target:
            return _with_placed_channels(network, fixed)
    raise BudgetError(f"group_sl: expected at most {target:,.0f} MACs, got more after all cuts; allow more")


def _with_fixed_convolutions(network: nn.Module) -> set[nn.Module]:
    """Put a convolution that is not trained in place of every padded shortcut of the network."""
    found: set[nn.Module] = set()
    for block in _blocks(network):
        pad = block.shortcut
        if isinstance(pad, PadShortcut):
            width = block.conv1.in_channels
            conv = nn.Conv2d(width, pad.before + width + pad.after, 1, pad.pixels.step, bias=False)
            conv.weight.requires_grad_(False).zero_()
            conv.weight[pad.before + torch.arange(width), torch.arange(width)] = 1
            block.shortcut = conv
            found.add(conv)
    return found


def _with_placed_channels(network: nn.Module, fixed: set[nn.Module]) -> nn.Module:
    """Put a choice of channels in place of every convolution that is not trained."""
    for block in _blocks(network):
        conv = block.shortcut
        if isinstance(conv, nn.Conv2d) and conv in fixed:
            kernel = conv.weight.detach()[:, :, 0, 0]  # (out, in)
            source = torch.where(kernel.sum(1) > 0, kernel.argmax(1), kernel.shape[1])
            block.shortcut = Placed(source, conv.stride[0])
    return network


def _blocks(network: nn.Module) -> list[BasicBlock]:
    return [m for m in network.modules() if isinstance(m, BasicBlock)]
