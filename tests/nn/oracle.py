"""The metanetwork again, in plain PyTorch Geometric: one `edge_index`, one materialised state per edge.

Slow and obvious on purpose. It shares no code with `netgraph.nn` but the learned weights and the roles:
kernels are cut into windows through index arrays, nodes are encoded tensor by tensor, messages go through
`MessagePassing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import isqrt

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter

from netgraph.graph import NeuralGraph, Structure, TensorSpec
from netgraph.nn import ROLES, BlockMessageLayer, Metanetwork, tensor_roles

EPS = 1e-6
GROUP_ROLES = ("hidden", "input", "output", "fixed")


@dataclass(frozen=True)
class FlatGraph:
    """A parameter graph with every edge listed.

    Attributes:
        edge_index: source and target of every edge, `(2, E)`.
        names: tensors whose weights are edges.
        tap: for every edge and tap, the place of its weight in the concatenation of these tensors, or -1.
    """

    structure: Structure
    edge_index: Tensor
    names: tuple[str, ...]
    tap: Tensor


def flatten(structure: Structure, taps: int) -> FlatGraph:
    """List every edge of a structure."""
    side = isqrt(taps)
    sources, targets, places, names = [], [], [], []
    offset = 0
    for spec in structure.tensors:
        if spec.placement != "block" or spec.kind != "parameter" or "float" not in spec.dtype:
            continue
        assert spec.out_axis is not None and spec.in_axis is not None
        names.append(spec.name)
        index = np.arange(offset, offset + spec.numel).reshape(spec.shape)
        offset += spec.numel
        out, into = nodes_along(structure, spec, spec.out_axis), nodes_along(structure, spec, spec.in_axis)
        loop = spec.out_axis == spec.in_axis
        index = (
            np.moveaxis(index, spec.out_axis, 0)
            if loop
            else np.moveaxis(index, (spec.out_axis, spec.in_axis), (0, 1))
        )
        rest = [d for d in range(len(spec.shape)) if d not in (spec.out_axis, spec.in_axis)]
        spatial = [d for d in rest if d >= 2 and spec.axes[d] is None][-2:]
        first = 1 if loop else 2
        # Kernel dimensions to the end, and always two of them.
        index = (
            np.moveaxis(index, [first + rest.index(d) for d in spatial], range(-len(spatial), 0))
            if spatial
            else index
        )
        for _ in range(2 - len(spatial)):
            index = np.expand_dims(index, index.ndim - len(spatial))
        channels = index.shape[:first]
        for parallel in product(*(range(n) for n in index.shape[first:-2])):
            kernel = index[(*(slice(None),) * first, *parallel)]
            for window in windows(kernel, side):
                if loop:
                    sources.append(out)
                    targets.append(out)
                else:
                    targets.append(np.repeat(out, channels[1]))
                    sources.append(np.tile(into, channels[0]))
                places.append(window.reshape(-1, taps))
    empty = np.zeros(0, dtype=np.int64)
    return FlatGraph(
        structure=structure,
        edge_index=torch.from_numpy(
            np.stack([np.concatenate([empty, *sources]), np.concatenate([empty, *targets])])
        ),
        names=tuple(names),
        tap=torch.from_numpy(np.concatenate([np.zeros((0, taps), dtype=np.int64), *places])),
    )


def windows(kernel: npt.NDArray[np.int64], side: int) -> list[npt.NDArray[np.int64]]:
    """Cut `(..., height, width)` into square windows; -1 stands where the kernel has no weight."""
    tall, wide = (-(-n // side) * side for n in kernel.shape[-2:])
    padded = np.full((*kernel.shape[:-2], tall, wide), -1, dtype=np.int64)
    top, left = (tall - kernel.shape[-2]) // 2, (wide - kernel.shape[-1]) // 2
    padded[..., top : top + kernel.shape[-2], left : left + kernel.shape[-1]] = kernel
    return [
        padded[..., r : r + side, c : c + side] for r in range(0, tall, side) for c in range(0, wide, side)
    ]


def nodes_along(structure: Structure, spec: TensorSpec, dim: int) -> npt.NDArray[np.int64]:
    """Node of every position of a tensor's dimension, by walking its segments."""
    found = []
    for segment in structure.axis_of(spec, dim).segments:
        for node in range(segment.start, segment.start + segment.length):
            found += [structure.offsets[segment.group] + node] * segment.repeat
    return np.array(found, dtype=np.int64)


