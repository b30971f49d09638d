"""From labels to groups and axes: the last step of a conversion.

Labels that occur in the same tensors and values, equally often, form one group; its nodes are the labels in
order of creation. What is fixed, an input or an output is told apart by the marks on the labels.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from netgraph.convert.labels import FIXED, INPUT, OUTPUT, varying
from netgraph.convert.propagate import Propagation
from netgraph.convert.trace import Trace
from netgraph.graph import Axis, Group, Ref, Structure, TensorSpec, Value, dtype_name
from netgraph.graph.axis import IntArray
from netgraph.graph.structure import Kind, Role


def assemble(
    program: Trace,
    walk: Propagation,
    state: Mapping[str, Tensor],
    kinds: Mapping[str, Kind],
    persistent: Mapping[str, bool],
) -> Structure:
    """Build the structure. Aliases and the order of the `state_dict` are left to the caller."""
    for out in program.outputs:
        if isinstance(out, Ref) and out.kind != "training":
            for f in walk.fields(out):
                walk.space.mark(f, OUTPUT)
            for dim in range(len(walk.concrete(out))):
                if (out.name, dim) in walk.single:
                    walk.space.mark(walk.single[out.name, dim], OUTPUT)
    tensors = {name: _tensor_axes(walk, name, tensor) for name, tensor in state.items()}
    values = {name: _value_axes(walk, name) for name in program.shapes if program.dtypes[name] != "constant"}
    marks = walk.space.settle()
    held = np.zeros(walk.space.size, dtype=np.bool_)  # channels that some tensor has; others are mere places
    for axes in tensors.values():
        for labels in axes:
            if labels is not None:
                held[walk.space.roots(labels)] = True
    for axes in values.values():
        for dim, labels in enumerate(axes):
            if labels is not None and not held[walk.space.roots(labels)].any():
                axes[dim] = None
    occurrences = [
        (labels, f"{name}.{dim}")
        for name, axes in tensors.items()
        for dim, labels in enumerate(axes)
        if labels is not None
    ]
    occurrences += [(labels, "") for axes in values.values() for labels in axes if labels is not None]
    occurrences += [(labels.numpy(), "") for labels in walk.places()]
    groups, group_of, index_of = _groups(walk, [(walk.space.roots(a), n) for a, n in occurrences], marks)
    pool: dict[Axis, int] = {}

    def pooled(labels: IntArray | None) -> int | None:
        if labels is None:
            return None
        roots = walk.space.roots(labels)
        axis = Axis.from_nodes(group_of[roots], index_of[roots])
        return pool.setdefault(axis, len(pool))

    specs = []
    for name, tensor in state.items():
        places = tuple(pooled(a) for a in tensors[name])
        out_axis, in_axis = _roles(walk, name, places)
        specs.append(
            TensorSpec(
                name=name,
                shape=tuple(tensor.shape),
                dtype=dtype_name(tensor.dtype),
                kind=kinds[name],
                axes=places,
                out_axis=out_axis,
                in_axis=in_axis,
                persistent=persistent.get(name, True),
                requires_grad=tensor.requires_grad,
            )
        )
    records = tuple(
        Value(
            n,
            program.shapes[n],
            program.dtypes[n],
            tuple(pooled(a) for a in values[n]) if n in values else (),
        )
        for n in program.shapes
    )
    return Structure(
        groups=groups,
        axes=tuple(pool),
        tensors=tuple(specs),
        values=records,
        operators=tuple(program.operators),
        inputs=tuple(program.inputs),
        outputs=tuple(program.outputs),
        symbols=tuple(program.symbols),
        in_spec=program.in_spec,
        out_spec=program.out_spec,
    )


def _tensor_axes(walk: Propagation, name: str, tensor: Tensor) -> list[IntArray | None]:
    """Labels of each axis of a state tensor. Axes that no rule touched get labels of their own, fixed, up to
    two of them; what is left over is taps."""
    found = walk.tensor_fields.get(name, [None] * tensor.dim())
    taps = walk.taps.get(name, set())
    role = walk.roles.get(name)
    wanted = [d for d in range(tensor.dim()) if d not in taps]
    if role is None:
        long = [d for d in wanted if tensor.shape[d] > 1]
        touched = [d for d in long if found[d] is not None]
        wanted = (touched + [d for d in long if d not in touched])[: max(2, len(touched))]
        wanted = wanted[:2] + [d for d in wanted[2:] if not _fixed(walk, found[d])]
    axes: list[IntArray | None] = []
    for dim in range(tensor.dim()):
        labels = found[dim]
        if dim in taps and (role is None or dim not in role):
            labels = None
        elif dim in wanted and labels is None:
            labels = walk.space.fresh(tensor.shape[dim], FIXED)
        elif dim not in wanted:
            labels = None
        axes.append(None if labels is None or len(labels) == 0 else np.asarray(labels.numpy()))
    return axes


def _fixed(walk: Propagation, labels: Tensor | None) -> bool:
    return labels is None or bool(walk.space.marks(labels).all())


def _value_axes(walk: Propagation, name: str) -> list[IntArray | None]:
    """What runs along each dimension of a value: the free labels if there are any, else the marked ones."""
    shape = walk.concrete(name)
    fields = [walk.space.normal(f) for f in walk.values.get(name, [])]
    axes: list[IntArray | None] = []
    for dim in range(len(shape)):
        running = [f for f in fields if dim in varying(f)]
        free = [f for f in running if not walk.space.marks(f).all()]
        chosen = free[0] if free else running[0] if len(running) == 1 else None
        if chosen is None or varying(chosen) != {dim}:
            single = walk.single.get((name, dim)) if shape[dim] == 1 else None
            axes.append(None if single is None else np.asarray(single.numpy()))
        else:
            axes.append(
                chosen[tuple(slice(None) if d == dim else 0 for d in range(len(shape)))].numpy().copy()
            )
    return axes


def _roles(walk: Propagation, name: str, axes: tuple[int | None, ...]) -> tuple[int | None, int | None]:
    labelled = [d for d, a in enumerate(axes) if a is not None]
    role = walk.roles.get(name)
    if role is not None and all(axes[d] is not None for d in role):
        return role
    if len(labelled) >= 2:  # nobody said: rows point to columns, as in a table that is looked up
        return labelled[1], labelled[0]
    return (labelled[0], None) if labelled else (None, None)


def _groups(
    walk: Propagation, occurrences: list[tuple[IntArray, str]], marks: IntArray
) -> tuple[tuple[Group, ...], IntArray, IntArray]:
    """Groups, and for every root label its group and its place there."""
    random = np.random.default_rng(0)
    signature = np.zeros(walk.space.size, dtype=np.uint64)
    namer = np.full(walk.space.size, len(occurrences), dtype=np.int64)
    seen = np.zeros(walk.space.size, dtype=np.bool_)
    for i, (roots, name) in enumerate(occurrences):
        present, counts = np.unique(roots, return_counts=True)
        seen[present] = True
        # a random word for every (occurrence, count): labels with equal sums occur alike
        words = random.integers(0, 2**63, dtype=np.uint64) * (2 * counts.astype(np.uint64) + 1)
        signature[present] += words
        if name:
            namer[present] = np.minimum(namer[present], i)
    role = np.where(marks & OUTPUT, 3, np.where(marks & INPUT, 2, np.where(marks & FIXED, 1, 0)))
    labels = np.flatnonzero(seen)
    keys = np.stack([signature[labels], role[labels].astype(np.uint64)], 1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # groups in order of their first label
    inverse = rank[inverse.reshape(-1)]
    group_of = np.full(walk.space.size, -1, dtype=np.int64)
    index_of = np.full(walk.space.size, -1, dtype=np.int64)
    names: dict[str, int] = {}
    groups = []
    roles: tuple[Role, ...] = ("hidden", "fixed", "input", "output")
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(first) + 1))
    for g in range(len(first)):
        members = labels[order[bounds[g] : bounds[g + 1]]]
        group_of[members] = g
        index_of[members] = np.arange(len(members))
        i = int(namer[members].min())
        base = _group_name(walk, occurrences[i][1] if i < len(occurrences) else "", int(role[members[0]]))
        names[base] = names.get(base, 0) + 1
        name = base if names[base] == 1 else f"{base}~{names[base]}"
        groups.append(Group(name, len(members), roles[int(role[members[0]])]))
    return tuple(groups), group_of, index_of


def _group_name(walk: Propagation, occurrence: str, role: int) -> str:
    """After the first layer that makes the group; an axis that only reads is named after tensor and axis."""
    tensor, _, dim = occurrence.rpartition(".")
    if role == 2:
        return "input"
    if not tensor:
        return "internal"
    module, _, leaf = tensor.rpartition(".")
    out_axis = walk.roles.get(tensor, (0, 0))[0]
    if int(dim) == out_axis:
        return module or leaf
    return f"{tensor}.{dim}"
