"""Where the edge of a disk lies, whatever fills it.

Crystals scatter many times: a disk is bright and dark inside, which pulls the maximum of the correlation, by a tenth of
its radius and the same way over a whole grain. Its outline stays where it is. So a disk is described as a disk of even
height, one that is brighter in the middle, slopes along both axes and a background, and by how much its edge is moved.
All of that is linear, and three sums over the pixels around it give the height at the edge and the edge's place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from napari_stemnmf.compiled import njit

LEAST_RADIUS = 2.0  # px; smaller disks have no edge to speak of
ROOM, LEAST_ROOM = 0.5, 1.5  # beyond the disk's edge, in its radii and in px, that is looked at
FINE, COARSE, LARGE = 8, 4, 8.0  # places within a pixel that tables are made for, the latter for radii from LARGE px on
FARTHEST = 0.5  # radii between a disk and its edge's place
DARK = 0.3  # share of a disk's height that its edge has at least: a dark one tells no place


def room(radius: float) -> float:
    """How far from its centre a disk is looked at, px."""
    return radius + max(LEAST_ROOM, ROOM * radius)


def edge_tables(kernel: np.ndarray, radius: float) -> np.ndarray:
    """What pixels count for height at the edge and its shifts along rows and columns, (s, s, 3, 2 n + 1, 2 n + 1).

    The first two indices say where in the middle pixel the disk is. `kernel` is the zero-sum template whose positive
    part is the disk, the radius in px; without tables (s = 0) where the disk is too small.
    """
    reach = int(np.ceil(room(radius) + 0.5))
    steps = 0 if radius < LEAST_RADIUS else FINE if radius < LARGE else COARSE
    tables = np.zeros((steps, steps, 3, 2 * reach + 1, 2 * reach + 1), np.float32)
    if not steps:
        return tables
    disk = np.maximum(kernel, 0.0).astype(np.float64)
    half = kernel.shape[0] // 2
    distance, ring = np.unique(np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]), return_inverse=True)
    profile = np.bincount(ring.ravel(), disk.ravel()) / np.bincount(ring.ravel())
    inner = max(profile[distance <= max(0.5 * radius, 1.0)].mean(), 0.5 * profile.max())  # a hollow disk has none
    height = PchipInterpolator(distance, profile / inner, extrapolate=True)
    slope, pixels = height.derivative(), np.arange(-reach, reach + 1)
    for i, j in np.ndindex(steps, steps):
        y, x = np.meshgrid(pixels - (i + 0.5) / steps + 0.5, pixels - (j + 0.5) / steps + 0.5, indexing="ij")
        r = np.maximum(np.hypot(y, x), 1e-9)
        there = r <= room(radius)
        even, fall = (np.where(r < distance[-1], part(r), 0.0) for part in (height, slope))
        terms = (
            even,
            -fall * y / r,
            -fall * x / r,
            even * (1 - (r / radius) ** 2),
            even * y,
            even * x,
            np.ones_like(r),
        )
        tables[i, j][:, there] = np.linalg.pinv(np.stack([term[there] for term in terms], axis=1))[:3]
    return tables


@njit(nogil=True, cache=True)
def edges(
    image: Any, tables: Any, clear: Any, pad: Any, farthest: Any, disks: Any, out: Any
) -> None:  # pragma: no cover - compiled
    """Fill `out` (n, 2) with the places of the edges of disks (n, 4); NaN where something else is too near.

    `clear` (q_y, q_x) tells where there is room for that; the image has `pad` pixels more at each side. An edge that is
    more than `farthest` px from its disk is noise.
    """
    steps, reach = tables.shape[0], tables.shape[3] // 2
    for k in range(len(disks)):
        out[k] = np.nan
        row, column = round(disks[k, 0]), round(disks[k, 1])
        if not (steps > 0 and 0 <= row < clear.shape[0] and 0 <= column < clear.shape[1] and clear[row, column]):
            continue
        i = min(int((disks[k, 0] - row + 0.5) * steps), steps - 1)
        j = min(int((disks[k, 1] - column + 0.5) * steps), steps - 1)
        height = down = right = 0.0
        for u in range(2 * reach + 1):
            for v in range(2 * reach + 1):
                value = image[pad + row - reach + u, pad + column - reach + v]
                height += value * tables[i, j, 0, u, v]
                down += value * tables[i, j, 1, u, v]
                right += value * tables[i, j, 2, u, v]
        height = max(height, DARK * disks[k, 2])
        if height > 0.0 and np.hypot(down, right) <= farthest * height:
            out[k, 0] = row + (i + 0.5) / steps - 0.5 + down / height
            out[k, 1] = column + (j + 0.5) / steps - 0.5 + right / height
