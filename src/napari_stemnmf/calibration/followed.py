"""Spots of grains, followed over the scan: disks at one place of the detector, at neighbouring probe positions.

A spot's mean is worth more than its disks. A crystal deflects what passes it as a lens does: within a grain a spot
moves evenly with the position (some 0.1 probe radii from the grain's middle to its rim, towards the same side of the
detector for all spots). So each spot is a place, a slope, and a scatter about them. Imports Numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from napari_stemnmf.calibration.rings import CENTRAL
from napari_stemnmf.compiled import njit
from napari_stemnmf.disks.detection import Peaks

LINK = 0.4  # probe radii: how far a spot moves at most from one position to the next
CANDIDATES = 6  # spots nearest to -g that are looked at
LEAST = 6  # positions that a spot is seen at
ROUNDS = 4  # of the fit of a slope
SOFT = 2.0  # times the median distance from the slope, at which a disk counts half
TOUCH = 0.7  # of the larger one's extent: spots whose middles are nearer are of one grain


class Followed(NamedTuple):
    """Spots (spots,), each seen at several probe positions. Lengths on the detector in px, in the scan in steps."""

    position: np.ndarray  # (spots, 2) mean scan row and column, weighted by height
    place: np.ndarray  # (spots, 2) where it is there, q_y and q_x from the centre
    slope: np.ndarray  # (spots, 2, 2) by how much it moves in a step: [along scan_y or scan_x, q_y or q_x]
    slope_error: np.ndarray  # (spots,) standard error of these, were all disks independent
    scatter: np.ndarray  # (spots,) standard deviation about that along one axis
    number: np.ndarray  # (spots,) positions
    height: np.ndarray  # (spots,) counts a pixel, weighted by height
    extent: np.ndarray  # (spots,) standard deviation of its positions along one axis
    box: np.ndarray  # (4, spots) least row, minus the last row, and the same for columns
    seen: np.ndarray  # (disks,) flat probe positions, spot by spot, in order
    disks: np.ndarray  # (disks, 2) where the spot is at each of them, from the centre
    weight: np.ndarray  # (disks,) height of each, less where it is off the others
    offsets: np.ndarray  # (spots + 1,) where each spot's begin in these

    def positions(self, spot: int) -> np.ndarray:
        """The flat probe positions of one."""
        return self.seen[self.offsets[spot] : self.offsets[spot + 1]]

    def half_difference(self, one: int, other: int) -> tuple[np.ndarray, float, int]:
        """Half of how far two spots are apart (2,), its scatter along one axis, and the positions where both are seen.

        What the crystal does to the beam, at each position, goes out of that.
        """
        starts = self.offsets[[one, other]]
        _, *index = np.intersect1d(self.positions(one), self.positions(other), assume_unique=True, return_indices=True)
        first, second = (start + part for start, part in zip(starts, index, strict=True))
        if not len(first):
            return 0.5 * (self.place[one] - self.place[other]), float(self.scatter[one]), 0
        half = 0.5 * (self.disks[first] - self.disks[second])
        weight = np.sqrt(self.weight[first] * self.weight[second])
        mean = weight @ half / weight.sum()
        miss = np.hypot(*(half - mean).T)
        weight = weight / (1.0 + (miss / max(SOFT * float(np.median(miss)), 1e-6)) ** 2)
        mean = weight @ half / weight.sum()
        square = float((weight * ((half - mean) ** 2).sum(axis=1)).sum() / weight.sum())
        return mean, float(np.sqrt(0.5 * square)), len(first)


def follow(peaks: Peaks, places: np.ndarray, edges: np.ndarray, radius: float) -> Followed:
    """The spots of all grains.

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
    y, x = np.asarray(places, np.float64)
    first = linked(peaks.offsets, y, x, *peaks.scan_shape, LINK * radius)
    number = np.bincount(first, minlength=len(y))
    kept = np.flatnonzero((np.hypot(y, x) > CENTRAL * radius) & (number[first] >= LEAST))
    kept = kept[np.argsort(first[kept], kind="stable")]
    _, spot = np.unique(first[kept], return_inverse=True)
    number = np.bincount(spot)
    offsets = np.concatenate([[0], np.cumsum(number)]).astype(np.int64)
    position, height = peaks.pattern[kept], np.asarray(peaks.height, np.float64)[kept]
    row, column = np.divmod(position, peaks.scan_shape[1])
    scan, place = np.stack([row, column], axis=1).astype(np.float64), np.asarray(edges, np.float64)[:, kept]
    if not len(spot):
        none, flat, many = np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2, 2))
        box = np.zeros((4, 0), np.int64)
        return Followed(none, none, many, flat, flat, number, flat, flat, box, position, none, flat, offsets)

    def total(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, offsets[:-1], axis=0)

    weight = height
    for _ in range(ROUNDS):
        sum_ = total(weight)
        middle = total(weight[:, None] * scan) / sum_[:, None]
        terms = np.stack([np.ones(len(scan)), *(scan - middle[spot]).T])
        weighted = weight * terms
        normal, right = np.zeros((len(number), 3, 3)), np.zeros((len(number), 3, 2))
        for i in range(3):
            for j in range(i, 3):
                normal[:, i, j] = normal[:, j, i] = total(weighted[i] * terms[j])
            for j in range(2):
                right[:, i, j] = total(weighted[i] * place[j])
        normal[:, [1, 2], [1, 2]] += 1e-6 * sum_[:, None]  # spots along a line have no slope across
        found = np.linalg.solve(normal, right)
        miss = np.hypot(*(place[j] - sum(terms[i] * found[spot, i, j] for i in range(3)) for j in range(2)))
        median = miss[np.lexsort((miss, spot))][offsets[:-1] + number // 2]
        share = 1.0 / (1.0 + (miss / np.maximum(SOFT * median[spot], 0.01 * radius)) ** 2)
        weight = height * share
    variance = 0.5 * total(weight * miss**2) / total(weight)
    steep = variance * np.linalg.inv(normal)[:, [1, 2], [1, 2]].mean(axis=1) * total(weight**2) / total(weight)
    spread = normal[:, [1, 2], [1, 2]] / normal[:, :1, 0]
    box = np.stack([np.minimum.reduceat(part, offsets[:-1]) for part in (row, -row, column, -column)])
    return Followed(
        middle, found[:, 0], found[:, 1:], np.sqrt(steep), np.sqrt(variance), number,
        total(height**2) / total(height), np.sqrt(spread.mean(axis=1)), box, position, place.T, weight, offsets,
    )  # fmt: skip


def partners(spots: Followed, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Spots that are g and -g of one grain: each the nearest to minus the other where both touch in the scan.

    They agree within a reach, px.
    """
    if len(spots.place) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places, box = spots.place, spots.box
    distance, near = cKDTree(places).query(-places, min(CANDIDATES, len(places)), distance_upper_bound=reach)
    there = np.isfinite(distance)
    near = np.where(there, near, 0)
    for low, high in ((0, 1), (2, 3)):  # the second of each holds the highest row or column, negative
        there &= np.minimum(-box[high][:, None], -box[high][near]) >= np.maximum(box[low][:, None], box[low][near]) - 1
    best = np.argmin(np.where(there, distance, np.inf), axis=1)
    index = np.arange(len(places))
    partner = np.where(there.any(axis=1), near[index, best], -1)
    mutual = (partner > index) & (partner[np.maximum(partner, 0)] == index)
    return index[mutual], partner[mutual]


def grains_of(spots: Followed) -> np.ndarray:
    """(spots,) the grain of each: that of the largest spot whose middle is near enough to be of the same."""
    grain = np.full(len(spots.number), -1)
    count = 0
    for spot in np.argsort(-spots.number, kind="stable"):
        if grain[spot] >= 0:
            continue
        near = np.hypot(*(spots.position - spots.position[spot]).T) < TOUCH * spots.extent[spot] + 0.5
        grain[near & (grain < 0)] = count
        count += 1
    return grain


@njit(nogil=True, cache=True)
def linked(
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
