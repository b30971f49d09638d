"""Imports between the packages of netgraph run strictly downward in the table of docs/design.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LINES = {
    "cli": 5,
    "report": 4,
    "hub": 4,
    "pruning": 3,
    "search": 3,
    "subgraph": 3,
    "linkpred": 3,
    "federated": 3,
    "nn": 2,
    "convert": 2,
    "graph": 1,
    "zoo": 1,
    "fitting": 1,
    "errors": 0,
    "typing": 0,
    "resources": 0,
}


def imported_modules(source: str, module: str, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Yield (line number, dotted name) of all that a source imports: at the top, deferred, for types only."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=origin, names=names, level=level):
                if level:
                    above = package.split(".")[: len(package.split(".")) - level + 1]
                    origin = ".".join([*above, origin] if origin else above)
                # `from netgraph import nn` names the package last, so each name counts as a module.
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in names)
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)):
                # `import_module(name=...)` and a relative name with `package=` are read as well.
                if called in {"import_module", "__import__"}:
                    values = [*node.args, *(keyword.value for keyword in node.keywords)]
                    texts = [value.value for value in values if isinstance(value, ast.Constant)]
                    for text in texts:
                        if isinstance(text, str):
                            name = text
                            if dots := len(text) - len(text.lstrip(".")):
                                parts = package.split(".")
                                name = ".".join([*parts[: len(parts) - dots + 1], text.lstrip(".")])
                            yield node.lineno, name


def offences(source: str, path: str) -> list[str]:
    """Say what a source imports against the table; `path` is its place, relative to the project root."""
    parts = list(Path(path).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    if is_package:
        parts.pop()
    if parts == ["netgraph"]:
        return []  # the root re-exports from every line
    here = parts[1]
    if here not in LINES:
        return [f"{path}: `{here}` is not in the table of docs/design.md; give it a line there and here"]
    found = []
    for number, name in imported_modules(source, ".".join(parts), is_package=is_package):
        top, _, rest = name.partition(".")
        there = rest.partition(".")[0]
        if top != "netgraph" or there == here:
            continue
        where = f"{path}:{number}: `{here}` (line {LINES[here]})"
        if there not in LINES:
            found.append(f"{where} imports `{name}`; import from the package that defines it")
        elif LINES[there] >= LINES[here]:
            found.append(f"{where} imports `{there}` (line {LINES[there]})")
    return found


def test_imports_run_strictly_downward() -> None:
    files = sorted((ROOT / "netgraph").rglob("*.py"))
    assert files, "no source found: the test looks in the wrong place"
    found = [
        offence
        for file in files
        for offence in offences(file.read_text("utf-8"), file.relative_to(ROOT).as_posix())
    ]
    assert not found, "\n".join(found)


def test_table_equals_the_one_in_the_docs() -> None:
    text = (ROOT / "docs" / "design.md").read_text("utf-8")
    documented = {
        name: int(line)
        for line, names in re.findall(r"^\| (\d) \| (`.*?) \|", text, flags=re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert documented == LINES


ALLOWED = {
    "downward": ("netgraph/pruning/budget.py", "from netgraph.graph import NeuralGraph"),
    "downward, package by name": ("netgraph/pruning/budget.py", "from netgraph import graph, nn"),
    "downward, relative": ("netgraph/nn/layer.py", "from ..graph.mask import NodeMask"),
    "own package": ("netgraph/nn/layer.py", "from netgraph.nn.norm import Norm"),
    "own package, relative": ("netgraph/nn/layer.py", "from . import norm"),
    "own package, from its root": ("netgraph/nn/__init__.py", "from .layer import Layer"),
    "third party": ("netgraph/graph/mask.py", "import torch\nfrom torch import nn\nimport networkx.graph"),
    "the root": ("netgraph/__init__.py", "from netgraph.cli import main"),
    "a module as a package": ("netgraph/cli.py", "from netgraph.hub import load_model"),
}

REFUSED = {
    "upward": ("netgraph/graph/mask.py", "from netgraph.pruning import prune"),
    "upward, plain import": ("netgraph/graph/mask.py", "import netgraph.nn.layer as layer"),
    "upward, package by name": ("netgraph/graph/mask.py", "from netgraph import errors, nn"),
    "upward, relative": ("netgraph/graph/mask.py", "from ..nn import layer"),
    "upward, relative, package by name": ("netgraph/graph/mask.py", "from .. import nn"),
    "upward, from a package root": ("netgraph/graph/__init__.py", "from ..nn import layer"),
    "upward, nested package": ("netgraph/graph/io/__init__.py", "from ...nn import layer"),
    "sideways": ("netgraph/nn/layer.py", "from netgraph.convert import to_graph"),
    "sideways, line 0": ("netgraph/typing.py", "from netgraph.errors import NetgraphError"),
    "deferred": ("netgraph/pruning/api.py", "def f():\n    from netgraph.hub import load_model"),
    "for types only": (
        "netgraph/nn/layer.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from netgraph.convert import to_graph",
    ),
    "by name": ("netgraph/nn/layer.py", "import importlib\nimportlib.import_module('netgraph.hub')"),
    "by relative name": (
        "netgraph/nn/layer.py",
        "from importlib import import_module\nimport_module('..hub', package=__package__)",
    ),
    "by dunder": ("netgraph/nn/layer.py", "__import__('netgraph.hub')"),
    "the root itself": ("netgraph/cli/main.py", "import netgraph"),
    "a name of the root": ("netgraph/cli/main.py", "from netgraph import prune"),
    "a star of the root": ("netgraph/cli/main.py", "from netgraph import *"),
    "a file without a line": ("netgraph/utils.py", "import torch"),
}


@pytest.mark.parametrize(("path", "source"), ALLOWED.values(), ids=ALLOWED)
def test_checker_allows(path: str, source: str) -> None:
    assert offences(source, path) == []


@pytest.mark.parametrize(("path", "source"), REFUSED.values(), ids=REFUSED)
def test_checker_refuses(path: str, source: str) -> None:
    assert len(offences(source, path)) == 1
