"""`netgraph prune`: a network into a smaller one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from netgraph.cli.app import app
from netgraph.cli.options import AsJson, InputDtype, InputShape, Output, Weights
from netgraph.cli.output import emit, noted_warnings, progress_bar, reporter
from netgraph.cli.source import open_source, recorded_inputs
from netgraph.convert.propagate import Product
from netgraph.errors import UsageError
from netgraph.graph import save_graph
from netgraph.hub import list_models, load_model
from netgraph.nn import FactorisedMetanetwork, Metanetwork
from netgraph.pruning import CRITERIA, Budget, prune
from netgraph.report import draw_cut
from netgraph.resources import is_plain_name

__all__ = ["prune_command"]


@app.command("prune")
def prune_command(
    source: Annotated[
        str,
        typer.Argument(help="A module as package.module:callable, a graph or ONNX file, or a model's name."),
    ],
    budget: Annotated[
        str, typer.Option(help="macs=0.5, params=0.3, latency_ms=2.0 or speedup=2.0; up to 1 is a share.")
    ],
    criterion: Annotated[
        str, typer.Option(help="A criterion that needs no data, or the name or folder of a metanetwork.")
    ] = "l2",
    output: Output = None,
    weights: Weights = None,
    input_shape: InputShape = [],  # noqa: B006  (typer copies it)
    input_dtype: InputDtype = ["float32"],  # noqa: B006
    ranking: Annotated[
        str, typer.Option(help="global, or uniform: the same share of every group.")
    ] = "global",
    ignore: Annotated[
        list[str], typer.Option(help="Group, module or tensor to leave whole, or a glob; may be repeated.")
    ] = [],  # noqa: B006
    min_keep: Annotated[
        str, typer.Option(help="Channels that every group keeps: a number, or a share such as 0.1.")
    ] = "1",
    round_to: Annotated[int, typer.Option(help="Widths become multiples of this.")] = 1,
    steps: Annotated[int, typer.Option(help="Cuts to reach the budget in.")] = 1,
    product: Annotated[
        str, typer.Option(help="outer: whole attention heads and groups; inner: the same places of each.")
    ] = "outer",
    layers: Annotated[bool, typer.Option("--layers", help="Leave out whole residual branches too.")] = False,
    latency: Annotated[bool, typer.Option("--latency", help="Measure latency before and after.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Also draw what was cut (.png, .svg or .pdf).")] = None,
    as_json: AsJson = False,
) -> None:
    """Cut a network down to a budget.

    The least important channels go until the budget is met. The result is a graph file that runs without its
    original class: netgraph.load_graph(file).to_module(). It has not been finetuned.
    """
    wanted = _budget(budget)
    kept = _number(min_keep)
    with noted_warnings() as warnings:
        opened = open_source(source, weights, input_shape, input_dtype, command="prune")
        judge = criterion if criterion in CRITERIA else _metanetwork(criterion)
        module = opened.graph.to_module().eval()
        with progress_bar() as bar:
            result = prune(
                module,
                opened.inputs or recorded_inputs(opened.graph),
                budget=wanted,
                criterion=judge,
                ranking=ranking,
                ignore=ignore,
                min_keep=kept,
                round_to=round_to,
                steps=steps,
                rebuild=True,
                layers=layers,
                product=_product(product),
                latency=latency,
                progress=reporter(bar),
            )
    target = output or Path(f"{opened.name}.pruned.safetensors")
    save_graph(result.graph, target)
    text = f"{result.report}\nwrote {target}"
    summary: dict[str, Any] = {"graph": str(target), **result.report.to_dict(), "warnings": warnings}
    if picture is not None:
        draw_cut(opened.graph.structure, result.mask, picture, title=f"{opened.name}, {criterion}, {budget}")
        summary["picture"] = str(picture)
        text += f"\nwrote {picture}"
    emit(summary, text, as_json=as_json)


def _budget(text: str) -> Budget:
    kind, _, number = text.partition("=")
    try:
        return Budget(**{kind.strip(): float(number)})
    except (TypeError, ValueError):
        raise UsageError(
            f"prune: --budget should read like macs=0.5, params=0.3, latency_ms=2 or speedup=2, got {text!r}"
        ) from None


def _product(text: str) -> Product:
    if text not in ("outer", "inner"):
        raise UsageError(f"prune: --product should be outer or inner, got {text!r}")
    return "inner" if text == "inner" else "outer"


def _number(text: str) -> int | float:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise UsageError(
            f"prune: --min-keep should be a number of channels or a share such as 0.1, got {text!r}"
        ) from None


def _metanetwork(name: str) -> Metanetwork | FactorisedMetanetwork:
    known = [model.name for model in list_models() if model.kind.endswith("metanetwork")]
    if is_plain_name(name) and name not in known and not Path(name).exists():
        raise UsageError(
            f"prune: --criterion should be one of {', '.join(sorted(CRITERIA))}, or a metanetwork "
            f"({', '.join(known) or 'none is shipped'}, a folder, or owner/name), got {name!r}"
        )
    model = load_model(name)
    if not isinstance(model, Metanetwork | FactorisedMetanetwork):
        raise UsageError(f"prune: --criterion {name!r} is a network, expected a metanetwork; choose another")
    return model
