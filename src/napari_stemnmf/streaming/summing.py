"""The compiled loops that sum over patterns: what a survey needs of each value, and sums over stretches of pixels.

Values below zero, NaN and infinity count as 0. Whole numbers of up to 32 bit are summed exactly, all others in float64.
In a module of its own, so that what needs no sums does not wait for Numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from napari_stemnmf.compiled import njit

LARGEST = float(np.finfo(np.float32).max)
_ANY_ORDER = {"reassoc", "nsz"}  # sums in any order; NaN and infinity stay themselves


def statistics(block: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a survey needs of patterns (p, pixels), each value read once.

    Returns the sum (pixels,), the maximum (pixels,) float32, the sum of each pattern (p,) and the numbers of values
    that are not finite and that are negative, both of which are taken as 0.
    """
    exact = block.dtype.kind in "iu" and block.dtype.itemsize <= 4
    return (_integer_statistics if exact else _real_statistics)(block)  # type: ignore[no-any-return]


@njit(nogil=True, cache=True)
def _integer_statistics(block: np.ndarray) -> Any:  # pragma: no cover - compiled
    patterns, pixels = block.shape
    total = np.zeros(pixels, np.int64)
    maximum = np.zeros(pixels, np.float32)
    sums = np.zeros(patterns, np.float64)
    invalid = np.zeros(2, np.int64)
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
        invalid[1] += negative
    return total, maximum, sums, invalid


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def _real_statistics(block: np.ndarray) -> Any:  # pragma: no cover - compiled
    patterns, pixels = block.shape
    total = np.zeros(pixels, np.float64)
    maximum = np.zeros(pixels, np.float32)
    sums = np.zeros(patterns, np.float64)
    invalid = np.zeros(2, np.int64)
    for p in range(patterns):
        not_finite = 0
        negative = 0
        pattern_sum = 0.0
        row = block[p]
        for i in range(pixels):
            value: Any = np.float64(row[i])
            finite = abs(value) <= LARGEST
            not_finite += not finite
            negative += finite and value < 0.0
            value = value if finite and value > 0.0 else 0.0
            pattern_sum += value
            total[i] += value
            maximum[i] = max(maximum[i], np.float32(value))
        sums[p] = pattern_sum
        invalid[0] += not_finite
        invalid[1] += negative
    return total, maximum, sums, invalid


@njit(nogil=True, cache=True)
def look_at(
    block: np.ndarray, y: np.ndarray, x: np.ndarray, side: int, largest: float, lines: np.ndarray
) -> Any:  # pragma: no cover - compiled
    """What tells patterns (p, q_y, q_x) from each other: (p, 7) float64.

    Of tiles of `side` pixels that begin at the rows `y` and columns `x`: the median of their means, their interquartile
    range, the share of pixels that are not finite, and that are `largest` or more. Of the rows `lines`: the sum of what
    is above that median, and the same times row and times column.
    """
    out = np.empty((len(block), 7), np.float64)
    tiles = np.empty(len(y) * len(x), np.float64)
    pixels = len(tiles) * side * side
    for p in range(len(block)):
        pattern = block[p]
        invalid = full = k = 0
        for first in y:
            for left in x:
                total = 0.0
                for row in range(first, first + side):
                    for column in range(left, left + side):
                        value = np.float64(pattern[row, column])
                        if not np.isfinite(value):
                            invalid += 1
                        else:
                            full += value >= largest
                            total += max(value, 0.0)
                tiles[k] = total / (side * side)
                k += 1
        tiles.sort()
        level = np.float64(np.float32(0.5 * (tiles[(k - 1) // 2] + tiles[k // 2])))
        out[p, 0] = level
        out[p, 1] = tiles[3 * (k - 1) // 4] - tiles[(k - 1) // 4]
        out[p, 2] = invalid / pixels
        out[p, 3] = full / pixels
        whole = of_rows = of_columns = 0.0
        for row in lines:
            total = along = 0.0
            for column in range(pattern.shape[1]):
                value = np.float64(pattern[row, column])
                value = value - level if level < value <= LARGEST else 0.0
                total += value
                along += value * column
            whole += total
            of_rows += total * row
            of_columns += along
        out[p, 4] = whole
        out[p, 5] = of_rows
        out[p, 6] = of_columns
    return out


def _count(value: Any) -> Any:
    """The count as int64 for whole numbers of up to 32 bit, otherwise as float64; invalid values as 0."""
    raise NotImplementedError  # exists in compiled code only


@overload(_count)
def _count_by_type(value: Any) -> Any:
    def whole(value: Any) -> Any:
        return max(np.int64(value), np.int64(0))

    def real(value: Any) -> Any:
        number = np.float64(value)
        return number if 0.0 < number <= LARGEST else 0.0

    return whole if isinstance(value, types.Integer) and getattr(value, "bitwidth", 64) <= 32 else real


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def sum_stretches(block: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Any:  # pragma: no cover - compiled
    """(p,) float64 sums of patterns (p, pixels) over the stretches ``start[k]:stop[k]``."""
    out = np.empty(len(block), np.float64)
    for p in range(len(block)):
        total = _count(block.dtype.type(0))
        for k in range(len(start)):
            piece = block[p, start[k] : stop[k]]  # whose indices cannot be negative: the loop becomes vectors
            for i in range(len(piece)):
                total += _count(piece[i])
        out[p] = total
    return out


@njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def moments_of_stretches(
    block: np.ndarray, start: np.ndarray, stop: np.ndarray, columns: int
) -> Any:  # pragma: no cover - compiled
    """(p, 3) float64: sum, and sums times row and times column, over stretches within rows of so many columns."""
    out = np.zeros((len(block), 3), np.float64)
    for p in range(len(block)):
        for k in range(len(start)):
            total = _count(block.dtype.type(0))
            along = _count(block.dtype.type(0))
            first = start[k]
            piece = block[p, first : stop[k]]
            for i in range(len(piece)):
                value = _count(piece[i])
                total += value
                along += value * i
            out[p, 0] += total
            out[p, 1] += np.float64(total) * (first // columns)
            out[p, 2] += np.float64(along) + np.float64(total) * (first % columns)
    return out


@njit(nogil=True, cache=True)
def bin_patterns(patterns: np.ndarray, step: int, out: np.ndarray) -> None:  # pragma: no cover - compiled
    """Sum patterns (p, q_y, q_x) over squares of `step` pixels into `out`; what is not finite counts as 0.

    Sums are made in float64, which holds those of up to 64 x 64 values of 32 bit exactly; negative values stay.
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
    patterns, q_y, q_x = block.shape
    running = np.zeros(out.shape[1], np.float64)
    for p in range(patterns):
        for r in range(out.shape[0]):
            running[:] = 0.0
            for y in range(r * bin_, min(q_y, (r + 1) * bin_)):
                for c in range(out.shape[1] - 1):
                    for x in range(c * bin_, min(q_x, (c + 1) * bin_)):
                        value = np.float64(block[p, y, x])
                        running[c + 1] += value if 0.0 < value <= LARGEST else 0.0
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
