"""The compiled loops over counts: sums and maxima for the survey, sums and moments under virtual detectors.

In a module of its own, so that what needs no sums does not wait for Numba. Values below zero, NaN and infinity count as
0 everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_ANY_ORDER = {"reassoc", "nsz"}  # sums in any order; NaN and infinity stay themselves


@njit(nogil=True, cache=True)
def look_at_integers(block: np.ndarray) -> Any:  # pragma: no cover - compiled
    """Look once at whole numbers of up to 32 bit (p, pixels); summed exactly.

    Returns the sum (pixels,), the maximum (pixels,) float32, the sum of each pattern (p,) and the numbers of values
    that are not finite and that are negative, both of which are taken as 0.
    """
    patterns, pixels = block.shape
    total = np.zeros(pixels, np.int64)
    maximum = np.zeros(pixels, np.float32)
    sums = np.zeros(patterns, np.float64)
    odd = np.zeros(2, np.int64)
    for p in range(patterns):
        negative = 0
        pattern_sum = 0
        row = block[p]
        for i in range(pixels):
            value: Any = np.int64(row[i])
            negative += value < 0
            value = max(value, 0)
            pattern_sum += value
            total[i] += value
            maximum[i] = max(maximum[i], np.float32(value))
        sums[p] = pattern_sum
        odd[1] += negative
    return total, maximum, sums, odd


@njit(nogil=True, cache=True, fastmath={"reassoc", "nsz"})  # sums in any order; NaN and infinity stay themselves
def look_at_reals(block: np.ndarray) -> Any:  # pragma: no cover - compiled
    """The same of any other numbers (p, pixels), summed in float64."""
    patterns, pixels = block.shape
    total = np.zeros(pixels, np.float64)
    maximum = np.zeros(pixels, np.float32)
    sums = np.zeros(patterns, np.float64)
    odd = np.zeros(2, np.int64)
    largest = np.float64(np.finfo(np.float32).max)
    for p in range(patterns):
        not_finite = 0
        negative = 0
        pattern_sum = 0.0
        row = block[p]
        for i in range(pixels):
            value: Any = np.float64(row[i])
            finite = abs(value) <= largest
            not_finite += not finite
            negative += finite and value < 0.0
            value = value if finite and value > 0.0 else 0.0
            pattern_sum += value
            total[i] += value
            maximum[i] = max(maximum[i], np.float32(value))
        sums[p] = pattern_sum
        odd[0] += not_finite
        odd[1] += negative
    return total, maximum, sums, odd


@njit(nogil=True, cache=True)
def sum_integers(block: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Any:  # pragma: no cover - compiled
    """(p,) float64 sums of whole numbers (p, pixels) over the stretches ``start[k]:stop[k]``."""
    out = np.empty(len(block), np.float64)
    for p in range(len(block)):
        total = np.int64(0)
        for k in range(len(start)):
            piece = block[p, start[k] : stop[k]]  # whose indices cannot be negative: the loop becomes vectors
            for i in range(len(piece)):
                total += max(np.int64(piece[i]), np.int64(0))
        out[p] = total
    return out


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def sum_reals(block: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Any:  # pragma: no cover - compiled
    """The same of any other numbers."""
    largest = np.float64(np.finfo(np.float32).max)
    out = np.empty(len(block), np.float64)
    for p in range(len(block)):
        total = 0.0
        for k in range(len(start)):
            piece = block[p, start[k] : stop[k]]
            for i in range(len(piece)):
                value = np.float64(piece[i])
                total += value if 0.0 < value <= largest else 0.0
        out[p] = total
    return out


@njit(nogil=True, cache=True)
def moments_integers(
    block: np.ndarray, start: np.ndarray, stop: np.ndarray, columns: int
) -> Any:  # pragma: no cover - compiled
    """(p, 3) float64: sum, and sums times row and times column, over stretches within rows of so many columns."""
    out = np.zeros((len(block), 3), np.float64)
    for p in range(len(block)):
        for k in range(len(start)):
            total = np.int64(0)
            along = np.int64(0)
            first = start[k]
            piece = block[p, first : stop[k]]
            for i in range(len(piece)):
                value = max(np.int64(piece[i]), np.int64(0))
                total += value
                along += value * i
            out[p, 0] += total
            out[p, 1] += np.float64(total) * (first // columns)
            out[p, 2] += np.float64(along) + np.float64(total) * (first % columns)
    return out


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def moments_reals(
    block: np.ndarray, start: np.ndarray, stop: np.ndarray, columns: int
) -> Any:  # pragma: no cover - compiled
    """The same of any other numbers."""
    largest = np.float64(np.finfo(np.float32).max)
    out = np.zeros((len(block), 3), np.float64)
    for p in range(len(block)):
        for k in range(len(start)):
            total = 0.0
            along = 0.0
            first = start[k]
            piece = block[p, first : stop[k]]
            for i in range(len(piece)):
                value = np.float64(piece[i])
                value = value if 0.0 < value <= largest else 0.0
                total += value
                along += value * i
            out[p, 0] += total
            out[p, 1] += total * (first // columns)
            out[p, 2] += along + total * (first % columns)
    return out


@njit(nogil=True, cache=True)
def reduce_patterns(
    block: np.ndarray, bin_: int, out: np.ndarray, columns: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Write binned patterns as running sums along q_x into columns of a table.

    Parameters
    ----------
    block : ndarray
        (p, q_y, q_x) counts.
    bin_ : int
        Detector pixels that become one, along both axes.
    out : ndarray of float32
        (rows, columns + 1, n): entry c is the sum of the binned pixels before c of its row.
    columns : ndarray of int
        (p,) where along the last axis each pattern goes.
    """
    largest = np.float64(np.finfo(np.float32).max)
    patterns, q_y, q_x = block.shape
    running = np.zeros(out.shape[1], np.float64)
    for p in range(patterns):
        for r in range(out.shape[0]):
            running[:] = 0.0
            for y in range(r * bin_, min(q_y, (r + 1) * bin_)):
                for c in range(out.shape[1] - 1):
                    for x in range(c * bin_, min(q_x, (c + 1) * bin_)):
                        value = np.float64(block[p, y, x])
                        running[c + 1] += value if 0.0 < value <= largest else 0.0
            for c in range(1, out.shape[1]):
                running[c] += running[c - 1]
                out[r, c, columns[p]] = running[c]


