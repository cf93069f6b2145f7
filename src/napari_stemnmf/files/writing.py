"""Files that are either whole or absent, whatever happens to the process that writes them. Standard library only.

What is being written has a name of its own beside the file that it is to become, a scrap. A scrap's name tells which
process makes it; what a process has left that was killed is removed by the next that writes there (`sweep`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files import processes
from napari_stemnmf.texts import NOT_WRITTEN, why

FILE_SUFFIX = ".stemnmf.h5"
"""Ending of an analysis file."""
OLD_SECONDS = 2 * 86400.0
"""A scrap of another machine that nobody has written to for so long is nobody's."""
LONGEST_NAME = 60
"""Letters of the name of a scan that names of files begin with."""
_SCRAP = re.compile(r"\.stemnmf-(\d{1,10})-([0-9a-f]{8})-([0-9a-f]{8})-[0-9a-f]{12}\.part(\.[^/]*)?")


@contextmanager
def atomic_write(path: str | Path, size: int = 0) -> Iterator[Path]:
    """A temporary file beside `path` that replaces it when the block ends well, and is deleted when it does not.

    It is made like any new file, so that the system gives it the rights that the user's umask allows; a file that is
    there keeps its rights. Where `path` is a link it stays one, and what it points to is replaced. What processes that
    were killed have left in the folder goes (`sweep`).

    Parameters
    ----------
    path : path
    size : int
        Bytes that there must be room for, for a library that does not survive a full disk, as HDF5 does not.

    Raises
    ------
    OSError
        If the folder cannot be written to, there is no room, or what is there is no file (a device, a folder).
    """
    path = _target(path)
    former = _status(path)
    sweep(path.parent)
    part = path.with_name(scrap_name(path.suffix))
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if former is None else 0o600))
    try:
        _make_sure_of_room(part, size)
        yield part
        _seal(part, former)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def result_file(path: str | Path, what: str = "", size: int = 0) -> Iterator[Path]:
    """`atomic_write` for a file of results: its folder is made, and what prevents it is an error that names the file.

    Parameters
    ----------
    path : path
    what : str
        What the message begins with, before the path: "The figure ".
    size : int
        Bytes that there must be room for, as for `atomic_write`.

    Raises
    ------
    AnalysisError
        If the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, size) as part:
            yield part
    except (OSError, MemoryError) as error:
        raise AnalysisError(f"{what}{path} cannot be written: {why(error, NOT_WRITTEN)}.") from error


@contextmanager
def result_folder(path: str | Path, replaces: Callable[[Path], bool]) -> Iterator[Path]:
    """The same for results that are a folder: a temporary one that takes its place when the block ends well.

    Parameters
    ----------
    path : path
    replaces : callable
        Whether what is there may be replaced; it is not asked where there is nothing.

    Raises
    ------
    AnalysisError
        If the folder cannot be written, or there is something else.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _named(path)
        if os.path.lexists(path) and not (path.is_dir() and not path.is_symlink() and replaces(path)):
            raise AnalysisError(f"{path} is there and is something else; move it away, or choose another folder.")
        sweep(path.parent)
        part, former = (path.with_name(scrap_name(path.suffix)) for _ in range(2))
        os.mkdir(part)
        try:
            yield part
            if path.exists():
                os.rename(path, former)
            os.rename(part, path)
        finally:
            for left in (part, former):
                shutil.rmtree(left, ignore_errors=True)
    except (OSError, MemoryError) as error:
        raise AnalysisError(f"{path} cannot be written: {why(error, NOT_WRITTEN)}.") from error


