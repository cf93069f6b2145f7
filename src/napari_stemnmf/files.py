"""Files that are either whole or absent. Uses the standard library only."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_stemnmf.errors import AnalysisError

FILE_SUFFIX = ".stemnmf.h5"
"""Ending of an analysis file."""


@contextmanager
def atomic_write(path: str | Path, size: int = 0) -> Iterator[Path]:
    """A temporary file beside `path` that replaces it when the block ends well, and is deleted when it does not.

    It is made like any new file, so that the system gives it the rights that the user's umask allows.

    Parameters
    ----------
    path : path
    size : int
        Bytes that there must be room for, for a library that does not survive a full disk, as HDF5 does not.

    Raises
    ------
    OSError
        If the folder cannot be written to, or there is no room.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}{path.suffix}")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        _make_sure_of_room(part, size)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def result_file(path: str | Path, what: str = "") -> Iterator[Path]:
    """`atomic_write` for a file of results: its folder is made, and what prevents it is an error that names the file.

    Parameters
    ----------
    path : path
    what : str
        What the message begins with, before the path: "The figure ".

    Raises
    ------
    AnalysisError
        If the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            yield part
    except OSError as error:
        raise AnalysisError(f"{what}{path} cannot be written: {error}.") from error


def make_folder(path: str | Path) -> Path:
    """Make a folder for results, and those above it; `AnalysisError` if that cannot be."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnalysisError(f"The folder {path} cannot be made: {error}.") from error
    return path


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
