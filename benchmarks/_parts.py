"""Benchmarks of several parts: each keeps its own place in one record, so they can be run one at a time."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks._record import RESULTS, machine, say, write_record

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

Part = Callable[..., dict[str, Any]]
"""Of the folder of data, whether to be quick, and options by name; with a parameter `earlier`, also of what
the record holds of this part."""


@dataclass(frozen=True)
class Benchmark:
    """A program `python -m benchmarks.NAME`.

    Attributes:
        name: of the program, the record and its page.
        about: what `--help` says.
        needs: a folder that the data must have.
        parts: by name.
        quick: the parts of a quick run that is not told which.
        options: of the parts, by name: what `add_argument` is given.
        page: of the record, all tables.
        summary: of the record and the folder of data, the figures by which two runs are compared.
        results: folder of the record.
    """

    name: str
    about: str
    needs: str
    parts: Mapping[str, Part]
    quick: Sequence[str]
    options: Mapping[str, Mapping[str, Any]]
    page: Callable[[Mapping[str, Any]], str]
    summary: Callable[[Mapping[str, Any], Path], Mapping[str, float]]
    results: Path = RESULTS

    def run(self) -> None:
        """Run the parts that were asked for; keep the record and write its page after each of a full run."""
        chosen = self.arguments()
        if chosen.quick:
            torch.set_num_threads(1)  # so that two cores are enough for steady times
        record: dict[str, Any] = {} if chosen.quick else self._recorded()
        for name in [] if chosen.table else chosen.only or (self.quick if chosen.quick else self.parts):
            say(f"{name} ...")
            given = self.settings(name, chosen)
            if "earlier" in inspect.signature(self.parts[name]).parameters:
                given["earlier"] = record.get(name)
            facts, start = machine(), time.perf_counter()
            result = self.parts[name](chosen.data, chosen.quick, **given)
            made = {"command": self.command(name, chosen), "seconds": time.perf_counter() - start}
            record[name] = {**made, "machine": facts, **result}
            if not chosen.quick:
                # Another process may have written its own parts meanwhile.
                record = {**self._recorded(), name: record[name]}
                self._write(record)
        if chosen.table:
            self._write(record)
        print(self.page(record))
        if chosen.json:
            print(json.dumps(self.summary(record, chosen.data)))

    def arguments(self) -> argparse.Namespace:
        """The options of the command line."""
        parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{self.name}", description=self.about)
        parts = " and ".join(self.quick)
        parser.add_argument("--quick", action="store_true", help=f"{parts} in little, no record; within 50 s")
        parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
        parser.add_argument("--only", action="append", choices=list(self.parts), help="may be given again")
        parser.add_argument("--table", action="store_true", help="only write the page from the record")
        parser.add_argument("--data", type=Path, default=DATA, help="shared data")
        for option, given in self.options.items():
            parser.add_argument(f"--{option}", **given)
        chosen = parser.parse_args()
        if not chosen.table and not (chosen.data / self.needs).is_dir():
            sys.exit(f"{self.name}: expected the folder {self.needs} in the data, found none; pass --data")
        return chosen

    def settings(self, name: str, chosen: argparse.Namespace) -> dict[str, Any]:
        """The options that were given and that the part has."""
        known = inspect.signature(self.parts[name]).parameters
        given = {option: getattr(chosen, option) for option in self.options}
        return {option: value for option, value in given.items() if value is not None and option in known}

    def command(self, name: str, chosen: argparse.Namespace) -> str:
        """The command that makes this part again."""
        words = [f"python -m benchmarks.{self.name} --only {name}"]
        words += ["--quick"] if chosen.quick else []
        for option, value in self.settings(name, chosen).items():
            values = value if isinstance(value, list) else [value]
            words.append(f"--{option} " + " ".join(f"'{v}'" if "(" in str(v) else str(v) for v in values))
        return " ".join(words)

    def _recorded(self) -> dict[str, Any]:
        path = self.results / f"{self.name}.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    def _write(self, record: Mapping[str, Any]) -> None:
        write_record(self.name, record, self.page(record), self.results)