def write_text(path: str | Path, text: str, what: str = "") -> None:
    """Write a text as a `result_file`, in UTF-8; what cannot be written so stands as an escape."""
    with result_file(path, what) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_text(path: str | Path, most: int) -> str:
    """The text of a file of at most so many bytes.

    Raises
    ------
    OSError
        If it is not there, cannot be read, is larger, or is no file (a device, a pipe that may never end).
    UnicodeDecodeError
        If it is no UTF-8.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    status = _status(Path(path))
    if status is not None and status.st_size > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", str(path))
    return Path(path).read_text(encoding="utf-8")


def plain_name(name: str) -> str:
    """A name, such as that of a scan, made fit to be one of a file: without letters that mean something in a path."""
    kept = "".join(letter if letter.isalnum() or letter in " ._-()" else "_" for letter in name)
    return kept[:LONGEST_NAME].strip().lstrip(".") or "scan"


def make_folder(path: str | Path) -> Path:
    """Make a folder for results, and those above it; `AnalysisError` if that cannot be."""
    path = Path(path)
    try:
        _named(path)
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnalysisError(f"The folder {path} cannot be made: {why(error)}.") from error
    return path


def move_into(part: Path, path: Path) -> None:
    """Put a whole file in the place of another, as `atomic_write` does; an OSError if that cannot be."""
    target = _target(path)
    former = _status(target)
    if os.stat(part).st_dev == os.stat(target.parent).st_dev:
        _seal(part, former)
        os.replace(part, target)
        return
    with atomic_write(target, part.stat().st_size) as copy:
        shutil.copyfile(part, copy)
    part.unlink()


def temporary_file(suffix: str) -> Path:
    """An empty file in the system's folder for such, which is the caller's to delete; `sweep` finds it, too."""
    import tempfile

    folder = Path(tempfile.gettempdir())
    sweep(folder)
    path = folder / scrap_name(suffix)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def scrap_name(suffix: str) -> str:
    """A name for what this process is writing, which tells that and where it runs."""
    pid = os.getpid()
    where, began = _mark(processes.place()), _mark(processes.start_of(pid))
    return f".stemnmf-{pid}-{where}-{began}-{os.urandom(6).hex()}.part{suffix}"


def sweep(folder: str | Path | None = None) -> None:
    """Remove from a folder what processes that have ended were writing; what cannot be removed stays.

    Of the system's folder for temporary files where none is given.
    """
    if folder is None:
        import tempfile

        folder = tempfile.gettempdir()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _SCRAP.fullmatch(entry.name)
            if found is not None and _is_left(entry, int(found[1]), found[2], found[3]):
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def _is_left(entry: os.DirEntry[str], pid: int, where: str, began: str) -> bool:
    if where != _mark(processes.place()):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > OLD_SECONDS
    start = processes.start_of(pid)
    return not processes.is_alive(pid) or ((bool(start) or os.name == "posix") and began != _mark(start))


def _mark(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _named(path: str | Path) -> None:
    """Raise the system's error for a name that no file can have."""
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeError:
        possible = False
    if not possible:
        raise OSError(errno.EINVAL, "no file can have such a name", str(path))


def _target(path: str | Path) -> Path:
    """Where a file is, links followed."""
    _named(path)
    return Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)


def _status(path: Path) -> os.stat_result | None:
    """The status of a file, None where there is none; an OSError where something else is."""
    _named(path)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file", str(path))
    return found


def _seal(part: Path, former: os.stat_result | None) -> None:
    """Have what was written on the disk, with the rights of the file that it replaces."""
    with part.open("rb") as written:
        os.fsync(written.fileno())
    if former is None:
        return
    mode = stat.S_IMODE(former.st_mode)
    if hasattr(os, "chown") and part.stat().st_gid != former.st_gid:
        try:
            os.chown(part, -1, former.st_gid)
        except OSError:
            mode &= ~0o070  # rights that were those of another group
    os.chmod(part, mode)


def _make_sure_of_room(path: Path, size: int) -> None:
    """Raise the system's error if a file of that size does not fit; quotas count where the system can reserve space."""
    if size > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    if size and hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that cannot reserve
                    raise OSError(error.errno, error.strerror, str(path)) from error
            file.truncate(0)
