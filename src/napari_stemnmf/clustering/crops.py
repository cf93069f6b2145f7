"""Parts of a scan, and sparse matrices with one in each row: maps that are small beside the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.dataset import index_type


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of the scan with values."""

    top: int
    left: int
    values: np.ndarray

    @classmethod
    def of(cls, position: np.ndarray, values: np.ndarray, columns: int, pad: int = 0) -> Crop:
        """The smallest that holds some positions, and a margin; 0 elsewhere."""
        y, x = np.divmod(position, columns)
        top, left = int(y.min()) - pad, int(x.min()) - pad
        crop = np.zeros((int(y.max()) - top + pad + 1, int(x.max()) - left + pad + 1), values.dtype)
        crop[y - top, x - left] = values
        return cls(top, left, crop)

    @property
    def within(self) -> tuple[slice, slice]:
        """Where it lies in the scan."""
        rows, columns = self.values.shape
        return slice(self.top, self.top + rows), slice(self.left, self.left + columns)

    def positions(self, mask: np.ndarray, columns: int) -> np.ndarray:
        """Flat positions of a mask of the crop."""
        y, x = np.nonzero(mask)
        return (y + self.top) * columns + x + self.left


def row(matrix: csr_array, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of what is stored of a row."""
    own = slice(matrix.indptr[index], matrix.indptr[index + 1])
    return matrix.indices[own], matrix.data[own]


def stacked(rows: list[tuple[np.ndarray, np.ndarray]], shape: tuple[int, int]) -> csr_array:
    """A sparse matrix of rows, each given by its columns and values, with indices as narrow as they may be."""
    ends = np.concatenate([[0], np.cumsum([len(at) for at, _ in rows], dtype=np.int64)])
    index = index_type(max(int(ends[-1]), *shape))
    at = np.empty(ends[-1], index)
    values = np.empty(ends[-1], rows[0][1].dtype if rows else np.float32)
    for first, last, (where, what) in zip(ends[:-1], ends[1:], rows, strict=True):
        at[first:last], values[first:last] = where, what
    return csr_array((values, at, ends.astype(index)), shape=shape)


def places(rows: list[np.ndarray], shape: tuple[int, int]) -> csr_array:
    """A sparse matrix of float32 with a one at some columns of each row."""
    return stacked([(at, np.broadcast_to(np.float32(1), len(at))) for at in rows], shape)