class OracleLayer(MessagePassing):
    """One round over the flattened graph, with the weights of a `BlockMessageLayer`."""

    def __init__(self, layer: BlockMessageLayer) -> None:
        super().__init__(aggr=None)
        self.layer = layer

    def forward(self, h: Tensor, e: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        hidden = h.shape[1]
        x = F.layer_norm(h, (hidden,))
        a1, a2, a3, a4 = F.silu(self.layer.gates(x)).split(hidden, 1)
        sign = torch.tensor([1.0] * ((hidden + 1) // 2) + [-1.0] * (hidden // 2), dtype=h.dtype)
        along = self.propagate(edge_index, a1=a1, a2=a2, e=e)
        against = self.propagate(edge_index.flip(0), a1=a1, a2=a2, e=sign * e)
        h = h + self.layer.update(along) + self.layer.update(against)
        j, i = edge_index
        return h, e + a3[j] * a4[i] * e + a3[i] * a4[j] * e

    def message(self, a1_j: Tensor, a2_i: Tensor, e: Tensor) -> Tensor:
        return a2_i * a1_j * e

    def aggregate(
        self, inputs: Tensor, index: Tensor, ptr: None = None, dim_size: int | None = None
    ) -> Tensor:
        mean = scatter(inputs, index, 0, dim_size, "mean")
        variance = scatter((inputs - mean[index]).square(), index, 0, dim_size, "mean")
        reached = scatter(torch.ones_like(index), index, 0, dim_size, "sum") > 0
        std = torch.where(reached.unsqueeze(1), (variance + EPS).sqrt(), 0)
        return torch.cat(
            [
                mean,
                std,
                scatter(inputs, index, 0, dim_size, "max"),
                scatter(inputs, index, 0, dim_size, "min"),
            ],
            1,
        )


class OracleMetanetwork(nn.Module):
    """The whole metanetwork over a flattened graph, with the weights of `meta`."""

    def __init__(self, meta: Metanetwork, flat: FlatGraph) -> None:
        super().__init__()
        self.meta = meta
        self.flat = flat
        self.layers = nn.ModuleList(OracleLayer(layer) for layer in meta.layers)

    def forward(self, graph: NeuralGraph, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        meta, flat = self.meta, self.flat
        tensors = {**graph.state, **(state or {})}
        dtype = meta.edge_encoder.weight.dtype
        h = self.encode_nodes(tensors, dtype)
        weights = torch.cat(
            [torch.zeros(0, dtype=dtype), *(tensors[n].reshape(-1).to(dtype) for n in flat.names)]
        )
        present = flat.tap >= 0
        attributes = (
            torch.where(present, weights[flat.tap.clamp(min=0)], 0)
            if len(flat.tap)
            else weights.view(0, flat.tap.shape[1])
        )
        e = meta.edge_encoder(attributes)
        for layer in self.layers:
            h, e = layer(h, e, flat.edge_index)
        hidden = h.shape[1]
        changes = meta.edge_head(F.silu(meta.edge_mix(F.layer_norm(e, (hidden,)))))
        moved = weights.index_add(0, flat.tap[present], meta.config.rho * changes[present])
        sizes = [flat.structure.tensor[n].numel for n in flat.names]
        new = {
            n: v.view(flat.structure.tensor[n].shape).to(tensors[n].dtype)
            for n, v in zip(flat.names, moved.split(sizes), strict=True)
        }
        return new | self.decode_nodes(h, tensors)

    def vectors(self) -> list[tuple[TensorSpec, Tensor, int]]:
        """Tensors that sit on nodes, with the node of each of their scalars and their role."""
        structure = self.flat.structure
        roles = tensor_roles(structure)
        found = []
        for spec in structure.tensors:
            if spec.placement == "node" and "float" in spec.dtype:
                assert spec.out_axis is not None
                nodes = nodes_along(structure, spec, spec.out_axis)
                shape = [-1 if d == spec.out_axis else 1 for d in range(len(spec.shape))]
                spread = torch.from_numpy(nodes).view(shape).expand(spec.shape).reshape(-1)
                found.append((spec, spread, ROLES.index(roles[spec.name])))
        return found

    def encode_nodes(self, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor:
        encoder, structure = self.meta.node_encoder, self.flat.structure
        total = torch.zeros(structure.num_nodes, self.meta.config.hidden, dtype=dtype)
        count = torch.zeros(structure.num_nodes, 1, dtype=dtype)
        for spec, nodes, role in self.vectors():
            value = tensors[spec.name].reshape(-1, 1).to(dtype)
            encoded = value * encoder.weight[role] + encoder.bias[role]
            total = total + scatter(encoded, nodes, 0, structure.num_nodes, "mean")
            count[nodes.unique()] += 1
        first = torch.where(count > 0, total / count.clamp(min=1), encoder.empty)
        kinds = [GROUP_ROLES.index(g.role) for g in structure.groups for _ in range(g.size)]
        return first + encoder.group_role[torch.tensor(kinds, dtype=torch.long)]

    def decode_nodes(self, h: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        decoder, new = self.meta.node_decoder, {}
        for spec, nodes, role in self.vectors():
            if spec.kind == "parameter":
                value = tensors[spec.name].reshape(-1, 1).to(h.dtype)
                z = F.layer_norm(h[nodes] + value * decoder.weight[role] + decoder.bias[role], (h.shape[1],))
                change = decoder.heads(F.silu(decoder.mix(z)))[:, role]
                moved = value.squeeze(1) + self.meta.config.rho * change
                new[spec.name] = moved.view(spec.shape).to(tensors[spec.name].dtype)
        return new
