"""How commands speak: tables for people, one JSON object for programs, progress on stderr."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

__all__ = ["emit", "make_table", "noted_warnings", "print_table", "progress_bar", "reporter"]


def emit(result: Mapping[str, Any], text: str | Table, *, as_json: bool) -> None:
    """Print the outcome of a command on stdout: one JSON object, or the text."""
    if as_json:
        print(json.dumps(result, allow_nan=False))
    elif isinstance(text, Table):
        print_table(text)
    else:
        print(text)


def print_table(table: Table) -> None:
    """Print a table on stdout; where that is no terminal, wide enough that nothing is cut off."""
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def make_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> Table:
    """A plain table; columns named in `right` are aligned there."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress display on stderr; where that is no terminal, nothing is drawn."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield progress


def reporter(bar: Progress) -> Callable[[str, int, int], None]:
    """What the library calls with a stage, the steps done and their total, as one line of a display."""
    task = bar.add_task("", total=None)

    def report(stage: str, done: int, total: int) -> None:
        bar.update(task, description=stage, completed=done, total=total or None)

    return report


@contextmanager
def noted_warnings() -> Iterator[list[str]]:
    """Collect the warnings of the library, each one line on stderr, in place of Python's own print."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
    for item in caught:
        text = " ".join(str(item.message).split())
        if item.category.__module__.startswith("netgraph") and text not in notes:
            notes.append(text)
            print(f"warning: {text}", file=sys.stderr)
