"""The factorised metanetwork again, with every scalar of every weight as an edge of its own.

Slow and obvious on purpose: messages are materialised per scalar, gathered by source and scattered by target
as in PyTorch Geometric. It shares with `netgraph.nn.factorised` the learned weights, and what is tested by
itself: roles of tensors, uses of weights and features of the structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.utils import scatter

from netgraph.graph import NeuralGraph, Structure, TensorSpec
from netgraph.nn import ROLES, tensor_roles
from netgraph.nn.factorised import FactorisedLayer, FactorisedMetanetwork, structure_features, weight_uses

GROUP_ROLES = ("hidden", "input", "output", "fixed")
JOINS = ("own", "add", "product", "concat", "contraction")


@dataclass(frozen=True)
class Scalars:
    """One weight, scalar by scalar in the order of its memory.

    Attributes:
        target, source: node of each, `(E,)`.
        away: offset of its tap from the kernel's centre, `(E, 3)`.
        kernel: sizes of the kernel, three of them.
        places: target and source node of every position along the channel dimensions.
        fans: scalars that meet in one target position, and in one source position.
        dims: the dimensions of targets and of sources.
        keep: places of the scalars in the flattened tensor.
        owner: node that owns them, if they are a part of a tensor.
    """

    spec: TensorSpec
    target: Tensor
    source: Tensor
    away: Tensor
    kernel: tuple[int, int, int]
    places: tuple[Tensor, Tensor]
    fans: tuple[int, int]
    dims: tuple[int, int]
    keep: Tensor
    owner: int | None = None


def scalars(structure: Structure, spec: TensorSpec) -> list[Scalars]:
    """List every scalar of a weight; a third dimension over nodes makes it several, one for each owner."""
    out, into = spec.out_axis, spec.in_axis
    assert out is not None and into is not None
    others = [d for d in range(len(spec.shape)) if spec.axes[d] is not None and d not in (out, into)]
    if not others or out == into:
        return [part_of(structure, spec, out, into)]
    (third,) = others
    shortest = min(sorted((out, into, third)), key=lambda d: spec.shape[d])
    out, into = (third if d == shortest else d for d in (out, into))
    owners = nodes_along(structure, spec, shortest).tolist()
    return [part_of(structure, spec, out, into, (shortest, i), owner) for i, owner in enumerate(owners)]


def part_of(
    structure: Structure,
    spec: TensorSpec,
    out: int,
    into: int,
    part: tuple[int, int] | None = None,
    owner: int | None = None,
) -> Scalars:
    """The scalars of a weight, or of one owner's part of it."""
    index = np.indices(spec.shape).reshape(len(spec.shape), -1)
    keep = np.arange(index.shape[1])
    if part is not None:
        keep = np.flatnonzero(index[part[0]] == part[1])
        index = index[:, keep]
    nodes = tuple(nodes_along(structure, spec, d) for d in (out, into))
    spatial = [d for d in range(2, len(spec.shape)) if spec.axes[d] is None and d not in (out, into)][-3:]
    away = np.zeros((index.shape[1], 3))
    kernel = [1, 1, 1]
    for place, d in zip(range(3 - len(spatial), 3), spatial, strict=True):
        kernel[place] = spec.shape[d]
        away[:, place] = index[d] - (spec.shape[d] - 1) / 2
    return Scalars(
        spec,
        nodes[0][index[out]],
        nodes[1][index[into]],
        torch.from_numpy(away),
        (kernel[0], kernel[1], kernel[2]),
        nodes,
        (len(keep) // spec.shape[out], len(keep) // spec.shape[into]),
        (out, into),
        torch.from_numpy(keep),
        owner,
    )


def nodes_along(structure: Structure, spec: TensorSpec, dim: int) -> Tensor:
    """Node of every position along a channel dimension."""
    found = []
    for s in structure.axis_of(spec, dim).segments:
        for i in range(s.length):
            found += [structure.offsets[s.group] + s.start + i] * s.repeat
    return torch.tensor(found)


def weights_of(structure: Structure) -> list[Scalars]:
    """All weights that are edges."""
    return [
        part
        for t in structure.tensors
        if t.placement == "block" and t.kind == "parameter" and "float" in t.dtype and t.numel
        for part in scalars(structure, t)
    ]


def log_compressed(x: Tensor) -> Tensor:
    """Logarithm on both sides of zero."""
    return torch.where(x >= 0, torch.log1p(x.clamp(min=0)), -torch.log1p((-x).clamp(min=0)))


def coefficients(encoder: torch.nn.Module, s: Scalars, like: Tensor) -> Tensor:
    """What the tap of each scalar is multiplied with, `(E, width)`."""
    sizes = torch.tensor(s.kernel, dtype=torch.float64)
    away = s.away
    where = torch.cat(
        [2 * away / sizes, away.sign() * (1 + away.abs()).log(), sizes.log().expand(len(away), 3)], 1
    )
    return encoder.out(F.silu(encoder.mix(where.to(like))))


class Oracle:
    """A factorised metanetwork on one structure, edge by edge."""

    def __init__(self, meta: FactorisedMetanetwork, structure: Structure) -> None:
        self.meta, self.structure = meta, structure
        self.weights = weights_of(structure)
        groups = structure.groups
        self.group = torch.tensor([g for g, group in enumerate(groups) for _ in range(group.size)])

    def read(
        self,
        graph: NeuralGraph,
        state: Mapping[str, Tensor] | None = None,
        probe: Mapping[str, Tensor] | None = None,
        target: float | None = None,
    ) -> dict[str, Tensor]:
        """All that the heads say, by head and name."""
        tensors = {**graph.state, **(state or {})}
        values, scales, states = self.given(tensors)
        nodes = self._start(tensors, values, scales, probe, target)
        for layer in self.meta.layers:
            nodes = self.layer(layer, nodes, values, scales, states)
        return self._heads(nodes, tensors, values, scales, states, target)

    def given(self, tensors: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Scalars, root mean square and state of every weight."""
        like = self.meta.kind.weight
        values = [tensors[w.spec.name].to(like).reshape(-1)[w.keep] for w in self.weights]
        scales = [(v.square().mean() + 1e-20).sqrt() for v in values]
        return values, scales, [self._state(w, s) for w, s in zip(self.weights, scales, strict=True)]

    def _state(self, w: Scalars, scale: Tensor) -> Tensor:
        meta = self.meta
        use = weight_uses(self.structure).get(w.spec.name)
        kinds = list(meta.config.kinds)
        loop = w.dims[0] == w.dims[1]
        channels = w.spec.shape[w.dims[0]] * (1 if loop else w.spec.shape[w.dims[1]])
        parallel = len(w.keep) // channels // (w.kernel[0] * w.kernel[1] * w.kernel[2])
        conv = (use.stride, use.dilation, use.groups) if use else (1, 1, 1)
        logs = [log(n) / 4 for n in (*w.fans, *w.kernel, parallel, *conv)]
        facts = scale.new_tensor([*logs, float(loop), float(use is not None)])
        kind = len(kinds) + 1 if use is None else kinds.index(use.kind) if use.kind in kinds else len(kinds)
        given = torch.cat([facts, scale.log().view(1) / 4])
        return F.silu(meta.weight_encoder(given) + meta.kind.weight[kind])

    def _start(
        self,
        tensors: Mapping[str, Tensor],
        values: list[Tensor],
        scales: list[Tensor],
        probe: Mapping[str, Tensor] | None,
        target: float | None,
    ) -> Tensor:
        meta, structure, like = self.meta, self.structure, self.meta.kind.weight
        features = structure_features(structure, meta.config.kinds).to(like)
        wanted = like.new_tensor([0.0, 0.0] if target is None else [log(target), 1.0])
        roles = tensor_roles(structure)
        parts: list[list[Tensor]] = [[] for _ in range(structure.num_nodes)]
        for spec in structure.tensors:
            if spec.placement != "node" or "float" not in spec.dtype:
                continue
            assert spec.out_axis is not None
            role = ROLES.index(roles[spec.name])
            tensor = tensors[spec.name].to(like)
            tensor = log_compressed(tensor if spec.kind == "parameter" else tensor.nan_to_num(0, 0, 0))
            rows = tensor.movedim(spec.out_axis, 0).reshape(spec.shape[spec.out_axis], -1).mean(1)
            places = nodes_along(structure, spec, spec.out_axis)
            for node in places.unique().tolist():
                mean = rows[places == node].mean()
                parts[node].append(meta.node_encoder.weight[role] * mean + meta.node_encoder.bias[role])
        magnitudes = self._magnitudes(values, scales)
        found = []
        for node, group in enumerate(self.group.tolist()):
            own = parts[node]
            x = torch.stack(own).mean(0) if own else meta.node_encoder.empty
            x = x + meta.node_encoder.group_role[GROUP_ROLES.index(structure.groups[group].role)]
            x = x + meta.structure_encoder(features[group]) + meta.target_encoder(wanted)
            x = x + meta.magnitude_encoder(magnitudes[node])
            name = structure.groups[group].name
            if probe is not None and name in probe:
                assert meta.probe_encoder is not None
                place = node - structure.offsets[group]
                x = x + meta.probe_encoder(log_compressed(probe[name][place].to(like)))
            found.append(x)
        return torch.stack(found) if found else like.new_zeros(0, meta.config.hidden)

    def _magnitudes(self, values: list[Tensor], scales: list[Tensor]) -> Tensor:
        like = self.meta.kind.weight
        lists: list[list[list[Tensor]]] = [[[], []] for _ in range(self.structure.num_nodes)]
        for w, value, scale in zip(self.weights, values, scales, strict=True):
            for way in range(2):
                for node, row in zip(w.places[way].tolist(), self._rows(w, value, way), strict=True):
                    lists[node][way].append((row / w.fans[way] / scale.square() + 1e-6).log())
                if w.owner is not None:
                    alike = [
                        s.square() for o, s in zip(self.weights, scales, strict=True) if o.spec is w.spec
                    ]
                    share = scale.square() / torch.stack(alike).mean()
                    lists[w.owner][way].append((share + 1e-6).log())
        zero = like.new_zeros(())
        means = [[torch.stack(found).mean() if found else zero for found in ways] for ways in lists]
        return torch.stack([torch.stack(m) for m in means]) if means else like.new_zeros(0, 2)

    @staticmethod
    def _rows(w: Scalars, value: Tensor, way: int) -> Tensor:
        """Sums of squares of the scalars at every position."""
        size = w.spec.shape[w.dims[way]]
        index = np.unravel_index(w.keep.numpy(), w.spec.shape)[w.dims[way]]
        return scatter(value.square(), torch.from_numpy(index), dim_size=size)

    def layer(
        self,
        layer: FactorisedLayer,
        nodes: Tensor,
        values: list[Tensor],
        scales: list[Tensor],
        states: list[Tensor],
    ) -> Tensor:
        """Node states after one layer."""
        hidden, squares = layer.hidden, layer.squares
        width = hidden + squares
        x = F.layer_norm(nodes, (hidden,))
        sent = F.silu(layer.sources(x))
        messages = []
        for way in range(2):
            a = sent[:, way * width : way * width + hidden]
            b = sent[:, way * width + hidden : (way + 1) * width]
            total, count = x.new_zeros(len(x), width), x.new_zeros(len(x))
            for w, value, scale, state in zip(self.weights, values, scales, states, strict=True):
                to, source = (w.target, w.source) if way == 0 else (w.source, w.target)
                c = coefficients(layer.taps[way], w, like=x)  # (E, K)
                mapped = sum(c[:, [k]] * (a @ view)[source] for k, view in enumerate(layer.views[way]))
                weight = (value / scale).unsqueeze(1)
                per_scalar = [mapped * weight / sqrt(w.fans[way]), b[source] * weight.square() / w.fans[way]]
                if w.owner is not None:
                    state = state + layer.owner(x[w.owner])
                grow, shift = layer.modulate(state).view(2, 2, width)[way]
                positions = torch.bincount(w.places[way], minlength=len(x)).to(x)
                arrived = scatter(torch.cat(per_scalar, 1), to, dim_size=len(x))
                total = total + arrived * (1 + grow) + positions.unsqueeze(1) * shift
                count = count + positions
                if w.owner is not None:
                    mean = arrived.sum(0) / len(w.places[way]) * (1 + grow) + shift
                    owner = F.one_hot(torch.tensor(w.owner), len(x)).to(x)
                    total = total + owner.unsqueeze(1) * mean
                    count = count + owner
            messages.append(total / count.clamp(min=1).unsqueeze(1))
        messages.append(self._joined(layer, x))
        given = torch.sigmoid(layer.gates(x)) * log_compressed(torch.cat(messages, 1))
        return nodes + layer.out(F.silu(layer.mix(torch.cat([given, x], 1))))

    def _joined(self, layer: FactorisedLayer, x: Tensor) -> Tensor:
        structure = self.structure
        means = [x[self.group == g].mean(0) for g in range(len(structure.groups))]
        found = []
        for g in range(len(structure.groups)):
            total = means[g] @ layer.joins[0]
            for number, kind in enumerate(JOINS[1:], start=1):
                joins = [j for j in structure.joins if j.kind == kind and g in j.groups and len(j.groups) > 1]
                others = [torch.stack([means[o] for o in j.groups if o != g]).mean(0) for j in joins]
                if others:
                    total = total + torch.stack(others).mean(0) @ layer.joins[number]
            found.append(total)
        return torch.stack(found)[self.group] if found else x

    def _heads(
        self,
        nodes: Tensor,
        tensors: Mapping[str, Tensor],
        values: list[Tensor],
        scales: list[Tensor],
        states: list[Tensor],
        target: float | None,
    ) -> dict[str, Tensor]:
        meta, structure = self.meta, self.structure
        found: dict[str, Tensor] = {}
        for w, value, scale, state in zip(self.weights, values, scales, states, strict=True):
            flat = found.get(f"values {w.spec.name}", nodes.new_zeros(w.spec.numel))
            new = self._rewritten(nodes, w, value, scale, state)
            found[f"values {w.spec.name}"] = flat.index_add(0, w.keep, new)
        for w in self.weights:
            found[f"values {w.spec.name}"] = found[f"values {w.spec.name}"].view(w.spec.shape)
        found |= self._rewritten_vectors(nodes, tensors)
        normal = F.layer_norm(nodes, nodes.shape[1:])
        hidden = nodes.shape[1]
        statistics = []
        for g, group in enumerate(structure.groups):
            mine = nodes[self.group == g]
            deviation = (mine.var(0, correction=0) + 1e-6).sqrt()
            statistics.append(torch.cat([mine.mean(0), deviation, mine.amax(0)]))
            if group.role != "hidden":
                continue
            given = torch.cat([normal[self.group == g], (mine - mine.mean(0)) / deviation], 1)
            found[f"scores {group.name}"] = meta.score_head.out(F.silu(meta.score_head.mix(given))).squeeze(1)
            share = 0.5 if target is None else min(sqrt(target), 1 - 1e-4)
            wanted = nodes.new_tensor([0.0, 0.0] if target is None else [log(target), 1.0])
            given = torch.cat([log_compressed(statistics[-1]), wanted])
            logit = meta.budget_head.out(F.silu(meta.budget_head.mix(given))).squeeze()
            found[f"budgets {group.name}"] = torch.sigmoid(logit + log(share / (1 - share)))
        pooled = []
        for role in GROUP_ROLES:
            of_role = [s for s, g in zip(statistics, structure.groups, strict=True) if g.role == role]
            pooled.append(torch.stack(of_role).mean(0) if of_role else nodes.new_zeros(3 * hidden))
        head = meta.graph_head
        found["output"] = head.out(F.silu(head.mix(log_compressed(torch.cat(pooled)))))
        return found

    def _rewritten(self, nodes: Tensor, w: Scalars, value: Tensor, scale: Tensor, state: Tensor) -> Tensor:
        head = self.meta.edge_head
        rank = head.rank
        x = F.silu(head.mix(F.layer_norm(nodes, nodes.shape[1:])))
        factors = head.factors(x)
        if w.owner is not None:
            state = state + head.owner(x[w.owner])
        modulation = 1 + head.modulate(state)
        grow, move = modulation[:rank], modulation[rank:]
        target, source = factors.split(2 * rank, 1)
        a, c = target[w.target].split(rank, 1)
        b, d = source[w.source].split(rank, 1)
        places = coefficients(head.taps, w, like=nodes)
        factor = (a * grow * b).sum(1)
        shift = (c * move * d * places).sum(1)
        return value + head.rho * (value * factor + scale * shift)

    def _rewritten_vectors(self, nodes: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        meta, structure = self.meta, self.structure
        roles = tensor_roles(structure)
        found = {}
        for spec in structure.tensors:
            if spec.placement != "node" or spec.kind != "parameter" or "float" not in spec.dtype:
                continue
            assert spec.out_axis is not None
            old = tensors[spec.name].to(nodes).movedim(spec.out_axis, 0)
            entries = old.reshape(spec.shape[spec.out_axis], -1)
            node = nodes_along(structure, spec, spec.out_axis).repeat_interleave(entries.shape[1])
            role = torch.full_like(node, ROLES.index(roles[spec.name]))
            change = meta.node_head(nodes, log_compressed(entries.reshape(-1)), node, role)
            new = old + meta.config.rho * change.view(old.shape)
            found[f"values {spec.name}"] = new.movedim(0, spec.out_axis)
        return found
