"""The kernel as functions of tensors: memory for what it returns, and pointers to what it reads."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from netgraph.linkpred.incoming import IncomingEdges
from netgraph.nn.kernels import find_compiler, load_kernels

__all__ = ["can_run", "propagate_backward", "propagate_forward"]

PROGRAM: Final = Path(__file__).parent / "propagate.cpp"

MESSAGES: Final = ("distmult", "transe", "rotate")
AGGREGATES: Final = ("sum", "mean", "max", "min", "statistics")


class CTask(ctypes.Structure):
    """`Task` of `propagate.cpp`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("threads", "nodes", "relations", "batch", "features")),
        *((name, ctypes.c_int64) for name in ("message", "aggregate", "relation_stride")),
        *((name, ctypes.c_void_p) for name in ("begin", "source", "kind", "weight", "states")),
        *((name, ctypes.c_void_p) for name in ("relation", "boundary", "out", "winners")),
    ]


class CGradients(ctypes.Structure):
    """`Gradients` of `propagate.cpp`."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("out", "states", "relation", "boundary", "weight")]


def can_run(*tensors: Tensor | None) -> bool:
    """Whether there is a kernel for tensors of this kind; the first time, it is built."""
    fit = all(t is None or (t.dtype == torch.float32 and t.device.type == "cpu") for t in tensors)
    return fit and find_compiler() is not None and load_kernels(PROGRAM) is not None


def propagate_forward(
    edges: IncomingEdges,
    message: str,
    aggregate: str,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    weight: Tensor | None,
    *,
    winners: bool,
) -> tuple[Tensor, Tensor | None]:
    """As `chunked_forward`; all tensors are contiguous."""
    wide = 4 if aggregate == "statistics" else 1
    nodes, batch, features = states.shape
    out = states.new_empty(nodes, batch, wide * features)
    found = None
    if winners and aggregate not in ("sum", "mean"):
        found = torch.empty(1 + (wide > 1), *states.shape, dtype=torch.int32)
    task = _task(edges, message, aggregate, states, relation, boundary, weight, out, found)
    _library().netgraph_propagate(ctypes.byref(task))
    return out, found


def propagate_backward(
    edges: IncomingEdges,
    message: str,
    aggregate: str,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    weight: Tensor | None,
    out: Tensor | None,
    winners: Tensor | None,
    grad: Tensor,
    *,
    weighs: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """As `chunked_backward`; all tensors are contiguous."""
    task = _task(edges, message, aggregate, states, relation, boundary, weight, out, winners)
    grad_states, grad_boundary = torch.empty_like(states), torch.empty_like(boundary)
    grad_relation = relation.new_empty(states.size(1), *relation.shape[1:])
    grad_weight = states.new_zeros(task.threads, len(edges)) if weighs else None
    gradients = CGradients(*(_at(t) for t in (grad, grad_states, grad_relation, grad_boundary, grad_weight)))
    _library().netgraph_propagate_backward(ctypes.byref(task), ctypes.byref(gradients))
    if len(relation) != len(grad_relation):
        grad_relation = grad_relation.sum(0, keepdim=True)
    return grad_states, grad_relation, grad_boundary, None if grad_weight is None else grad_weight.sum(0)


def _library() -> ctypes.CDLL:
    library = load_kernels(PROGRAM)
    if library is None:
        raise RuntimeError("propagate: expected a built kernel, there is none; ask `can_run` first")
    return library


def _task(
    edges: IncomingEdges,
    message: str,
    aggregate: str,
    states: Tensor,
    relation: Tensor,
    boundary: Tensor,
    weight: Tensor | None,
    out: Tensor | None,
    winners: Tensor | None,
) -> CTask:
    nodes, batch, features = states.shape
    shared = relation.size(0) == 1
    sizes = (torch.get_num_threads(), nodes, relation.size(1), batch, features)
    how = MESSAGES.index(message), AGGREGATES.index(aggregate), 0 if shared else relation.size(1) * features
    graph = edges.begin, edges.short_source, edges.short_relation
    return CTask(*sizes, *how, *(_at(t) for t in (*graph, weight, states, relation, boundary, out, winners)))


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
