"""Link predictors by name: what builds each for a graph, and how it is trained unless told otherwise."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.encoders import Encoder, make_encoder
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.graph import LinkGraph
from netgraph.linkpred.heuristics import HEURISTICS, score_pairs
from netgraph.linkpred.nbfnet import NBFNet
from netgraph.linkpred.ncn import NCN, NCNC
from netgraph.linkpred.net import LinkNet

__all__ = ["MODELS", "HeuristicNet", "Model", "build_net", "fit_defaults", "register_model"]

Builder = Callable[..., LinkNet]


@final
@dataclass(frozen=True, eq=False)
class Model:
    """An entry of `MODELS`.

    Attributes:
        build: `(graph, **options) -> LinkNet`.
        settings: fields of `FitSettings` that differ from its defaults.
        plain: those that differ again in graphs of one relation.
    """

    build: Builder
    settings: Mapping[str, Any] = field(default_factory=dict)
    plain: Mapping[str, Any] = field(default_factory=dict)


MODELS: dict[str, Model] = {}
"""Networks by name; `register_model` adds one. The heuristics of `HEURISTICS` are models as well."""


def register_model(
    name: str, *, plain: Mapping[str, Any] | None = None, **settings: Any
) -> Callable[[Builder], Builder]:
    """Add a network to `MODELS` under a name, so that `LinkPredictor(name)` trains it.

    What is decorated takes the graph that training reads and options by name, and gives a `LinkNet`.

    Args:
        name: a new one.
        settings: fields of `FitSettings` that differ from its defaults.
        plain: those that differ again in graphs of one relation.

    Raises:
        UsageError: the name is taken.

    >>> @register_model("narrow gae", epochs=50)
    ... def narrow_gae(graph, hidden=8):
    ...     return DotProduct(make_encoder("gcn", graph.x.size(1), hidden))
    >>> MODELS["narrow gae"].settings
    {'epochs': 50}
    >>> del MODELS["narrow gae"]
    """
    if name in MODELS or name in HEURISTICS:
        raise UsageError(f"register_model: expected a new name, got {name!r}, which is taken; choose another")

    def add(build: Builder) -> Builder:
        MODELS[name] = Model(build, settings, plain or {})
        return build

    return add


def build_net(name: str, graph: LinkGraph, options: Mapping[str, Any] | None = None) -> LinkNet:
    """The network of a name for a graph.

    Raises:
        UsageError: an unknown name or option, or a graph that the network cannot read.

    >>> graph = LinkGraph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, x=torch.eye(3))
    >>> build_net("ncn", graph, {"encoder": {"hidden": 16}}).encode(graph).shape
    torch.Size([3, 16])
    """
    if name in HEURISTICS:
        return HeuristicNet(name, dict(options or {}))
    if name not in MODELS:
        known = ", ".join((*MODELS, *HEURISTICS))
        raise UsageError(f"LinkPredictor: expected model as one of {known}, got {name!r}; choose one")
    build = MODELS[name].build
    try:
        inspect.signature(build).bind(graph, **(options or {}))
        return build(graph, **(options or {}))
    except TypeError as error:
        raise UsageError(
            f"LinkPredictor: expected options of the model {name!r}, got {dict(options or {})!r} ({error}); "
            "see the arguments of its builder and its network"
        ) from None


def fit_defaults(name: str, graph: LinkGraph) -> dict[str, Any]:
    """Fields of `FitSettings` that the model of a name changes for a graph."""
    if name not in MODELS:
        return {}
    model = MODELS[name]
    return {**model.settings, **(model.plain if graph.relation is None else {})}


@final
class HeuristicNet(LinkNet):
    """A heuristic of `HEURISTICS` as a network without weights."""

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.name, self.options = name, options

    def encode(self, graph: LinkGraph) -> Tensor:
        """No states, `(N, 0)`."""
        return torch.empty(graph.num_nodes, 0, device=graph.device)

    def score(
        self, graph: LinkGraph, states: Tensor, pairs: Tensor, relation: Tensor | None = None
    ) -> Tensor:
        """Scores of pairs `(2, P)`, `(P,)`. Relations make no difference."""
        return score_pairs(self.name, graph, pairs, **self.options)


def _encoder(
    operation: str, graph: LinkGraph, given: str | Mapping[str, Any], usual: dict[str, Any]
) -> Encoder:
    """The encoder that the option `encoder` tells: a name, or what `make_encoder` takes by name."""
    if graph.relation is not None:
        raise UsageError(
            f"LinkPredictor: expected a graph of one relation for the model {operation!r}, got one of "
            f"{graph.num_relations}; choose 'nbfnet'"
        )
    options = usual | ({"name": given} if isinstance(given, str) else dict(given))
    if graph.x is None and not options.get("embedding"):
        options.setdefault("embedding", options.get("hidden", 256))
    if options.get("embedding"):
        options["num_nodes"] = graph.num_nodes
    return make_encoder(in_channels=0 if graph.x is None else graph.x.size(1), **options)


@register_model(
    "gae",
    epochs=100,
    batch_size=2048,
    lr=5e-3,
    negatives=3,
    clip=1.0,
    patience=30,
)
def build_gae(graph: LinkGraph, *, encoder: str | Mapping[str, Any] = "puregcn", **options: Any) -> LinkNet:
    """`DotProduct` with options of `make_encoder` under `encoder`.

    Nodes without features get embeddings, unless the encoder has the option `embedding=0`.
    """
    usual = {"name": "puregcn", "layers": 4, "dropout": 0.6, "norm": True, "jumping": "softmax"}
    head: dict[str, Any] = {
        "decoder": "hadamard",
        "layers": 4,
        "dropout": 0.6,
        "norm": True,
        "residual": True,
        "activation": "silu",
    }
    return DotProduct(_encoder("gae", graph, encoder, usual), **(head | options))


_NCN = {"name": "puregcn", "layers": 1, "dropout": 0.05, "x_dropout": 0.4, "jumping": "sum"}


@register_model("ncn", epochs=100, batch_size=1024, lr=5e-3, predictor_lr=2.5e-3, patience=30)
def build_ncn(graph: LinkGraph, *, encoder: str | Mapping[str, Any] = "puregcn", **options: Any) -> LinkNet:
    """`NCN` with options of `make_encoder` under `encoder`."""
    return NCN(_encoder("ncn", graph, encoder, _NCN), **({"dropout": 0.05} | options))


@register_model("ncnc", epochs=100, batch_size=1024, lr=5e-3, predictor_lr=2.5e-3, patience=30)
def build_ncnc(graph: LinkGraph, *, encoder: str | Mapping[str, Any] = "puregcn", **options: Any) -> LinkNet:
    """`NCNC` with options of `make_encoder` under `encoder`."""
    return NCNC(_encoder("ncnc", graph, encoder, _NCN), **({"dropout": 0.05} | options))


@register_model(
    "nbfnet",
    epochs=20,
    batch_size=64,
    lr=5e-3,
    loss="ranking",
    temperature=0.5,
    negatives=32,
    sampling="corrupt",
    # Averaged over both directions, each false tail is a source of its own.
    plain={"negatives": 1, "temperature": 0.0},
)
def build_nbfnet(graph: LinkGraph, **options: Any) -> LinkNet:
    """`NBFNet` of as many relations as the graph has."""
    return NBFNet(graph.num_relations, **options)
