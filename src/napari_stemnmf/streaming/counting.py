"""The compiled loops of the survey: one look at each value of a block gives all that the survey wants.

In a module of its own, so that what needs the survey's other parts does not wait for Numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


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
