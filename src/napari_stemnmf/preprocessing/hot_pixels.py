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
GROUP_MOST, MANY_SIGMA, MANY_COUNTS = 9, 3.0, 5.0
"""So many may, if all within three pixels are darker by far, and they have too much by so many times the noise of a
single pattern and by so many counts."""
RIVAL = 0.3
"""What is brightest is the direct beam, unless something else has this share of its light; such a share is no hot group
either."""
TAIL = 0.05
"""Beside a direct beam of one pixel, its tail has this share of its height."""
CALM_SHARE, CALM_COUNTS = 0.3, 3.0
"""What stands out of the mean by so many counts stands out of the calm pattern by this share of it."""
CHANGING, SURE = (1.5, 5.0), 4.0
"""The counts of a spot vary so many times as much as a hot pixel's would, the former where they are few, by so many
standard errors."""
FEW_PATTERNS = 8
"""From fewer patterns, what changes is not known."""
PAIRED, PAIRS, MOST_PLACES = 0.5, 6, 500
"""Where this share of what stands out, and so many at least, have their like across one middle, those are spots; of so
many, the brightest, that is asked."""
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
    mean = _numbers(mean)
    if settings.hot_pixels == "off" or mean.size == 0:
        return np.empty((0, 2), np.int32)
    threshold, out = float(settings.hot_threshold), np.zeros(mean.shape, bool) if out is None else out
    if settings.hot_pixels == "counts":
        return np.argwhere(~out & (mean > _surroundings(mean, out, 0, 2)[0] + threshold)).astype(np.int32)
    step = count_step(mean[np.newaxis]) if patterns is None else count_step(patterns[:STEP_PATTERNS]) / count
    one = step * count
    hot, many = _stands_out(mean, mean, step, one, threshold, out)
    spots = np.zeros(mean.shape, bool)
    if patterns is not None and len(patterns) > 1:
        half = (len(patterns) + 1) // 2
        calm = _calm(patterns, half)
        still, still_many = _stands_out(calm, mean, one / half, one, threshold, out)
        hot |= still
        if len(patterns) >= FEW_PATTERNS:
            hot |= many & still_many
            spots = _changing(patterns, calm, hot, one, out)
    hot &= ~_symmetric(hot | spots, mean) & ~spots
    hot &= ~_beam(hot, mean, out)
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


def _changing(patterns: np.ndarray, calm: np.ndarray, hot: np.ndarray, step: float, out: np.ndarray) -> np.ndarray:
    """Which pixels that stand out are spots: missing in the calm pattern, or changing far more than counts do."""
    spots = np.zeros(hot.shape, bool)
    bad = hot | out
    for y, x in np.argwhere(hot):
        box = np.s_[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        good = ~bad[box]
        if not good.any():
            continue
        around = _numbers(patterns[(slice(None), *box)])[:, good]
        values = _numbers(patterns[:, y, x])
        excess = float(values.mean() - np.median(around.mean(axis=0)))
        missing = float(calm[y, x] - np.median(calm[box][good])) < CALM_SHARE * excess
        expected = float(around.var(axis=0).max()) + max(step, 0.0) * max(excess, 0.0)
        found = float(values.var())
        error = found * np.sqrt(2.0 / len(values))
        times = float(np.clip(excess / max(2.0 * step, 1e-30), *CHANGING))
        changing = found > times * expected and found - expected > SURE * error and step > 0
        spots[y, x] = changing or (missing and excess > CALM_COUNTS * step)
    return spots


def _symmetric(where: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Spots, which have their like across a common middle, as most of what stands out has then."""
    groups, number = ndimage.label(where, np.ones((3, 3)))
    if number < PAIRS:
        return np.zeros(where.shape, bool)
    heights = ndimage.maximum(mean, groups, np.arange(1, number + 1))
    chosen = 1 + np.argsort(-np.asarray(heights), kind="stable")[:MOST_PLACES]
    places = np.rint(ndimage.center_of_mass(where, groups, chosen)).astype(np.int64)
    votes = np.zeros(2 * np.array(where.shape) - 1, np.int64)
    first, second = np.triu_indices(len(places), 1)
    np.add.at(votes, tuple((places[first] + places[second]).T), 1)
    near = ndimage.uniform_filter(votes.astype(np.float64), 3, mode="constant")
    middle = np.array(np.unravel_index(int(np.argmax(near)), near.shape))  # twice the place
    across = middle - places
    there = ((across >= 0) & (across < where.shape)).all(axis=1)
    paired = np.zeros(len(places), bool)
    paired[there] = ndimage.binary_dilation(where, np.ones((3, 3)))[tuple(across[there].T)]
    if paired.sum() < max(PAIRS, PAIRED * there.sum()):
        return np.zeros(where.shape, bool)
    return np.isin(groups, chosen[paired | ~there])


def _beam(hot: np.ndarray, mean: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The hot pixels that are the direct beam: where the pattern is brightest, and nothing else is nearly as bright."""
    broad = ndimage.uniform_filter(np.where(out, 0.0, mean), 3, mode="constant")
    y, x = np.unravel_index(int(np.argmax(broad)), broad.shape)
    there = np.s_[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
    groups, _ = ndimage.label(hot, np.ones((3, 3)))
    beam = np.isin(groups, groups[there][groups[there] > 0])
    tail = ndimage.binary_dilation(beam, np.ones((3, 3))) & ~beam & ~out
    peak, ground = float(mean[there].max()), float(np.median(mean[~out]))
    if not beam.any() or not tail.any() or mean[tail].max() - ground < TAIL * (peak - ground):
        return np.zeros(hot.shape, bool)
    rest = np.where(out | beam, 0.0, mean)
    rest[there] = 0.0
    rival = ndimage.uniform_filter(rest, 3, mode="constant").max() >= RIVAL * broad[y, x]
    return np.zeros(hot.shape, bool) if rival else beam


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
