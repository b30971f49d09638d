"""`netgraph models` and `netgraph datasets`: what the library ships."""

from __future__ import annotations

from collections.abc import Sequence

from netgraph.cli.app import app
from netgraph.cli.options import AsJson
from netgraph.cli.output import emit, make_table
from netgraph.hub import Listed, list_datasets, list_models

__all__ = ["datasets", "models"]


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models that ship with the library."""
    _show("models", list_models(), as_json)


@app.command()
def datasets(as_json: AsJson = False) -> None:
    """List the datasets that ship with the library."""
    _show("datasets", list_datasets(), as_json)


def _show(what: str, listed: Sequence[Listed], as_json: bool) -> None:
    rows = [(item.name, item.kind, f"{item.size:,}", item.licence, item.summary) for item in listed]
    table = make_table(("name", "kind", "bytes", "licence", "summary"), rows, right=("bytes",))
    emit({what: [item._asdict() for item in listed]}, table, as_json=as_json)
