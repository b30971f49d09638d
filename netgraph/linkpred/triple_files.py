"""Triples and pairs from files of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

import torch
from torch import Tensor

from netgraph.errors import InterchangeError, UsageError
from netgraph.linkpred.triples import Triples, Unseen

__all__ = ["TriplesFolder", "read_edge_list", "read_triples", "read_triples_folder"]

_FILES: Final[Mapping[str, Sequence[str]]] = {
    "train": ("train",),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}
_ENDINGS: Final = (".txt", ".tsv", "")


@final
@dataclass(frozen=True, eq=False)
class TriplesFolder:
    """Triples of a folder for training, validation and test, numbered alike.

    Attributes:
        train, valid, test: the triples; their fields `duplicates` and `unseen` say what was left out.
    """

    train: Triples
    valid: Triples
    test: Triples


def read_triples(
    path: str | Path,
    *,
    entities: Sequence[str] | None = None,
    relations: Sequence[str] | None = None,
    unseen: Unseen = "raise",
) -> Triples:
    """Triples of a text file in UTF-8: a line each, head, relation and tail with tabs between them.

    Without tabs in the file, words are divided at blanks. Empty lines do not matter.

    Args:
        path: the file.
        entities: the vocabulary; None for the names of the file, in the order in which they first come.
        relations: likewise.
        unseen: what to do with a name that is not in a vocabulary that is given; see `Triples.of`.

    Raises:
        UsageError: no such file, another policy, or a vocabulary with a name twice.
        InterchangeError: a line of other than three parts, text that is not UTF-8, an unseen name.
    """
    rows = [(head, kind, tail) for head, kind, tail in _rows(Path(path), 3, "read_triples")]
    return Triples.of(rows, entities=entities, relations=relations, unseen=unseen)


def read_triples_folder(
    folder: str | Path, *, relations: Sequence[str] | None = None, unseen: Unseen = "raise"
) -> TriplesFolder:
    """The files `train`, `valid` and `test` of a folder, with the ending `.txt` or `.tsv`.

    The vocabulary is that of the training triples. `valid` may also be called `validation`, `val` or `dev`.

    Args:
        folder: the folder.
        relations: the vocabulary of the relations, such as that of the graph that an inductive network was
            trained on; None for those of the training triples.
        unseen: what to do with validation and test triples, and with training triples if `relations` is
            given, that have a name beyond the vocabulary: `"raise"`; `"drop"` them and count them; `"keep"`
            them, their entities as nodes without edges, as published rankings of WN18RR do.

    Raises:
        UsageError: a file is not there, or another policy.
        InterchangeError: as `read_triples`; no training triples.
    """
    paths = {part: _part(Path(folder), part) for part in _FILES}
    train = read_triples(paths["train"], relations=relations, unseen=unseen)
    if not len(train):
        raise InterchangeError(
            f"read_triples_folder: expected training triples, got none in {paths['train']}; "
            "check the file and the relations"
        )
    found = {"train": train}
    last = train
    for part in ("valid", "test"):
        last = read_triples(paths[part], entities=last.entities, relations=last.relations, unseen=unseen)
        found[part] = last
    # Names that were kept stand at the end of the last vocabulary, which serves all three.
    return TriplesFolder(
        **{part: replace(t, entities=last.entities, relations=last.relations) for part, t in found.items()}
    )


def read_edge_list(path: str | Path) -> tuple[Tensor, tuple[str, ...]]:
    """Pairs of a text file in UTF-8: a line each, two names with a tab, a comma or blanks between them.

    Lines that begin with `#` or `%` do not matter, nor do empty ones.

    Returns:
        The pairs as they come, `(2, E)`, and the names of the nodes in the order in which they first come.

    Raises:
        UsageError: no such file.
        InterchangeError: a line of other than two parts, or text that is not UTF-8.
    """
    number: dict[str, int] = {}
    ends = [
        [number.setdefault(name, len(number)) for name in row]
        for row in _rows(Path(path), 2, "read_edge_list", comments=("#", "%"))
    ]
    return torch.tensor(ends, dtype=torch.long).reshape(-1, 2).T.contiguous(), tuple(number)


def _rows(path: Path, columns: int, operation: str, comments: tuple[str, ...] = ()) -> Iterator[list[str]]:
    if not path.is_file():
        raise UsageError(f"{operation}: expected a file, got {path}; check the path")
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InterchangeError(
            f"{operation}: expected text in UTF-8, got other bytes in {path} ({error.reason}); re-encode it"
        ) from None
    between = "\t" if any("\t" in line for line in lines) else None
    if between is None and columns == 2 and any("," in line for line in lines):
        between = ","
    for number, line in enumerate(lines, 1):
        if not line.strip() or (comments and line.startswith(comments)):
            continue
        row = [part.strip() for part in line.split(between)]
        if len(row) != columns or not all(row):
            raise InterchangeError(
                f"{operation}: expected {columns} names in each line, got {sum(map(bool, row))} in line "
                f"{number} of {path}; write {'head, relation, tail' if columns == 3 else 'two nodes'}"
            )
        yield row


def _part(folder: Path, part: str) -> Path:
    for name in _FILES[part]:
        for ending in _ENDINGS:
            if (folder / f"{name}{ending}").is_file():
                return folder / f"{name}{ending}"
    raise UsageError(
        f"read_triples_folder: expected {part}.txt or {part}.tsv in {folder}, got "
        f"{sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else 'no such folder'}; "
        "check the path"
    )
