"""Spots of grains: disks at one place of the detector, at neighbouring probe positions, are one spot of one grain.

A spot's mean is worth more than its disks: what thickness and edge of a grain do to a disk at one position, they undo
at another. Spots g and -g of a grain are a Friedel pair, and half of their difference depends on no centre. Imports
Numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from scipy.spatial import cKDTree

from napari_stemnmf.calibration.rings import CENTRAL
from napari_stemnmf.calibration.surface import design
from napari_stemnmf.disks.detection import Peaks

LINK = 0.4  # probe radii: how far a spot moves at most from one position to the next
PARTNER = 0.5  # probe radii: how well g and -g of a pair agree
CANDIDATES = 6  # spots nearest to -g that are looked at
LEAST = 6  # positions that a spot is seen at
CAUCHY = 1.5  # times the median distance, at which a disk counts half when the drift is fitted
LEAST_ERROR = 0.0007  # probe radii: of a mean
USUAL = 0.01  # probe radii: standard error of the mean of a usual spot
PAIRED = 0.05, 0.5, 0.2
"""Error along the radius of a usual pair, in probe radii; its powers, of the standard error and of 1 / height."""
SINGLE = 0.07, 0.3, 0.1
"""The same of a spot without its partner."""


class Spots(NamedTuple):
    """Places (spots,) from the centre, px: of Friedel pairs half of their difference, then of single spots."""

    y: np.ndarray
    x: np.ndarray
    error: np.ndarray  # expected error along the radius, up to a factor
    weight: np.ndarray  # sum of heights, counts a pixel
    grain: np.ndarray  # number of the block of the scan that its middle is in
    disks: int  # that all spots hold


def spots_of(peaks: Peaks, places: np.ndarray, edges: np.ndarray, radius: float) -> Spots:
    """The spots of all grains, paired where g and -g are seen.

    Parameters
    ----------
    peaks : Peaks
        Disks of all patterns.
    places : ndarray
        (2, peaks) rows and columns of the disks from the centre of their own pattern, px: by these they are linked.
    edges : ndarray
        (2, peaks) the same by their edges (`Peaks.by_edges`): by these a spot has its place.
    radius : float
        Of the probe, px.
    """
    pattern = peaks.pattern
    y, x = np.asarray(places, np.float64)
    height = np.asarray(peaks.height, np.float64)
    first = _linked(peaks.offsets, y, x, *peaks.scan_shape, LINK * radius)
    far = np.hypot(y, x) > CENTRAL * radius
    number = np.bincount(first, minlength=len(y))
    kept = far & (number[first] >= LEAST)
    _, spot = np.unique(first[kept], return_inverse=True)
    (y, x), height, pattern = np.asarray(edges, np.float64)[:, kept], height[kept], pattern[kept]
    count = int(spot.max(initial=-1)) + 1
    weight = height**2
    total, heights = np.bincount(spot, weight, count), np.bincount(spot, height, count)
    mean_y, mean_x = (np.bincount(spot, weight * part, count) / total for part in (y, x))
    row, column = np.divmod(pattern, peaks.scan_shape[1])
    box = np.stack([_least(spot, part, count) for part in (row, -row, column, -column)])
    one, other = _partners(mean_y, mean_x, box, PARTNER * radius)
    single = np.ones(count, bool)
    single[one] = single[other] = False
    square = weight * ((y - mean_y[spot]) ** 2 + (x - mean_x[spot]) ** 2)
    scatter = np.sqrt(0.5 * np.bincount(spot, square, count) / total / np.bincount(spot, minlength=count)) / radius
    own = np.log(np.maximum(scatter, LEAST_ERROR) / USUAL)
    tall = np.log(total / heights)
    tall -= np.median(tall) if count else 0.0
    errors = [
        error * np.exp(by_scatter * lone - by_height * high)
        for (error, by_scatter, by_height), lone, high in (
            (PAIRED, 0.5 * (own[one] + own[other]), 0.5 * (tall[one] + tall[other])),
            (SINGLE, own[single], tall[single]),
        )
    ]
    middle = [0.5 * (box[k] - box[k + 1]) for k in (0, 2)]
    cell = [np.minimum(m * 8 // size, 7).astype(np.int64) for m, size in zip(middle, peaks.scan_shape, strict=True)]
    grain = cell[0] * 8 + cell[1]
    return Spots(
        np.concatenate([0.5 * (mean_y[one] - mean_y[other]), mean_y[single]]),
        np.concatenate([0.5 * (mean_x[one] - mean_x[other]), mean_x[single]]),
        np.concatenate(errors) * radius,
        np.concatenate([heights[one] + heights[other], heights[single]]),
        np.concatenate([grain[one], grain[single]]),
        len(y),
    )


def drift_of(peaks: Peaks, radius: float) -> np.ndarray:
    """(n, 2) how the spots of grains, and so the centre, move over the scan: a plane about 0, px.

    A spot is followed from one position to the next. What the crystal does to it moves it, too, so that this is coarse
    (some px over the scan); but no centre has to be known. The fit weighs disks by Cauchy's loss.
    """
    plane = design(peaks.scan_shape, "plane")[:, 1:]
    places = np.stack([peaks.q_y, peaks.q_x], axis=1).astype(np.float64)
    first = _linked(peaks.offsets, places[:, 0].copy(), places[:, 1].copy(), *peaks.scan_shape, LINK * radius)
    number = np.bincount(first, minlength=len(first))
    kept = number[first] >= LEAST
    if not kept.any() or not plane.size:
        return np.zeros((len(plane), 2))
    _, spot = np.unique(first[kept], return_inverse=True)
    weight = np.asarray(peaks.height, np.float64)[kept] ** 2
    share = weight / np.bincount(spot, weight)[spot]

    def about_mean(values: np.ndarray) -> np.ndarray:
        means = np.stack([np.bincount(spot, share * part) for part in values.T], axis=1)
        return np.asarray(values - means[spot])

    steps, moves = about_mean(plane[peaks.pattern[kept]]), about_mean(places[kept])
    share *= np.sqrt(np.bincount(spot))[spot]
    slopes = np.zeros((plane.shape[1], 2))
    for _ in range(10):
        miss = np.hypot(*(moves - steps @ slopes).T)
        part = share / (1.0 + (miss / max(CAUCHY * float(np.median(miss)), 1e-3)) ** 2)
        slopes = np.linalg.lstsq((steps * part[:, None]).T @ steps, (steps * part[:, None]).T @ moves, rcond=1e-9)[0]
    return np.asarray(plane @ slopes)


def _least(spot: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """The least value of each spot."""
    found = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(found, spot, values)
    return found


def _partners(y: np.ndarray, x: np.ndarray, box: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Spots that are g and -g of one grain: each the nearest to minus the other where both touch in the scan."""
    if len(y) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = np.stack([y, x], axis=1)
    distance, near = cKDTree(places).query(-places, min(CANDIDATES, len(y)), distance_upper_bound=reach)
    there = np.isfinite(distance)
    near = np.where(there, near, 0)
    for low, high in ((0, 1), (2, 3)):  # the second of each holds the highest row or column, negative
        there &= np.minimum(-box[high][:, None], -box[high][near]) >= np.maximum(box[low][:, None], box[low][near]) - 1
    best = np.argmin(np.where(there, distance, np.inf), axis=1)
    index = np.arange(len(y))
    partner = np.where(there.any(axis=1), near[index, best], -1)
    mutual = (partner > index) & (partner[np.maximum(partner, 0)] == index)
    return index[mutual], partner[mutual]


