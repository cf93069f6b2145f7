"""A sparse V for the NMF: its products with H and W, as fast as the dense ones of a matrix of fewer columns.

Under one per cent of a Bragg disk matrix is not zero. It is kept by rows and, once more, by columns, so that one
compiled kernel makes both products, each number summed by itself in a fixed order. Leans on SciPy and numba.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.sparse import csr_array, sparray

_LANES = 8  # what the kernel works on is as wide as a multiple of this: its loops then run on whole vectors
_TILE = 16  # results that are written side by side: a cache line
_RUN = 256  # numbers that are summed in float32 before they join the total in float64


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """V (n, m), float32, non-negative, in the two orders that its products take.

    Attributes
    ----------
    rows : (n, m) csr_array
    columns : (m, n) csr_array
        The transpose.
    """

    rows: csr_array
    columns: csr_array

    @classmethod
    def of(cls, values: sparray) -> SparseMatrix:
        """From any sparse array, which is not changed: float32, without duplicates and stored zeros."""
        rows = csr_array(values, dtype=np.float32, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        return cls(rows, rows.T.tocsr())

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.rows.shape[0]), int(self.rows.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def mean(self, dtype: type = np.float64) -> float:
        """Mean of all values, zeros too."""
        return float(self.rows.data.sum(dtype=dtype)) / (self.shape[0] * self.shape[1])

    def project(self, H: np.ndarray) -> np.ndarray:
        """H Vᵀ: (k, n) float32."""
        return _product(self.rows, H)

    def gather(self, W_transposed: np.ndarray) -> np.ndarray:
        """Wᵀ V: (k, m) float32, from Wᵀ (k, n)."""
        return _product(self.columns, W_transposed)

    def squared_norm(self) -> float:
        """‖V‖_F², summed in float64."""
        return float(np.einsum("i,i->", self.rows.data, self.rows.data, dtype=np.float64))

    def squared_residual(self, W: np.ndarray, H: np.ndarray) -> float:
        """‖V − WH‖_F² without WH itself: ‖V‖² − 2⟨V Hᵀ, W⟩ + ⟨WᵀW, HHᵀ⟩, in float64, good to 1e-15 of ‖V‖²."""
        W, H = W.astype(np.float64), H.astype(np.float64)
        inner = float(np.vdot(self.rows @ np.ascontiguousarray(H.T), W))
        return max(0.0, self.squared_norm() - 2.0 * inner + float(np.vdot(W.T @ W, H @ H.T)))


def _product(matrix: csr_array, factor: np.ndarray) -> np.ndarray:
    """`factor` times the transpose of `matrix`: (k, rows) float32 from (k, columns)."""
    k = len(factor)
    table = np.zeros((factor.shape[1], -(-max(k, 1) // _LANES) * _LANES), np.float32)
    table[:, :k] = factor.T
    out = np.empty((k, matrix.shape[0]), np.float32)
    _accumulate(matrix.data, matrix.indices, matrix.indptr, table, out)
    return out


@njit(nogil=True, cache=True, fastmath={"contract", "nsz", "nnan"})
def _accumulate(data, indices, indptr, table, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[:, i] = the sum over the stored values v of row i, in column c, of v · table[c]."""
    k, rows = out.shape
    width = table.shape[1]
    total = np.zeros((_TILE, width), np.float64)
    part = np.zeros(width, np.float32)
    for first in range(0, rows, _TILE):
        tile = min(_TILE, rows - first)
        total[:] = 0.0
        for t in range(tile):
            end = indptr[first + t + 1]
            for run in range(indptr[first + t], end, _RUN):
                stop = min(run + _RUN, end)
                part[:] = np.float32(0.0)
                p = run
                while p + 4 <= stop:  # four at a time, as storing the sums is what limits
                    a, b, c, d = indices[p], indices[p + 1], indices[p + 2], indices[p + 3]
                    va, vb, vc, vd = data[p], data[p + 1], data[p + 2], data[p + 3]
                    for j in range(width):
                        part[j] += va * table[a, j] + vb * table[b, j] + vc * table[c, j] + vd * table[d, j]
                    p += 4
                while p < stop:
                    a, va = indices[p], data[p]
                    for j in range(width):
                        part[j] += va * table[a, j]
                    p += 1
                for j in range(width):
                    total[t, j] += part[j]
        for j in range(k):
            for t in range(tile):
                out[j, first + t] = total[t, j]
