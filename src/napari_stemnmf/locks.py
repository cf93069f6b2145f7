"""Who writes to a file of results, told to other processes by a small file beside it. Standard library only.

It is made in one step that fails where it is there already, which network file systems keep to as well; locks of the
system they often do not. What a process has left that has ended is recognised on the same machine, by its number and
start.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from napari_stemnmf.errors import AnalysisError

BEGINNING_SECONDS = 10.0
"""A lock without content that is no older is being written."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    who: str = "another run"
    pid: int = 0
    user: str = ""
    host: str = ""
    place: str = ""
    """Within which numbers of processes mean something: a machine, or a container on it."""
    process: str = ""
    """When the process began, as the system counts; numbers are given again."""
    thread: int = 0
    since: float = field(default_factory=time.time)
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def me(cls, who: str) -> Holder:
        """This thread of this process."""
        pid = os.getpid()
        return cls(who, pid, _user(), socket.gethostname(), _place(), _start_of(pid), threading.get_ident())

    @property
    def is_gone(self) -> bool:
        """Whether the process has surely ended."""
        if not self.pid or self.place != _place():
            return False
        return not _is_alive(self.pid) or (bool(self.process) and _start_of(self.pid) != self.process)

    @property
    def is_this_thread(self) -> bool:
        """Whether it is the one that asks."""
        return (self.pid, self.thread, self.place) == (os.getpid(), threading.get_ident(), _place())

    def __str__(self) -> str:
        by = f" of {self.user}" if self.user else ""
        process = f"process {self.pid}{by} on {self.host}, " if self.pid else ""
        return f"{self.who} ({process}since {datetime.fromtimestamp(self.since):%d %B %H:%M})"


class Lock:
    """The right to write to a file, until it is released."""

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        self._token = token

    def release(self) -> None:
        """Give it back; nothing where somebody else has it by now."""
        file = lock_of(self.path)
        holder = _holder(file)
        if holder is not None and holder.token == self._token:
            file.unlink(missing_ok=True)


def lock_of(path: str | Path) -> Path:
    """The file that says who writes to `path`."""
    path = Path(path)
    return path.with_name(f".{path.name}.lock")


def is_held(path: str | Path) -> bool:
    """Whether somebody has the right to write to a file; a process that has ended has not."""
    holder = _holder(lock_of(path))
    return holder is not None and not holder.is_gone


def take(path: str | Path, who: str) -> Lock:
    """The right to write to a file.

    Parameters
    ----------
    path : path
    who : str
        What this process is to be called, "stemnmf run".

    Raises
    ------
    AnalysisError
        If another has it (one sentence says who, and what to do), or its folder cannot be written to.
    """
    path, me = Path(path), Holder.me(who)
    file = lock_of(path)
    for _ in range(3):
        try:
            _write(file, me)
            return Lock(path, me.token)
        except FileExistsError:
            holder = _holder(file)
            if holder is not None and not holder.is_gone:
                raise AnalysisError(_refusal(path, holder)) from None
            if holder is not None:
                _put_aside(file, holder.token)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise AnalysisError(f"{path.parent} cannot be written to ({reason}); choose another folder.") from error
    raise AnalysisError(f"{path} is being written by several others; wait until they have ended.")


@contextlib.contextmanager
def held(path: str | Path, who: str) -> Iterator[None]:
    """`take` for a block; what this thread holds already it goes on holding after it."""
    holder = _holder(lock_of(path))
    if holder is not None and holder.is_this_thread:
        yield
        return
    lock = take(path, who)
    try:
        yield
    finally:
        lock.release()


def _refusal(path: Path, holder: Holder) -> str:
    there = holder.place == _place() and holder.pid
    gone = "" if there else f" If it has ended without a word, delete {lock_of(path)}."
    return f"{path} is being written by {holder}; wait until it has ended, or choose another folder.{gone}"


def _write(file: Path, holder: Holder) -> None:
    handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        json.dump(asdict(holder), opened)


def _holder(file: Path) -> Holder | None:
    """Who holds a lock, None if nobody does. Of one without content it is not known who, while it is being written."""
    try:
        text, written = file.read_text(encoding="utf-8"), file.stat().st_mtime
    except OSError:
        return None
    try:
        return Holder(**json.loads(text))
    except (ValueError, TypeError):
        begins = time.time() - written < BEGINNING_SECONDS
        return Holder(since=written, token=text) if begins else Holder(pid=-1, place=_place(), token=text)


def _put_aside(file: Path, token: str) -> None:
    """Remove the lock of a process that has ended; one that somebody else took meanwhile is put back."""
    aside = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        os.rename(file, aside)
        holder = _holder(aside)
        if holder is not None and holder.token != token:
            with contextlib.suppress(OSError):
                os.link(aside, file)
        aside.unlink(missing_ok=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _place() -> str:
    """This machine; within it the container, whose processes have numbers of their own."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _start_of(pid: int) -> str:
    """When a process began, in a form that no other process of that number has; empty where that is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path(f'/proc/{pid}/stat').read_text(encoding='utf-8').rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return ""


def _is_alive(pid: int) -> bool:
    if pid <= 0:
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
