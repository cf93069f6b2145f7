"""The compiled part of `scene` and `kinematic_film`: expected counts of patterns, from where and how high disks are."""

from __future__ import annotations

import numpy as np
from numba import njit

SUBPIXELS = 4  # a pixel on a disk's edge is looked at in so many places along each axis


@njit(cache=True, nogil=True)
def render(
    out: np.ndarray,
    centers: np.ndarray,
    inverse: np.ndarray,
    halos: np.ndarray,
    table_step: float,
    first: np.ndarray,
    disk_y: np.ndarray,
    disk_x: np.ndarray,
    height: np.ndarray,
    radius: float,
    soft: float,
) -> None:  # pragma: no cover - compiled
    """Write the expected counts of p patterns into `out` (p, q_y, q_x).

    Parameters
    ----------
    out : ndarray of float64
        Filled.
    centers : ndarray, (p, 2)
        Of the patterns (q_y, q_x), px.
    inverse : ndarray, (2, 2)
        From what is seen to what is round, (q_y, q_x).
    halos : ndarray, (p, r)
        Radial profile of each pattern's diffuse part, counts a pixel, at multiples of `table_step` px.
    first : ndarray of int, (p + 1,)
        The disks of pattern i are ``first[i]`` to ``first[i + 1]``.
    disk_y, disk_x, height : ndarray
        Centres of the disks, px, and their counts a pixel.
    radius, soft : float
        Of a disk, where it has half of its height; and half the width of its edge. px.
    """
    rows, columns = out.shape[1:]
    last = halos.shape[1] - 2
    reach = int(np.ceil(radius + soft)) + 1
    inner, outer = radius - soft - 0.75, radius + soft + 0.75  # beyond these a pixel is whole, or empty
    for p in range(len(out)):
        for i in range(rows):
            for j in range(columns):
                y, x = i - centers[p, 0], j - centers[p, 1]
                u, v = inverse[0, 0] * y + inverse[0, 1] * x, inverse[1, 0] * y + inverse[1, 1] * x
                place = np.sqrt(u * u + v * v) / table_step
                k = min(int(place), last)
                out[p, i, j] = halos[p, k] + (place - k) * (halos[p, k + 1] - halos[p, k])
        for d in range(first[p], first[p + 1]):
            middle_y, middle_x = int(np.rint(disk_y[d])), int(np.rint(disk_x[d]))
            for i in range(max(0, middle_y - reach), min(rows, middle_y + reach + 1)):
                for j in range(max(0, middle_x - reach), min(columns, middle_x + reach + 1)):
                    y, x = i - disk_y[d], j - disk_x[d]
                    distance = np.sqrt(y * y + x * x)
                    if distance <= inner:
                        out[p, i, j] += height[d]
                    elif distance < outer:
                        out[p, i, j] += height[d] * _covered(y, x, radius, soft)


@njit(cache=True, nogil=True)
def _covered(y: float, x: float, radius: float, soft: float) -> float:  # pragma: no cover - compiled
    """Mean over a pixel of a disk's profile: 1 inside, falling smoothly to 0 over its edge."""
    total = 0.0
    for i in range(SUBPIXELS):
        for j in range(SUBPIXELS):
            v = y + (i + 0.5) / SUBPIXELS - 0.5
            u = x + (j + 0.5) / SUBPIXELS - 0.5
            t = min(max((radius + soft - np.sqrt(v * v + u * u)) / (2 * soft), 0.0), 1.0)
            total += t * t * (3.0 - 2.0 * t)
    return total / SUBPIXELS**2


@njit(cache=True, nogil=True)
def mix(
    out: np.ndarray,
    first: np.ndarray,
    beam: np.ndarray,
    share: np.ndarray,
    spot_first: np.ndarray,
    pixel: np.ndarray,
    weight: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """Add p patterns to `out` (p, pixels): the product of sparse rows of shares and sparse rows of spots.

    Parameters
    ----------
    out : ndarray of float32
        Added to.
    first, beam, share : ndarray
        CSR rows (p, beams): `first` (p + 1,) may point anywhere into the others.
    spot_first, pixel, weight : ndarray
        CSR rows (beams, pixels).
    """
    for p in range(len(out)):
        for k in range(first[p], first[p + 1]):
            b = beam[k]
            for i in range(spot_first[b], spot_first[b + 1]):
                out[p, pixel[i]] += share[k] * weight[i]
