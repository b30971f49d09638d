"""The progress bar of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["progress_bar"]

_Record = TypeVar("_Record")


@contextmanager
def progress_bar(
    epochs: int,
    report: Callable[[float, Sequence[_Record]], None] | None,
    *,
    shown: bool,
) -> Iterator[Callable[[float, Sequence[_Record]], None] | None]:
    """What to tell about a training: the user's own function, and a bar on stderr if it is to be shown.

    Args:
        epochs: how many there will be.
        report: told the epochs that are done, with a fraction, and their records.
        shown: whether there is a bar; beside it stands the last record, as `str` gives it.

    >>> with progress_bar(3, None, shown=False) as tell:
    ...     tell is None
    True
    """
    if not shown:
        yield report
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task("fit", total=epochs)

        def tell(done: float, history: Sequence[_Record]) -> None:
            display.update(task, completed=done, description=str(history[-1]) if history else "fit")
            if report is not None:
                report(done, history)

        yield tell
