"""How large the noise of a pattern is, in its own unit, and whether the detector was saturated.

The variance of a count is a gain times the count: 1 for electrons, anything in other units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from napari_stemnmf.disks.correlation import dot

TILE_ROWS, TILE_COLUMNS = 4, 16
"""Part of a pattern in which its noise is measured."""
TILE_QUANTILE = 0.25  # of the tiles' ratios of variance to mean: tiles with disks in them lie above
TILE_BIAS = 0.83  # that quantile for nothing but noise: chi-squared of 32 degrees of freedom
RESPONSE_QUANTILE = 0.25  # of the squares of the correlation over what the counts alone explain
RESPONSE_BIAS = 0.1015  # that quantile for nothing but noise: chi-squared of one degree of freedom
MANY = 10.0  # electrons in a disk's area from which on their number is as good as normally distributed


@njit(nogil=True, cache=True)
def gain_of(image: Any, tiles: Any, pad: Any, ratios: Any) -> Any:  # pragma: no cover - compiled
    """Variance over mean of the counts, from neighbours but one, where the pattern is smooth; 1 for electrons."""
    size = 0
    for t in range(len(tiles)):
        y0, x0 = tiles[t, 0] + pad, tiles[t, 1] + pad
        mean, square = 0.0, 0.0
        for y in range(y0, y0 + TILE_ROWS):
            for k in range(TILE_COLUMNS // 2):
                x = x0 + 4 * (k // 2) + k % 2
                a, b = np.float64(image[y, x]), np.float64(image[y, x + 2])
                mean += a + b
                square += (a - b) ** 2
        if mean > 0.0:
            ratios[size] = square / mean
            size += 1
    if size == 0:
        return 0.0
    return np.sort(ratios[:size])[int(TILE_QUANTILE * (size - 1))] / TILE_BIAS


@njit(nogil=True, cache=True)
def uneven(binned: Any, response: Any, plan: Any, gain: Any, ratios: Any) -> Any:  # pragma: no cover - compiled
    """The gain that would explain how uneven the correlation is where no disk is.

    Above that of single pixels where a detector blurs, so that neighbours have their noise in common, or where the
    background has structure. Where counts are few the single pixels say all.
    """
    if len(plan.samples) == 0:
        return gain
    coarse_pad = plan.pad // plan.bin
    least = MANY * gain * plan.peak * plan.coarse_share
    for k in range(len(plan.samples)):
        i, j = plan.samples[k, 0], plan.samples[k, 1]
        noise = dot(binned, plan.coarse_squares, i + coarse_pad, j + coarse_pad)
        ratios[k] = response[i, j] ** 2 / noise if noise > least else RESPONSE_BIAS * gain
    size = len(plan.samples)
    return max(gain, np.sort(ratios[:size])[int(RESPONSE_QUANTILE * (size - 1))] / RESPONSE_BIAS)


@njit(nogil=True, cache=True)
def is_saturated(
    image: Any, pad: Any, rows: Any, columns: Any, brightest: Any, gain: Any, kernel: Any, masked: Any
) -> Any:  # pragma: no cover - compiled
    """Whether the maximum is shared by so many pixels as half a disk has; not where counts are few.

    Masked pixels (flat) hold copies of their neighbours, and do not count.
    """
    if brightest < 20.0 * gain:
        return False
    area, same = 0, 0
    for y in range(kernel.shape[0]):
        for x in range(kernel.shape[1]):
            area += kernel[y, x] > np.float32(0.0)
    for y in range(pad, pad + rows):
        line = image[y, pad : pad + columns]
        here = np.int32(0)
        for x in range(columns):
            here += np.int32(line[x] == brightest)
        same += here
    for k in range(masked.size):
        y, x = divmod(masked[k], columns)
        same -= np.int32(image[y + pad, x + pad] == brightest)
    return same >= max(4, area // 2)
