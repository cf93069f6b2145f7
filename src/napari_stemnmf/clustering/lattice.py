"""Spots of one crystal: with two of them, their sum and difference are spots of it, and what faces one across the beam.

What a grain diffracts lies on its lattice, and so does what it diffracts twice. That two of some ten spots add up to a
given one by chance happens once in a hundred times, so such sums tell spots of one grain from those of its neighbour
where footprints alone are too much alike. They hold for a detector that is sheared or stretched, and for any crystal.
"""

from __future__ import annotations

import numpy as np

MEET = 0.25
"""Probe radii between a spot and the sum of two others that it is taken for."""
NO_SPOT = 0.5
"""Probe radii within which a sum is the direct beam."""
BESIDE = 1.5
"""Probe radii to which a streak leaves its spot."""
TOUCH, ON_LINE = 2.0, 0.35
"""Probe radii between two disks that touch, and between the line that joins them and a disk that both make."""
TWICE = 0.1
"""Least that the product of two beams is to the beam that they may make, all over the direct beam."""


def facing(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Which spots of `a` (..., 2) lie across the direct beam from those of `b`, which is broadcast to it: bool."""
    return np.asarray(np.hypot(*np.moveaxis(a + b, -1, 0)) < MEET * radius)


def independent(q: np.ndarray, radius: float) -> float:
    """Number of spots (n, 2), two that face one another counted once."""
    return len(q) - np.count_nonzero(facing(q[:, None], q[None], radius).any(axis=1)) / 2


def made_of(q: np.ndarray, other: np.ndarray, radius: float) -> np.ndarray:
    """Which spots (n, 2) are sums or differences of two of `other` (m, 2), or face one, or halve it: (n,) bool."""
    both = np.concatenate([other, -other])
    sums = np.concatenate([(both[:, None] + both[None]).reshape(-1, 2), both, both / 2])
    return np.asarray(_close(q, sums[np.hypot(*sums.T) > NO_SPOT * radius], MEET * radius).any(axis=1))


def made_of_both(
    q: np.ndarray, peak: np.ndarray, a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], radius: float
) -> np.ndarray:
    """Which spots (n, 2) a spot of one grain and one of another make by diffracting one after the other: (n,) bool.

    Grains are given as spots (m, 2) and peaks (m,) over the direct beam.
    """
    sums = (a[0][:, None] + b[0][None]).reshape(-1, 2)
    bright = np.outer(a[1], b[1]).ravel()[None] >= TWICE * peak[:, None]
    return np.asarray((_close(q, sums, MEET * radius) & bright).any(axis=1))


def beside(q: np.ndarray, other: np.ndarray, radius: float) -> np.ndarray:
    """Which spots (n, 2) lie at one of `other` (m, 2) or so near that they may be its streak: (n,) bool."""
    return np.asarray(_close(q, other, BESIDE * radius).any(axis=1))


def between(q: np.ndarray, a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """Which spots (n, 2) lie between one of `a` (m, 2) and one of `b` (k, 2) that touch each other: (n,) bool.

    Two disks that overlap are seen as one, at a place between them.
    """
    first, second = np.nonzero(_close(a, b, TOUCH * radius))
    start, along = a[first], b[second] - a[first]
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    share = np.clip(((q[:, None] - start[None]) * along[None]).sum(axis=-1) / length, 0.0, 1.0)
    away = np.hypot(*np.moveaxis(q[:, None] - start[None] - share[..., None] * along[None], -1, 0))
    return np.asarray((away < ON_LINE * radius).any(axis=1))


def _close(q: np.ndarray, places: np.ndarray, reach: float) -> np.ndarray:
    return np.asarray(np.hypot(*np.moveaxis(q[:, None] - places[None], -1, 0)) < reach)
