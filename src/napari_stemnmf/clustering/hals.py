"""V ≈ WH with non-negative factors, by block coordinate descent in float32 (HALS), extrapolated.

Sources: Cichocki & Phan 2009, doi 10.1587/transfun.E92.A.708 (the updates); Gillis & Glineur 2012,
doi 10.1162/NECO_a_00256 (several sweeps per matrix product); Ang & Gillis 2019, doi 10.1162/neco_a_01157
(extrapolation).

V is read once per iteration, in blocks of rows: HVᵀ of a block, the sweeps over its W, and its share of WᵀW and WᵀV.
W is kept transposed, (k, n), so that a sweep runs along contiguous rows. The products with V, which may be sparse, are
in `matrix`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import sparray

from napari_stemnmf.clustering.matrix import (
    Matrix,
    SparseMatrix,
    blocks,
    check_matrix,
    gather,
    model_error,
    project,
    squared_norm,
)
from napari_stemnmf.compiled import njit
from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError

_STRIP = 96  # columns swept at a time: with up to 100 components they stay in the first cache
_W_SWEEPS = 2
_H_SWEEPS = 4  # H is small beside a dense V: its sweeps cost nothing beside the matrix products
_H_SWEEPS_SPARSE = 2  # the H of a sparse V is wide, and more sweeps save no iteration that they cost
_WEIGHT_ROUNDS = 10  # of 20 sweeps each; components that are nearly alike converge slowly, and matter little then
_WINDOW = 4  # iterations between two checks of how far the error fell; extrapolation makes single steps uneven
_CANCELLATION = 0.1  # errors below this are taken from the residual, as those from the sums lose digits
_VANISHED = np.float32(1e-20)  # squared length below which a factor rests: what is divided by it could overflow
_STEP_START, _STEP_UP, _STEP_LIMIT, _STEP_LIMIT_UP, _STEP_DOWN = 0.5, 1.05, 0.9, 1.01, 1.5


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
    V: np.ndarray | sparray | Matrix,
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
    V : (n, m) array or sparse array, non-negative
        Taken as float32.
    W : (n, k) array, non-negative
    H : (k, m) array, non-negative
        The start; not changed.
    tolerance : float
        The fit ends when the error falls by less than this share of itself per iteration (a mean over four).
    max_iterations : int
    control : Control
        Checked for a cancel before every block of rows.

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        If shapes do not fit, or V or the start has negative or non-finite values.
    Cancelled
        If the control was cancelled.
    """
    V = check_matrix(V)
    control = Control() if control is None else control
    if W.ndim != 2 or H.ndim != 2 or W.shape != (len(V), len(H)) or H.shape[1] != V.shape[1]:
        raise DataError(f"A start of W {W.shape} and H {H.shape} does not fit V {V.shape}.")
    for name, factor in (("W", W), ("H", H)):
        if factor.size and not (factor.min() >= 0 and np.isfinite(factor.max())):
            raise DataError(f"{name} must start non-negative and finite.")
    W_now = np.array(W.T, np.float32, order="C")
    H_now = np.array(H, np.float32, order="C")
    sweeps = _H_SWEEPS_SPARSE if isinstance(V, SparseMatrix) else _H_SWEEPS
    norm2 = squared_norm(V)
    if norm2 == 0 or len(H_now) == 0:
        return Fit(W_now.T, H_now, model_error(V, W_now.T, H_now), 0)

    W_ahead, H_ahead = W_now.copy(), H_now  # where the next sweep starts: extrapolated beyond the last result
    W_new = np.empty_like(W_now)
    step, step_limit = _STEP_START, _STEP_LIMIT
    error = best = mark = np.inf
    iteration = 0
    for iteration in range(1, max_iterations + 1):
        gram, product = _update_weights(V, W_ahead, W_now, W_new, H_ahead, step, control)
        H_new = _update_components(H_ahead, gram, product, sweeps)
        error_new = _error(norm2, gram, product, H_new)
        best = min(best, error_new)
        if error_new <= error:
            H_ahead = np.maximum(H_new + np.float32(step) * (H_new - H_now), np.float32(0))
            W_now, W_new, H_now, error = W_new, W_now, H_new, error_new
            step_limit = min(_STEP_LIMIT, step_limit * _STEP_LIMIT_UP)
            step = min(step_limit, step * _STEP_UP)
        else:  # extrapolated too far: back to the last result, and on with more care
            W_ahead[...], H_ahead, error = W_now, H_now, np.inf
            step_limit, step = step, step / _STEP_DOWN
        if iteration % _WINDOW == 0:
            if mark - best <= _WINDOW * tolerance * best:
                break
            mark = best
    # W and H were each made for an extrapolated other: a plain update of both brings them together
    gram, product = _update_weights(V, W_now, W_now, W_now, H_now, 0.0, control)
    H_now = _update_components(H_now, gram, product, sweeps)
    error = _error(norm2, gram, product, H_now)
    if error < _CANCELLATION:
        error = model_error(V, W_now.T, H_now)
    return Fit(W_now.T, H_now, error, iteration)


