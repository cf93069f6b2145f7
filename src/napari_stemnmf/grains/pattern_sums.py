"""The loops over pixels that make grain patterns and their dissimilarity, compiled.

Apart from `patterns`, so that those who only handle its results need not load numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_TILE = 2048  # pixels taken at a time: their sums for some ten grains stay in the second cache


@njit(nogil=True, cache=True)
def _clean(value: Any) -> float:  # pragma: no cover - compiled
    real = np.float64(value)
    return real if abs(real) < np.inf else 0.0  # NaN compares false


@njit(nogil=True, cache=True)
def add_patterns(
    block: np.ndarray, indptr: np.ndarray, slot: np.ndarray, weights: np.ndarray, sums: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Add weight times pattern to `sums` (slots, pixels), for entries indptr[p] to indptr[p + 1] of each pattern."""
    patterns, pixels = block.shape
    values = np.empty(_TILE)
    for start in range(0, pixels, _TILE):
        size = min(_TILE, pixels - start)
        for p in range(patterns):
            if indptr[p] == indptr[p + 1]:
                continue
            pattern = block[p, start : start + size]
            for i in range(size):
                values[i] = _clean(pattern[i])
            for entry in range(indptr[p], indptr[p + 1]):
                weight = weights[entry]
                target = sums[slot[entry], start : start + size]
                for i in range(size):
                    target[i] += weight * values[i]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _distance(first: np.ndarray, second: np.ndarray) -> float:  # pragma: no cover - compiled
    total = np.float64(0)
    for start in range(0, len(first), _TILE):  # float32 within a tile is exact enough, and twice as fast
        one, other = first[start : start + _TILE], second[start : start + _TILE]
        part = np.float32(0)
        for i in range(len(one)):
            part += abs(one[i] - other[i])
        total += part
    return total


@njit(nogil=True, cache=True)
def add_distances(
    block: np.ndarray,
    low: np.ndarray,
    factor: np.ndarray,
    indptr: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    sums: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """Add weight times distance to `sums` (grains,): of each pattern, scaled to 0..1, from the means of its grains."""
    values = np.empty(block.shape[1], np.float32)
    for p in range(len(block)):
        if indptr[p] == indptr[p + 1]:
            continue
        pattern = block[p]
        for i in range(len(values)):
            values[i] = np.float32((np.float64(pattern[i]) - low[p]) * factor[p])
        for entry in range(indptr[p], indptr[p + 1]):
            sums[rows[entry]] += weights[entry] * _distance(values, means[rows[entry]])
