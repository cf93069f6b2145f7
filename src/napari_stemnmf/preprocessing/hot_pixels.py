"""Pixels that count too much in every pattern: found once for a scan, repaired in each pattern.

A hot pixel stands out of its neighbourhood in the mean pattern, unless a Bragg disk lies beside it there. Disks come
and go from pattern to pattern and hot pixels do not, so it is looked for in the *calm* pattern as well: at each pixel
the mean over the darker half of a sample of patterns. For the same reason a spot of a single pixel is none: it is
missing in the calm pattern, its counts change far more than counts do, or it has its like across the direct beam.
Imports Numba.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from napari_stemnmf.compiled import njit
from napari_stemnmf.preprocessing.dead_pixels import STEP_PATTERNS, calm_pattern, count_step
from napari_stemnmf.preprocessing.sharp_spots import (
    RIVAL,
    beam_of_one_pixel,
    changing,
    fading,
    numbers,
    symmetric,
    touching,
)
from napari_stemnmf.stage_settings import PreprocessSettings

STRUCTURE = 1.5
"""A pixel that stands out by less than this times the contrast around it may belong to a small sharp spot."""
STRUCTURE_GROUP = 4.0
"""The same for two or three pixels side by side."""
GROUP = 3
"""Most hot pixels that may touch each other."""
GROUP_MOST, MANY_SIGMA, MANY_COUNTS = 9, 3.0, 5.0
"""So many may, if all within three pixels are darker by far, and they have too much by so many times the noise of a
single pattern and by so many counts."""
FEW_PATTERNS = 8
"""From fewer patterns, what changes is not known."""
LEAST_SIGMA, LEAST_COUNTS = 1.0, 0.1
"""What a hot pixel has too much in each pattern, in units of the noise of a single one, and in counts."""
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
    mean = numbers(mean)
    if settings.hot_pixels == "off" or mean.size == 0:
        return np.empty((0, 2), np.int32)
    threshold, out = float(settings.hot_threshold), np.zeros(mean.shape, bool) if out is None else out
    if settings.hot_pixels == "counts":
        return np.argwhere(~out & (mean > _surroundings(mean, out, 0, 2)[0] + threshold)).astype(np.int32)
    step = count_step(mean[np.newaxis]) if patterns is None else count_step(patterns[:STEP_PATTERNS]) / count
    one = step * count
    hot, many = _stands_out(mean, mean, step, one, threshold, out)
    spots, calmly = np.zeros(mean.shape, bool), np.ones(mean.shape, bool)
    if patterns is not None and len(patterns) > 1:
        half = (len(patterns) + 1) // 2
        calm = calm_pattern(patterns)
        still, still_many = _stands_out(calm, mean, one / half, one, threshold, out)
        hot |= still
        calmly = ~still | fading(
            still, calm, one / half, out
        )  # beside a disk that comes and goes all fades in the mean
        if len(patterns) >= FEW_PATTERNS:
            hot |= many & still_many
            spots = changing(patterns, calm, hot, one, out)
    hot &= ~symmetric(hot | spots, mean) & ~touching(hot, spots)
    hot &= ~(fading(hot, mean, step, out) & calmly)
    hot &= ~beam_of_one_pixel(hot, mean, out)
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


def _stands_out(
    pattern: np.ndarray, mean: np.ndarray, step: float, one: float, threshold: float, out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where a pattern exceeds its surroundings by far more than noise and structure let expect: few pixels, and many.

    `mean` is how many counts there are on average, `step` one count of one pattern in the values of `pattern`, `one`
    that in the values of a single pattern. Pixels that are left `out` are no surroundings.
    """
    highest, third, middle, low = _surroundings(pattern, out, 0, 2)
    second, _, _, low_around = _surroundings(pattern, out, 2, 3)
    noise = _noise(pattern[~out], middle[~out])
    calm_mean = _surroundings(mean, out, 0, 2)[2]

    def above(
        reference: np.ndarray,
        low: np.ndarray,
        structure: float,
        sigma: float = LEAST_SIGMA,
        counts: float = LEAST_COUNTS,
    ) -> np.ndarray:
        counted = np.sqrt(step * np.maximum(np.maximum(reference, calm_mean), step))
        spread = threshold * np.maximum(noise(reference), counted)
        least = np.maximum(sigma * np.sqrt(one * np.maximum(reference, 0.0)), counts * one)
        return ~out & (pattern > reference + np.maximum(spread, least) + structure * (reference - low))

    single = above(highest, low, STRUCTURE)
    few = _groups_of(single | above(third, low, STRUCTURE_GROUP), GROUP)
    many = _groups_of(above(second, low_around, STRUCTURE_GROUP, MANY_SIGMA, MANY_COUNTS), GROUP_MOST)
    broad = ndimage.uniform_filter(np.where(out, 0.0, pattern), 3, mode="constant")
    bright = broad >= RIVAL * broad.max()
    bright[[0, -1]] = bright[:, [0, -1]] = True  # a disk may lie beyond the edge
    groups, _ = ndimage.label(many, np.ones((3, 3)))
    many &= ~np.isin(groups, groups[bright & many])
    return np.asarray(single | few), many


def _groups_of(where: np.ndarray, most: int) -> np.ndarray:
    """The pixels that touch no more than so many others, themselves included."""
    groups, _ = ndimage.label(where, np.ones((3, 3)))
    small = np.bincount(groups.ravel()) <= most
    small[0] = False
    return np.asarray(small[groups])


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
def _surroundings(
    pattern: np.ndarray, out: np.ndarray, inner: int, outer: int
) -> np.ndarray:  # pragma: no cover - compiled
    """What lies around each pixel of a pattern (q_y, q_x): the square of `outer` less its corners and that of `inner`.

    Squares reach so many pixels to each side. Returns (4, q_y, q_x): the highest, third highest, median and third
    lowest of those that are on the detector and not left out; the second highest for the highest where `inner` is not
    0.
    """
    rows, columns = pattern.shape
    found = np.empty((4, rows, columns))
    values = np.empty((2 * outer + 1) ** 2)
    skip = 1 if inner > 0 else 0
    for i in range(rows):
        for j in range(columns):
            n = 0
            for di in range(-outer, outer + 1):
                for dj in range(-outer, outer + 1):
                    if abs(di) + abs(dj) == 2 * outer or max(abs(di), abs(dj)) <= inner:
                        continue
                    y, x = i + di, j + dj
                    if 0 <= y < rows and 0 <= x < columns and not out[y, x]:
                        value = pattern[y, x]
                        n = _insert(values, n, value)
            if n == 0:
                found[:, i, j] = pattern[i, j]
                continue
            found[0, i, j] = values[max(n - 1 - skip, 0)]
            found[1, i, j] = values[max(n - 3, 0)]
            found[2, i, j] = 0.5 * (values[(n - 1) // 2] + values[n // 2])
            found[3, i, j] = values[min(2, n - 1)]
    return found


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
