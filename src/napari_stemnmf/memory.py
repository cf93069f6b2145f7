"""Memory: how much is free, and how much of what was freed the C library keeps for later.

glibc gives each thread a heap of its own, and keeps what is freed at its end: up to twice the size of the largest array
that was freed before, by itself up to 64 MB a thread. In a window in which many threads compute one after another, that
comes to hundreds of MB that nobody uses.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path

UNKNOWN = 2**33
"""Bytes that are taken to be free where the system does not tell."""
KEPT = 4 * 2**20
"""Bytes that a thread's heap keeps, and beyond which an array is mapped by itself and given back at once."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_OF_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def available() -> int:
    """Bytes that can be taken without anything being moved to disk, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        return UNKNOWN


def give_back() -> None:
    """Return to the system what was let go. The C library keeps it otherwise, between pieces that are in use."""
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)


@functools.cache
def keep_little() -> bool:
    """Fix these bounds for this process, unless its user has; whether they were. Other C libraries have none."""
    if sys.platform != "linux" or any(name in os.environ for name in _OF_USER):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, KEPT)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))
