"""What spots of grains tell of rings, and of how the beam moves over the scan.

Spots g and -g of a grain are a Friedel pair: half of their difference depends on no centre, and what the crystal does
to the beam goes out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_stemnmf.calibration.followed import LEAST, LINK, follow, grains_of, linked, partners
from napari_stemnmf.calibration.surface import design
from napari_stemnmf.disks.detection import Peaks

PARTNER = 0.5  # probe radii: how well g and -g of a pair agree
CAUCHY = 1.5  # times the median distance, at which a disk counts half when the drift is fitted
MANY, WIDE, CLOSE = 100.0, 0.075, 0.05  # positions, and scatter in probe radii, of a usual spot, and of a usual pair
LEAST_SCATTER = 0.01  # probe radii
PAIRED = 0.0315, -0.26, 0.82, 2.45
"""Error along the radius of a usual pair, in probe radii; its powers, of the number of positions where both spots are
seen, of the scatter of half their difference, and of how many more positions the smaller spot is seen at."""
SINGLE = 0.052, -0.12, 0.36
"""The same of a spot without its partner: positions, and scatter."""
STRAY_PAIR, STRAY_SINGLE = (-2.9, -0.27, 2.1, 12.0), (-0.2, -1.2, 1.7)
"""Logarithm of the odds that such a one is of no ring, as streaks and double diffraction are; its slopes, as above."""


class Spots(NamedTuple):
    """Places (spots,) from the centre, px: of Friedel pairs half of their difference, then of single spots."""

    y: np.ndarray
    x: np.ndarray
    error: np.ndarray  # expected error along the radius
    stray: np.ndarray  # chance that it is of no ring
    grain: np.ndarray  # number of its grain


def spots_of(peaks: Peaks, places: np.ndarray, edges: np.ndarray, radius: float) -> Spots:
    """The spots of all grains, paired where g and -g are seen; arguments as of `follow`.

    The errors are those that were found on multislice films.
    """
    spots = follow(peaks, places, edges, radius)
    one, other = partners(spots, PARTNER * radius)
    halves = [spots.half_difference(*pair) for pair in zip(one, other, strict=True)]
    number = np.array([part[2] for part in halves], np.int64)
    both = np.flatnonzero(number >= LEAST)
    one, other, number = one[both], other[both], number[both]
    half = np.array([halves[k][0] for k in both]).reshape(-1, 2)
    scatter = np.array([halves[k][1] for k in both])
    single = np.ones(len(spots.number), bool)
    single[one] = single[other] = False
    more = np.minimum(spots.number[one], spots.number[other]) / number
    pairs = np.stack([number / MANY, np.maximum(scatter / radius, LEAST_SCATTER) / CLOSE, more])
    singles = np.stack([spots.number[single] / MANY, np.maximum(spots.scatter[single] / radius, LEAST_SCATTER) / WIDE])
    error = [
        usual * radius * np.exp(powers @ np.log(what))
        for (usual, *powers), what in ((PAIRED, pairs), (SINGLE, singles))
    ]
    odds = [odd + slopes @ np.log(what) for (odd, *slopes), what in ((STRAY_PAIR, pairs), (STRAY_SINGLE, singles))]
    y, x = np.concatenate([half, spots.place[single]]).T
    grain = grains_of(spots)
    return Spots(
        y, x, np.concatenate(error), 1.0 / (1.0 + np.exp(-np.concatenate(odds))),
        np.concatenate([grain[one], grain[single]]),
    )  # fmt: skip


def drift_of(peaks: Peaks, radius: float) -> np.ndarray:
    """(n, 2) how the spots of grains, and so the centre, move over the scan: a plane about 0, px.

    A spot is followed from one position to the next. What the crystal does to it moves it, too, so that this is coarse
    (some px over the scan); but no centre has to be known. The fit weighs disks by Cauchy's loss.
    """
    plane = design(peaks.scan_shape, "plane")[:, 1:]
    places = np.stack([peaks.q_y, peaks.q_x], axis=1).astype(np.float64)
    first = linked(peaks.offsets, places[:, 0].copy(), places[:, 1].copy(), *peaks.scan_shape, LINK * radius)
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
