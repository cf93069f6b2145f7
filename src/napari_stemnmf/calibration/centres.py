"""Which measured centres are to be trusted, and whether a surface stands for them.

A crystal under the beam deflects it and fills its disk unevenly: the central disk is pulled by up to a tenth of its
radius or more, the same way over a whole grain. Where there is nothing, or little, it is not. So the centres of dim
central disks, and of those that change from one position to the next, count less in a surface, by what their residuals
say.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_stemnmf.calibration.surface import fit_surface, spreads
from napari_stemnmf.disks.detection import Peaks

AT_A_TIME = 65536  # patterns whose disks are looked at together
CLASSES = 10  # of brightness, and of roughness, that have an error of their own
FEWEST = 20  # patterns in a class
ROUNDS = 6  # of fit and errors
PULLED = 0.04  # probe radii: what is less uncertain than that is not pulled by anything
UNEVEN = 2.0  # the most uncertain class is so many times as uncertain as the surest, or all count alike
SMOOTH = 1.0  # scan positions over which roughness is averaged
RAYLEIGH = 1.1774  # median distance from the middle over the standard deviation along one axis
OWN_ERROR = 0.1  # probe radii: a measured centre is no better than that, for what the crystal does to it
COUNTING = 0.7  # error of a centre, in probe radii over the signal-to-noise ratio of its disk
MOVED, AGREE = 0.6, 0.5  # share of a line's centres that stand elsewhere alike, and probe radii within which they do
FEWER = 0.5  # share of the scan over which the beam may stand elsewhere
SIGNIFICANT = 2.0  # the scatter is so many times the measurement's own error, or the surface says it all


def brightness(peaks: Peaks, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Height (n,) of each pattern's central disk, and its signal-to-noise ratio; 0 where there is none."""
    n = len(peaks.central)
    height, snr = np.zeros(n), np.zeros(n)
    for first in range(0, n, AT_A_TIME):
        last = min(first + AT_A_TIME, n)
        pattern = np.repeat(np.arange(first, last), np.diff(peaks.offsets[first : last + 1]))
        own = slice(int(peaks.offsets[first]), int(peaks.offsets[last]))
        centre = peaks.central[pattern]
        near = np.hypot(peaks.q_y[own] - centre[:, 0], peaks.q_x[own] - centre[:, 1]) < radius
        np.maximum.at(height, pattern[near], peaks.height[own][near])
        np.maximum.at(snr, pattern[near], peaks.snr[own][near])
    return height, snr


def fit_trusted(
    measured: np.ndarray, height: np.ndarray, radius: float, scan_shape: tuple[int, int], fit: str
) -> tuple[np.ndarray, np.ndarray, str, np.ndarray]:
    """A surface through measured centres (n, 2), those that crystals pull counting less.

    Parameters
    ----------
    measured : ndarray
        (n, 2) centres, px; NaN where there is none.
    height : ndarray
        (n,) of the central disks.
    radius : float
        Of the probe, px.
    scan_shape : tuple of int
        (scan_y, scan_x).
    fit : str
        ``constant``, ``plane`` or ``parabola``.

    Returns
    -------
    surface, inlier, fit
        As `fit_surface` gives them.
    weight : ndarray
        (n,) inverse variance of each centre in the fit, relative; 0 for outliers and what was not measured.
    """
    surface, inlier, kept = fit_surface(measured, scan_shape, fit)
    valid = np.isfinite(measured).all(axis=1)
    if valid.sum() < CLASSES * FEWEST:
        return surface, inlier, kept, inlier.astype(np.float64)
    keys = -height, _roughness(measured, valid, scan_shape)
    weight = None
    for _ in range(ROUNDS):
        distance = np.hypot(*(measured - surface).T)
        variance = np.full(len(measured), np.inf)
        variance[valid] = 0.5 * sum(_by_class(key[valid], distance[valid]) for key in keys)
        largest, least = (float(np.sqrt(part)) for part in (variance[valid].max(), variance[valid].min()))
        if largest < PULLED * radius or largest < UNEVEN * least:
            break
        weight = np.where(valid, 1.0 / np.maximum(variance, 1e-6), 0.0)
        surface, inlier, kept = fit_surface(measured, scan_shape, fit, weight, surface)
    return surface, inlier, kept, inlier * (1.0 if weight is None else weight)


