"""The progress bar of a fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from netgraph.linkpred.fit import EpochRecord, Report

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(epochs: int, report: Report | None, *, shown: bool) -> Iterator[Report | None]:
    """What to tell about a fit: the user's own function, and a bar on stderr if it is to be shown."""
    if not shown:
        yield report
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task("fit", total=epochs)

        def tell(done: float, history: Sequence[EpochRecord]) -> None:
            display.update(task, completed=done, description=_describe(history[-1]) if history else "fit")
            if report is not None:
                report(done, history)

        yield tell


def _describe(record: EpochRecord) -> str:
    held = "" if record.metric is None else f", validation {record.metric:.4g}"
    return f"epoch {record.epoch}: loss {record.loss:.4g}{held}"
