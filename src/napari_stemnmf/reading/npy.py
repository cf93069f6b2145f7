"""NumPy's files: npy and npz, read in parts. Nothing is ever unpickled: an array of Python objects is refused."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import threading
import weakref
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError
from napari_stemnmf.files.writing import temporary_file
from napari_stemnmf.reading.blocks import LARGEST_BLOCK_BYTES, Blocks, Frames, RawFrames, ScanOfFrames, reading
from napari_stemnmf.reading.candidates import Candidate, open_candidate, open_chosen, what_it_is
from napari_stemnmf.reading.stored_arrays import Cube, Stack, StoredArray

MOST_RATIO = 1100
"""Zip packs no better than 1 to 1032."""


@dataclass(frozen=True)
class NpyHeader:
    """The header of an npy file, and where its data begins."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Unpacked:
    """A compressed member of a zip file, which cannot be read in parts: unpacked once, to a temporary file.

    The file is made at the first read, shared by all threads, and deleted with the last reference to it. Another
    process that gets a pickled copy unpacks its own.
    """

    path: Path
    member: str
    size: int = 0
    """Bytes that its header says it holds: no more are unpacked."""
    _state: dict[str, Path] = field(default_factory=dict, init=False, compare=False, repr=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, compare=False, repr=False)

    def file(self) -> Path:
        """The unpacked npy file."""
        with self._lock:
            if "path" not in self._state:
                unpacked = temporary_file(".npy")
                weakref.finalize(self, _remove, str(unpacked))
                with (
                    unpacked.open("wb") as target,
                    zipfile.ZipFile(self.path) as archive,
                    archive.open(self.member) as source,
                ):
                    self._copy(source, target)
                self._state["path"] = unpacked
            return self._state["path"]

    def _copy(self, source: IO[bytes], target: IO[bytes]) -> None:
        left = self.size
        while left and (block := source.read(min(left, 2**20))):
            target.write(block)
            left -= len(block)
        if left or source.read(1):
            raise ReadError(f"{self.path.name} is damaged: {self.member} holds something else than its header says.")

    def __reduce__(self) -> tuple[Any, ...]:
        return (Unpacked, (self.path, self.member, self.size))

    def __dask_tokenize__(self) -> tuple[str, ...]:
        return ("Unpacked", str(self.path), self.member)


@dataclass(frozen=True)
class FortranArray(StoredArray):
    """An array in an npy file written in Fortran order: read plane by plane of its last axis, which varies slowest."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    container: Unpacked | None = None

    def read(self, index: tuple[Any, ...]) -> np.ndarray:
        """The part at an index, of which the last entry is a slice."""
        path = self.container.file() if self.container else self.path
        inner, size = self.shape[:-1], math.prod(self.shape[:-1]) * self.dtype.itemsize
        planes = []
        for i in range(self.shape[-1])[index[-1]]:
            plane = np.memmap(path, self.dtype, "r", self.offset + i * size, inner, order="F")
            planes.append(np.array(plane[index[:-1]]))
        return np.stack(planes, axis=-1)


def open_npy(
    path: Path, *, dataset: str | None = None, scan_shape: tuple[int, int] | None = None, drop: str | int = "last"
) -> Dataset:
    """An npy file as a scan; arguments and errors are those of `opening.open`."""
    with reading(path, " as npy"):
        candidate = npy_candidate(path)
        if dataset is not None:
            raise ReadError(f"{path.name} holds one array and no dataset '{dataset}'; open it by its path alone.")
        if not candidate.role:
            raise ReadError(f"{path.name} holds {what_it_is([candidate])}")
        metadata = {"format": "npy"}
        return open_candidate(candidate, path, source=str(path), scan_shape=scan_shape, drop=drop, metadata=metadata)


def npy_candidate(path: Path) -> Candidate:
    """The array of an npy file, from its header alone; `ReadError` if the file is damaged or truncated."""
    with open(path, "rb") as file:
        header = npy_header(file, path.name)
    there = path.stat().st_size - header.offset
    if there < header.nbytes and not header.dtype.hasobject:
        raise ReadError(
            f"{path.name} is truncated: its header tells of {header.nbytes} bytes of data, but only {there} are there."
        )
    return _candidate(path, "array", header, None)


def open_npz(
    path: Path, *, dataset: str | None = None, scan_shape: tuple[int, int] | None = None, drop: str | int = "last"
) -> Dataset:
    """An npz file as a scan, as `opening.open`; a compressed array is unpacked to a temporary file when first read."""
    with reading(path, " as npz"):
        found = npz_candidates(path)
        if not found:
            raise ReadError(f"{path.name} is a zip archive without arrays; unpack it and open the file with the scan.")
        return open_chosen(
            found,
            path,
            dataset=dataset,
            scan_shape=scan_shape,
            drop=drop,
            metadata=lambda c: {"format": "npz", "dataset": c.name},
        )


def npz_candidates(path: Path) -> list[Candidate]:
    """The arrays of an npz file, from their headers alone; `ReadError` if one is shorter than its header says."""
    found = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy") or info.flag_bits & 1:
                continue
            with archive.open(info) as file:
                header = npy_header(file, path.name)
            size = header.nbytes + header.offset
            room = min(info.file_size, MOST_RATIO * (info.compress_size + 1024))
            if size > room and not header.dtype.hasobject:
                raise ReadError(f"{path.name} is damaged: {info.filename} is shorter than its header says.")
            container = None
            if info.compress_type == zipfile.ZIP_STORED:
                header = replace(header, offset=header.offset + _member_start(path, info))
            else:
                container = Unpacked(path, info.filename, size)
            found.append(_candidate(path, info.filename[:-4], header, container))
    return found


def npy_header(file: IO[bytes], name: str) -> NpyHeader:
    """The header of an npy file, read from its beginning; `ReadError` if it is damaged."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if any(n < 0 for n in shape):
            raise ValueError("a shape below zero")
        return NpyHeader(tuple(int(n) for n in shape), dtype, bool(fortran), file.tell())
    except Exception as error:  # it is written as Python, which a damaged one need not be
        raise ReadError(f"{name} is damaged or truncated: its npy header cannot be read.") from error


def _candidate(path: Path, name: str, header: NpyHeader, container: Unpacked | None) -> Candidate:
    def blocks(order: tuple[int, ...]) -> Blocks | Frames:
        shape, ndim = tuple(header.shape[axis] for axis in order), len(header.shape)
        native = header.dtype.newbyteorder("=")
        if not header.fortran:  # axes of length one change nothing in the order of the patterns
            count = math.prod(shape[:-2])
            frames = RawFrames(path, header.offset, count, shape[-2:], header.dtype, container=container)
            return frames if len(order) == 3 else ScanOfFrames(frames, shape[:2])
        stored = FortranArray(path, header.offset, header.shape, header.dtype, container)
        if len(order) == 3:
            return Stack(((stored, shape[0]),), ndim, order, shape[1:], native)
        patterns = LARGEST_BLOCK_BYTES // (math.prod(shape[2:]) * native.itemsize)  # each block touches the whole file
        chunk = (shape[0], max(1, min(shape[1], patterns // shape[0])))
        return Cube(stored, ndim, order, shape, native, chunk)

    def load() -> np.ndarray:
        flat = np.fromfile(
            container.file() if container else path, header.dtype, math.prod(header.shape), "", header.offset
        )
        return flat.reshape(header.shape, order="F" if header.fortran else "C")

    return Candidate(name, header.shape, header.dtype, blocks, load=load)


def _member_start(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the bytes of an uncompressed member of a zip file begin."""
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return info.header_offset + 30 + name + extra


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)
