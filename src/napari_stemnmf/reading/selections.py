"""What a virtual dataset of HDF5 says of its sources: selections, names of numbered series, and its own shape."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.errors import ReadError

MOST_PARTS = 100_000
"""Sources of a virtual dataset, at most."""
LONGEST = 2**31
"""Positions along an axis, at most."""
UNLIMITED = 2**64 - 1
"""The count of a selection that goes on for as long as there is something."""
Hyperslab = tuple[tuple[int, ...], ...]


def hyperslab(space: Any, path: Path) -> Hyperslab | None:
    """Start, stride, count and block of a selection; None for all."""
    import h5py

    kind = space.get_select_type()
    if kind == h5py.h5s.SEL_ALL:
        return None
    if kind != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        raise ReadError(f"{path.name} is put together of pieces of no regular shape; h5repack brings it into one file.")
    return tuple(tuple(int(n) for n in part) for part in space.get_regular_hyperslab())


def positions(regular: Hyperslab | None, shape: Sequence[int], path: Path) -> tuple[np.ndarray, ...]:
    """The positions along each axis of an array of that shape that a selection takes."""
    if max(shape, default=0) > LONGEST:
        raise ReadError(f"{path.name} declares {max(shape)} positions along an axis; it is damaged.")
    if regular is None:
        return tuple(np.arange(n) for n in shape)
    found: list[np.ndarray] = []
    if len(regular[0]) != len(shape):
        raise ReadError(f"{path.name} is damaged: a source of its virtual dataset has other axes than it takes.")
    for start, stride, count, block, size in zip(*regular, shape, strict=True):
        if count == UNLIMITED:
            count = max(0, -(-(size - start) // max(1, stride)))
        if block > size or count * block > size + block:
            raise ReadError(f"{path.name} is damaged: a source of its virtual dataset leads out of it.")
        at = (start + stride * np.arange(count)[:, np.newaxis] + np.arange(block)).ravel()
        if count != regular[2][len(found)]:
            at = at[at < size]
        found.append(at)
    return tuple(found)


def numbered(name: str, number: int) -> str:
    """A name of a series with its number filled in."""
    return re.sub(r"%(%|b)", lambda found: "%" if found[1] == "%" else str(number), name)


def last_of_series(name: str, path: Path) -> int:
    """The highest number of the files of a series that are there; -1 where none is."""
    folder, _, last = name.replace("\\", "/").rpartition("/")
    if "%b" in folder or "%b" not in last:
        return -1
    pattern = re.compile(re.escape(last).replace("%%", "%").replace("%b", r"(\d{1,6})"))
    try:
        names = [each.name for each in (path.parent / folder).iterdir()]
    except OSError:
        return -1
    return max((int(found[1]) for each in names if (found := pattern.fullmatch(each))), default=-1)


def declared_shape(dataset: Any, path: Path) -> list[int]:
    """The shape that a virtual dataset was made with; the library tells of what its sources give at present.

    It is looked for where the object begins in the file: sizes and largest sizes follow each other there.
    """
    import h5py

    shape, most = list(dataset.shape), dataset.maxshape
    endless = [axis for axis, n in enumerate(most) if n is None]
    if len(endless) != 1:
        return shape
    numbers = [*shape, *(UNLIMITED if n is None else n for n in most)]
    parts = [struct.pack("<Q", n) for n in numbers]
    pattern = b"".join(b"(.{8})" if i == endless[0] else re.escape(part) for i, part in enumerate(parts))
    with path.open("rb") as file:
        file.seek(h5py.h5o.get_info(dataset.id).addr + dataset.file.userblock_size)
        found = re.search(pattern, file.read(4096), re.DOTALL)
    declared = struct.unpack("<Q", found[1])[0] if found else 0
    if declared <= MOST_PARTS * max(1, shape[endless[0]]):
        shape[endless[0]] = max(shape[endless[0]], declared)
    return shape
