"""`netgraph convert`: a module into a graph file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from netgraph.cli.app import app
from netgraph.cli.describe import describe
from netgraph.cli.options import AsJson, InputDtype, InputShape, Output, Weights
from netgraph.cli.output import emit, noted_warnings
from netgraph.cli.source import open_source
from netgraph.graph import save_graph
from netgraph.hub.export import check_format, export_graph

__all__ = ["convert"]


@app.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(help="A module as package.module:callable, a graph or ONNX file, or a model's name."),
    ],
    output: Output = None,
    weights: Weights = None,
    input_shape: InputShape = [],  # noqa: B006  (typer copies it)
    input_dtype: InputDtype = ["float32"],  # noqa: B006
    to: Annotated[
        str, typer.Option(help="Also write the graph for another library: pyg, networkx, dgl, graphml, onnx.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Convert a network into a graph file.

    Prints what the graph consists of: groups of channels, blocks of weights, joins without weights.
    """
    if to:
        check_format(to)
    with noted_warnings() as warnings:
        opened = open_source(source, weights, input_shape, input_dtype, command="convert")
    target = output or Path(f"{opened.name}.graph.safetensors")
    save_graph(opened.graph, target)
    result: dict[str, Any] = {"graph": str(target), **describe(opened.graph), "warnings": warnings}
    text = f"{opened.graph.summary()}\nwrote {target}"
    if to:
        written = export_graph(opened.graph, target.with_suffix(""), to)
        result["exported"] = str(written)
        text += f"\nwrote {written}"
    emit(result, text, as_json=as_json)