@njit(nogil=True, cache=True)
def _linked(
    offsets: np.ndarray, y: np.ndarray, x: np.ndarray, rows: int, columns: int, reach: float
) -> Any:  # pragma: no cover - compiled
    """For each disk the first disk of its spot: disks of neighbouring positions that are nearest to each other link."""
    parent = np.arange(len(y))
    for p in range(rows * columns):
        row, column = p // columns, p % columns
        for k in range(4):
            down, right = (0, 1) if k == 0 else (1, k - 2)
            if row + down >= rows or not 0 <= column + right < columns:
                continue
            q = p + down * columns + right
            for i in range(offsets[p], offsets[p + 1]):
                j = _nearest(offsets, y, x, q, i, reach)
                if j >= 0 and _nearest(offsets, y, x, p, j, reach) == i:
                    a, b = _root(parent, i), _root(parent, j)
                    parent[max(a, b)] = min(a, b)
    for i in range(len(y)):
        parent[i] = _root(parent, i)
    return parent


@njit(nogil=True, cache=True)
def _nearest(offsets: Any, y: Any, x: Any, pattern: Any, disk: Any, reach: Any) -> Any:  # pragma: no cover - compiled
    """The disk of a pattern that is nearest to a disk, within a reach; -1 if there is none."""
    best, least = -1, reach * reach
    for j in range(offsets[pattern], offsets[pattern + 1]):
        square = (y[j] - y[disk]) ** 2 + (x[j] - x[disk]) ** 2
        if square < least:
            best, least = j, square
    return best


@njit(nogil=True, cache=True)
def _root(parent: Any, i: Any) -> Any:  # pragma: no cover - compiled
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
