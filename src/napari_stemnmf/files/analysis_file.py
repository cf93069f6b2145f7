"""The file that an analysis is kept in: what makes it one, and that it is whole before anything is read from it.

`seal` appends a digest of all bytes behind what HDF5 uses; `opened` compares it. So damage is known as damage, whatever
it would have made of the numbers. A file that another program wrote to has lost its seal, as has one of an earlier
version; it is opened all the same. An analysis is one file without links: what would lead the library elsewhere is
refused.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from napari_stemnmf.errors import AnalysisError, ReadError
from napari_stemnmf.files.hdf5_probe import MOST_OBJECTS, prove
from napari_stemnmf.files.writing import FILE_SUFFIX

FORMAT = "napari-stemnmf analysis"
FORMAT_VERSION = 2
SEAL = b"stemnmf sha-256:"
_DIGEST = 32
_BLOCK = 2**20
_WHAT = f"is not a napari-stemnmf analysis, or is damaged; choose a {FILE_SUFFIX} file"
CANNOT = "is damaged and cannot be read"


def is_analysis(path: str | Path) -> bool:
    """Whether a file calls itself an analysis of ours; reads its attributes only."""
    if _seal_of(Path(path)):
        return True
    try:
        prove(path)
        with h5py.File(path, "r") as file:
            named = file.attrs.get("format")
            return isinstance(named, str) and named == FORMAT
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, ReadError):
        return False


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """An analysis file for reading, with attribute ``format_version``; errors in reading it are of this package.

    Raises
    ------
    AnalysisError
        If the file is missing, damaged, leads elsewhere, or is not an analysis that this version knows.
    """
    path = Path(path)
    if path.is_dir():
        raise AnalysisError(f"{path} is a folder, not an analysis file; move it away, or choose another place.")
    if not path.is_file():
        raise AnalysisError(f"There is no analysis file {path}.")
    try:
        if not is_sound(path):
            raise AnalysisError(f"The analysis {path} {CANNOT}: it is not as it was saved; take an earlier copy of it.")
        if not is_analysis(path):
            raise AnalysisError(f"{path} {_WHAT}.")
        prove(path)
        with h5py.File(path, "r") as file:
            check_plain(file)
            version = file.attrs.get("format_version")
            if not hasattr(version, "dtype") or version.dtype.kind not in "iu" or version.shape:
                raise ValueError("its format version is no number")
            if version > FORMAT_VERSION:
                raise AnalysisError(
                    f"{path} has analysis format {version}, this version reads up to {FORMAT_VERSION}; "
                    "update napari-stemnmf."
                )
            yield file
    except AnalysisError:
        raise
    except MemoryError as error:
        raise AnalysisError(f"There is not enough memory to read the analysis {path}.") from error
    except Exception as error:  # whatever a damaged file does to a parser
        reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise AnalysisError(f"The analysis {path} {CANNOT}: {reason}.") from error


def check_plain(file: Any) -> None:
    """A ValueError for an HDF5 file that leads elsewhere, in circles, or holds no plain data."""
    seen: set[tuple[int, int]] = set()
    waiting = [file]
    while waiting:
        node = waiting.pop()
        info = h5py.h5o.get_info(node.id)
        if (info.fileno, info.addr) in seen or len(seen) >= MOST_OBJECTS:
            raise ValueError(f"{node.name} is there twice, or there is too much in it")
        seen.add((info.fileno, info.addr))
        if isinstance(node, h5py.Group):
            for name in node:
                if not isinstance(node.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"{name} is a link, which is not followed")
                waiting.append(node[name])
        elif not isinstance(node, h5py.Dataset) or node.shape is None:
            raise ValueError(f"{node.name} is no array")
        elif node.is_virtual or node.external:
            raise ValueError(f"{node.name} is kept in another file, which is not read")


def seal(path: Path) -> None:
    """Append a digest of a file to it."""
    digest = _digest(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(SEAL + digest)


def is_sound(path: Path) -> bool:
    """Whether a file is as it was sealed, or has no seal."""
    found = _seal_of(path)
    return not found or _digest(path, path.stat().st_size - len(SEAL) - _DIGEST) == found


def _seal_of(path: Path) -> bytes:
    """The digest that was appended to a file; empty if none was."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - len(SEAL) - _DIGEST))
            end = file.read()
    except OSError:
        return b""
    return end[len(SEAL) :] if end.startswith(SEAL) and len(end) == len(SEAL) + _DIGEST else b""


def _digest(path: Path, size: int) -> bytes:
    digest, left = hashlib.sha256(), size
    with path.open("rb", buffering=0) as file:
        while left > 0 and (block := file.read(min(left, _BLOCK))):
            digest.update(block)
            left -= len(block)
    return digest.digest()
