"""`netgraph train` and `netgraph meta-train`: the shipped models again, from their recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from netgraph.cli.app import app
from netgraph.cli.options import AsJson
from netgraph.cli.output import emit, make_table, progress_bar, reporter
from netgraph.hub.recipes import make_metanetwork, make_network, read_recipe
from netgraph.hub.recipes.recipe import shipped_recipe

__all__ = ["meta_train_command", "train_command"]

_Recipe: TypeAlias = Annotated[
    Path,
    typer.Argument(help="A recipe.toml, as beside each shipped model, or one of tiny, small, full."),
]
_Folder: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder of the model; by default that of the recipe.")
]


@app.command("train")
def train_command(recipe: _Recipe, output: _Folder = None, as_json: AsJson = False) -> None:
    """Train the network of a recipe."""
    read = read_recipe(recipe)
    folder = output or recipe.parent
    with progress_bar() as bar:
        figures = make_network(read, folder, progress=reporter(bar))
    table = make_table(("figure", "value"), [(name, f"{value:.6g}") for name, value in figures.items()])
    emit({"model": str(folder), **figures}, table, as_json=as_json)


@app.command("meta-train")
def meta_train_command(
    recipe: _Recipe,
    output: _Folder = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder of what is not finished; by default runs/<name of the model>.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from what an earlier run left in it.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder of a dataset that is not shipped: CIFAR-10.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for the course of the training, for TensorBoard.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train the metanetwork of a recipe.

    May be stopped at any moment: with --resume it goes on, and ends with the same weights.
    """
    read = read_recipe(recipe)
    folder = output or (Path("models") / read.name if shipped_recipe(recipe) else recipe.parent)
    with progress_bar() as bar:
        figures = make_metanetwork(
            read,
            folder,
            work or Path("runs") / read.name,
            resume=resume,
            data=data,
            tensorboard=tensorboard,
            progress=reporter(bar),
        )
    rows: list[tuple[Any, ...]] = [("0", "", "", "", _number(figures["baseline"]))]
    rows += [
        (str(r["epoch"]), *(_number(r[n]) for n in ("task_loss", "penalty", "decision", "score")))
        for r in figures["history"]
    ]
    table = make_table(("epoch", "task loss", "penalty", "decision", "validation"), rows)
    emit({"model": str(folder), **figures}, table, as_json=as_json)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
