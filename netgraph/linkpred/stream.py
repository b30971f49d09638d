"""Scores of more pairs than memory holds, written to disk piece by piece, and gone on with after a stop."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import torch
from torch import Tensor

from netgraph.errors import UsageError
from netgraph.linkpred.predictor import LinkPredictor

__all__ = ["stream_scores"]

_TYPE: Final = np.dtype("<f4")


def stream_scores(
    predictor: LinkPredictor,
    pairs: Iterable[Tensor | tuple[Tensor, Tensor]],
    path: str | PathLike[str],
    *,
    resume: bool = True,
) -> Path:
    """Write the scores of pairs to a `.npy` file of float32, in their order, `(P,)`.

    States of nodes are found once; of the pairs, one piece at a time is in memory. The file stands under its
    name when it is complete: until then there is `<name>.part`, and `<name>.part.json` about how far it
    has come. Called again with the same predictor and pairs, it goes on after the last piece. Read the file
    with `numpy.load(path, mmap_mode="r")`.

    Args:
        predictor: a fitted one.
        pairs: pieces of numbers `(2, P)`, or of these and relations `(P,)`.
        path: of the file, which is replaced if it is there.
        resume: go on with what is there; otherwise begin anew.

    Raises:
        NotFittedError: a predictor that is not fitted.
        UsageError: what `predict` refuses; other pairs or another predictor than those that were begun
            with; a place that cannot be written.

    >>> import networkx as nx, tempfile
    >>> predictor = LinkPredictor("common_neighbours").fit(nx.karate_club_graph())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pieces = [torch.tensor([[0, 0], [33, 9]]), torch.tensor([[4], [5]])]
    ...     np.load(stream_scores(predictor, pieces, Path(folder) / "scores.npy")).tolist()
    [4.0, 1.0, 3.0]
    """
    target = Path(path)
    part, note = (target.with_name(target.name + end) for end in (".part", ".part.json"))
    done: dict[str, Any] = {"predictor": _mark(predictor), "pieces": 0, "pairs": 0, "scores": 0}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        begun = _read(note) if resume and part.is_file() else None
        if begun is not None and begun["predictor"] != done["predictor"]:
            _fail(f"the predictor that {note} was begun with", "another")
        with open(part, "r+b" if begun is not None else "w+b") as file:
            done = begun if begun is not None else done
            _header(file, done["scores"])
            start = file.tell()
            # What stands after the last piece that was noted may be half of one.
            file.truncate(start + done["scores"] * _TYPE.itemsize)
            file.seek(0, os.SEEK_END)
            seen = mark = 0
            for piece in pairs:
                seen, mark = seen + 1, _sum(piece, mark)
                if seen > done["pieces"]:
                    given = piece if isinstance(piece, tuple) else (piece,)
                    scores = predictor.predict(*given).to(torch.float32).numpy().astype(_TYPE, copy=False)
                    file.write(scores.tobytes())
                    file.flush()
                    os.fsync(file.fileno())
                    done |= {"pieces": seen, "pairs": mark, "scores": done["scores"] + len(scores)}
                    _write(note, done)
                elif seen == done["pieces"] and mark != done["pairs"]:
                    _fail(f"the pairs that {note} was begun with", f"others in the first {seen} pieces")
            if seen < done["pieces"]:
                _fail(f"the pairs that {note} was begun with", f"{seen} of {done['pieces']} pieces")
            _header(file, done["scores"])
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
        note.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"stream_scores: expected a file that can be written, got {str(target)!r} ({error}); "
            "choose another place"
        ) from None
    return target


def _header(file: BinaryIO, count: int) -> None:
    """The head of a `.npy` file, whose length does not depend on how many numbers there are."""
    file.seek(0)
    about = {"descr": np.lib.format.dtype_to_descr(_TYPE), "fortran_order": False, "shape": (count,)}
    text = repr(about).encode("latin1")
    length = 128 - 10  # magic, version and this length take ten bytes
    file.write(b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little"))
    file.write(text + b" " * (length - len(text) - 1) + b"\n")


def _mark(predictor: LinkPredictor) -> str:
    """One number for the weights and the graph of a predictor."""
    mark = hashlib.sha256(repr((predictor.model, predictor.options)).encode())
    network = getattr(predictor, "network_", None)
    if network is not None:
        graph = predictor.graph_
        for tensor in (*network.state_dict().values(), graph.indptr, graph.indices, graph.kept, graph.x):
            if tensor is not None:
                mark.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return mark.hexdigest()


def _sum(piece: Tensor | tuple[Tensor, Tensor], before: int) -> int:
    """A sum over all numbers of a piece and of the pieces before it."""
    for part in piece if isinstance(piece, tuple) else (piece,):
        before = zlib.crc32(torch.as_tensor(part).cpu().numpy().astype("<i8").tobytes(), before)
    return before


def _read(note: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(note.read_text("utf-8"))
        return found if set(found) == {"predictor", "pieces", "pairs", "scores"} else None
    except (OSError, ValueError, TypeError):
        return None


def _write(note: Path, done: dict[str, Any]) -> None:
    fresh = note.with_name(note.name + ".tmp")
    fresh.write_text(json.dumps(done), "utf-8")
    os.replace(fresh, note)


def _fail(expected: str, came: str) -> None:
    raise UsageError(
        f"stream_scores: expected {expected}, got {came}; pass resume=False to begin anew, or another path"
    )
