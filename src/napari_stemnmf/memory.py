"""Memory: how much is free, and giving back what the process holds and does not use."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

UNKNOWN = 2**33
"""Bytes that are taken to be free where the system does not tell."""


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
