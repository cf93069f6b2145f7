"""The matrix V that NMF takes, dense or sparse, and every product with it.

A dense V is read in blocks of rows, a sparse one as a whole: under one per cent of a Bragg disk matrix is not zero. A
sparse V is kept by rows and, once more, by columns, so that one compiled kernel makes the products with H and with W,
as fast as the dense ones of a matrix of fewer columns, each number summed by itself in a fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, sparray

from napari_stemnmf.compiled import njit
from napari_stemnmf.errors import DataError

BLOCK = 768  # rows of a dense V at a time: they, their products and their part of W stay in the second cache
_SIMD = 8  # the kernel's tables are a multiple of this wide, so that its loops run on whole SIMD vectors
_TILE = 16  # results that are written side by side: a cache line
_RUN = 256  # numbers that are summed in float32 before they join the total in float64


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A sparse V (n, m), float32, non-negative, in the two orders that its products need.

    Attributes
    ----------
    rows : (n, m) csr_array
    columns : (m, n) csr_array
        The transpose.
    """

    rows: csr_array
    columns: csr_array

    @classmethod
    def from_array(cls, values: sparray) -> SparseMatrix:
        """A sparse array in float32, without duplicates and stored zeros; the array is not changed."""
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


Matrix = np.ndarray | SparseMatrix
"""What `check_matrix` returns."""


def check_matrix(V: np.ndarray | sparray | Matrix) -> Matrix:
    """V in float32, in the order that makes its products fastest; no copy if it is so already.

    Returns
    -------
    ndarray or SparseMatrix
        A dense matrix in column order; a sparse one by rows and by columns.

    Raises
    ------
    DataError
        If it is not two-dimensional, or has negative or non-finite values.
    """
    if isinstance(V, SparseMatrix):
        return V
    sparse = isinstance(V, sparray)
    V = csr_array(V) if sparse else np.asfortranarray(V, np.float32)
    if V.ndim != 2 or 0 in V.shape:
        raise DataError(f"NMF needs a matrix (probe positions, columns); this one has the shape {V.shape}.")
    values = np.asarray(V.data) if sparse else V
    if not (values.min(initial=0) >= 0 and np.isfinite(values.max(initial=0))):
        raise DataError("NMF needs finite, non-negative features; scale them first.")
    return SparseMatrix.from_array(V) if sparse else V


def blocks(V: Matrix) -> list[slice]:
    """The rows of V in the portions that it is read in."""
    if isinstance(V, SparseMatrix):
        return [slice(0, len(V))]
    return [slice(start, min(start + BLOCK, len(V))) for start in range(0, len(V), BLOCK)]


def project(V: Matrix, H: np.ndarray, rows: slice) -> np.ndarray:
    """H Vᵀ for one of the `blocks` of V: (k, rows) float32."""
    return V.project(H) if isinstance(V, SparseMatrix) else H @ V[rows].T


def gather(V: Matrix, W_part: np.ndarray, rows: slice) -> np.ndarray:
    """Wᵀ V for one of the `blocks` of V: (k, m) float32, from that block's Wᵀ (k, rows)."""
    return V.gather(W_part) if isinstance(V, SparseMatrix) else W_part @ V[rows]


def squared_norm(V: Matrix) -> float:
    """‖V‖_F², summed in float64."""
    if isinstance(V, SparseMatrix):
        return V.squared_norm()
    return sum(float(np.einsum("ij,ij->", V[rows], V[rows], dtype=np.float64)) for rows in blocks(V))


def model_error(V: np.ndarray | sparray | Matrix, W: np.ndarray, H: np.ndarray) -> float:
    """‖V − WH‖_F / ‖V‖_F, from the residual itself; for a V of zeros 0 if WH is zero as well, else infinite."""
    V = SparseMatrix.from_array(V) if isinstance(V, sparray) else V
    if isinstance(V, SparseMatrix):
        residual = V.squared_residual(W, H)
    else:
        residual = 0.0
        for rows in blocks(V):
            difference = V[rows] - W[rows] @ H
            residual += float(np.einsum("ij,ij->", difference, difference, dtype=np.float64))
    norm2 = squared_norm(V)
    if norm2 > 0:
        return float(np.sqrt(residual / norm2))
    return 0.0 if residual == 0 else float("inf")


def _product(matrix: csr_array, factor: np.ndarray) -> np.ndarray:
    """`factor` times the transpose of `matrix`: (k, rows) float32 from (k, columns)."""
    k = len(factor)
    table = np.zeros((factor.shape[1], -(-max(k, 1) // _SIMD) * _SIMD), np.float32)
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
