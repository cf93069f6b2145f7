"""Rings: radii at which disks gather, or at which a pattern's radial mean has a maximum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

PER_RADIUS = 0.1  # resolution of the histogram of radii, in probe radii
LEAST_STEP = 0.2  # px
CONTRAST = 2.0  # a ring holds so many times as many disks as its surroundings
LEAST_DISKS = 12.0  # that a ring holds above its surroundings
MOST_RINGS = 24
CENTRAL = 2.5  # probe radii: what is nearer to the centre is the direct beam and its tail


@dataclass(frozen=True)
class Ring:
    """A ring: its radius, where it begins and ends (px), and how much it holds above its surroundings."""

    radius: float
    low: float
    high: float
    strength: float


def step_for(probe_radius: float) -> float:
    """Bin of a histogram of radii, px: positions of larger disks are coarser, and so are detectors that show them."""
    return max(PER_RADIUS * probe_radius, LEAST_STEP)


def histogram(radius: np.ndarray, weight: np.ndarray | None, step: float, last: float) -> np.ndarray:
    """Number (or weight) of disks by radius, in bins of `step` from 0 to `last`, slightly smoothed."""
    bins = int(np.ceil(last / step)) + 1
    within = radius < bins * step
    counts = np.bincount(
        (radius[within] / step).astype(np.int64), None if weight is None else weight[within], minlength=bins
    )
    return np.asarray(ndimage.gaussian_filter1d(counts.astype(np.float64), 1.0, mode="constant"))


def disk_rings(
    radius: np.ndarray, probe_radius: float, first: float, last: float, weight: np.ndarray | None = None
) -> list[Ring]:
    """The rings on which disks gather, strongest first.

    Disks are given by their distance (peaks,) from the centre of their pattern and by what each counts (peaks,), one if
    not given; rings are looked for between the radii `first` and `last`. All lengths in px.
    """
    step = step_for(probe_radius)
    counts = histogram(radius, weight, step, last + 20 * step)
    around = ndimage.median_filter(counts, 25, mode="nearest")
    unit = 1.0 if weight is None else float(np.mean(weight)) if len(weight) else 1.0
    tops, _ = signal.find_peaks(counts, distance=4)
    rings = []
    for top in tops:
        at = float(_between(counts, int(top)) + 0.5) * step
        low, high = top, top
        level = around[top] + 0.2 * (counts[top] - around[top])
        while low > 0 and top - low < 6 and level < counts[low - 1] <= 1.05 * counts[low]:
            low -= 1
        while high < len(counts) - 1 and high - top < 6 and level < counts[high + 1] <= 1.05 * counts[high]:
            high += 1
        excess = float((counts[low : high + 1] - around[top]).sum())
        if first <= at <= last and counts[top] > CONTRAST * around[top] and excess > LEAST_DISKS * unit:
            rings.append(Ring(at, low * step, (high + 1) * step, excess))
    return sorted(rings, key=lambda ring: -ring.strength)[:MOST_RINGS]


def profile_rings(profile: np.ndarray, probe_radius: float, first: float, last: float) -> list[Ring]:
    """Maxima of a radial mean, most prominent first; each reaches to the minima beside it.

    The profile (radii,) holds mean counts at 0, 1, 2... px, NaN where no pixel is valid; rings are looked for between
    the radii `first` and `last`, px. Where the profile only falls, maxima of its product with the radius squared are
    taken: a diffuse ring on a steep background.
    """
    radii = np.arange(len(profile))
    valid = np.isfinite(profile) & (profile > 0) & (radii >= first) & (radii <= last)
    if valid.sum() < 5:
        return []
    inner, outer = radii[valid][[0, -1]]
    there = slice(int(inner), int(outer) + 1)
    line = np.log(np.interp(radii[there], radii[valid], profile[valid]))
    for gain in (0.0, 2.0):
        curve = ndimage.gaussian_filter1d(
            line + gain * np.log(np.maximum(radii[there], 1.0)), max(0.5 * probe_radius, 1.0)
        )
        tops, found = signal.find_peaks(curve, prominence=0.02)
        if len(tops):
            bounds = zip(tops, found["left_bases"], found["right_bases"], found["prominences"], strict=True)
            rings = [
                Ring(
                    float(_between(curve, int(top)) + inner),
                    float(inner + _lowest(curve, left, top, tops)),
                    float(inner + _lowest(curve, top, right, tops)),
                    float(strength),
                )
                for top, left, right, strength in bounds
            ]
            return sorted(rings, key=lambda ring: -ring.strength)
    return []


def _lowest(curve: np.ndarray, start: int, stop: int, tops: np.ndarray) -> int:
    """The lowest point between a maximum and the base on one of its sides, no farther than the next maximum."""
    between = [int(t) for t in tops if start < t < stop]
    if between and start in tops:
        stop = between[0]
    elif between:
        start = between[-1]
    return int(start + np.argmin(curve[start : stop + 1]))


def _between(values: np.ndarray, top: int) -> float:
    """Where a maximum lies between its neighbours."""
    from napari_stemnmf.preprocessing.vertex import vertex

    return top + float(vertex(*values[top - 1 : top + 2])) if 0 < top < len(values) - 1 else float(top)
