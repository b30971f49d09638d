"""Build the C++ kernels at first use, once per machine and user."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["COMPILERS", "find_compiler", "load_kernels"]

COMPILERS = ("g++", "clang++")

SOURCES = Path(__file__).parent

ENGINE = SOURCES / "engine.cpp"

# Floating-point rules stay those of the standard: NaN, infinities and the order of sums matter.
FLAGS = (
    "-std=c++17",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-shared",
    "-fPIC",
)

EXTRAS = (("-march=native", "-fopenmp"), ("-march=native",), ("-mcpu=native",), ())
"""Tried in order until a compiler takes them."""

TIMEOUT = 300
"""Seconds that a build may take."""


def find_compiler() -> str | None:
    """The C++ compiler for the kernels: the one that `CXX` names, or one of the usual names.

    >>> found = find_compiler()
    >>> found is None or Path(found).exists()
    True
    """
    wanted = os.environ.get("CXX", "")
    found = (shutil.which(name) for name in (wanted, *COMPILERS) if name)
    return next((path for path in found if path), None)


@cache
def load_kernels(program: Path = ENGINE) -> ctypes.CDLL | None:
    """The library of kernels, built if need be; None, after one warning, where that is impossible.

    It is kept in the folder `kernels` of `NETGRAPH_CACHE`, or of `~/.cache/netgraph`, under a name that tells
    sources, flags, compiler and processor, and the hash of what it holds. Any number of processes may build
    at once: each writes under a name of its own and renames.

    Args:
        program: the C++ file; it may include headers that lie beside it, or here.
    """
    compiler = find_compiler()
    if compiler is None:
        _warn("found no C++ compiler", "install g++, or name one in CXX")
        return None
    try:
        with _folder() as folder:
            key = _key(compiler, program)
            return _cached(folder, key) or _built(folder, key, compiler, program)
    except (OSError, subprocess.SubprocessError, _BuildError) as error:
        _warn(str(error), f"see whether {compiler} works, or name another compiler in CXX")
        return None


class _BuildError(Exception):
    pass


def _warn(problem: str, remedy: str) -> None:
    warnings.warn(
        f"netgraph kernels: expected to build them, {problem}; going on without them, slower ({remedy})",
        RuntimeWarning,
        stacklevel=3,
    )


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """The cache, which only this user may write to; one for this process where there can be none."""
    root = os.environ.get("NETGRAPH_CACHE")
    try:
        folder = (Path(root) if root else Path.home() / ".cache" / "netgraph") / "kernels"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        usable = os.access(folder, os.W_OK) and _is_ours(folder)
    except (OSError, RuntimeError):
        usable = False
    if usable:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="netgraph-", ignore_cleanup_errors=True) as own:
        yield Path(own)


def _is_ours(path: Path) -> bool:
    if not hasattr(os, "getuid"):
        return True
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def _key(compiler: str, program: Path) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, timeout=TIMEOUT, check=True).stdout
    parts = [version, repr((FLAGS, EXTRAS)).encode(), _processor().encode()]
    parts += [path.name.encode() + path.read_bytes() for path in _sources(program)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]


def _sources(program: Path) -> list[Path]:
    headers = (path for folder in {program.parent, SOURCES} for path in folder.glob("*.h"))
    return [program, *sorted(headers)]


def _processor() -> str:
    """What `-march=native` depends on."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.processor()}"


def _cached(folder: Path, key: str) -> ctypes.CDLL | None:
    """A library of this key whose content is what its name says; broken ones are removed."""
    for path in sorted(folder.glob(f"{key}-*.so")):
        with contextlib.suppress(OSError):
            if _is_ours(path) and path.name == _name(key, path.read_bytes()):
                return ctypes.CDLL(str(path))
        path.unlink(missing_ok=True)
    return None


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()[:24]}.so"


def _built(folder: Path, key: str, compiler: str, program: Path) -> ctypes.CDLL:
    errors = []
    for extra in EXTRAS:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
        os.close(handle)
        try:
            command = [compiler, *FLAGS, *extra, f"-I{SOURCES}", str(program), "-o", temporary]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
            if done.returncode == 0:
                os.chmod(temporary, 0o600)
                path = folder / _name(key, Path(temporary).read_bytes())
                os.replace(temporary, path)
                return ctypes.CDLL(str(path))
            errors.append(next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}"))
        finally:
            Path(temporary).unlink(missing_ok=True)
    raise _BuildError(f"{compiler} said {errors[-1][:200]!r}")
