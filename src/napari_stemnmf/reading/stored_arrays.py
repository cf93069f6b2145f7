"""Scans in an array that another library indexes: an HDF5 dataset, a Zarr array, RosettaSciIO's Dask array.

The array may have its axes in another order (HyperSpy's EMD files are written transposed), axes of length one between
them (fpd files have a colour axis), or be spread over several files (Dectris).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.reading.blocks import Blocks, Frames


class StoredArray(ABC):
    """An array in a file; opened for each read, closed after it."""

    path: Path

    @abstractmethod
    def read(self, index: tuple[Any, ...]) -> np.ndarray:
        """The part at an index of integers and slices."""


@dataclass(frozen=True)
class Cube(Blocks):
    """A scan in an array of four axes, besides axes of length one.

    Attributes
    ----------
    stored : StoredArray
        The array.
    ndim_stored : int
        Its number of axes.
    order : tuple of int
        Which of them are scan_y, scan_x, q_y, q_x.
    shape, dtype, chunk
        As in `Blocks`.
    """

    stored: StoredArray
    ndim_stored: int
    order: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: tuple[int, int] = (1, 1)

    @property
    def path(self) -> Path:  # type: ignore[override]
        """The file, for messages."""
        return self.stored.path

    def read(self, rows: range, columns: range) -> np.ndarray:
        """Patterns (rows, columns, q_y, q_x) at some probe positions."""
        return np.ascontiguousarray(_patterns(self.stored, self.ndim_stored, self.order, rows, columns))


@dataclass(frozen=True)
class Stack(Frames):
    """A stack of patterns in one or several arrays that follow each other.

    Attributes
    ----------
    parts : tuple of (StoredArray, int)
        The arrays, and how many patterns each holds.
    ndim_stored : int
        Their number of axes.
    order : tuple of int
        Which of them count patterns, and are q_y, q_x.
    count, frame_shape, dtype
        As in `Frames`.
    """

    parts: tuple[tuple[StoredArray, int], ...]
    ndim_stored: int
    order: tuple[int, ...]
    frame_shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def path(self) -> Path:  # type: ignore[override]
        """The first file, for messages."""
        return self.parts[0][0].path

    @property
    def count(self) -> int:  # type: ignore[override]
        """Number of patterns in all parts."""
        return sum(count for _, count in self.parts)

    def read_frames(self, frames: range) -> np.ndarray:
        """Patterns (len(frames), q_y, q_x)."""
        out = np.empty((len(frames), *self.frame_shape), self.dtype)
        first = 0
        for stored, count in self.parts:
            here = [i for i, frame in enumerate(frames) if first <= frame < first + count]
            if here:
                part = range(frames[here[0]] - first, frames[here[-1]] - first + 1, frames.step)
                out[here[0] : here[-1] + 1] = _patterns(stored, self.ndim_stored, self.order, part)
            first += count
        return out


def array_blocks(
    stored: StoredArray,
    shape: tuple[int, ...],
    order: tuple[int, ...],
    dtype: np.dtype,
    chunks: tuple[int, ...] | None = None,
) -> Blocks | Frames:
    """The scan in a stored array of that shape, or its stack of patterns, as the `order` of its axes says.

    `chunks` are the sizes, along each axis of the array, of what the file stores together.
    """
    sizes = tuple(shape[axis] for axis in order)
    if len(order) == 3:
        return Stack(((stored, sizes[0]),), len(shape), order, sizes[1:], dtype)
    return Cube(stored, len(shape), order, sizes, dtype, (chunks[order[0]], chunks[order[1]]) if chunks else (1, 1))


def _patterns(stored: StoredArray, ndim: int, order: tuple[int, ...], *along: range) -> np.ndarray:
    """The patterns (..., q_y, q_x) at ranges along the first axes of `order`, read whole; axes come in that order."""
    index: list[Any] = [slice(None) if axis in order else 0 for axis in range(ndim)]
    for axis, part in zip(order, along, strict=False):
        index[axis] = slice(part.start, part.stop, part.step)
    kept = sorted(order)  # the axes of length one are gone
    return stored.read(tuple(index)).transpose([kept.index(axis) for axis in order])
