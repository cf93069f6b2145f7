"""Memory that the C library keeps for later: bounded in programs that stay open.

glibc gives each thread a heap of its own, and keeps what is freed at its end: up to twice the size of the largest array
that was freed before, by itself up to 64 MB a thread. In a window in which many threads compute one after another, that
comes to hundreds of MB that nobody uses.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

KEPT = 4 * 2**20
"""Bytes that a thread's heap keeps, and beyond which an array is mapped by itself and given back at once."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_OF_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


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
