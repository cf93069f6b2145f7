"""Files that are either whole or absent. Leans on nothing but the standard library."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_SUFFIX = ".stemnmf.h5"
"""Ending of an analysis file."""


@contextmanager
def atomic_write(path: str | Path, size: int = 0) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not.

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
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        _make_sure_of_room(part, size)
        yield part
        _match_umask(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _make_sure_of_room(path: Path, size: int) -> None:
    """Raise the system's own error if a file of that size does not fit; limits and quotas count where it knows them."""
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


def _match_umask(path: Path) -> None:
    """Give a mkstemp file (readable by its owner alone) the rights an ordinary new file would have."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
