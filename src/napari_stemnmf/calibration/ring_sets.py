"""Where rings may lie: wherever spots crowd, or at the radii of a cubic lattice, whose ratios are known.

The squares of a cubic lattice's radii are as whole numbers, so that all of its rings leave one size to find. Which
lattice it is, and of which size, the spots' likelihood tells; others fit with free rings alone.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import ndimage, signal

from napari_stemnmf.calibration.spots import Spots

STEP = 0.04  # probe radii: resolution of radii
SMOOTHING = 2.0  # steps of the radius
SURE = 0.9  # spots surer than this share of all count no more than it, when rings are looked for
PROMINENT = 0.08  # share of the highest ring
MOST_RINGS, FEWEST_RINGS = 12, 3  # of a set; the latter of a lattice
SIZE_STEP = 0.0015  # relative, in the search for a lattice's size
SIZES = 2  # of each lattice that are tried
WIDTH = 0.06  # probe radii: how wide a ring is, in that search


class Rings(NamedTuple):
    """Radii of rings: the product of their shape (rings, sizes) and their sizes (sizes,), px."""

    shape: np.ndarray
    size: np.ndarray


def ring_sets(radii: np.ndarray, spots: Spots, radius: float, span: tuple[float, float]) -> list[Rings]:
    """Free rings, and the likeliest ones of cubic lattices, for spots at some radii (spots,), px.

    Parameters
    ----------
    radii : ndarray
        With a distortion undone.
    spots : Spots
        For their errors and chances.
    radius : float
        Of the probe, px.
    span : tuple of float
        Radii between which rings lie, px.
    """
    step = STEP * radius
    curve = density(radii, sureness(spots), step, SMOOTHING)
    least = PROMINENT * curve.max()
    tops, _ = signal.find_peaks(curve, height=least, prominence=0.7 * least)
    tops = tops[np.argsort(-curve[tops], kind="stable")][:MOST_RINGS]
    sets = [Rings(np.eye(len(tops)), np.sort((tops + 0.5) * step))] if len(tops) else []
    counts = np.bincount((radii / step).astype(np.int64), 1.0 - spots.stray, minlength=len(curve))
    gains = {}
    for lattice in _lattices():
        sizes = np.exp(np.arange(np.log(span[0] / lattice[-1]), np.log(span[1] / lattice[FEWEST_RINGS - 1]), SIZE_STEP))
        at = sizes[:, None] * lattice
        there = (at > span[0]) & (at < span[1])
        number = there.sum(axis=1)
        usable = (number >= FEWEST_RINGS) & (number <= MOST_RINGS)
        sizes, at, there, number = sizes[usable], at[usable], there[usable], number[usable]
        gain = np.full(len(sizes), -np.inf)
        for k in np.unique(number):
            if k not in gains:
                gains[k] = _gain(counts, spots, radius, step, span, int(k))
            own = number == k
            place = np.minimum((at[own] / step).astype(np.int64), len(counts) - 1)
            gain[own] = (gains[k][place] * there[own]).sum(axis=1)
        best = np.flatnonzero((gain == ndimage.maximum_filter1d(gain, 9)) & np.isfinite(gain))
        for k in best[np.argsort(-gain[best], kind="stable")][:SIZES]:
            sets.append(Rings(lattice[there[k], None], sizes[k : k + 1]))
    return sets


def sureness(spots: Spots) -> np.ndarray:
    """What spots count for when rings are looked for: the chance that they are on one, over their error."""
    weight = (1.0 - spots.stray) / spots.error
    return np.minimum(weight, np.quantile(weight, SURE))


def density(radii: np.ndarray, weight: np.ndarray, step: float, smooth: float) -> np.ndarray:
    """Histogram of radii in steps, smoothed over some."""
    counts = np.bincount((radii / step).astype(np.int64), weight, minlength=int(1.1 * float(radii.max()) / step) + 4)
    return np.asarray(ndimage.gaussian_filter1d(counts, smooth, mode="constant"))


def _gain(
    counts: np.ndarray, spots: Spots, radius: float, step: float, span: tuple[float, float], number: int
) -> np.ndarray:
    """By how much a ring at each radius makes the spots likelier, one of a number of rings."""
    sigma = WIDTH * radius / step
    offset = np.arange(-int(4 * sigma), int(4 * sigma) + 1)
    peak = np.exp(-0.5 * (offset / sigma) ** 2) / (np.sqrt(2 * np.pi) * WIDTH * radius)
    stray = float(np.clip(np.average(spots.stray, weights=1.0 - spots.stray), 0.05, 0.95))
    told = np.log1p((1.0 - stray) / number * peak * (span[1] - span[0]) / stray)
    return np.convolve(counts, told, mode="same")


@lru_cache
def _lattices() -> tuple[np.ndarray, ...]:
    """Radii of the rings of cubic lattices in units of their size: face-centred, diamond, body-centred, simple."""
    found = []
    index = [k for k in product(range(8), repeat=3) if any(k)]
    for allowed in (
        lambda h, k, m: h % 2 == k % 2 == m % 2,
        lambda h, k, m: h % 2 == k % 2 == m % 2 and (h % 2 == 1 or (h + k + m) % 4 == 0),
        lambda h, k, m: (h + k + m) % 2 == 0,
        lambda h, k, m: True,
    ):
        squares = sorted({h * h + k * k + m * m for h, k, m in index if allowed(h, k, m)})
        found.append(np.sqrt([n for n in squares if n < 64][: 2 * MOST_RINGS]))
    return tuple(found)
