"""A tensor that sits on nodes as a flat list of scalars, its node dimension first."""

from __future__ import annotations

from math import prod

from torch import Tensor

from netgraph.graph import TensorSpec

__all__ = ["from_entries", "to_entries"]


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
