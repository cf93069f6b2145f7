"""How many components to expect and to start from: the scree of a principal component analysis.

The suggestion of the scree, times a factor, starts the iterative NMF; settings overrule it. Uses NumPy and SciPy only,
so that a window can ask quickly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, sparray

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.representation_settings import ClusteringSettings

_DENSE = 1500  # columns up to which the covariance is decomposed exactly
_BLOCK = 1024  # rows that are widened to float64 at a time
_FLOOR = 1e-6  # variances below this share of the largest are rounding of float32 features
COARSE_STRIDE = 2  # a coarse fit sees every other row and column of the scan
_COARSE_ROWS, _COARSE_ROWS_PER_COMPONENT = 1000, 10  # least rows of a coarse fit, and least per starting component
_POWERS = 6  # rounds of subspace iteration where the matrix is too wide for an exact decomposition


@dataclass(frozen=True, eq=False)
class Scree:
    """Explained variance of the leading principal components.

    Attributes
    ----------
    variance : (n,) float64
        Variance along each principal axis, descending, in squared units of V.
    suggested : int
        Suggested number of components k*, at least 1.
    total : float
        Variance of all columns together; ``variance / total`` is the explained share.
    """

    variance: np.ndarray
    suggested: int
    total: float

    @property
    def ratio(self) -> np.ndarray:
        """Share of the variance that each principal component explains."""
        return self.variance / self.total if self.total > 0 else np.zeros_like(self.variance)


def scree(values: np.ndarray | sparray, n: int = 50, seed: int = 0, *, control: Control | None = None) -> Scree:
    """Explained variance of the leading `n` principal components of V, and where their curve bends.

    Parameters
    ----------
    values : (rows, columns) array or sparse array
        The scaled feature matrix V; centred here, not changed. A sparse one is never made dense.
    n : int
        Components to give, and the range within which the bend is looked for. Beyond some fifty components the
        curve of a scan is noise; a longer range would move the bend towards its end.
    seed : int
        Start of the randomised decomposition that is used above 1500 columns, and for sparse matrices.
    control : Control, optional
        Checked for a cancel before each block of rows.

    Returns
    -------
    Scree
        At most ``min(n, rows, columns)`` variances. The suggestion is `knee` of them.

    Raises
    ------
    DataError
        If the matrix is empty, not two-dimensional or not finite.
    """
    control = Control() if control is None else control
    V = csr_array(values, dtype=np.float64) if isinstance(values, sparray) else np.asarray(values)
    if V.ndim != 2 or 0 in V.shape:
        raise DataError(f"A scree needs a matrix (probe positions, columns); this one has the shape {V.shape}.")
    if not np.isfinite(V.sum(dtype=np.float64)):
        raise DataError("A scree needs finite features; scale them first.")
    n = max(1, min(n, *V.shape))
    mean = np.asarray(V.mean(axis=0, dtype=np.float64))
    if V.shape[1] <= _DENSE and not isinstance(V, sparray):
        covariance = np.zeros((V.shape[1], V.shape[1]))
        for start in range(0, len(V), _BLOCK):
            control.check()
            rows = V[start : start + _BLOCK] - mean
            covariance += rows.T @ rows
        spectrum = np.linalg.eigvalsh(covariance / len(V))[::-1]
        total = float(np.trace(covariance) / len(V))
    else:
        total = _total_variance(V, mean)
        basis = np.random.default_rng(seed).standard_normal((V.shape[1], min(n + 10, *V.shape)))
        for _ in range(_POWERS):
            basis, _r = np.linalg.qr(_covariance_times(V, mean, basis, control))
        spectrum = np.linalg.eigvalsh(basis.T @ _covariance_times(V, mean, basis, control))[::-1]
    variance = np.clip(spectrum[:n], 0.0, None)
    return Scree(variance, knee(variance), total)


def knee(variance: np.ndarray) -> int:
    """Number of variances before the bend of their curve, on a logarithmic scale.

    The bend is the point farthest below the straight line from the first to the last point of log(variance): what
    lies before it stands out of the noise, whose variances fall slowly and nearly exponentially. The logarithm
    makes the rule independent of a few dominant components (background, thickness) and of scaling.

    Source: Satopää, Albrecht, Irwin & Raghavan 2011, doi 10.1109/ICDCSW.2011.20 (Kneedle).

    Parameters
    ----------
    variance : (n,) array
        Descending, not negative.

    Returns
    -------
    int
        1 to n.
    """
    if len(variance) < 3 or variance[0] <= 0:
        return 1
    height = np.log(np.maximum(variance, _FLOOR * variance[0]))
    chord = np.linspace(height[0], height[-1], len(height))
    return max(1, int(np.argmax(chord - height)))


def starting_components(settings: ClusteringSettings, suggested: int) -> int:
    """Components k0 that every seed starts from: as many as are set, or a multiple of what the scree suggests."""
    return settings.components or max(2, round(settings.start_factor * suggested))


def coarse_rows(scan_shape: tuple[int, int], start: int) -> np.ndarray | None:
    """Rows of V on every other row and column of the scan; None where they are too few for `start` components."""
    rows = np.arange(scan_shape[0] * scan_shape[1]).reshape(scan_shape)[::COARSE_STRIDE, ::COARSE_STRIDE].ravel()
    return rows if enough_for_coarse_fit(len(rows), start) else None


def enough_for_coarse_fit(rows: float, start: float) -> bool:
    """Whether so many rows of V are enough for a coarse fit of so many starting components."""
    return rows >= max(_COARSE_ROWS, _COARSE_ROWS_PER_COMPONENT * start)


def _total_variance(V: np.ndarray | csr_array, mean: np.ndarray) -> float:
    """Variance of all columns together."""
    n = V.shape[0]
    if isinstance(V, sparray):
        return float(np.vdot(V.data, V.data) / n - np.vdot(mean, mean))
    squares = sum(np.square(V[start : start + _BLOCK] - mean).sum(axis=0) for start in range(0, n, _BLOCK))
    return float(np.sum(squares) / n)


def _covariance_times(V: np.ndarray | csr_array, mean: np.ndarray, basis: np.ndarray, control: Control) -> np.ndarray:
    """Covariance of V times a few columns, without forming the covariance or a centred copy of V."""
    n = V.shape[0]
    control.check()
    if isinstance(V, sparray):
        return V.T @ (V @ basis) / n - np.outer(mean, mean @ basis)
    out = np.zeros_like(basis)
    for start in range(0, n, _BLOCK):
        control.check()
        rows = V[start : start + _BLOCK] - mean
        out += rows.T @ (rows @ basis)
    return out / n
