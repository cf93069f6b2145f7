"""Maps that are mostly dark, one plane each, as an array that napari shows plane by plane. No viewer, no Qt."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array


class SparsePlanes:
    """The rows of a sparse matrix (k, scan_y * scan_x) as an array (k, scan_y, scan_x), planes made when shown.

    3,000 maps of 1024 x 1024 positions would hold 12 GB. NumPy and napari take it for an array.
    """

    ndim = 3

    def __init__(self, matrix: csr_array, scan_shape: tuple[int, int]) -> None:
        self._matrix = matrix
        self.shape = (int(matrix.shape[0]), *scan_shape)
        self.dtype = matrix.dtype

    @property
    def size(self) -> int:
        """Values in all."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._matrix.toarray().reshape(self.shape), dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) and len(key) else (key,)
        if isinstance(first, int | np.integer):
            plane = self._matrix[[range(len(self))[first]]].toarray().reshape(self.shape[1:])
            return np.asarray(plane[tuple(rest)])
        if isinstance(first, slice) and len(rest) == 2 and all(isinstance(part, slice) for part in rest):
            rows, columns = (np.arange(size)[part] for size, part in zip(self.shape[1:], rest, strict=True))
            at = (rows[:, None] * self.shape[2] + columns).ravel()
            some = self._matrix[first]
            return np.asarray(some[:, at].toarray().reshape(some.shape[0], len(rows), len(columns)))
        return np.asarray(np.asarray(self)[key])
