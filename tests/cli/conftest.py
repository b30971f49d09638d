"""A working folder with networks to import, and a way to run a command in it."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from netgraph.cli import app
from netgraph.convert import to_graph
from netgraph.graph import save_graph
from netgraph.hub import Card, save_model
from netgraph.nn import Metanetwork, MetanetworkConfig
from netgraph.zoo import MLP, DigitsResNet

NETWORKS = """
import torch
from netgraph.zoo import DigitsResNet, MLP

def conv():
    torch.manual_seed(0)
    return DigitsResNet(width=4, blocks=(1, 1))

def mlp():
    torch.manual_seed(0)
    return MLP((6, 8, 3))

class Words(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(10, 8)
        self.out = torch.nn.Linear(8, 3)
    def forward(self, ids, scale):
        return self.out(self.embed(ids) * scale)

instance = MLP((2, 2))

def with_argument(width):
    return MLP((width, 2))

def boom():
    raise RuntimeError("kaputt\\nand more")

def number():
    return 3

def nan():
    net = conv()
    net.conv1.weight.data[0, 0, 0, 0] = float("nan")
    return net

def exits():
    raise SystemExit("bye")
"""


@dataclass
class Outcome:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout, which holds nothing else."""
        (line,) = self.out.splitlines()
        return json.loads(line)


@pytest.fixture(scope="session")
def graph_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graph files that are made once."""
    folder = tmp_path_factory.mktemp("graphs")
    torch.manual_seed(0)
    save_graph(to_graph(MLP((6, 8, 3)), torch.zeros(2, 6)), folder / "mlp.safetensors")
    conv = DigitsResNet(width=4, blocks=(1, 1))
    save_graph(to_graph(conv, torch.zeros(2, 1, 8, 8)), folder / "conv.safetensors")
    return folder


@pytest.fixture
def work(tmp_path: Path, graph_files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder: `nets.py`, broken modules, and graph files."""
    (tmp_path / "nets.py").write_text(NETWORKS)
    (tmp_path / "broken.py").write_text("import absent_package\n")
    (tmp_path / "syntax.py").write_text("def (\n")
    for file in graph_files.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("nets", "broken", "syntax"):
        sys.modules.pop(name, None)


@pytest.fixture
def netgraph(work: Path) -> Callable[..., Outcome]:
    """Run a command line in the working folder."""

    def run(*arguments: str) -> Outcome:
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that ships a network `tiny` and a metanetwork `meta`."""
    root = tmp_path / "checkout"
    (root / "netgraph").mkdir(parents=True)
    (root / "pyproject.toml").write_text("")
    monkeypatch.setattr("netgraph.resources._PACKAGE", root / "netgraph")
    card = Card("tiny", "A tiny network.", "None.", "Noise.", "Loss.", "By hand.", "All.")
    recipe = 'command = "netgraph train recipe.toml"\n'
    graph = to_graph(MLP((6, 8, 3)), torch.zeros(2, 6))
    save_model(graph, root / "models" / "tiny", card=card, recipe=recipe)
    save_model(
        Metanetwork(MetanetworkConfig(hidden=4, layers=1)), root / "models" / "meta", card=card, recipe=recipe
    )
    return root / "models"
