"""A metanetwork without a state per edge: it reads networks of a billion weights."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraph.errors import UsageError
from netgraph.graph import NeuralGraph, Structure
from netgraph.nn.entries import all_entries, from_entries
from netgraph.nn.factorised.config import FactorisedConfig
from netgraph.nn.factorised.features import num_structure_features, structure_features
from netgraph.nn.factorised.heads import (
    BudgetHead,
    EdgeHead,
    GraphHead,
    ScoreHead,
    group_statistics,
    target_features,
)
from netgraph.nn.factorised.kinds import kind_numbers
from netgraph.nn.factorised.layer import FactorisedLayer, Weights, compressed
from netgraph.nn.factorised.magnitudes import node_magnitudes
from netgraph.nn.factorised.plan import NUM_FACTS, FactorisedPlan, factorised_plan
from netgraph.nn.factorised.products import Squares, weight_squares
from netgraph.nn.finite import check_finite
from netgraph.nn.node_codec import NodeDecoder, NodeEncoder
from netgraph.nn.plan import MessagePlan, message_plan
from netgraph.nn.pretrained import fill, read_pretrained, write_pretrained
from netgraph.nn.stack import is_floating

__all__ = ["FactorisedMetanetwork", "Reading"]

KIND: Final = "factorised-metanetwork"

TINY = 1e-20
"""Mean square below which all weights of a tensor count as zero."""


class Reading(NamedTuple):
    """What a metanetwork says about a network; None for a head that it lacks.

    Attributes:
        values: new values of all floating-point parameters, by name.
        scores: per hidden group one logit per node, `(size,)`: the higher, the more it should be kept.
        budgets: per hidden group the share of its nodes to keep, a scalar in (0, 1].
        output: numbers about the whole network, `(outputs,)`.
    """

    values: dict[str, Tensor] | None
    scores: dict[str, Tensor] | None
    budgets: dict[str, Tensor] | None
    output: Tensor | None


@final
class FactorisedMetanetwork(nn.Module):
    """A metanetwork whose time is linear in a network's weights and whose memory is that of its nodes.

    A node starts from the tensors that sit on it (`NodeEncoder`), what the structure says about its group
    (`structure_features`), the magnitude of the weights that meet in it, and, if they are given, activations
    on real inputs and the share of the MACs that is wanted. After `layers` rounds of `FactorisedLayer`, the
    heads of the configuration say what they are for: new weights (`EdgeHead`), scores of nodes
    (`ScoreHead`), widths of groups (`BudgetHead`), numbers about the network (`GraphHead`).

    Weights of every kind are read and rewritten: linear, convolutions of one to three dimensions of any
    kernel, transposed, grouped and depthwise ones, tables, expert stacks, recurrent layers. Reordering the
    nodes of any group of the graph reorders what the heads say alike, and nothing else.

    Gradients of first order flow into the metanetwork and into a `state` given to it. Nothing of the
    weights' size is kept for them.

    Messages as products with the weights: Navon et al., Equivariant Architectures for Learning in Deep Weight
    Spaces, 2023, arXiv 2301.12780; the rewriting of weights: Liu et al., Meta Pruning via Graph Metanetworks,
    2025, arXiv 2506.12041.

    Args:
        config: sizes and heads.

    >>> import torch, netgraph
    >>> from netgraph.nn.factorised import FactorisedConfig, FactorisedMetanetwork
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> graph = netgraph.to_graph(net, torch.zeros(1, 4))
    >>> meta = FactorisedMetanetwork(FactorisedConfig(hidden=8, layers=2, heads=("rewrite", "scores")))
    >>> reading = meta.read(graph)
    >>> reading.values["2.weight"].shape, reading.scores["0"].shape
    (torch.Size([2, 8]), torch.Size([8]))
    """

    def __init__(self, config: FactorisedConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or FactorisedConfig()
        self.node_encoder = NodeEncoder(c.hidden)
        self.structure_encoder = nn.Linear(num_structure_features(len(c.kinds)), c.hidden)
        self.magnitude_encoder = nn.Linear(2, c.hidden)
        self.target_encoder = nn.Linear(2, c.hidden, bias=False)
        self.probe_encoder = nn.Linear(c.probe, c.hidden) if c.probe else None
        self.kind = nn.Embedding(len(c.kinds) + 2, c.hidden)  # the last two: others, and no operator at all
        self.weight_encoder = nn.Linear(NUM_FACTS + 1, c.hidden)
        self.layers = nn.ModuleList(FactorisedLayer(c.hidden, c.views) for _ in range(c.layers))
        rewrites = "rewrite" in c.heads
        self.edge_head = EdgeHead(c.hidden, c.rank, c.rho) if rewrites else None
        self.node_head = NodeDecoder(c.hidden) if rewrites else None
        self.score_head = ScoreHead(c.hidden) if "scores" in c.heads else None
        self.budget_head = BudgetHead(c.hidden) if "budgets" in c.heads else None
        self.graph_head = GraphHead(c.hidden, c.outputs) if "graph" in c.heads else None

    def forward(
        self,
        graph: NeuralGraph,
        state: Mapping[str, Tensor] | None = None,
        *,
        probe: Mapping[str, Tensor] | None = None,
        target: float | None = None,
    ) -> dict[str, Tensor]:
        """New values of all floating-point parameters of a network, by name; arguments as for `read`.

        Raises:
            UsageError: the metanetwork has no head `rewrite`; or as for `read`.
            GraphError: as for `read`.
        """
        if self.edge_head is None:
            raise UsageError(
                f"FactorisedMetanetwork: expected the head 'rewrite' for new weights, got heads "
                f"{self.config.heads}; call read, or make a metanetwork with that head"
            )
        values = self.read(graph, state, probe=probe, target=target).values
        assert values is not None
        return values

    def read(
        self,
        graph: NeuralGraph,
        state: Mapping[str, Tensor] | None = None,
        *,
        probe: Mapping[str, Tensor] | None = None,
        target: float | None = None,
    ) -> Reading:
        """What all heads say about a network, in one pass.

        New values have the dtype and the device of their parameter; parameters without an axis are handed
        through. All else has the metanetwork's. A weight that is used by an operator that is not among the
        configuration's kinds is read as of the kind "other", with one warning that names those operators.

        Args:
            graph: any graph.
            state: tensors that stand in for the graph's own, such as leaves that want a gradient.
            probe: per group name `config.probe` statistics of every node on real inputs, `(size, probe)`.
                Groups may be left out.
            target: share of the MACs, in (0, 1], that the network should have after it was cut.

        Raises:
            GraphError: a tensor of `state` is unknown or has another shape.
            UsageError: `probe` or `target` does not fit.
        """
        structure = graph.structure
        tensors = (graph if state is None else graph.replace(state)).state
        _check_target(target)
        with torch.autocast(self.kind.weight.device.type, enabled=False):
            return self._read(structure, tensors, probe, target)

    @torch.no_grad()
    def rewrite(
        self,
        graph: NeuralGraph,
        *,
        probe: Mapping[str, Tensor] | None = None,
        target: float | None = None,
    ) -> NeuralGraph:
        """The same graph with rewritten parameters; buffers and all else are shared with `graph`.

        Raises:
            GraphError: a parameter holds a number that is not finite.
            UsageError: as for `forward`.

        >>> import torch, netgraph
        >>> graph = netgraph.to_graph(torch.nn.Linear(3, 2), torch.zeros(1, 3))
        >>> meta = FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1, rho=0.0))
        >>> meta.rewrite(graph) == graph
        True
        """
        check_finite(graph)
        values = self(graph, probe=probe, target=target)
        return graph.replace({n: v.detach() for n, v in values.items()})

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
    ) -> FactorisedMetanetwork:
        """Load a metanetwork, in evaluation mode.

        Looked up in this order: what netgraph ships, a folder, the Hugging Face Hub. Nothing is ever
        unpickled.

        Args:
            name: a shipped name, a folder, or a repository `owner/name`.
            revision: branch, tag or commit of a repository.
            cache_dir: where downloads are kept.
            local_files_only: never ask the network.

        Raises:
            HubError: the name is unknown, or a file is missing, corrupt, or does not fit.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     FactorisedMetanetwork(FactorisedConfig(hidden=4, layers=1)).save_pretrained(folder)
        ...     FactorisedMetanetwork.from_pretrained(folder).config.hidden
        4
        """
        config, state = read_pretrained(
            name,
            KIND,
            FactorisedConfig.from_dict,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
        model = cls(config)
        fill(name, model, state)
        return model

    def _read(
        self,
        structure: Structure,
        tensors: Mapping[str, Tensor],
        probe: Mapping[str, Tensor] | None,
        target: float | None,
    ) -> Reading:
        like = self.kind.weight
        plan = factorised_plan(structure).to(like.device)
        vectors = message_plan(structure, 1).to(like.device)
        entries = all_entries(tensors, structure, vectors, like)
        matrices = [w.matrix(tensors[w.name].to(like.device)) for w in plan.weights]
        squares = [weight_squares(m, like) for m in matrices]
        weights = self._weights(structure, plan, matrices, squares)
        nodes = self.node_encoder(compressed(entries), vectors)
        nodes = nodes + self.magnitude_encoder(node_magnitudes(plan, squares, weights.scale))
        nodes = nodes + self._of_groups(structure, plan, target)[plan.node_group]
        if probe is not None:
            nodes = nodes + self._probed(structure, probe)
        for layer in self.layers:
            nodes = layer(nodes, weights, plan)
        return self._heads(structure, tensors, plan, vectors, weights, nodes, entries, target)

    def _weights(
        self, structure: Structure, plan: FactorisedPlan, matrices: list[Tensor], squares: list[Squares]
    ) -> Weights:
        like = self.kind.weight
        means = [s.rows.sum() / m.numel() for s, m in zip(squares, matrices, strict=True)]
        mean = torch.stack(means) if means else like.new_zeros(0)
        scale = (mean + TINY).sqrt()
        facts = torch.cat([plan.facts.to(like), scale.log().unsqueeze(1) / 4], 1)
        numbers = kind_numbers(structure, [w.name for w in plan.weights], self.config.kinds)
        kinds = torch.tensor(numbers, dtype=torch.long, device=like.device)
        return Weights(matrices, scale, F.silu(self.weight_encoder(facts) + self.kind(kinds)))

    def _of_groups(self, structure: Structure, plan: FactorisedPlan, target: float | None) -> Tensor:
        like = self.kind.weight
        features = structure_features(structure, self.config.kinds).to(like)
        return self.structure_encoder(features) + self.target_encoder(target_features(target, like))

    def _probed(self, structure: Structure, probe: Mapping[str, Tensor]) -> Tensor:
        width, like = self.config.probe, self.kind.weight
        if self.probe_encoder is None:
            raise UsageError(
                "FactorisedMetanetwork: expected no probe, this metanetwork reads weights alone; leave it "
                "out, or make one with FactorisedConfig(probe=...)"
            )
        if unknown := sorted(set(probe) - set(structure.group_index)):
            raise UsageError(
                f"FactorisedMetanetwork: expected a probe of groups of the graph, got {unknown[:3]}; groups "
                f"are {list(structure.group_index)[:8]} ..."
            )
        found = []
        for group in structure.groups:
            given = probe.get(group.name)
            if given is None:
                found.append(like.new_zeros(group.size, self.config.hidden))
                continue
            if tuple(given.shape) != (group.size, width):
                raise UsageError(
                    f"FactorisedMetanetwork: expected a probe of shape {[group.size, width]} for group "
                    f"{group.name!r}, got {list(given.shape)}; config.probe statistics for each node"
                )
            found.append(self.probe_encoder(compressed(given.to(like))))
        return torch.cat(found) if found else like.new_zeros(0, self.config.hidden)

    def _heads(
        self,
        structure: Structure,
        tensors: Mapping[str, Tensor],
        plan: FactorisedPlan,
        vectors: MessagePlan,
        weights: Weights,
        nodes: Tensor,
        entries: Tensor,
        target: float | None,
    ) -> Reading:
        hidden = [(i, g.name) for i, g in enumerate(structure.groups) if g.role == "hidden"]
        sizes = [g.size for g in structure.groups]
        values = scores = budgets = output = None
        if self.edge_head is not None:
            values = self._values(structure, tensors, plan, vectors, weights, nodes, entries)
        statistics = group_statistics(nodes, plan)
        if self.score_head is not None:
            parts = self.score_head(nodes, statistics[plan.node_group]).split(sizes)
            scores = {name: parts[i] for i, name in hidden}
        if self.budget_head is not None:
            shares = self.budget_head(statistics, target)
            budgets = {name: shares[i] for i, name in hidden}
        if self.graph_head is not None:
            output = self.graph_head(statistics, structure)
        return Reading(values, scores, budgets, output)

    def _values(
        self,
        structure: Structure,
        tensors: Mapping[str, Tensor],
        plan: FactorisedPlan,
        vectors: MessagePlan,
        weights: Weights,
        nodes: Tensor,
        entries: Tensor,
    ) -> dict[str, Tensor]:
        assert self.edge_head is not None and self.node_head is not None
        new: dict[str, Tensor] = {}
        parts: list[Tensor] = []
        for weight, matrix in zip(plan.weights, self.edge_head(nodes, weights, plan), strict=True):
            old = tensors[weight.name]
            parts.append(weight.tensor(matrix))
            if weight.part is None or len(parts) == old.shape[weight.part[0]]:
                value = parts[0] if weight.part is None else torch.stack(parts, weight.part[0])
                new[weight.name] = value.to(old)
                parts = []
        specs = [structure.tensor[name] for name in vectors.vectors[: vectors.num_parameters]]
        counts = [s.numel for s in specs]
        span = slice(sum(counts))
        given = compressed(entries[span])
        changes = self.node_head(nodes, given, vectors.entry_node[span], vectors.entry_role[span])
        for spec, change in zip(specs, changes.split(counts), strict=True):
            old = tensors[spec.name]
            new[spec.name] = (old.to(change) + self.config.rho * from_entries(change, spec)).to(old)
        return {
            t.name: new.get(t.name, tensors[t.name])
            for t in structure.tensors
            if t.kind == "parameter" and is_floating(t)
        }


def _check_target(target: float | None) -> None:
    if target is not None and not 0 < target <= 1:
        raise UsageError(
            f"FactorisedMetanetwork: expected target to be a share of the MACs in (0, 1], got {target!r}; "
            "pass 0.5 to keep half"
        )
