"""The edge of a disk in its radial mean, and with it radius and profile: no hole, slope or cut moves it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

STEP = 0.25
"""px between the radii of a profile."""
SIDE, LEAST_SIDE = 0.35, 1.0
"""So wide, in radii and at least in px, is what is compared on both sides of an edge."""
OUTERMOST = 0.5
"""The edge is the outermost whose step is this share of the highest."""
EVEN = 0.7, 1.15
"""The middle of a disk that is filled evenly is so many times as high as what is just inside its edge..."""
INSIDE, LEAST_INSIDE = (0.15, 0.35), (0.75, 1.25)
"""... which is so far from the edge, in radii, and at least in px."""
BEYOND, LEAST_BEYOND = 0.5, 1.5
"""The floor is measured so far beyond the edge, in radii, and px on top..."""
RING, LEAST_RING = 0.5, 2.0
"""... in two rings, each so wide."""

FAINT = 0.05
"""What stands on a slope has more than this share of what it has with the slope; a floor below it is no slope."""
MOST_TRIES = 30


class Rim(NamedTuple):
    """A disk as its radial mean shows it."""

    radius: float
    """Of a uniform disk of the same area, px; holes count as filled."""
    floor: float
    """What the disk stands on, at its edge."""
    height: float
    """Of the disk above it."""
    profile: np.ndarray
    """Height at 0, STEP, 2 STEP, ... px from the centre: 1 where the disk is full, 0 around."""
    hollow: bool
    """Whether the middle is dark."""


def rim_of(distance: np.ndarray, values: np.ndarray, most: float) -> Rim | None:
    """The disk about a place; None where nothing stands out.

    Parameters
    ----------
    distance, values : ndarray
        Of the pixels that are kept: px from the centre, and counts.
    most : float
        The edge is no further out, px.
    """
    end = _reach(most) + 2.0 * max(LEAST_RING, RING * most)
    near = distance < end
    place = np.rint(distance[near] / STEP).astype(np.int64)
    bins = int(np.ceil(end / STEP)) + 1
    weight = np.bincount(place, minlength=bins)
    total = np.bincount(place, values[near], bins)
    radii = STEP * np.arange(bins)
    edge = _edge(total, weight, radii, most)
    if edge is None:
        return None
    found = _of_edge(total, weight, radii, edge, slope=True)
    own = _of_edge(total, weight, radii, edge, slope=False)
    if own is None or (found is not None and found.height > FAINT * own.height):
        return found
    for _ in range(MOST_TRIES):  # a beam without an edge: what falls off around it is its own
        edge, own = own.radius, _of_edge(total, weight, radii, min(own.radius, most), slope=False) or own
        if abs(own.radius - edge) < 0.1 * STEP:
            break
    return own


def _of_edge(total: np.ndarray, weight: np.ndarray, radii: np.ndarray, edge: float, slope: bool) -> Rim | None:
    """The disk with an edge there, on a floor that may be a slope."""
    smooth: np.ndarray = ndimage.gaussian_filter1d(total, 1.0, mode="nearest") / np.maximum(
        ndimage.gaussian_filter1d(weight.astype(np.float64), 1.0, mode="nearest"), 1e-9
    )
    floor = _floor(smooth, weight, radii, edge, slope)

    def mean(low: float, high: float) -> float:
        there = (radii >= low) & (radii <= high)
        return float(total[there].sum() / max(weight[there].sum(), 1))

    middle = mean(0.0, max(0.5 * edge, STEP, float(radii[np.argmax(weight > 0)]))) - floor[0]
    near, far = (max(least, share * edge) for share, least in zip(INSIDE, LEAST_INSIDE, strict=True))
    inside = mean(edge - far, edge - near) - floor[0]
    most = EVEN[1] if floor[0] > floor[-1] else np.inf  # without a slope, a soft edge is no halo
    even = not slope or edge < 2.0 * LEAST_SIDE or EVEN[0] * inside < middle < most * inside
    height = middle if even else inside
    if not height > 0.0:
        return None
    beyond = (radii > edge) & (radii < _reach(edge))
    end = (
        float(radii[np.argmin(np.where(beyond, smooth, np.inf))]) if slope else _reach(edge)
    )  # a neighbour begins there
    profile = np.where(radii < end, np.maximum((smooth - floor) / height, 0.0), 0.0)
    filled = profile
    if not slope:
        filled = np.minimum(profile, 1.0)
    elif not even:
        profile = np.minimum(profile, 1.0)
        filled = np.where(radii < edge, np.maximum.accumulate(profile[::-1])[::-1], profile)
    radius = float(np.sqrt(2.0 * (filled * radii).sum() * STEP))
    return Rim(radius, float(floor[0]), height, profile, not even and middle < inside)


def _reach(radius: float) -> float:
    return (1.0 + BEYOND) * radius + LEAST_BEYOND


def _edge(total: np.ndarray, weight: np.ndarray, radii: np.ndarray, most: float) -> float | None:
    """Where the radial mean falls most, less what it falls a little further in and out: a slope is no edge."""
    sums, counts = (np.concatenate([[0.0], np.cumsum(part)]) for part in (total, weight))

    def mean(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        a, b = (np.clip(np.rint(r / STEP).astype(np.int64), 0, len(radii)) for r in (low, high))
        number = counts[b] - counts[a]
        return np.where(number > 0, (sums[b] - sums[a]) / np.maximum(number, 1.0), np.nan)

    def fall(at: np.ndarray, side: np.ndarray) -> np.ndarray:  # the mean is even about 0: its fall is odd
        away = np.abs(at)
        return np.sign(at) * (mean(np.abs(away - side), away) - mean(away, away + side))

    at = radii[(radii >= 0.5) & (radii <= most)]
    side = np.maximum(LEAST_SIDE, SIDE * at)
    step = np.nan_to_num(fall(at, side) - 0.5 * np.nan_to_num(fall(at - side, side) + fall(at + side, side)), nan=0.0)
    if not step.max(initial=0.0) > 0.0:
        return None
    peaks = (step >= np.roll(step, 1)) & (step >= np.roll(step, -1)) & (step >= OUTERMOST * step.max())
    last = at[np.flatnonzero(peaks)[-1]]
    return float(at[np.argmax(np.where(np.abs(at - last) <= max(LEAST_SIDE, SIDE * last), step, 0.0))])


def _floor(smooth: np.ndarray, weight: np.ndarray, radii: np.ndarray, edge: float, sloped: bool) -> np.ndarray:
    """What a disk stands on: it falls off as from a ring around it to the next one, and is even within the edge.

    It is no higher than what is seen right beside the disk: where others lie around it, the rings are on them.
    """
    width = max(LEAST_RING, RING * edge)
    start = _reach(edge)

    def level(low: float, high: float) -> float | None:
        there = (radii >= low) & (radii < high) & (weight > 0)
        return float(np.median(smooth[there])) if there.any() else None

    near, far = level(start, start + width), level(start + width, start + 2.0 * width)
    if near is None:  # all around lie others, whose pixels are left out
        between = (radii > edge) & (weight > 0)
        near = float(smooth[between].min()) if between.any() else 0.0
    if not sloped or near <= FAINT * float(smooth[radii <= edge].max()):
        return np.full(len(radii), near)
    slope = np.log(near / far) / width if far is not None and near > far > 0.0 else 0.0
    floor = near * np.exp(slope * (start + 0.5 * width - np.maximum(radii, edge - max(LEAST_SIDE, SIDE * edge))))
    beside = level(edge + LEAST_SIDE, edge + max(2.0 * LEAST_SIDE, 1.5 * SIDE * edge))
    here = float(np.interp(edge + 1.5 * LEAST_SIDE, radii, floor))
    return floor if beside is None or here <= beside else floor * max(beside, 0.0) / here
