"""Zarr stores of format 2 and 3, and HyperSpy's zspy, which is one; folders, or zip files of them."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading import calibrations
from napari_stemnmf.reading.blocks import Blocks, Frames, reading
from napari_stemnmf.reading.candidates import Candidate, open_chosen
from napari_stemnmf.reading.stored_arrays import StoredArray, array_blocks
from napari_stemnmf.reading.zarr_chunks import (
    DESCRIPTIONS,
    MOST_DESCRIPTION,
    Absent,
    absent_chunks,
    elsewhere,
    layout_of,
    read_chunks,
)
from napari_stemnmf.units import Scaling

MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
"""Names of the files that make a folder a Zarr store."""
DEEPEST = 12
"""Groups within groups that are searched, at most."""


@contextlib.contextmanager
def open_zarr(path: Path) -> Iterator[Any]:
    """The root group or array of a Zarr store, format 2 or 3, for reading."""
    import zarr
    from zarr.storage import LocalStore, ZipStore

    store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")
    try:
        yield zarr.open(store=store, mode="r")
    finally:
        store.close()


def check_descriptions(path: Path) -> None:
    """A ReadError for a store with links out of its folder, or descriptions of a size that no array needs."""
    if path.is_dir():
        root = os.path.realpath(path)
        for folder, below, files in os.walk(path, followlinks=False):
            for entry in [*below, *files]:
                whole = os.path.join(folder, entry)
                if os.path.islink(whole) and not os.path.realpath(whole).startswith(root + os.sep):
                    raise elsewhere(path, os.path.relpath(whole, path))
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.rpartition("/")[2] in DESCRIPTIONS and info.file_size > MOST_DESCRIPTION:
                raise ReadError(f"{path.name} is damaged: {info.filename} holds {info.file_size} bytes.")


@dataclass(frozen=True)
class ZarrArray(StoredArray):
    """An array of a Zarr store, a folder or a zip file."""

    path: Path
    name: str

    def read(self, index: Any) -> np.ndarray:
        """The part at an index of integers and slices."""
        with open_zarr(self.path) as root:
            array = root[self.name] if self.name else root
            layout = layout_of(array)
            if layout is None:
                return np.asarray(array[index])
            where = index if isinstance(index, tuple) else (slice(None),) * array.ndim
            return read_chunks(self.path, self.name, array, layout, where)


def open_store(
    path: Path, *, dataset: str | None = None, scan_shape: tuple[int, int] | None = None, drop: str | int = "last"
) -> Dataset:
    """A Zarr store as a scan; arguments and errors are those of `opening.open`."""
    with reading(path, " as Zarr"):
        return open_chosen(
            store_candidates(path),
            path,
            dataset=dataset,
            scan_shape=scan_shape,
            drop=drop,
            metadata=lambda chosen: {"format": "Zarr", "dataset": chosen.name or "/"},
        )


def store_candidates(path: Path) -> list[Candidate]:
    """The arrays of numbers in a Zarr store."""
    check_descriptions(path)
    with open_zarr(path) as root:
        return [_candidate(path, name, array, parent) for name, array, parent in _arrays(root)]


def is_store(path: Path) -> bool:
    """Whether a folder, or a zip file, is a Zarr store."""
    if path.is_dir():
        return any((path / marker).is_file() for marker in MARKERS)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            return any(marker in names for marker in MARKERS)
    except (OSError, zipfile.BadZipFile):
        return False


def _arrays(group: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any, Any]]:
    """All arrays below a group as (path, array, group that holds it)."""
    if hasattr(group, "shape"):
        yield "", group, None
        return
    for name, member in sorted(group.members(max_depth=0)):
        below = f"{prefix}{name}"
        if hasattr(member, "shape"):
            yield below, member, group
        elif depth < DEEPEST:
            yield from _arrays(member, f"{below}/", depth + 1)


def _candidate(path: Path, name: str, array: Any, parent: Any) -> Candidate:
    shape, kind = tuple(int(n) for n in array.shape), np.dtype(getattr(array, "dtype", object)).newbyteorder("=")
    chunks, codecs = array.chunks, json.dumps(array.metadata.to_dict(), default=str)

    def check() -> None:
        if "pickle" in codecs.lower():
            raise ReadError(f"{path.name} asks for pickled objects to be loaded from {name}, which is not done.")

    @functools.cache
    def absent() -> Absent:
        with open_zarr(path) as root:
            found = absent_chunks(path, name, root[name] if name else root)
        if math.prod(shape) and not len(found.places):
            raise ReadError(f"{path.name} has room for {name or 'an array'}, but nothing was ever written to it.")
        return found

    def load() -> np.ndarray:
        check()
        absent()
        return ZarrArray(path, name).read(...)

    def blocks(order: tuple[int, ...]) -> Blocks | Frames:
        check()
        return array_blocks(ZarrArray(path, name), shape, order, kind, chunks)

    return Candidate(
        name,
        shape,
        kind,
        blocks,
        scalings=_scalings(array, parent),
        load=load,
        gaps=lambda axes: absent().missing(axes),
        remarks=lambda axes: absent().note(axes),
    )


def _scalings(array: Any, parent: Any) -> tuple[Scaling | None, ...]:
    """HyperSpy's groups ``axis-0``..., or the attributes of the array."""
    ndim = len(array.shape)
    given = calibrations.from_attributes(dict(array.attrs), ndim)
    axes: list[Scaling | None] = [None] * ndim
    for i in range(ndim if parent is not None else 0):
        member = parent.get(f"axis-{i}")
        if member is not None:
            axes[i] = calibrations.from_hspy_axis(dict(member.attrs), member.get("axis"))
    return tuple(a or b for a, b in zip(given, axes, strict=True))
