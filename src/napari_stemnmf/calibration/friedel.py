"""The centre of each pattern where the direct beam is hidden: from Friedel pairs, or from a halo's symmetry.

Disks come in pairs, one on either side of the centre: the midpoint of a pair is the centre. Nothing says which disks
belong together, so all pairs of a pattern are tried. Midpoints of wrong pairs lie anywhere, those of right ones
gather on one surface over the scan, and a fit that heeds only what is near, at a scale that shrinks, finds it.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

from napari_stemnmf.calibration.surface import bearable, design, least_squares
from napari_stemnmf.disks.peaks import Peaks

SEARCH = 0.25  # of the detector's shorter side: how far from the guess the centre is looked for
REACH = 6.0  # probe radii about the mean centre in which the centres of all patterns lie
LEAST_REACH = 10.0  # px
MOST_DISKS = 40  # highest disks of a pattern that are paired: 780 pairs
SHRINK = 0.7
HELD = 0.75  # the scale shrinks no further where the surface would lose more of its midpoints than that
STEPS = 3  # of the fit at each scale
LEAST_PAIRS = 6.0  # total weight of the midpoints on the surface, below which there is none
CONTRAST = 3.0  # the surface holds so many times as many midpoints as chance would put there
LEVERAGE = 4.0  # of the surface; a midpoint is precise, so that even the scan's corners are known well enough
PATTERN_PAIRS = 1.0  # weight of a pattern's midpoints near the surface, to call its centre measured


def friedel_centres(
    peaks: Peaks, guess: tuple[float, float], radius: float, fit: str
) -> tuple[np.ndarray, np.ndarray, str] | None:
    """The surface of the patterns' centres, from midpoints of pairs of disks.

    Parameters
    ----------
    peaks : Peaks
        Disks of all patterns.
    guess : tuple of float
        About where the mean centre lies (q_y, q_x), px.
    radius : float
        Probe radius, px.
    fit : str
        ``constant``, ``plane`` or ``parabola``.

    Returns
    -------
    surface : ndarray of float64
        (n, 2) centre of each pattern, px.
    measured : ndarray of float64
        (n, 2) mean of the pattern's own midpoints about the surface; NaN where there are too few.
    fit : str
        The surface that was fitted, of lower order if there are few pairs.
    None
        If midpoints do not gather anywhere.
    """
    from napari_stemnmf.calibration.pairs import means_about, midpoints

    disks = peaks.offsets, peaks.q_y, peaks.q_x, peaks.height
    scale, last = max(4.0, radius), max(0.3, 0.06 * radius)
    reach = max(REACH * radius, LEAST_REACH)
    search = max(SEARCH * min(peaks.detector_shape), reach)
    middle = np.array(guess, np.float64)
    _, y, x, weight = midpoints(*disks, middle, search, MOST_DISKS)
    middle = _densest(y, x, weight, middle, search, scale)
    start, y, x, weight = midpoints(*disks, middle, reach, MOST_DISKS)
    if not len(y):
        return None
    surface = middle + np.zeros((len(start) - 1, 2))
    density = float(weight.sum()) / (np.pi * reach**2)
    most = 0.0
    while True:
        for _ in range(STEPS):
            mean, total, _ = means_about(start, y, x, weight, surface, scale)
            kept = bearable(np.minimum(total, 1.0), peaks.scan_shape, fit, LEVERAGE)
            surface = least_squares(design(peaks.scan_shape, kept), mean, total)
        chance = density * 2.0 * np.pi * scale**2
        most = max(most, total.sum() - chance)
        if scale <= last or total.sum() - chance < HELD * most:
            break
        scale = max(SHRINK * scale, last)
    if total.sum() < max(LEAST_PAIRS, CONTRAST * chance):
        return None
    measured = surface
    for _ in range(STEPS):
        measured, total, _ = means_about(start, y, x, weight, measured, 2.0 * scale)
        measured = np.where(total[:, None] > 0.0, measured, surface)
    measured[total < PATTERN_PAIRS] = np.nan
    return surface, measured, kept


def _densest(
    y: np.ndarray, x: np.ndarray, weight: np.ndarray, guess: np.ndarray, reach: float, scale: float
) -> np.ndarray:
    """Where midpoints lie densest within the reach, those near the guess counting more."""
    steps = int(np.ceil(reach))
    size = 2 * steps + 1
    cell = np.rint(y - guess[0] + steps).astype(np.int64) * size + np.rint(x - guess[1] + steps).astype(np.int64)
    density = np.bincount(cell, weight, minlength=size**2).reshape(size, size)
    density = ndimage.gaussian_filter(density, scale, mode="constant")
    offset = np.arange(-steps, steps + 1)
    prior = np.exp(-0.5 * (offset / (0.5 * reach)) ** 2)
    best = np.unravel_index(np.argmax(density * prior[:, None] * prior), density.shape)
    return guess + offset[list(best)]


def inversion_centre(
    pattern: np.ndarray, mask: np.ndarray | None, guess: tuple[float, float], reach: float
) -> tuple[float, float] | None:
    """The point about which a pattern is most like itself turned by half a turn, under a mask.

    The normalised cross-correlation of the logarithm of the pattern with its turned self, over the pixels that are
    valid in both (D. Padfield, IEEE Trans. Image Process. 21, 2706, 2012), at all half pixels within `reach` of the
    `guess`; a parabola gives the fraction.

    Parameters
    ----------
    pattern : ndarray
        (q_y, q_x) counts.
    mask : ndarray of bool or None
        True = keep.
    guess : tuple of float
        (q_y, q_x), px.
    reach : float
        px.

    Returns
    -------
    tuple of float or None
        (q_y, q_x), px; None where no pixel has a partner.
    """
    values = np.maximum(np.nan_to_num(np.asarray(pattern, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    keep = np.ones(values.shape, bool) if mask is None else np.asarray(mask, bool)
    if not (keep & (values > 0)).any():
        return None
    values = np.log(values + np.median(values[keep & (values > 0)]))
    values = np.where(keep, values - values[keep].mean(), 0.0)
    size = [fft.next_fast_len(2 * n - 1, real=True) for n in values.shape]
    ones, first, second = (fft.rfft2(part, size) for part in (keep.astype(np.float64), values, values**2))

    def paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # sum over p of a(p) b(s - p), at all s = 2 c
        full: np.ndarray = fft.irfft2(a * b, size)
        return full[: 2 * values.shape[0] - 1, : 2 * values.shape[1] - 1]

    count = np.maximum(paired(ones, ones), 1e-3)
    mean = paired(ones, first) / count  # of those that have a partner; the partners' is the same
    variance = paired(ones, second) / count - mean**2
    alike = np.where(variance > 1e-9, (paired(first, first) / count - mean**2) / np.maximum(variance, 1e-9), 0.0)
    y, x = np.ogrid[: alike.shape[0], : alike.shape[1]]
    near = np.hypot(0.5 * y - guess[0], 0.5 * x - guess[1]) <= reach
    alike = ndimage.gaussian_filter(np.where(near & (count > 0.1 * keep.sum()), alike, 0.0), 1.0)
    row, column = np.unravel_index(int(np.argmax(alike)), alike.shape)
    if alike[row, column] <= 0.0:
        return None
    return 0.5 * row + _vertex(alike[:, column], int(row)), 0.5 * column + _vertex(alike[row], int(column))


def _vertex(line: np.ndarray, at: int) -> float:
    """Where the parabola through the values at, and a pixel (two steps) before and after, peaks: px from there."""
    if not 2 <= at < len(line) - 2:
        return 0.0
    before, here, after = (float(v) for v in line[at - 2 : at + 3 : 2])
    bend = before - 2.0 * here + after
    return 0.0 if bend >= 0.0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
