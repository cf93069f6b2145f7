"""Smooth surfaces over the scan: the beam moves slowly over the detector, so what was measured is smoothed to one.

Polynomials in the scan's rows and columns, fitted robustly. The order falls where too little was measured to bear it.
"""

from __future__ import annotations

import numpy as np

ORDERS = ("constant", "plane", "parabola")
"""Surfaces by the degree of their polynomial."""

TUKEY = 4.685  # Tukey's biweight keeps 95 % of the efficiency of least squares with this cut, in sigmas
MAD_TO_SIGMA = 1.4826  # median absolute deviation to standard deviation, for Gaussian noise
LEAST_SIGMA = 1e-3  # px; exact data has no outliers
ITERATIONS = 30
FEW = 5  # from a surface that is nearly right
BLOCKS = 5  # along each axis of the scan, when errors are reckoned


def design(scan_shape: tuple[int, int], fit: str) -> np.ndarray:
    """(n, terms) the terms of a polynomial at each probe position, row-major; rows and columns run from -1 to 1.

    Terms that a scan of few rows or columns cannot separate are left out: a single row has no slope along scan_y.
    """
    return terms_at(np.indices(scan_shape).reshape(2, -1).T, scan_shape, fit)


def terms_at(position: np.ndarray, scan_shape: tuple[int, int], fit: str) -> np.ndarray:
    """(k, terms) the same at any positions (k, 2), rows and columns of the scan."""
    powers = [(i, d - i) for d in range(ORDERS.index(fit) + 1) for i in range(d + 1)]
    y, x = (2.0 * part / max(size - 1, 1) - (size > 1) for part, size in zip(position.T, scan_shape, strict=True))
    return np.stack([y**i * x**j for i, j in powers if i < scan_shape[0] and j < scan_shape[1]], axis=1)


def bearable(weight: np.ndarray, scan_shape: tuple[int, int], fit: str, leverage: float = 1.0) -> str:
    """The surface of the highest order up to `fit` that what was measured can bear.

    Its variance is nowhere in the scan more than `leverage` times that of one measurement; `weight` (n,) is 0 where
    nothing was measured, 1 for a full measurement.
    """
    for name in reversed(ORDERS[: ORDERS.index(fit) + 1]):
        terms = design(scan_shape, name)
        normal = terms.T @ (terms * weight[:, None])
        if np.linalg.cond(normal) < 1e9:
            variance = (terms @ np.linalg.inv(normal) * terms).sum(axis=1)  # of the surface, for measurements of 1
            if variance.max() <= leverage + 1e-9:
                return name
    return "constant"


