"""The compiled loops of preparation: what surrounds a pixel, repair from good neighbours, binning."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def _insert(values: np.ndarray, n: int, value: float) -> int:  # pragma: no cover - compiled
    """Put a value into the first `n` of `values`, which are sorted; returns n + 1."""
    k = n
    while k > 0 and values[k - 1] > value:
        values[k] = values[k - 1]
        k -= 1
    values[k] = value
    return n + 1


@njit(nogil=True, cache=True)
def surroundings(pattern: np.ndarray) -> np.ndarray:  # pragma: no cover - compiled
    """What lies around each pixel of a pattern (q_y, q_x): the 5 x 5 pixels less the corners and itself.

    Returns (4, q_y, q_x): the highest, third highest, median and third lowest of those that are on the detector.
    """
    rows, columns = pattern.shape
    out = np.empty((4, rows, columns))
    values = np.empty(20)
    for i in range(rows):
        for j in range(columns):
            n = 0
            for di in range(-2, 3):
                for dj in range(-2, 3):
                    if abs(di) + abs(dj) == 4 or (di == 0 and dj == 0):
                        continue
                    y, x = i + di, j + dj
                    if 0 <= y < rows and 0 <= x < columns:
                        value = pattern[y, x]
                        n = _insert(values, n, value)
            if n == 0:
                out[:, i, j] = pattern[i, j]
                continue
            out[0, i, j] = values[n - 1]
            out[1, i, j] = values[max(n - 3, 0)]
            out[2, i, j] = 0.5 * (values[(n - 1) // 2] + values[n // 2])
            out[3, i, j] = values[min(2, n - 1)]
    return out


@njit(nogil=True, cache=True)
def fill(
    patterns: np.ndarray, hot: np.ndarray, first: np.ndarray, good: np.ndarray, whole: bool
) -> None:  # pragma: no cover - compiled
    """Put the median of its good neighbours into each hot pixel of patterns (p, pixels), in place.

    `hot` (h,) are flat pixels; the good neighbours of pixel i are ``good[first[i]:first[i + 1]]``. Values that are not
    finite do not count. With `whole`, a median between two values is rounded to the even one.
    """
    values = np.empty(len(good), np.float64)
    for p in range(len(patterns)):
        row = patterns[p]
        for h in range(len(hot)):
            n = 0
            for g in range(first[h], first[h + 1]):
                value = np.float64(row[good[g]])
                if np.isfinite(value):
                    n = _insert(values, n, value)
            median = 0.5 * (values[(n - 1) // 2] + values[n // 2]) if n else 0.0
            row[hot[h]] = np.rint(median) if whole else median


@njit(nogil=True, cache=True)
def add_up(patterns: np.ndarray, step: int, out: np.ndarray) -> None:  # pragma: no cover - compiled
    """Sum patterns (p, q_y, q_x) over squares of `step` pixels into `out`; what is not finite counts as 0.

    Sums are made in float64, which holds those of up to 64 x 64 values of 32 bit exactly.
    """
    for p in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                total = 0.0
                for y in range(i * step, (i + 1) * step):
                    for x in range(j * step, (j + 1) * step):
                        value = np.float64(patterns[p, y, x])
                        if np.isfinite(value):
                            total += value
                out[p, i, j] = total
