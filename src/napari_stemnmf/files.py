"""Files that are either whole or absent. Leans on nothing but the standard library."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_or_nothing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not."""
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        _match_umask(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _match_umask(path: Path) -> None:
    """Give a mkstemp file (readable by its owner alone) the rights an ordinary new file would have."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
