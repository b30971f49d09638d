"""Link predictors by name: builders, their defaults, and users' own."""

import pytest
import torch

from netgraph.errors import UsageError
from netgraph.linkpred import LinkGraph
from netgraph.linkpred.encoders import make_encoder
from netgraph.linkpred.fit import FitSettings
from netgraph.linkpred.gae import DotProduct
from netgraph.linkpred.heuristics import HEURISTICS, score_pairs
from netgraph.linkpred.models import MODELS, build_net, fit_defaults, register_model
from netgraph.linkpred.nbfnet import NBFNet
from netgraph.linkpred.ncn import NCN, NCNC


def example(x: bool = True) -> LinkGraph:
    edges = torch.randint(9, (2, 20), generator=torch.Generator().manual_seed(0))
    return LinkGraph.from_edges(edges, 9, x=torch.randn(9, 3) if x else None)


def typed() -> LinkGraph:
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    return LinkGraph.from_edges(edges, 3, relation=torch.tensor([0, 2, 1, 3]), undirected=False)


@pytest.mark.parametrize(
    ("name", "kind"), [("gae", DotProduct), ("ncn", NCN), ("ncnc", NCNC), ("nbfnet", NBFNet)]
)
def test_each_name_builds_its_network_and_its_settings_are_settings(name: str, kind: type) -> None:
    net = build_net(name, example())
    assert isinstance(net, kind)
    assert net(example(), torch.tensor([[0, 1], [2, 3]])).shape == (2,)
    FitSettings(**fit_defaults(name, example()), seed=0)


def test_options_reach_the_network_and_its_encoder() -> None:
    net = build_net("ncnc", example(), {"encoder": {"name": "sage", "hidden": 12, "layers": 2}, "alpha": 0.3})
    assert net.alpha == 0.3 and net.encoder.out_channels == 12 and len(net.encoder.layers) == 2
    assert build_net("gae", example(), {"encoder": "gcn", "decoder": "dot"}).head is None


def test_nodes_without_features_get_embeddings_or_degrees() -> None:
    assert build_net("gae", example(False)).encoder.embedding.shape == (9, 256)
    assert build_net("gae", example(False), {"encoder": {"hidden": 8}}).encoder.embedding.shape == (9, 8)
    assert build_net("gae", example(False), {"encoder": {"embedding": 0}}).encoder.embedding is None
    assert build_net("ncn", example(), {"encoder": {"embedding": 4}}).encoder.embedding.shape == (9, 4)


def test_relations() -> None:
    assert build_net("nbfnet", typed(), {"dim": 8, "layers": 2}).num_relations == 4
    assert fit_defaults("nbfnet", typed())["negatives"] == 32
    assert fit_defaults("nbfnet", example())["negatives"] == 1
    for name in ("gae", "ncn", "ncnc"):
        with pytest.raises(UsageError, match=r"a graph of one relation for the model .*choose 'nbfnet'"):
            build_net(name, typed())


def test_heuristics_are_networks_without_weights() -> None:
    pairs = torch.tensor([[0, 1, 2], [3, 4, 5]])
    for name in HEURISTICS:
        net = build_net(name, example())
        assert not list(net.parameters())
        assert torch.equal(net(example(), pairs), score_pairs(name, example(), pairs))


def test_users_add_their_own() -> None:
    for taken in ("ncn", next(iter(HEURISTICS))):
        with pytest.raises(UsageError, match="which is taken"):
            register_model(taken)

    @register_model("plain", epochs=7)
    def plain(graph: LinkGraph, hidden: int = 4) -> DotProduct:
        return DotProduct(make_encoder("gcn", 3, hidden))

    try:
        assert build_net("plain", example(), {"hidden": 6}).encoder.out_channels == 6
        assert fit_defaults("plain", example()) == {"epochs": 7}
    finally:
        del MODELS["plain"]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("gcn", {}, "model as one of gae, ncn, ncnc, nbfnet, .*, got 'gcn'"),
        ("ncn", {"alhpa": 1}, "options of the model 'ncn', got .*alhpa"),
        ("nbfnet", {"depth": 3}, "options of the model 'nbfnet', got .*depth"),
        ("gae", {"encoder": {"width": 3}}, "options of the model 'gae', got .*width"),
        ("gae", {"encoder": "transformer"}, "one of gcn"),
    ],
)
def test_refusals(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_net(name, example(), options)
