"""Parts of a scan, and sparse matrices with one in each row: maps that are small beside the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array


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
    """A sparse matrix of rows, each given by its columns and values."""
    ends = np.concatenate([[0], np.cumsum([len(at) for at, _ in rows])]).astype(np.int64)
    at = np.concatenate([at for at, _ in rows]) if rows else np.empty(0, np.int64)
    values = np.concatenate([v for _, v in rows]) if rows else np.empty(0, np.float32)
    return csr_array((values, at, ends), shape=shape)
