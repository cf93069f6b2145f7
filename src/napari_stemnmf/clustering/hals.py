"""V ≈ WH with non-negative factors, by block coordinate descent in float32 (HALS).

Source: Cichocki & Phan 2009, doi 10.1587/transfun.E92.A.708 (the updates); Gillis & Glineur 2012,
doi 10.1162/NECO_a_00256 (several inner sweeps per matrix product).

V is read once per iteration, in blocks of rows: VHᵀ of a block, the sweeps over its W, and its share of WᵀW and WᵀV.
W is kept transposed, (k, n), so that a sweep runs along contiguous rows. All that touches V is behind `times_rows`
and `gather`, so that another kind of matrix needs only these two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError

BLOCK = 512  # rows of V per block: V's block, its products and its part of W stay in the second cache
_STRIP = 64  # columns swept at a time: a strip of k = 100 components fits the first cache


@dataclass(frozen=True, eq=False)
class Fit:
    """A model V ≈ WH.

    Attributes
    ----------
    W : (n, k) float32, non-negative
    H : (k, m) float32, non-negative
    error : float
        ‖V − WH‖_F / ‖V‖_F of this W and H.
    iterations : int
        Iterations that were made.
    """

    W: np.ndarray
    H: np.ndarray
    error: float
    iterations: int


def nmf(
    V: np.ndarray,
    W: np.ndarray,
    H: np.ndarray,
    *,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    control: Control | None = None,
) -> Fit:
    """Fit W and H to V, from the given start.

    Parameters
    ----------
    V : (n, m) float32, non-negative
    W : (n, k) array, non-negative
    H : (k, m) array, non-negative
        The start; not changed.
    tolerance : float
        Stop when the squared error falls, in one iteration, by less than this share of itself.
    max_iterations : int
    control : Control
        Looked at before every iteration.

    Raises
    ------
    DataError
        If shapes do not fit, or V or the start has negative or non-finite values.
    Cancelled
        If the control was cancelled.
    """
    V = check_matrix(V)
    control = Control() if control is None else control
    if W.ndim != 2 or H.ndim != 2 or W.shape[0] != V.shape[0] or H.shape[1] != V.shape[1] or W.shape[1] != len(H):
        raise DataError(f"W {W.shape} and H {H.shape} do not fit V {V.shape}.")
    for name, factor in (("W", W), ("H", H)):
        if factor.size and not (factor.min() >= 0 and np.isfinite(factor.max())):
            raise DataError(f"{name} must start non-negative and finite.")
    Wt = np.array(W.T, np.float32, order="C")
    Ht = np.array(H, np.float32, order="C")
    norm2 = squared_norm(V)
    before = np.inf
    iteration = 0
    if norm2 > 0 and len(Ht):
        for iteration in range(1, max_iterations + 1):
            control.check()
            gram_w, product = _update_weights(V, Wt, Ht, 1)
            _sweep(Ht, gram_w.astype(np.float32), product.astype(np.float32), 1)
            error2 = norm2 - 2.0 * np.vdot(product, Ht) + np.vdot(gram_w, Ht.astype(np.float64) @ Ht.T)
            if iteration > 1 and before - error2 <= tolerance * before:
                break
            before = error2
    return Fit(Wt.T, Ht, model_error(V, Wt.T, Ht), iteration)


def weights(V: np.ndarray, H: np.ndarray, *, control: Control | None = None) -> np.ndarray:
    """The non-negative W that fits V best for a given H, (n, k) float32; depends on V and H alone."""
    V = check_matrix(V)
    control = Control() if control is None else control
    Ht = np.array(H, np.float32, order="C")
    Wt = np.zeros((len(Ht), len(V)), np.float32)
    gram = Ht @ Ht.T
    for start in range(0, len(V), BLOCK):
        control.check()
        part = np.zeros((len(Ht), min(BLOCK, len(V) - start)), np.float32)
        _sweep(part, gram, times_rows(V, Ht, start), 100)
        Wt[:, start : start + BLOCK] = part
    return Wt.T


def model_error(V: np.ndarray, W: np.ndarray, H: np.ndarray) -> float:
    """‖V − WH‖_F / ‖V‖_F, from the residual itself; 0 for a V of zeros that is met, infinite for one that is not."""
    residual = norm = 0.0
    for start in range(0, len(V), BLOCK):
        rows = V[start : start + BLOCK]
        difference = rows - W[start : start + BLOCK] @ H
        residual += float(np.einsum("ij,ij->", difference, difference, dtype=np.float64))
        norm += float(np.einsum("ij,ij->", rows, rows, dtype=np.float64))
    if norm > 0:
        return float(np.sqrt(residual / norm))
    return 0.0 if residual == 0 else float("inf")


def check_matrix(V: np.ndarray) -> np.ndarray:
    """V as a C-ordered float32 matrix.

    Raises
    ------
    DataError
        If it is not two-dimensional, or has negative or non-finite values.
    """
    V = np.ascontiguousarray(V, np.float32)
    if V.ndim != 2 or 0 in V.shape:
        raise DataError(f"NMF needs a matrix (probe positions, columns); this one has the shape {V.shape}.")
    if not (V.min() >= 0 and np.isfinite(V.max())):
        raise DataError("NMF needs finite, non-negative features; scale them first.")
    return V


def squared_norm(V: np.ndarray) -> float:
    """‖V‖_F², summed in float64."""
    return sum(
        float(np.einsum("ij,ij->", rows, rows, dtype=np.float64))
        for rows in (V[start : start + BLOCK] for start in range(0, len(V), BLOCK))
    )


def times_rows(V: np.ndarray, Ht: np.ndarray, start: int) -> np.ndarray:
    """H Vᵀ over one block of rows of V: (k, rows) float32."""
    return Ht @ V[start : start + BLOCK].T


def gather(V: np.ndarray, part: np.ndarray, start: int) -> np.ndarray:
    """Wᵀ V over one block of rows: (k, m) float32, from that block's Wᵀ (k, rows)."""
    return part @ V[start : start + BLOCK]


