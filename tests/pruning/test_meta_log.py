"""Logs for TensorBoard, whose package may be absent: a writer that notes what it is told stands in."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from netgraph.errors import UsageError
from netgraph.pruning.meta_log import MetaLog


class Writer:
    made: list["Writer"] = []  # noqa: RUF012

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step, self.closed = folder, purge_step, False
        self.scalars: list[tuple[str, float, int]] = []
        Writer.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    module: Any = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Writer.made.clear()
    return Writer.made


def test_numbers_are_written_and_what_is_none_is_not(writers: list[Writer], tmp_path: Path) -> None:
    log = MetaLog(tmp_path, 7)
    log.write(8, {"a": 0.5, "b": None})
    log.close()
    (writer,) = writers
    assert (writer.folder, writer.purge_step, writer.closed) == (str(tmp_path), 8, True)
    assert writer.scalars == [("a", 0.5, 8)]


def test_without_a_folder_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log = MetaLog(None, 0)
    log.write(1, {"a": 1.0})
    log.close()


def test_the_absent_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"expected the package tensorboard .* pip install tensorboard"):
        MetaLog(tmp_path, 0)
