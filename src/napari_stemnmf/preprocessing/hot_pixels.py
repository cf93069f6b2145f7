"""Pixels that count too much in every pattern: found once for a scan, repaired in each pattern.

A hot pixel stands out of its neighbourhood in the mean pattern, unless a Bragg disk lies beside it there. Disks come
and go from pattern to pattern and hot pixels do not, so it is looked for in the *calm* pattern as well: at each pixel
the mean over the darker half of a sample of patterns. Imports Numba.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from scipy import ndimage

from napari_stemnmf.preprocessing.dead_pixels import STEP_PATTERNS, count_step
from napari_stemnmf.stage_settings import PreprocessSettings

STRUCTURE = 1.5
"""A pixel that stands out by less than this times the contrast around it may belong to a small sharp spot."""
STRUCTURE_GROUP = 4.0
"""The same for two or three pixels side by side."""
GROUP = 3
"""Most hot pixels that may touch each other."""
LEVELS = 32
"""Noise is measured in so many classes of brightness, of at least CLASS pixels each."""
CLASS = 200


def find_hot_pixels(
    mean: np.ndarray,
    settings: PreprocessSettings,
    *,
    patterns: np.ndarray | None = None,
    count: int = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The hot pixels of a detector: (h, 2) int32 rows and columns, in the order of the detector.

    With ``settings.hot_pixels == "counts"``: where the mean pattern (q_y, q_x) exceeds the second-highest value of its
    21-pixel neighbourhood (5 x 5 less the corners) by the threshold, as in Bruefach, Ophus & Scott (2022). With
    ``"sigma"``: by so many times the noise at that brightness and by more than a small sharp spot would, in the mean
    pattern or in the calm one; two or three hot pixels side by side are measured against the highest pixel that is not
    among them. The calm one is that of a sample of the patterns (p, q_y, q_x) from all over the scan; `count` patterns
    made the mean.
    """
    mean = _numbers(mean)
    if settings.hot_pixels == "off" or mean.size == 0:
        return np.empty((0, 2), np.int32)
    threshold = float(settings.hot_threshold)
    if settings.hot_pixels == "counts":
        hot = mean > _surroundings(mean)[0] + threshold
    else:
        step = count_step(mean[np.newaxis]) if patterns is None else count_step(patterns[:STEP_PATTERNS]) / count
        hot = _stands_out(mean, mean, step, threshold)
        if patterns is not None and len(patterns) > 1:
            half = (len(patterns) + 1) // 2
            hot |= _stands_out(_calm(patterns, half), mean, step * count / half, threshold)
    return np.argwhere(hot).astype(np.int32)


def repair(block: np.ndarray, hot: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Patterns (..., q_y, q_x) with the hot pixels (h, 2) replaced by the median of their good neighbours.

    Good neighbours are those of the 3 x 3 pixels on the detector that are neither hot nor left `out` (q_y, q_x); where
    there are none, of the 5 x 5, and so on. The result is a new array of the same type; `block` itself where there is
    nothing to repair.
    """
    if not len(hot):
        return block
    shape = block.shape[-2:]
    repaired = np.array(block, order="C")
    first, good = good_neighbours(hot, (shape[0], shape[1]), out)
    flat = np.asarray(hot, np.int64) @ [shape[1], 1]
    _fill(repaired.reshape(-1, shape[0] * shape[1]), flat, first, good, repaired.dtype.kind in "iub")
    return repaired


def good_neighbours(
    hot: np.ndarray, shape: tuple[int, int], out: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Those of hot pixel i (flat, int64) are ``good[first[i]:first[i + 1]]``: (first, good)."""
    bad = np.zeros(shape, bool) if out is None else out.copy()
    bad[hot[:, 0], hot[:, 1]] = True
    found = []
    for y, x in np.asarray(hot, np.int64):
        for reach in range(1, max(2, *shape)):
            rows = np.arange(max(0, y - reach), min(shape[0], y + reach + 1))[:, None]
            columns = np.arange(max(0, x - reach), min(shape[1], x + reach + 1))
            near = (rows * shape[1] + columns)[~bad[rows, columns]]
            if near.size:
                break
        found.append(near)
    first = np.concatenate([[0], np.cumsum([len(near) for near in found])]).astype(np.int64)
    return first, np.concatenate(found).astype(np.int64)


def _numbers(pattern: np.ndarray) -> np.ndarray:
    """As float64, with 0 for what is no number."""
    return np.nan_to_num(np.asarray(pattern, np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _calm(patterns: np.ndarray, half: int) -> np.ndarray:
    """At each pixel, the mean of its `half` lowest values."""
    lowest = np.partition(patterns, half - 1, axis=0)[:half]
    return np.asarray(_numbers(lowest).mean(axis=0) if lowest.dtype.kind == "f" else lowest.mean(axis=0))


def _stands_out(pattern: np.ndarray, mean: np.ndarray, step: float, threshold: float) -> np.ndarray:
    """Where a pattern exceeds its surroundings by far more than noise and structure let expect.

    `mean` is how many counts there are on average, and `step` one count of one pattern in the values of `pattern`.
    """
    highest, third, middle, low = _surroundings(pattern)
    noise = _noise(pattern, middle)
    calm_mean = _surroundings(mean)[2]

    def above(reference: np.ndarray, structure: float) -> np.ndarray:
        counted = np.sqrt(step * np.maximum(np.maximum(reference, calm_mean), step))
        spread = np.maximum(noise(reference), counted)
        return pattern > reference + threshold * spread + structure * (reference - low)

    single = above(highest, STRUCTURE)
    groups, _ = ndimage.label(single | above(third, STRUCTURE_GROUP), np.ones((3, 3)))
    small = np.bincount(groups.ravel()) <= GROUP
    small[0] = False
    return np.asarray(single | small[groups])


def _noise(pattern: np.ndarray, middle: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The robust standard deviation of pixels about the median around them, as a function of their brightness."""
    order = np.argsort(middle, axis=None)
    distance = np.abs(pattern - middle).ravel()[order]
    classes = np.array_split(np.arange(order.size), max(1, min(LEVELS, order.size // CLASS)))
    level = np.array([np.median(middle.ravel()[order[part]]) for part in classes])
    spread = np.maximum.accumulate([1.4826 * np.median(distance[part]) for part in classes])
    level, kept = np.unique(level, return_index=True)
    spread = spread[kept]

    def at(values: np.ndarray) -> np.ndarray:
        beyond = np.sqrt(np.maximum(values, level[-1]) / level[-1]) if level[-1] > 0 else 1.0
        return np.asarray(np.interp(values, level, spread) * beyond)

    return at


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
def _surroundings(pattern: np.ndarray) -> np.ndarray:  # pragma: no cover - compiled
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
def _fill(
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