def _update_weights(V: np.ndarray, Wt: np.ndarray, Ht: np.ndarray, sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Improve W in place, block by block; give WᵀW and WᵀV of the new W, summed over blocks in float64."""
    k = len(Ht)
    gram = Ht @ Ht.T
    gram_w, product = np.zeros((k, k)), np.zeros(Ht.shape)
    for start in range(0, len(V), BLOCK):
        part = np.ascontiguousarray(Wt[:, start : start + BLOCK])
        _sweep(part, gram, times_rows(V, Ht, start), sweeps)
        Wt[:, start : start + BLOCK] = part
        gram_w += part @ part.T
        product += gather(V, part, start)
    return gram_w, product


@njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _sweep(X, gram, cross, sweeps):  # type: ignore[no-untyped-def]
    """Coordinate descent over the rows of X (k, b), in place: minimise ½ xᵀ gram x − crossᵀ x for x ≥ 0, per column.

    The columns are independent: a strip of them is taken at a time and stays in the first cache for all sweeps.
    """
    k, n = X.shape
    x = np.zeros((k, _STRIP), np.float32)
    g = np.zeros(_STRIP, np.float32)
    for a in range(0, n, _STRIP):
        b = min(_STRIP, n - a)
        for i in range(k):
            for c in range(b):
                x[i, c] = X[i, a + c]
        for _ in range(sweeps):
            for i in range(k):
                diagonal = gram[i, i]
                if diagonal <= 0:
                    continue
                for c in range(b):
                    g[c] = cross[i, a + c]
                j = 0
                while j + 4 <= k:
                    g0, g1, g2, g3 = gram[i, j], gram[i, j + 1], gram[i, j + 2], gram[i, j + 3]
                    for c in range(_STRIP):
                        g[c] -= g0 * x[j, c] + g1 * x[j + 1, c] + g2 * x[j + 2, c] + g3 * x[j + 3, c]
                    j += 4
                while j < k:
                    g0 = gram[i, j]
                    for c in range(_STRIP):
                        g[c] -= g0 * x[j, c]
                    j += 1
                inverse = np.float32(1.0) / diagonal
                for c in range(_STRIP):
                    x[i, c] = max(np.float32(0.0), x[i, c] + g[c] * inverse)
        for i in range(k):
            for c in range(b):
                X[i, a + c] = x[i, c]
