"""What is missing of a scan: chunks, files or parts of a recording that were never written or did not arrive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.errors import ReadError

if TYPE_CHECKING:
    import dask.array as da


@dataclass(frozen=True, eq=False)
class Gaps:
    """Which patterns of a scan are missing.

    Attributes
    ----------
    missing : ndarray of bool
        (scan_y, scan_x), True where a pattern is not there, or not all of it.
    data : dask.array.Array
        The scan with the fill value of its file, zeros, there. `Dataset.data` raises a ReadError in their place.
    """

    missing: np.ndarray
    data: da.Array

    def like(self, data: da.Array, missing: np.ndarray) -> Gaps | None:
        """What is missing of a part of the scan; None where nothing of that is."""
        return Gaps(missing, data) if missing.any() else None


MOST_POSITIONS = 2**28
"""Positions of a scan, at most, of which it is noted one by one whether they are there."""


def gaps_of(
    present: np.ndarray, shape: Sequence[int], chunks: Sequence[int], axes: Sequence[int], *, wholly: bool = False
) -> np.ndarray | None:
    """Where along some axes of an array in chunks one of its chunks is not there.

    Parameters
    ----------
    present : ndarray of int
        (n, axes of the array) places of the chunks that are there, counted in chunks; none twice.
    shape, chunks : sequence of int
        Of the array.
    axes : sequence of int
        Which axes.
    wholly : bool
        Where none of them is there, rather than not all.

    Returns
    -------
    ndarray of bool, or None
        Over those axes; None where all chunks are there.

    Raises
    ------
    ReadError
        If the array declares more positions than any scan has.
    """
    grid = [-(-int(n) // int(c)) for n, c in zip(shape, chunks, strict=True)]
    if len(present) >= math.prod(grid):
        return None
    if math.prod(int(shape[axis]) for axis in axes) > MOST_POSITIONS:
        raise ReadError(f"It declares {' x '.join(map(str, shape))} numbers, of which hardly any were written.")
    counts = np.zeros([grid[axis] for axis in axes], np.int64)
    np.add.at(counts, tuple(present[:, axis] for axis in axes), 1)
    gaps = counts < (1 if wholly else math.prod(n for axis, n in enumerate(grid) if axis not in axes))
    for i, axis in enumerate(axes):
        gaps = np.repeat(gaps, chunks[axis], axis=i).take(np.arange(shape[axis]), axis=i)
    return gaps


def told_missing(missing: np.ndarray) -> str:
    """How much is missing, in words: "12 of 400 patterns (3 %) are missing, the first at row 2, column 5"."""
    count, (row, column) = int(missing.sum()), divmod(int(missing.argmax()), missing.shape[1])
    share = 100.0 * count / missing.size
    return (
        f"{count} of {missing.size} patterns ({share:.2g} %) {'is' if count == 1 else 'are'} missing, the first at row "
        f"{row}, column {column}: never written, or lost on the way"
    )