def weights(V: np.ndarray | sparray | Matrix, H: np.ndarray, *, control: Control | None = None) -> np.ndarray:
    """The non-negative W that fits V best for a given H: (n, k) float32; depends on V and H alone.

    A DataError if shapes do not fit, or V has negative or non-finite values.
    """
    V = check_matrix(V)
    control = Control() if control is None else control
    if H.ndim != 2 or H.shape[1] != V.shape[1]:
        raise DataError(f"Components of shape {H.shape} do not fit V {V.shape}.")
    H = np.ascontiguousarray(H, np.float32)
    W = np.zeros((len(H), len(V)), np.float32)
    gram = H @ H.T
    for rows in blocks(V):
        part = W[:, rows]
        cross = project(V, H, rows)
        for _ in range(_WEIGHT_ROUNDS):
            control.check()
            before = part.copy()
            _sweep(W, W, W, rows.start, rows.stop, gram, cross, 20, 0.0)
            if np.abs(part - before).max(initial=0) <= 1e-5 * part.max(initial=0):
                break
    return W.T


def _update_weights(
    V: Matrix, W_ahead: np.ndarray, W_now: np.ndarray, W_new: np.ndarray, H: np.ndarray, step: float, control: Control
) -> tuple[np.ndarray, np.ndarray]:
    """Sweep over W from `W_ahead`: `W_new` becomes the result, `W_ahead` the extrapolation from `W_now` through it.

    Returns WᵀW and WᵀV of the new `W_ahead`: float32 products of blocks summed in float64.
    """
    square = H @ H.T
    gram, product = np.zeros(square.shape), np.zeros(H.shape)
    for rows in blocks(V):
        control.check()
        _sweep(W_ahead, W_now, W_new, rows.start, rows.stop, square, project(V, H, rows), _W_SWEEPS, step)
        part = W_ahead[:, rows]
        gram += part @ part.T
        product += gather(V, part, rows)
    return gram, product


def _update_components(H: np.ndarray, gram: np.ndarray, product: np.ndarray, sweeps: int = _H_SWEEPS) -> np.ndarray:
    """A new H, swept from `H` with WᵀW and WᵀV given."""
    H_new = H.copy()
    _sweep(H_new, H_new, H_new, 0, H.shape[1], gram.astype(np.float32), product.astype(np.float32), sweeps, 0.0)
    return H_new


def _error(norm2: float, gram: np.ndarray, product: np.ndarray, H: np.ndarray) -> float:
    """‖V − WH‖_F / ‖V‖_F = √(‖V‖² − 2⟨WᵀV, H⟩ + ⟨WᵀW, HHᵀ⟩) / ‖V‖, in float64.

    The products are float32 sums, good to about 1e-7 of ‖V‖²: an error of 0.1 is good to 1e-6, one of 1e-3 to nothing.
    """
    H = H.astype(np.float64)
    return float(np.sqrt(max(0.0, norm2 - 2.0 * np.vdot(product, H) + np.vdot(gram, H @ H.T)) / norm2))


@njit(nogil=True, cache=True, fastmath={"contract", "nsz", "nnan"})
def _sweep(ahead, now, new, first, last, gram, cross, sweeps, step):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Coordinate descent over the columns first:last of `ahead` (k, n), then extrapolation; both in place.

    Per column x minimises ½ xᵀ gram x − crossᵀ x for x ≥ 0, one coordinate after the other, `sweeps` times. `new`
    becomes the result, `ahead` = max(0, new + step · (new − now)); the three may be one array. Columns are independent
    of each other: a strip of them at a time stays in the first cache, and the compiler vectorises along it. No sum
    depends on alignment, so the result is always the same.
    """
    k = ahead.shape[0]
    zero = np.float32(0.0)
    beyond = np.float32(step)
    x = np.zeros((k, _STRIP), np.float32)
    g = np.zeros(_STRIP, np.float32)
    for a in range(first, last, _STRIP):
        b = min(_STRIP, last - a)
        for i in range(k):
            for c in range(b):
                x[i, c] = ahead[i, a + c]
        for _ in range(sweeps):
            for i in range(k):
                diagonal = gram[i, i]
                if diagonal <= _VANISHED:
                    continue
                for c in range(b):
                    g[c] = cross[i, a + c - first]
                j = 0
                while j + 4 <= k:  # four at a time, as storing g is what limits
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
                    x[i, c] = max(zero, x[i, c] + g[c] * inverse)
        for i in range(k):
            for c in range(b):
                result = x[i, c]
                forward = max(zero, result + beyond * (result - now[i, a + c]))
                new[i, a + c] = result
                ahead[i, a + c] = forward
