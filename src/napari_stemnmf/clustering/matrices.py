"""The matrix V that NMF takes, dense or sparse: all that touches it.

A dense V is read in blocks of rows, a sparse one (see sparse) as a whole. Leans on sparse.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, sparray

from napari_stemnmf.clustering.sparse import SparseMatrix
from napari_stemnmf.errors import DataError

Matrix = np.ndarray | SparseMatrix
"""What `check_matrix` returns."""
BLOCK = 768  # rows of a dense V at a time: they, their products and their part of W stay in the second cache


def check_matrix(V: np.ndarray | sparray | Matrix) -> Matrix:
    """V in float32 as the matrix products take it fastest; no copy if it is so already.

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
    return SparseMatrix.of(V) if sparse else V


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
    V = SparseMatrix.of(V) if isinstance(V, sparray) else V
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
