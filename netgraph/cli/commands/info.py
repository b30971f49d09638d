"""`netgraph info`: what a graph file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netgraph.cli.app import app
from netgraph.cli.describe import describe
from netgraph.cli.options import AsJson
from netgraph.cli.output import emit
from netgraph.cli.source import open_graph

__all__ = ["info"]


@app.command()
def info(
    file: Annotated[str, typer.Argument(help="A graph file, or the name or folder of a model.")],
    as_json: AsJson = False,
) -> None:
    """Say what a graph file holds: sizes, cost, groups, inputs."""
    graph = open_graph(file)
    facts = describe(graph)
    inputs = []
    for name in graph.structure.inputs:
        value = graph.structure.value[name]
        shape = [
            n if isinstance(n, int) else f"any x {n.factor}" if n.factor > 1 else "any" for n in value.shape
        ]
        inputs.append({"name": name, "shape": shape, "dtype": value.dtype})
    path = Path(file)
    size = path.stat().st_size if path.is_file() else None
    result = {"file": file, "bytes": size, "inputs": inputs, **facts}
    lines = [
        graph.summary(),
        f"MACs of one forward pass, batch of one: {facts['macs']:,}" if facts["macs"] else "",
    ]
    lines += [f"input {i['name']}: {i['dtype']}[{', '.join(str(n) for n in i['shape'])}]" for i in inputs]
    emit(result, "\n".join(line for line in lines if line), as_json=as_json)