def _by_class(key: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Variance along one axis of each centre: that of the centres that rank alike by the key."""
    variance = np.empty(len(key))
    for part in np.array_split(np.argsort(key, kind="stable"), CLASSES):
        variance[part] = (np.median(distance[part]) / RAYLEIGH) ** 2
    return variance


def _roughness(measured: np.ndarray, valid: np.ndarray, scan_shape: tuple[int, int]) -> np.ndarray:
    """(n,) how much the centre changes from each position to the next, less the common slope, px squared."""
    centres = np.where(valid[:, None], measured, np.median(measured[valid], axis=0)).reshape(*scan_shape, 2)
    square = np.zeros(scan_shape)
    for axis in range(2):
        if scan_shape[axis] > 1:
            step = np.gradient(centres, axis=axis)
            square += ((step - np.median(step, axis=(0, 1))) ** 2).sum(axis=-1)
    return np.asarray(ndimage.gaussian_filter(square, SMOOTH).ravel())


def moved_lines(
    central: np.ndarray, surface: np.ndarray, seen: np.ndarray, radius: float, scan_shape: tuple[int, int]
) -> np.ndarray:
    """(n,) bool: centres of rows or columns over which the beam stood elsewhere, as after it jumped.

    A Bragg disk may be taken for a dark central one, over a grain, but hardly alike over most of a line, nor where no
    disk at all is `seen` (n,) at the place that the surface (n, 2) says. Where most centres are away from the surface
    it is the surface that is wrong.
    """
    residual = (central - surface).reshape(*scan_shape, 2)
    away = (np.isfinite(central).all(axis=1) & ~seen).reshape(scan_shape)
    found = np.zeros(scan_shape, bool)
    for axis in range(2):
        middle = np.ma.median(np.ma.array(residual, mask=np.repeat(~away[..., None], 2, axis=2)), axis=1 - axis)
        middle = np.expand_dims(middle.filled(np.inf), 1 - axis)
        with np.errstate(invalid="ignore"):
            alike = away & (np.hypot(*np.moveaxis(residual - middle, -1, 0)) < AGREE * radius)
        found |= alike & (alike.mean(axis=1 - axis, keepdims=True) >= MOVED)
    return np.asarray(found.ravel() & (found.mean() <= FEWER))


def with_residuals(
    surface: np.ndarray, measured: np.ndarray, error: np.ndarray, use: str, moved: np.ndarray | None = None
) -> tuple[np.ndarray, str, float]:
    """The centres (n, 2) that are used: a surface, what was measured, or the surface and what is significant beside it.

    A residual is significant so far as the scatter of all, along its axis, exceeds the measurement's own `error` (n,),
    px: it is taken times s^2 / (s^2 + error^2), s^2 the variance of the scatter less that of the errors. Where nothing
    was measured (NaN) it is the surface. With ``auto`` it is the surface alone unless the scatter is
    `SIGNIFICANT` times the error, or lines have `moved` (n,): those residuals are taken whole.

    Returns
    -------
    centres : ndarray
        (n, 2), px.
    use : str
        ``surface``, ``measured`` or ``both``.
    own : float
        Median error of a measurement, px; NaN where there is none.
    """
    seen = np.isfinite(measured).all(axis=1)
    if not seen.any():
        return surface, "surface", float("nan")
    own = float(np.median(error[seen]))
    residual = np.where(seen[:, None], measured - surface, 0.0)
    scatter = spreads(residual[seen])
    moved = np.zeros(len(seen), bool) if moved is None else moved & seen
    if use == "auto":
        use = "both" if scatter.max() > SIGNIFICANT * own or moved.any() else "surface"
    if use == "surface":
        return surface, use, own
    if use == "measured":
        return surface + residual, use, own
    square = np.maximum(scatter**2 - own**2, 0.0)
    share = square / np.maximum(square + np.where(seen, error, own)[:, None] ** 2, 1e-30)
    return surface + np.where(moved[:, None], 1.0, share) * residual, use, own


def own_error(snr: np.ndarray, radius: float) -> np.ndarray:
    """(n,) standard error of each measured centre, px along one axis: counting, and what the crystal does."""
    return np.hypot(COUNTING * radius / np.maximum(snr, 1.0), OWN_ERROR * radius)
