"""How much of a pattern's correlation with the template is noise.

The variance of a count is a gain times the count: 1 for electrons, anything in other units, and more for the
correlation where a detector blurs, so that neighbours have their noise in common, or where the background has
structure. The gain is measured on each pattern, on single pixels and on the correlation where there is no disk. Where
disks fill the detector there is no such place: then they are explained first, and what they leave is the noise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from napari_stemnmf.compiled import njit
from napari_stemnmf.disks.correlation import dot
from napari_stemnmf.disks.overlap import is_maximum
from napari_stemnmf.disks.template import FALLOFF_STEP
from napari_stemnmf.preprocessing.vertex import vertex

TILE_ROWS, TILE_COLUMNS, MOST_TILES = 4, 16, 256
"""Part of a pattern in which its noise is measured, and how many at most."""
CALM_PATTERNS = 0.25  # quantile of the gains of patterns that is the scan's: others are uneven for their disks
TILE_QUANTILE = 0.25  # of the tiles' ratios of variance to mean: tiles with disks in them lie above
TILE_BIAS = 0.83  # that quantile for nothing but noise: chi-squared of 32 degrees of freedom
PAIR_BIAS = 0.88  # the same for two patterns: of 64 degrees of freedom
UNEVEN_QUANTILE, SAME = 0.75, 0.25  # of the tiles, those with disks: neighbours are the same that differ so much less
FEWEST_TILES = 32  # among fewer there may be none without a disk
FEW_LIT = 8  # tiles of a pattern with counts: of fewer the direct beam alone may fill all, as in vacuum
ELECTRONS = 0.2  # a gain of whole numbers that is so near to 1 is that of electrons
ALIKE = 2.0  # the upper over the lower quartile, up to which all tiles have one gain: 1.4 for nothing but noise
STEP = 0.01  # of the gain: smaller steps are not those of counts, unless all values are multiples of one
ROUNDED = 0.05  # how far from a whole number of steps a count may be, for float32 rounds it
ONE = 0.3  # of the gain: steps from here on are electrons, and what is above is that disks are uneven
RESPONSE_QUANTILE = 0.25  # of the squares of the correlation over what the counts alone explain
RESPONSE_BIAS = 0.1015  # that quantile for nothing but noise: chi-squared of one degree of freedom
MANY = 10.0  # electrons in a disk's area from which on their number is as good as normally distributed
COVERED = 0.5  # share of the detector that disks reach with the template on it, below which it is mostly free of them
CALM = 1.5  # times the least gain there can be: up to here a pattern is as even as its counts allow
CLEAR = 3.5  # times the noise by which a maximum has to rise to be explained as a disk
SWEEPS, ROUNDS = 6, 4  # over the disks, to find their heights; of looking which of them are noise
EXPLAINED = 0.6  # share of the unevenness above the least noise that disks explain, if they are disks
UNEXPLAINED = 0.25  # or share of the correlation's power that is left: of noise it is 0.29 and more
OUTLYING = 9.0  # times the variance, beyond which a square says nothing of it
SHIFTS = 4  # positions of a disk within a bin, along each axis, for which is tabled what it adds to the correlation


def tiles_of(mask: np.ndarray) -> np.ndarray:
    """(t, 2) first row and column of parts of the detector without a masked pixel, spread evenly."""
    tall, wide = mask.shape[0] // TILE_ROWS, mask.shape[1] // TILE_COLUMNS
    parts = mask[: tall * TILE_ROWS, : wide * TILE_COLUMNS].reshape(tall, TILE_ROWS, wide, TILE_COLUMNS)
    tiles = np.argwhere(parts.all((1, 3))) * [TILE_ROWS, TILE_COLUMNS]
    return tiles[np.unique(np.linspace(0, len(tiles) - 1, MOST_TILES).astype(int))] if len(tiles) else tiles


def gain_between(pairs: Iterable[np.ndarray], mask: np.ndarray | None) -> float:
    """The gain of a scan, by what differs between patterns beside each other; 0 where that is not told.

    Where neighbours show the same disks, what fills the detector is no noise; nor is what a pixel counts too much or
    too little in all patterns. Other pairs are passed over: these differ as much as pixels beside each other do.

    Parameters
    ----------
    pairs : iterable of ndarray
        (2, q_y, q_x) patterns beside each other, as counts; single ones are passed over.
    mask : ndarray of bool, optional
        (q_y, q_x), True = keep.
    """
    found, whole = [np.empty(0)], True
    for pair in pairs:
        tiles = tiles_of(np.ones(pair.shape[1:], bool) if mask is None else mask)
        if len(pair) != 2 or len(tiles) < FEWEST_TILES:
            continue
        whole &= pair.dtype.kind in "iub"
        counts = np.maximum(np.nan_to_num(pair.astype(np.float64), posinf=0.0, neginf=0.0), 0.0)
        rows = tiles[:, :1] + np.arange(TILE_ROWS)
        columns = tiles[:, 1:] + np.arange(TILE_COLUMNS)
        tiled = counts[:, rows[:, :, None], columns[:, None]]
        between = ((tiled[0] - tiled[1]) ** 2).mean(axis=(1, 2))
        within = ((tiled[..., 2:] - tiled[..., :-2]) ** 2).mean(axis=(0, 2, 3))
        uneven_ones = within >= np.quantile(within, UNEVEN_QUANTILE)
        if between[uneven_ones].sum() < SAME * within[uneven_ones].sum():
            mean = tiled.sum(axis=0).mean(axis=(1, 2))
            found.append(between[mean > 0] / mean[mean > 0])
    ratios = np.concatenate(found)
    if not len(ratios):
        return 0.0
    gain = float(np.quantile(ratios, TILE_QUANTILE)) / PAIR_BIAS
    return 1.0 if whole and abs(gain - 1.0) < ELECTRONS else gain


def gain_of_most(found: np.ndarray) -> float:
    """The one gain of a detector, from those of patterns, 0 where one does not tell; 0 where none does."""
    told = found[found > 0]
    return float(np.quantile(told, CALM_PATTERNS)) if len(told) else 0.0


@njit(nogil=True, cache=True)
def gain_of(image: Any, tiles: Any, pad: Any, ratios: Any, known: Any) -> Any:  # pragma: no cover - compiled
    """Variance over mean of the counts, where the pattern is smooth (from neighbours but one); the least there can be.

    The least is the smallest step between two counts; where values are continuous and all of the pattern has one gain,
    that gain. Where hardly anything but the direct beam has counts, it is what is `known` from neighbouring patterns.
    """
    size = 0
    least = np.inf
    for t in range(len(tiles)):
        y0, x0 = tiles[t, 0] + pad, tiles[t, 1] + pad
        mean, square = 0.0, 0.0
        for y in range(y0, y0 + TILE_ROWS):
            for k in range(TILE_COLUMNS // 2):
                x = x0 + 4 * (k // 2) + k % 2
                a, b = np.float64(image[y, x]), np.float64(image[y, x + 2])
                mean += a + b
                step = abs(a - b)
                square += step * step
                if 0.0 < step < least:
                    least = step
        if mean > 0.0:
            ratios[size] = square / mean
            size += 1
    if size < FEW_LIT and known > 0.0:
        return known, known
    if size == 0:
        return 0.0, 0.0
    order = np.sort(ratios[:size])
    low, high = order[int(TILE_QUANTILE * (size - 1))], order[int((1.0 - TILE_QUANTILE) * (size - 1))]
    gain = low / TILE_BIAS
    continuous = least < STEP * gain
    if continuous and _multiples(image, tiles, pad, 1.0):
        continuous, least = False, 1.0
    elif continuous:
        continuous = not _multiples(image, tiles, pad, least)
    return gain, gain if continuous and high < ALIKE * low else min(least, gain)


@njit(nogil=True, cache=True)
def _multiples(image: Any, tiles: Any, pad: Any, step: Any) -> Any:  # pragma: no cover - compiled
    """Whether all values are multiples of one step, so that they are counts though disks make them very uneven."""
    for t in range(len(tiles)):
        y0, x0 = tiles[t, 0] + pad, tiles[t, 1] + pad
        for y in range(y0, y0 + TILE_ROWS):
            for x in range(x0, x0 + TILE_COLUMNS):
                number = image[y, x] / step
                if abs(number - round(number)) > ROUNDED:
                    return False
    return True


@njit(nogil=True, cache=True)
def gains(images: Any, tiles: Any) -> Any:  # pragma: no cover - compiled
    """The gain of each pattern (p, q_y, q_x), from its tiles (t, 2): (p,) float32; 0 where nothing tells it.

    Where values come in steps that may be single electrons, it is the step.
    """
    found = np.zeros(len(images), np.float32)
    ratios = np.empty(max(len(tiles), 1), np.float32)
    for p in range(len(images)):
        gain, least = gain_of(images[p], tiles, 0, ratios, 0.0)
        found[p] = least if least > ONE * gain else gain
    return found


@njit(nogil=True, cache=True)
def uneven(binned: Any, response: Any, plan: Any, gain: Any, least: Any, ratios: Any) -> Any:  # pragma: no cover
    """The gain that would explain how uneven the correlation is where no disk is, from those of single pixels.

    Where counts are few, single pixels are enough. Where disks had to be explained for it they come next (n, 4): row,
    column (px), height, variance of the correlation for a gain of 1; then what is left of the correlation without them.
    """
    size = len(plan.samples)
    none = np.empty((0, 4), np.float32)
    if size == 0:
        return gain, none, response
    coarse_pad = plan.pad // plan.bin
    noise = np.empty(size, np.float32)
    few = MANY * plan.peak * plan.coarse_share
    for k in range(size):
        i, j = plan.samples[k, 0], plan.samples[k, 1]
        noise[k] = dot(binned, plan.coarse_squares, i + coarse_pad, j + coarse_pad)
        ratios[k] = response[i, j] ** 2 / noise[k] if noise[k] > few * gain else RESPONSE_BIAS * gain
    whole = max(gain, _typical(ratios[:size]))
    if whole <= CALM * least:
        return whole, none, response
    less, disks, left = _unexplained(binned, response, plan, least, whole, noise, ratios)
    if less >= whole:
        return whole, none, response
    return less, disks, left


@njit(nogil=True, cache=True)
def _typical(ratios: Any) -> Any:  # pragma: no cover - compiled
    """The gain of nothing but noise that has the lower quartile of these ratios of square to variance."""
    return np.sort(ratios)[int(RESPONSE_QUANTILE * (len(ratios) - 1))] / RESPONSE_BIAS


@njit(nogil=True, cache=True)
def _unexplained(
    binned: Any, response: Any, plan: Any, least: Any, whole: Any, noise: Any, ratios: Any
) -> Any:  # pragma: no cover - compiled
    """The gain that explains what is left of the correlation without its disks, those, and what is left.

    At first every maximum is taken for a disk, then those that rise above what is left. Disks explain most of what is
    above the least noise; of noise, its maxima explain less than half, and then the gain is the `whole` one.
    """
    few = MANY * least * plan.peak * plan.coarse_share
    disks = _maxima(binned, response, plan, CLEAR**2 * least)
    left, gain = response, least
    reach = FALLOFF_STEP * plan.coarse_falloff.size / plan.bin
    if len(disks) * np.pi * reach**2 < COVERED * response.size:
        return whole, disks, left
    for _ in range(ROUNDS):
        left, explained = _explain(response, plan, disks)
        gain = max(_left_over(left, explained, plan, gain, few, plan.mismatch, noise, ratios), least)
        clear = disks[:, 2] ** 2 > CLEAR**2 * gain * disks[:, 3]
        if clear.all():
            break
        disks = disks[clear]
    before = _left_over(response, response, plan, whole, few, 0.0, noise, ratios)
    less = before - _left_over(left, left, plan, whole, few, 0.0, noise, ratios)
    if less < EXPLAINED * (before - least) and _power(left, plan, noise) > UNEXPLAINED * _power(response, plan, noise):
        return whole, disks, left
    disks[:, :2] = (disks[:, :2] + np.float32(0.5)) * np.float32(plan.bin) - np.float32(0.5)
    return gain, disks, left


@njit(nogil=True, cache=True)
def _left_over(
    left: Any, explained: Any, plan: Any, gain: Any, few: Any, mismatch: Any, noise: Any, ratios: Any
) -> Any:  # pragma: no cover - compiled
    """The gain that explains what is left, but a share of what the disks explain; `gain` is a first guess."""
    many, size, total = 0, 0, 0.0
    reach = plan.coarse_kernel.shape[0] // 2  # nearer to the edge there is what disks beyond it leave
    tall, wide = left.shape
    for k in range(len(noise)):
        i, j = plan.samples[k, 0], plan.samples[k, 1]
        if noise[k] > 0.0 and min(i, j, tall - 1 - i, wide - 1 - j) >= reach:
            ratios[size] = max(abs(left[i, j]) - mismatch * explained[i, j], 0.0) ** 2 / noise[k]
            total += min(ratios[size], OUTLYING * gain)
            many += noise[k] > few
            size += 1
    if size == 0:
        return gain
    return total / size if 2 * many < size else _typical(ratios[:size])  # the mean holds for single electrons too


@njit(nogil=True, cache=True)
def _power(values: Any, plan: Any, noise: Any) -> Any:  # pragma: no cover - compiled
    """The sum of the squares of the correlation over its variance."""
    total = 0.0
    reach = plan.coarse_kernel.shape[0] // 2
    tall, wide = values.shape
    for k in range(len(noise)):
        i, j = plan.samples[k, 0], plan.samples[k, 1]
        if noise[k] > 0.0 and min(i, j, tall - 1 - i, wide - 1 - j) >= reach:
            total += values[i, j] ** 2 / noise[k]
    return total


@njit(nogil=True, cache=True)
def _maxima(binned: Any, response: Any, plan: Any, needed: Any) -> Any:  # pragma: no cover - compiled
    """Maxima of the correlation (n, 4), the highest first: row, column, height, variance for a gain of 1."""
    tall, wide = response.shape
    pad = plan.pad // plan.bin
    found = np.empty((((tall + 1) // 2) * ((wide + 1) // 2), 4), np.float32)
    size = 0
    for i in range(tall):
        for j in range(wide):
            value = response[i, j]
            if not value > needed * plan.peak or not is_maximum(response, i, j):
                continue
            noise = dot(binned, plan.coarse_squares, i + pad, j + pad)
            if value * value > needed * noise:
                found[size, 0], found[size, 1], found[size, 2], found[size, 3] = i, j, value, noise
                size += 1
    return found[:size][np.argsort(-found[:size, 2])]


@njit(nogil=True, cache=True)
def _explain(response: Any, plan: Any, disks: Any) -> Any:  # pragma: no cover - compiled
    """What is left of the correlation without the disks, and how much they move it; fills in their heights.

    Each in turn takes what is left at its place, several times over (Gauss-Seidel).
    """
    left, explained = response.copy(), np.zeros_like(response)
    reach = plan.patches.shape[-1] // 2
    tall, wide = response.shape
    heights = np.zeros(len(disks), np.float32)
    shifts = np.empty((len(disks), 2), np.int64)
    for sweep in range(SWEEPS):
        for k in range(len(disks)):
            i, j = int(disks[k, 0]), int(disks[k, 1])
            if sweep == 0:
                up, down = response[max(i - 1, 0), j], response[min(i + 1, tall - 1), j]
                before, after = response[i, max(j - 1, 0)], response[i, min(j + 1, wide - 1)]
                shifts[k, 0] = _shift(up, response[i, j], down)
                shifts[k, 1] = _shift(before, response[i, j], after)
            patch = plan.patches[shifts[k, 0], shifts[k, 1]]
            step = max(left[i, j] / patch[reach, reach], -heights[k])
            heights[k] += step
            top, bottom = max(i - reach, 0), min(i + reach + 1, tall)
            first, last = max(j - reach, 0), min(j + reach + 1, wide)
            for y in range(top, bottom):
                line = left[y, first:last]
                part = patch[y - i + reach, first - j + reach : last - j + reach]
                for x in range(line.size):
                    line[x] -= step * part[x]
                if sweep == SWEEPS - 1:
                    line = explained[y, first:last]
                    for x in range(line.size):
                        line[x] += heights[k] * abs(part[x])
    disks[:, 2] = heights
    return left, explained


@njit(nogil=True, cache=True)
def _shift(low: Any, middle: Any, high: Any) -> Any:  # pragma: no cover - compiled
    """Which of the tabled positions within a bin the vertex of a parabola through three values is nearest to."""
    return min(max(int(np.floor((vertex(low, middle, high) + 0.5) * SHIFTS)), 0), SHIFTS - 1)
