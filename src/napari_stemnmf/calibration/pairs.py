"""The compiled loops behind `friedel`: midpoints of pairs of disks, and their weighted means about a centre."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def midpoints(
    offsets: np.ndarray,
    q_y: np.ndarray,
    q_x: np.ndarray,
    height: np.ndarray,
    guess: np.ndarray,
    reach: float,
    most: int,
) -> Any:  # pragma: no cover - compiled
    """Midpoints of all pairs among the `most` highest disks of each pattern that lie within `reach` of the `guess`.

    Returns starts (n + 1,), and for each midpoint its row, column and weight: the likeness of the two heights, the
    root of lower over higher.
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
def means_about(
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
