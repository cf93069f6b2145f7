"""The centres of patterns from Friedel pairs of disks.

Disks come in pairs, one on either side of the centre: the midpoint of a pair is the centre. As it is unknown which
disks belong together, all pairs of a pattern are tried. Midpoints of wrong pairs lie anywhere, those of right ones
gather on one surface over the scan, and a fit that weighs only what is near, at a scale that shrinks, finds it. With
few grains midpoints gather elsewhere, too: about half a lattice vector h, g and h - g of a grain are pairs as well.
Then the symmetry of the mean pattern tells which it is. Imports Numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from napari_stemnmf.calibration.followed import follow, grains_of, partners
from napari_stemnmf.calibration.spots import PARTNER, drift_of
from napari_stemnmf.calibration.surface import bearable, design, least_squares
from napari_stemnmf.compiled import njit
from napari_stemnmf.control import Control
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.preprocessing.symmetry import symmetry

SEARCH = 0.25  # of the detector's shorter side: how far from the guess the centre is looked for
REACH = 6.0  # probe radii about the mean centre in which the centres of all patterns lie
LEAST_REACH = 10.0  # px
MOST_DISKS = 40  # highest disks of a pattern that are paired: 780 pairs
WIDE, NARROW, NARROW_RADII = 4.0, 1.0, 0.3
"""Scales at which midpoints gather, px and probe radii: wide for a beam that moves, narrow for places that are near."""
SHRINK = 0.7
HELD = 0.75  # the scale shrinks no further where the surface would lose more of its midpoints than that
STEPS = 3  # of the fit at each scale
LEAST_PAIRS = 6.0  # total weight of the midpoints on the surface, below which there is none
CONTRAST = 3.0  # the surface holds so many times as many midpoints as chance would put there
LEVERAGE = 4.0  # of the surface; a midpoint is precise, so that even the scan's corners are known well enough
ALIKE = 0.25  # patterns count by that power of the weight of their midpoints
PATTERN_PAIRS = 1.0  # weight of a pattern's midpoints near the surface, to call its centre measured
CROWDED = 0.5  # share of the densest, from which a place where midpoints gather may be the centre
MOST_CROWDS = 3  # of them
APART = 2.0  # probe radii between the mean centres of two surfaces that are not the same
SYMMETRIC = 12.0  # what a correlation of 1 tells, in logarithms of likelihood; on multislice films behind a stop
SEVERAL = 2.0  # what twice as many grains tell is that times ln 2; found there, too
UNDECIDED = 1.0  # in the same: what is so near to the best may be the right one
SET = 2.0  # probe radii: how near to a centre that was set the mean centre lies, a standard deviation
FINE = 2.5  # px: patterns are thinned until the probe's radius is about that, to look at their symmetry


_Disks = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # offsets, rows, columns, heights


class Pairs(NamedTuple):
    """Centres from Friedel pairs, and where else they may be.

    `surface` and `measured` are (n, 2), px: the centre of each pattern, and the mean of its own midpoints about that,
    NaN where there are too few. `fit` is the surface that was fitted, of lower order if there are few pairs. `other`
    (n, 2) is the surface that is about as likely and farthest away; None where the centre is decided.
    """

    surface: np.ndarray
    measured: np.ndarray
    fit: str
    other: np.ndarray | None = None


def friedel_centres(
    peaks: Peaks,
    guess: tuple[float, float],
    radius: float,
    fit: str,
    control: Control | None = None,
    mean: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    known: bool = False,
) -> Pairs | None:
    """The surface of the patterns' centres, from midpoints of pairs of disks; None if midpoints do not gather anywhere.

    Where they gather at more than one place, that counts which has more of them, of more grains, and about which the
    mean pattern is more symmetric.

    Parameters
    ----------
    peaks : Peaks
        Disks of all patterns.
    guess : tuple of float
        About where the mean centre is (q_y, q_x), px.
    radius : float
        Probe radius, px.
    fit : str
        ``constant``, ``plane`` or ``parabola``.
    control : Control, optional
        Checked for a cancel all along.
    mean, mask : ndarray, optional
        (q_y, q_x) mean pattern, and True where its pixels are kept.
    known : bool
        Whether the guess is what somebody set.

    In the end patterns count by the fourth root of their pairs: pairs of one pattern are pulled alike by the crystal.
    """
    control = Control() if control is None else control
    edges = peaks.by_edges()
    starts = np.zeros((len(peaks.counts), 2)), drift_of(peaks, radius)
    found: list[_Gathered] = []
    for start in starts:
        for part in _gathered(edges, np.array(guess, np.float64), start, radius, fit, control, known):
            same = [k for k, other in enumerate(found) if _distance(part, other) < APART * radius]
            if not same:
                found.append(part)
            elif part.held > found[same[0]].held:
                found[same[0]] = part
    if not found:
        return None
    likely = np.zeros(len(found))
    if len(found) > 1:
        likely = np.array([_likelihood(part, peaks, edges, radius, mean, mask) for part in found])
    best = found[int(np.argmax(likely))]
    close = [part for part, value in zip(found, likely, strict=True) if value > likely.max() - UNDECIDED]
    farthest = max(close, key=lambda part: _distance(part, best))
    surface, order, scale, (start, y, x, weight) = best[:4]
    measured = surface
    for _ in range(STEPS):
        measured, total, _ = _means_about(start, y, x, weight, measured, 2.0 * scale)
        measured = np.where(total[:, None] > 0.0, measured, surface)
    measured[total < PATTERN_PAIRS] = np.nan
    return Pairs(surface, measured, order, None if known or farthest is best else farthest.surface)


def _likelihood(
    found: _Gathered, peaks: Peaks, edges: Peaks, radius: float, mean: np.ndarray | None, mask: np.ndarray | None
) -> float:
    """Logarithm of how likely the centres are, by their midpoints, how many grains these are of, and symmetry.

    About half a lattice vector of a grain it is its own disks that are pairs, about the beam those of all grains.
    """
    centre = found.surface[peaks.pattern].T
    places, by_edges = (np.stack([part.q_y, part.q_x]) - centre for part in (peaks, edges))
    spots = follow(peaks, places, by_edges, radius)
    grains = len(np.unique(grains_of(spots)[partners(spots, PARTNER * radius)[0]]))
    told = float(np.log(found.held) + SEVERAL * np.log1p(grains))
    if mean is not None:
        told += SYMMETRIC * symmetry(mean, mask, found.surface.mean(axis=0), radius, max(int(radius / FINE), 1))
    return told


def _distance(one: _Gathered, other: _Gathered) -> float:
    """Between the mean centres, px."""
    return float(np.hypot(*(one.surface - other.surface).mean(axis=0)))


class _Gathered(NamedTuple):
    """Where midpoints gather: the surface, its order, the scale they were weighed at, what they are.

    `held` is the weight of those right on the surface.
    """

    surface: np.ndarray
    fit: str
    scale: float
    midpoints: Any
    held: float


def _gathered(
    peaks: Peaks, guess: np.ndarray, drift: np.ndarray, radius: float, fit: str, control: Control, known: bool
) -> list[_Gathered]:
    """The surfaces on which midpoints gather, about `drift` (n, 2) to begin with."""
    moved = drift[peaks.pattern]
    disks = peaks.offsets, peaks.q_y - moved[:, 0], peaks.q_x - moved[:, 1], peaks.height
    search = max(SEARCH * min(peaks.detector_shape), REACH * radius, LEAST_REACH)
    _, y, x, weight = _midpoints(*disks, guess, search, MOST_DISKS)
    near = SET * radius if known else 0.5 * search
    found = [
        _surface_near(peaks, disks, middle, drift, scale, radius, fit, control)
        for scale in (max(WIDE, radius), max(NARROW, NARROW_RADII * radius))
        for middle in _crowds(y, x, weight, guess, search, scale, near)
    ]
    return [part for part in found if part is not None]


def _surface_near(
    peaks: Peaks, disks: _Disks, middle: np.ndarray, drift: np.ndarray, scale: float, radius: float, fit: str,
    control: Control,
) -> _Gathered | None:  # fmt: skip
    """The surface on which midpoints gather, at a scale to begin with, about the middle (2,), of disks less the drift.

    None if there is none.
    """
    last, reach = max(0.3, 0.06 * radius), max(REACH * radius, LEAST_REACH)
    control.check()
    start, y, x, weight = _midpoints(*disks, middle, reach, MOST_DISKS)
    if not len(y):
        return None
    surface = middle + np.zeros((len(start) - 1, 2))
    density = float(weight.sum()) / (np.pi * reach**2)
    most = 0.0
    while True:
        for _ in range(STEPS):
            control.check()
            mean, total, _ = _means_about(start, y, x, weight, surface, scale)
            kept = bearable(np.minimum(total, 1.0), peaks.scan_shape, fit, LEVERAGE)
            surface = least_squares(design(peaks.scan_shape, kept), mean, total)
        chance = density * 2.0 * np.pi * scale**2
        most = max(most, total.sum() - chance)
        if scale <= last or total.sum() - chance < HELD * most:
            break
        scale = max(SHRINK * scale, last)
    if total.sum() < max(LEAST_PAIRS, CONTRAST * chance):
        return None
    for _ in range(STEPS):
        mean, total, _ = _means_about(start, y, x, weight, surface, scale)
        surface = least_squares(design(peaks.scan_shape, kept), mean, total**ALIKE)
    held = float(_means_about(start, y, x, weight, surface, last)[1].sum())
    number = np.repeat(np.arange(len(drift)), np.diff(start))
    y, x = (part + drift[number, axis] for axis, part in enumerate((y, x)))
    return _Gathered(surface + drift, kept, scale, (start, y, x, weight), held)


def _crowds(
    y: np.ndarray, x: np.ndarray, weight: np.ndarray, guess: np.ndarray, reach: float, scale: float, near: float
) -> list[np.ndarray]:
    """Where midpoints lie densest within the reach, those `near` the guess counting more; nearly as dense ones, too."""
    if not len(y):
        return []
    steps = int(np.ceil(reach))
    size = 2 * steps + 1
    cell = np.rint(y - guess[0] + steps).astype(np.int64) * size + np.rint(x - guess[1] + steps).astype(np.int64)
    density = np.bincount(cell, weight, minlength=size**2).reshape(size, size)
    density = ndimage.gaussian_filter(density, scale, mode="constant")
    offset = np.arange(-steps, steps + 1)
    prior = np.exp(-0.5 * (offset / near) ** 2)
    density *= prior[:, None] * prior
    tops = (density == ndimage.maximum_filter(density, 2 * int(scale) + 1)) & (density >= CROWDED * density.max())
    places = np.argwhere(tops)
    order = np.argsort(-density[tops], kind="stable")[:MOST_CROWDS]
    return [guess + place - steps for place in places[order]]


@njit(nogil=True, cache=True)
def _midpoints(
    offsets: np.ndarray,
    q_y: np.ndarray,
    q_x: np.ndarray,
    height: np.ndarray,
    guess: np.ndarray,
    reach: float,
    most: int,
) -> Any:  # pragma: no cover - compiled
    """Midpoints of all pairs among the `most` highest disks of each pattern that lie within `reach` of the `guess`.

    Returns starts (n + 1,), and for each midpoint its row, column and weight: the similarity of the two heights,
    the square root of lower over higher.
    """
    n = len(offsets) - 1
    start = np.zeros(n + 1, np.int64)
    limit = reach * reach
    found = np.empty((3, 0), np.float32)
    for fill in range(2):  # count, then keep
        if fill == 1:
            found = np.empty((3, start[n]), np.float32)
        at = 0
        for p in range(n):
            first, last = offsets[p], min(offsets[p + 1], offsets[p] + most)
            for i in range(first, last):
                for j in range(i + 1, last):
                    my, mx = 0.5 * (q_y[i] + q_y[j]), 0.5 * (q_x[i] + q_x[j])
                    if not (my - guess[0]) ** 2 + (mx - guess[1]) ** 2 <= limit:
                        continue
                    low, high = min(height[i], height[j]), max(height[i], height[j])
                    if not low > 0.0:
                        continue
                    if fill == 1:
                        found[0, at], found[1, at], found[2, at] = my, mx, np.sqrt(low / high)
                    at += 1
            start[p + 1] = at
    return start, found[0], found[1], found[2]


@njit(nogil=True, cache=True)
def _means_about(
    start: np.ndarray, y: np.ndarray, x: np.ndarray, weight: np.ndarray, centre: np.ndarray, scale: float
) -> Any:  # pragma: no cover - compiled
    """Mean (n, 2) of each pattern's midpoints, sum of their weights (n,), and mean squared distance (n,).

    A midpoint weighs less the farther it is from the pattern's `centre`: exp(-r^2 / 2 scale^2) (Welsch's loss).
    """
    n = len(start) - 1
    mean, total, square = np.zeros((n, 2)), np.zeros(n), np.zeros(n)
    sharp, far = -0.5 / (scale * scale), 16.0 * scale * scale
    for p in range(n):
        cy, cx = centre[p, 0], centre[p, 1]
        sy = sx = sw = sr = 0.0
        for i in range(start[p], start[p + 1]):
            dy, dx = y[i] - cy, x[i] - cx
            r = dy * dy + dx * dx
            if r < far:
                w = weight[i] * np.exp(sharp * r)
                sw += w
                sy += w * dy
                sx += w * dx
                sr += w * r
        total[p] = sw
        if sw > 0.0:
            mean[p, 0], mean[p, 1], square[p] = cy + sy / sw, cx + sx / sw, sr / sw
    return mean, total, square
