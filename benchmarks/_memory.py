"""Peak memory of one call, as the rise of this process's resident set."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path


def peak_memory(call: Callable[[], object]) -> int:
    """Bytes by which the peak of this process's resident set rises over one call."""
    gc.collect()
    # What the allocator keeps would be used unseen.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    before = _reset_peak()
    call()
    return _peak() - before


def _reset_peak() -> int:
    """Start the peak anew where the system can, and return what is resident now."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in the process status")
