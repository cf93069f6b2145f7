"""Which processes are still there: what they leave when they are killed is known by it. Standard library only."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def place() -> str:
    """This machine; within it the container, whose processes have numbers of their own."""
    import socket

    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def start_of(pid: int) -> str:
    """When a process began, in a form that no other process of that number has; empty where that is not known.

    It is empty, too, of one that has ended and that its parent has not asked for yet.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if told[0] in "ZX" else f"{_boot()} {told[19]}"
    except (OSError, IndexError):
        return ""


def is_alive(pid: int) -> bool:
    """Whether there is a process of that number on this machine."""
    if not 0 < pid < 2**31:
        return False
    if os.name == "nt":  # os.kill would end it
        import ctypes

        kernel, code = ctypes.windll.kernel32, ctypes.c_ulong()  # type: ignore[attr-defined]
        handle = kernel.OpenProcess(0x1000, False, pid)
        running = bool(handle) and bool(kernel.GetExitCodeProcess(handle, ctypes.byref(code))) and code.value == 259
        if handle:
            kernel.CloseHandle(handle)
        return running
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def has_ended(pid: int, process: str = "") -> bool:
    """Whether a process of this place has surely ended; `process` is what `start_of` gave of it."""
    return not is_alive(pid) or (bool(process) and start_of(pid) != process)


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
