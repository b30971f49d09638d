"""Checksums: written as `sha256sum` writes them, and every difference is named."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from netgraph.errors import HubError
from netgraph.hub import sha256, verify_checksums, write_checksums
from netgraph.hub.checksums import write_atomically
from netgraph.resources import CHECKSUMS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b.bin").write_bytes(bytes(range(256)) * 5000)
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / ".hidden").write_text("left out")
    (tmp_path / "sub").mkdir()
    write_checksums(tmp_path)
    return tmp_path


def test_record_has_one_sorted_line_per_file(folder: Path) -> None:
    lines = (folder / CHECKSUMS).read_text().splitlines()
    assert lines == [
        f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}" for n in ("a.txt", "b.bin")
    ]
    assert sha256(folder / "a.txt") == lines[0].split()[0]
    verify_checksums(folder, needed=["a.txt", "b.bin"])


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs the program sha256sum")
def test_sha256sum_reads_the_record(folder: Path) -> None:
    subprocess.run(
        ["sha256sum", "--check", "--strict", CHECKSUMS], cwd=folder, check=True, capture_output=True
    )


def test_a_changed_file_is_named_with_both_hashes(folder: Path) -> None:
    (folder / "a.txt").write_text("hellp")
    with pytest.raises(HubError) as caught:
        verify_checksums(folder)
    for part in ("a.txt", hashlib.sha256(b"hello").hexdigest(), hashlib.sha256(b"hellp").hexdigest()):
        assert part in str(caught.value)


DAMAGE = {
    "one bit": lambda f: (f / "b.bin").write_bytes(bytes([1]) + (f / "b.bin").read_bytes()[1:]),
    "truncated": lambda f: (f / "b.bin").write_bytes((f / "b.bin").read_bytes()[:-1]),
    "emptied": lambda f: (f / "b.bin").write_bytes(b""),
    "missing": lambda f: (f / "b.bin").unlink(),
    "a folder": lambda f: ((f / "b.bin").unlink(), (f / "b.bin").mkdir()),
    "no record": lambda f: (f / CHECKSUMS).unlink(),
    "record of another file": lambda f: (f / CHECKSUMS).write_text(f"{'0' * 64}  c.bin\n"),
    "record without the needed file": lambda f: (f / CHECKSUMS).write_text(f"{sha256(f / 'a.txt')}  a.txt\n"),
    "path in the record": lambda f: (f / CHECKSUMS).write_text(f"{'0' * 64}  ../a.txt\n"),
    "parent in the record": lambda f: (f / CHECKSUMS).write_text(f"{'0' * 64}  ..\n"),
    "garbage in the record": lambda f: (f / CHECKSUMS).write_text("hello\n"),
    "bytes in the record": lambda f: (f / CHECKSUMS).write_bytes(b"\xff\xfe\x00"),
    "empty record": lambda f: (f / CHECKSUMS).write_text(""),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused(folder: Path, damage) -> None:
    damage(folder)
    with pytest.raises(HubError, match=r"^verify .*: .*") as caught:
        verify_checksums(folder, needed=["b.bin"])
    assert "\n" not in str(caught.value)


def test_a_write_that_fails_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(folder / "a.txt", b"new")
    assert (folder / "a.txt").read_text() == "hello"
    assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))
