"""Tensors that sit on nodes as flat lists of scalars, their node dimension first."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from netgraph.graph import Structure, TensorSpec
from netgraph.nn.plan import MessagePlan

__all__ = ["all_entries", "from_entries", "to_entries"]


def to_entries(tensor: Tensor, spec: TensorSpec) -> Tensor:
    """All scalars, those of the first position first: `(positions * others,)`; a view where strides allow."""
    assert spec.out_axis is not None
    return tensor if tensor.dim() == 1 else tensor.movedim(spec.out_axis, 0).reshape(-1)


def from_entries(entries: Tensor, spec: TensorSpec) -> Tensor:
    """The exact way back, to the tensor's own shape."""
    assert spec.out_axis is not None
    others = [n for d, n in enumerate(spec.shape) if d != spec.out_axis]
    assert entries.numel() == spec.shape[spec.out_axis] * prod(others)
    if not others:
        return entries
    return entries.view(spec.shape[spec.out_axis], *others).movedim(0, spec.out_axis)


def all_entries(
    tensors: Mapping[str, Tensor], structure: Structure, plan: MessagePlan, like: Tensor
) -> Tensor:
    """All scalars that sit on nodes, `(T,)`, in the plan's order and of one type.

    An observer's buffer may hold infinities, which say nothing: they count as zero.
    """
    flat = [to_entries(tensors[name], structure.tensor[name]).to(like) for name in plan.vectors]
    parameters, buffers = flat[: plan.num_parameters], flat[plan.num_parameters :]
    finite = [torch.cat(buffers).nan_to_num(0, 0, 0)] if buffers else []
    return torch.cat([like.new_zeros(0), *parameters, *finite])