@njit(nogil=True, cache=True, fastmath=True)
def combine(table: np.ndarray, entries: np.ndarray, weights: np.ndarray) -> Any:  # pragma: no cover - compiled
    """(w, n) float32: for each of w sets of weights (w, e), the weighted sum of some rows of a table (rows, n).

    Four rows at a time, over as many columns as stay in the cache: then the sums are loaded and stored a quarter as
    often (2.4 times as fast as row by row).
    """
    sets, n = len(weights), table.shape[1]
    part = 4096
    out = np.zeros((sets, n), np.float32)
    for s in range(sets):
        chosen = np.flatnonzero(weights[s])
        fours = len(chosen) // 4 * 4
        for first in range(0, n, part):
            last = min(n, first + part)
            for k in range(0, fours, 4):
                a, b, c, d = chosen[k], chosen[k + 1], chosen[k + 2], chosen[k + 3]
                row_a, row_b, row_c, row_d = table[entries[a]], table[entries[b]], table[entries[c]], table[entries[d]]
                of_a, of_b, of_c, of_d = weights[s, a], weights[s, b], weights[s, c], weights[s, d]
                for i in range(first, last):
                    out[s, i] += (of_a * row_a[i] + of_b * row_b[i]) + (of_c * row_c[i] + of_d * row_d[i])
            for k in range(fours, len(chosen)):
                row, weight = table[entries[chosen[k]]], weights[s, chosen[k]]
                for i in range(first, last):
                    out[s, i] += weight * row[i]
    return out
