"""Who writes to a file of results, told to other processes by a small file beside it. Standard library only.

It is made in one step that fails where it is there already, which network file systems keep to as well; locks of the
system they often do not. What a process has left that has ended is recognised on the same machine, by its number and
start.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.processes import has_ended, place, start_of
from napari_stemnmf.files.writing import read_text, scrap_name, sweep
from napari_stemnmf.texts import why

BEGINNING_SECONDS = 10.0
"""A lock without content that is no older is being written."""
LARGEST = 2**14
"""Bytes of a lock, at most."""


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
    token: str = field(default_factory=lambda: os.urandom(8).hex())

    @classmethod
    def me(cls, who: str) -> Holder:
        """This thread of this process."""
        import socket

        pid = os.getpid()
        return cls(who, pid, _user(), socket.gethostname(), place(), start_of(pid), threading.get_ident())

    @property
    def is_gone(self) -> bool:
        """Whether the process has surely ended."""
        if not self.pid or self.place != place():
            return False
        return has_ended(self.pid, self.process)

    @property
    def is_this_thread(self) -> bool:
        """Whether it is the one that asks."""
        return (self.pid, self.thread, self.place) == (os.getpid(), threading.get_ident(), place())

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
    for folder in (path.parent, None):  # a run that was killed may have left something in either
        sweep(folder)
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
            reason = why(error).lower()
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
    there = holder.place == place() and holder.pid
    gone = "" if there else f" If it has ended without a word, delete {lock_of(path)}."
    return f"{path} is being written by {holder}; wait until it has ended, or choose another folder.{gone}"


def _write(file: Path, holder: Holder) -> None:
    handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            json.dump(asdict(holder), opened)
    except OSError:  # a full disk
        file.unlink(missing_ok=True)
        raise


def _holder(file: Path) -> Holder | None:
    """Who holds a lock, None if nobody does. Of one without content it is not known who, while it is being written."""
    try:
        written = file.lstat().st_mtime
        text = read_text(file, LARGEST)
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    except OSError:  # of another user, or no file: who holds it is not known
        return Holder(since=written, token="")
    try:
        return _told(json.loads(text))
    except (ValueError, TypeError, OverflowError, OSError, RecursionError):
        begins = time.time() - written < BEGINNING_SECONDS
        return Holder(since=written, token=text) if begins else Holder(pid=-1, place=place(), token=text)


def _told(values: Any) -> Holder:
    """A holder as a lock tells of it; a ValueError or TypeError if the lock was not written by `_write`."""
    told, nobody = Holder(**values), Holder(since=0.0, token="")
    for f in fields(Holder):
        if type(getattr(told, f.name)) is not type(getattr(nobody, f.name)):
            raise TypeError(f.name)
    datetime.fromtimestamp(told.since)
    return told


def _put_aside(file: Path, token: str) -> None:
    """Remove the lock of a process that has ended; one that somebody else took meanwhile is put back."""
    aside = file.with_name(scrap_name(".lock"))
    with contextlib.suppress(OSError):
        os.rename(file, aside)
        holder = _holder(aside)
        if holder is not None and holder.token != token:
            with contextlib.suppress(OSError):
                os.link(aside, file)
        aside.unlink(missing_ok=True)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
