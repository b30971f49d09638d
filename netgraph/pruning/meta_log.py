"""The course of a meta-training for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, final

from netgraph.errors import UsageError

__all__ = ["MetaLog"]


@final
class MetaLog:
    """Writes scalars into a folder that TensorBoard reads; without a folder, nothing at all.

    Args:
        folder: where to; made if absent. A resumed run goes on in the same folder.
        updates: updates that were made already: what an interrupted run wrote after them is hidden.

    Raises:
        UsageError: the package `tensorboard` is absent.

    >>> MetaLog(None, 0).write(1, {"loss/task": 0.5})
    """

    def __init__(self, folder: str | PathLike[str] | None, updates: int) -> None:
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                f"meta_train: expected the package tensorboard for logs in {str(folder)!r}, found none "
                f"({error}); pip install tensorboard, or leave the logs out"
            ) from None
        self._writer = SummaryWriter(str(folder), purge_step=updates + 1)

    def write(self, updates: int, values: Mapping[str, float | None]) -> None:
        """Numbers by name after so many updates; None is left out."""
        if self._writer is not None:
            for name, value in values.items():
                if value is not None:
                    self._writer.add_scalar(name, value, updates)

    def close(self) -> None:
        """Bring to disk what was written."""
        if self._writer is not None:
            self._writer.close()
