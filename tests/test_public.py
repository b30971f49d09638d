"""The names that users import from the top of the package, and where they are documented."""

import importlib
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import netgraph

ROOT = Path(__file__).resolve().parents[1]
PROMISED = [
    "NeuralGraph",
    "NodeMask",
    "EdgeMask",
    "select",
    "to_graph",
    "load_into",
    "to_pyg",
    "from_pyg",
    "to_networkx",
    "from_networkx",
    "to_dgl",
    "from_dgl",
    "save_graph",
    "load_graph",
    "prune",
    "Budget",
    "PruneResult",
    "NetgraphError",
]
PACKAGES = [
    "graph",
    "convert",
    "nn",
    "nn.factorised",
    "pruning",
    "subgraph",
    "linkpred",
    "search",
    "search.predictors",
    "fitting",
    "hub",
    "zoo",
    "cli",
    "report",
    "errors",
    "typing",
]


@pytest.mark.parametrize("name", PROMISED)
def test_promised_names_stand_at_the_top(name: str) -> None:
    assert name in netgraph.__all__
    assert getattr(netgraph, name).__doc__


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist_and_have_a_page(package: str) -> None:
    module = importlib.import_module(f"netgraph.{package}")
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    assert all(hasattr(module, n) for n in names)
    page = ROOT / "docs" / "reference" / f"{package}.md"
    assert f"::: netgraph.{package}" in page.read_text()
    assert f"reference/{package}.md" in (ROOT / "mkdocs.yml").read_text()


def test_the_distribution_is_called_otherwise() -> None:
    assert version("netgraph-metanet") == netgraph.__version__
    (script,) = [e for e in entry_points(group="console_scripts") if e.name == "netgraph"]
    assert script.value == "netgraph.cli:main"