def least_squares(terms: np.ndarray, values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The surface (n, 2) that fits `values` (n, 2) best; `weight` (n,) is 0 where there is none."""
    values = np.where(weight[:, None] > 0, values, 0.0)
    normal = terms.T @ (terms * weight[:, None])
    return np.asarray(terms @ np.linalg.lstsq(normal, terms.T @ (values * weight[:, None]), rcond=1e-12)[0])


def fit_surface(
    measured: np.ndarray,
    scan_shape: tuple[int, int],
    fit: str,
    weight: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, str]:
    """A surface through points (n, 2), px, most of which are right; NaN where nothing was measured.

    Starts from least absolute deviations, which no minority of outliers can pull far, and goes on with Tukey's
    biweight on the distance from the surface (iteratively reweighted least squares). `weight` (n,) is the inverse
    variance of each point, in any unit; all are alike without. `start` (n, 2) is a surface near the one that is looked
    for, from which a few steps do.

    Returns
    -------
    surface : ndarray of float64
        (n, 2); NaN if nothing was measured at all.
    inlier : ndarray of bool
        (n,) what was measured and is no outlier.
    fit : str
        The surface that was fitted: of lower order where fewer positions were measured than it needs.
    """
    valid = np.isfinite(measured).all(axis=1)
    if not valid.any():
        return np.full(measured.shape, np.nan), valid, "constant"
    fit = bearable(valid.astype(np.float64), scan_shape, fit)
    terms = design(scan_shape, fit)
    measured = np.where(valid[:, None], measured, 0.0).astype(np.float64)
    surface = np.median(measured[valid], axis=0) + np.zeros_like(measured) if start is None else start
    precision = np.ones(len(measured)) if weight is None else weight / np.median(weight[valid])
    sharpness = np.sqrt(precision)
    for _ in range(ITERATIONS if start is None else 0):
        distance = np.hypot(*(measured - surface).T) * sharpness
        surface = least_squares(terms, measured, valid * precision / np.maximum(distance, LEAST_SIGMA))
    inlier = valid
    for _ in range(ITERATIONS if start is None else FEW):
        residual = (measured - surface) * sharpness[:, None]
        distance = np.hypot(*residual.T)
        reach = TUKEY * max(spread(residual[valid]), LEAST_SIGMA)
        share = np.where(valid, np.maximum(1.0 - (distance / reach) ** 2, 0.0) ** 2, 0.0)
        inlier = share > 0.0
        surface = least_squares(terms, measured, share * precision)
    return surface, inlier, fit


def covariances(residual: np.ndarray, weight: np.ndarray, scan_shape: tuple[int, int], fit: str) -> np.ndarray:
    """(2, terms, terms) covariances of the terms of a fitted surface in q_y and in q_x; NaN where too little tells.

    A crystal pulls all centres over it the same way, so residuals (n, 2) of neighbours are no measurements of their
    own: the scan is cut into up to 5 x 5 blocks, and a block counts as one (cluster-robust covariance). `weight` (n,)
    is that in the fit, 0 for what was left out.
    """
    terms = design(scan_shape, fit)
    part = [np.minimum(np.arange(size) * BLOCKS // max(size, 1), BLOCKS - 1) for size in scan_shape]
    block = (part[0][:, None] * BLOCKS + part[1]).ravel()
    residual = np.where(weight[:, None] > 0, residual, 0.0)
    blocks = len(np.unique(block[weight > 0]))
    if blocks <= 2 * terms.shape[1]:
        return np.full((2, terms.shape[1], terms.shape[1]), np.nan)
    inverse = np.linalg.pinv(terms.T @ (terms * weight[:, None]))
    score = np.zeros((2, BLOCKS**2, terms.shape[1]))
    for axis in range(2):
        np.add.at(score[axis], block, terms * (weight * residual[:, axis])[:, None])
    return np.asarray(inverse @ (score.transpose(0, 2, 1) @ score) @ inverse * (blocks / (blocks - terms.shape[1])))


def standard_errors(covariance: np.ndarray, scan_shape: tuple[int, int], fit: str) -> tuple[float, float]:
    """Standard errors of a surface (rms over the scan and both axes) and of its descan (the largest), px.

    They are those of its terms' covariances (2, terms, terms).
    """
    terms = design(scan_shape, fit)
    ends = slopes(scan_shape, terms)
    square = np.sum([np.einsum("ij,jk,ik->i", terms, part, terms).mean() for part in covariance])
    descan = np.max([np.diag(ends @ part @ ends.T).max(initial=0.0) for part in covariance])
    return float(np.sqrt(square)), float(np.sqrt(descan))


def slopes(scan_shape: tuple[int, int], terms: np.ndarray) -> np.ndarray:
    """(2, terms) descan of surfaces (n, terms): the slope along each scan axis times its length."""
    plane = design(scan_shape, "plane")
    found = np.linalg.lstsq(plane, terms, rcond=None)[0][1:]
    return np.asarray(2.0 * found)


def spread(residuals: np.ndarray) -> float:
    """Robust standard deviation along one axis, from residuals (n, 2) about zero; NaN if there are none.

    It is that of both axes together, but no less than what a beam that is unsteady along one alone has.
    """
    if not residuals.size:
        return float("nan")
    together = float(MAD_TO_SIGMA * np.median(np.abs(residuals)))
    return max(together, float(spreads(residuals).max() / np.sqrt(2.0)))


def spreads(residuals: np.ndarray) -> np.ndarray:
    """(2,) robust standard deviation along each axis, from residuals (n, 2) about zero; NaN if there are none."""
    if not residuals.size:
        return np.full(2, np.nan)
    return np.asarray(MAD_TO_SIGMA * np.median(np.abs(residuals), axis=0))
