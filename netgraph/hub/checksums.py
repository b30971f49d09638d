"""The sha256 of every file of a shipped folder, in a `SHA256SUMS` that `sha256sum --check` reads as well."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from netgraph.errors import HubError
from netgraph.resources import CHECKSUMS

__all__ = ["sha256", "verify_checksums", "write_checksums", "write_atomically"]

_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^/\\]+)")


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "empty").write_bytes(b"")
    ...     sha256(Path(folder, "empty"))[:16]
    'e3b0c44298fc1c14'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> Path:
    """Record the sha256 of every file of a folder (hidden ones and sub-folders left out); return the record.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.txt").write_text("hello")
    ...     record = write_checksums(Path(folder)).read_text()
    >>> record.split()[1]
    'a.txt'
    """
    names = sorted(
        p.name for p in folder.iterdir() if p.is_file() and p.name != CHECKSUMS and not p.name.startswith(".")
    )
    text = "".join(f"{sha256(folder / name)}  {name}\n" for name in names)
    write_atomically(folder / CHECKSUMS, text.encode())
    return folder / CHECKSUMS


def verify_checksums(folder: Path, *, needed: Iterable[str] = ()) -> None:
    """Compare every recorded file of a folder with its sha256.

    Args:
        folder: a folder with a `SHA256SUMS`.
        needed: names that must be on record, because the caller is going to read them.

    Raises:
        HubError: no record, a line that cannot be read, a file that is missing, not on record, or differs.

    >>> from netgraph.resources import dataset_dir
    >>> verify_checksums(dataset_dir("digits"), needed=["data.safetensors"])
    """
    record = folder / CHECKSUMS
    what = f"verify {folder.name!r}"
    try:
        lines = record.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise HubError(f"{what}: expected a {CHECKSUMS}, found none; get the whole folder again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{what}: cannot read {CHECKSUMS} ({error}); get the folder again") from None
    expected: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] in {".", "..", CHECKSUMS}:
            raise HubError(
                f"{what}: line {number} of {CHECKSUMS} should read '<sha256>  <file name>', "
                f"got {line[:80]!r}; get the folder again"
            )
        expected[match[2]] = match[1]
    if missing := [name for name in needed if name not in expected]:
        raise HubError(f"{what}: {CHECKSUMS} has no entry for {missing}; get the folder again")
    for name, digest in expected.items():
        try:
            found = sha256(folder / name)
        except OSError:
            raise HubError(
                f"{what}: file {name!r} is on record but cannot be read; get the folder again"
            ) from None
        if found != digest:
            raise HubError(
                f"{what}: file {name!r} has another sha256 than recorded: expected {digest}, found {found}; "
                "restore the file, or run write_checksums if you changed it on purpose"
            )


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that under its name there is either the old content or all of the new."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
