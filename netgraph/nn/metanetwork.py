"""A network that reads a network and rewrites its weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor, nn

from netgraph.graph import NeuralGraph, Structure
from netgraph.nn.block_edges import BlockEdges
from netgraph.nn.config import MetanetworkConfig
from netgraph.nn.entries import all_entries, from_entries
from netgraph.nn.finite import check_finite
from netgraph.nn.fused import can_fuse
from netgraph.nn.kernels import KernelEdges, find_compiler, load_kernels
from netgraph.nn.layer import BlockMessageLayer
from netgraph.nn.node_codec import NodeDecoder, NodeEncoder
from netgraph.nn.plan import MessagePlan, message_plan
from netgraph.nn.pretrained import fill, read_pretrained, write_pretrained
from netgraph.nn.stack import Stack, is_floating
from netgraph.nn.windows import from_windows, to_windows

__all__ = ["Metanetwork"]

KIND: Final = "metanetwork"


@final
class Metanetwork(nn.Module):
    """The graph metanetwork of meta pruning: it rewrites a network so that it is easier to prune.

    Nodes start from the one-dimensional tensors on them (`NodeEncoder`), edges from their kernels,
    `e_0 = W w + b`. After `layers` rounds of `BlockMessageLayer`, with an MLP per kind of parameter,

        theta' = theta + rho * MLP(LayerNorm(state)).

    Only floating-point parameters change. Buffers that sit on nodes (running statistics) are read. Reordering
    the nodes of any group of the graph reorders the result alike, and nothing else.

    Gradients of first order flow into the metanetwork and into a `state` given to `forward`. The memory for
    them is a small multiple of one edge state, almost whatever the number of layers.

    Paper: Liu et al., Meta Pruning via Graph Metanetworks, 2025, arXiv 2506.12041.

    Args:
        config: sizes; the default is the paper's for ResNet-56.
        compile: run the work on the edges in compiled loops; the same results up to rounding. Needs a C++
            compiler. In float32 on a CPU these are kernels of our own, built once in a few seconds and kept
            in `~/.cache/netgraph` (or where `NETGRAPH_CACHE` says); elsewhere `torch.compile` makes them,
            which takes some time at the first call for a structure.

    >>> import torch, netgraph
    >>> from netgraph.nn import Metanetwork, MetanetworkConfig
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> graph = netgraph.to_graph(net, torch.zeros(1, 4))
    >>> meta = Metanetwork(MetanetworkConfig(hidden=8, layers=2))
    >>> {name: tuple(value.shape) for name, value in meta(graph).items()}
    {'0.weight': (8, 4), '0.bias': (8,), '2.weight': (2, 8), '2.bias': (2,)}
    """

    def __init__(self, config: MetanetworkConfig | None = None, *, compile: bool = False) -> None:
        super().__init__()
        self.config = config or MetanetworkConfig()
        self.fuse = compile and can_fuse()
        if compile and not self.fuse:
            warnings.warn(
                "Metanetwork: compile=True wants a C++ compiler, found none; going on without it "
                "(install g++, or name one in CXX)",
                RuntimeWarning,
                stacklevel=2,
            )
        hidden = self.config.hidden
        self.node_encoder = NodeEncoder(hidden)
        self.edge_encoder = nn.Linear(self.config.taps, hidden)
        self.layers = nn.ModuleList(BlockMessageLayer(hidden) for _ in range(self.config.layers))
        self.node_decoder = NodeDecoder(hidden)
        self.edge_mix = nn.Linear(hidden, hidden)
        self.edge_head = nn.Linear(hidden, self.config.taps)

    def forward(self, graph: NeuralGraph, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """New values of all floating-point parameters of a network, by name.

        Parameters without an axis are handed through. A value has the dtype and the device of its parameter.

        Args:
            graph: any graph.
            state: tensors that stand in for the graph's own, such as leaves that want a gradient.

        Raises:
            GraphError: a tensor of `state` is unknown or has another shape.
        """
        structure = graph.structure
        tensors = (graph if state is None else graph.replace(state)).state
        with torch.autocast(self.edge_encoder.weight.device.type, enabled=False):
            new = self._new_values(structure, tensors)
        return {
            t.name: new.get(t.name, tensors[t.name])
            for t in structure.tensors
            if t.kind == "parameter" and is_floating(t)
        }

    @torch.no_grad()
    def rewrite(self, graph: NeuralGraph) -> NeuralGraph:
        """The same graph with rewritten parameters; buffers and all else are shared with `graph`.

        Raises:
            GraphError: a parameter holds a number that is not finite.

        >>> import torch, netgraph
        >>> graph = netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
        >>> meta = Metanetwork(MetanetworkConfig(hidden=4, layers=1, rho=0.0))
        >>> meta.rewrite(graph) == graph
        True
        """
        check_finite(graph)
        return graph.replace({n: v.detach() for n, v in self(graph).items()})

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Write `config.json` and `model.safetensors` into a folder, which is made if absent.

        Each file is replaced as a whole. Publish the folder with `huggingface_hub.upload_folder`.

        Raises:
            UsageError: the folder cannot be written.
        """
        write_pretrained(Path(folder), KIND, self.config, self.state_dict())

    @classmethod
    def from_pretrained(
        cls,
        name: str | PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | PathLike[str] | None = None,
        local_files_only: bool = False,
        compile: bool = False,
    ) -> Metanetwork:
        """Load a metanetwork, in evaluation mode.

        Looked up in this order: what netgraph ships, a folder, the Hugging Face Hub. Nothing is ever
        unpickled.

        Args:
            name: a shipped name such as `digits-metanetwork`, a folder, or a repository `owner/name`.
            revision: branch, tag or commit of a repository.
            cache_dir: where downloads are kept.
            local_files_only: never ask the network.
            compile: as for the class.

        Raises:
            HubError: the name is unknown, or a file is missing, corrupt, or does not fit.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Metanetwork(MetanetworkConfig(hidden=4, layers=1)).save_pretrained(folder)
        ...     Metanetwork.from_pretrained(folder).config.hidden
        4
        """
        config, state = read_pretrained(
            name,
            KIND,
            MetanetworkConfig.from_dict,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
        model = cls(config, compile=compile)
        fill(name, model, state)
        return model

    def _new_values(self, structure: Structure, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        like = self.edge_encoder.weight
        plan = message_plan(structure, self.config.taps).to(like.device)
        entries = all_entries(tensors, structure, plan, like)
        windows = [_stack(tensors, stack, like) for stack in plan.stacks]
        edges = self._edges(plan, windows)
        nodes = self.node_encoder(entries, plan)
        for layer in self.layers:
            nodes = layer(nodes, edges)
        values = self._edge_values(edges, tensors)
        return values | self._node_values(nodes, entries, plan, structure, tensors)

    def _edges(self, plan: MessagePlan, windows: list[Tensor]) -> BlockEdges | KernelEdges:
        weight, bias = self.edge_encoder.weight, self.edge_encoder.bias
        fuse = self.fuse
        if fuse and weight.device.type == "cpu" and weight.dtype == torch.float32 and find_compiler():
            if load_kernels():
                return KernelEdges(plan, windows, weight, bias)
            fuse = False
        return BlockEdges(plan, windows, weight, bias, fuse)

    def _edge_values(
        self, edges: BlockEdges | KernelEdges, tensors: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        rho = self.config.rho  # on the last linear map, which is smaller than what comes out of it
        head = rho * self.edge_head.weight, rho * self.edge_head.bias
        changes = edges.decode(self.edge_mix.weight, self.edge_mix.bias, *head)
        return {
            name: _moved(tensors[name], from_windows(change[i], stack.windows[i]))
            for stack, change in zip(edges.plan.stacks, changes, strict=True)
            for i, name in enumerate(stack.tensors)
        }

    def _node_values(
        self,
        nodes: Tensor,
        entries: Tensor,
        plan: MessagePlan,
        structure: Structure,
        tensors: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        specs = [structure.tensor[name] for name in plan.vectors[: plan.num_parameters]]
        sizes = [s.numel for s in specs]
        span = slice(sum(sizes))
        place = plan.entry_node[span], plan.entry_role[span]
        changes = self.config.rho * self.node_decoder(nodes, entries[span], *place)
        return {
            s.name: _moved(tensors[s.name], from_entries(change, s))
            for s, change in zip(specs, changes.split(sizes), strict=True)
        }


def _moved(value: Tensor, change: Tensor) -> Tensor:
    return (value.to(change) + change).to(value)


def _stack(tensors: Mapping[str, Tensor], stack: Stack, like: Tensor) -> Tensor:
    """Taps of a stack's edges, `(n * D * S, K)`."""
    found = [
        to_windows(tensors[name].to(like), windows)
        for name, windows in zip(stack.tensors, stack.windows, strict=True)
    ]
    return (torch.stack(found) if len(found) > 1 else found[0]).reshape(stack.edges, -1)
