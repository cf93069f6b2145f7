"""What lies all around the pattern's centre is no disk: the ridge of a diffuse ring, of amorphous film or ice.

The template adds up to nothing on an even or sloping background, but not on a ridge, and noise along a ridge has
maxima. So where the correlation is as high in many directions at some distance from the centre, that height is taken
away.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from napari_stemnmf.compiled import njit
from napari_stemnmf.disks.correlation import dot

DIRECTIONS = 48  # in which the correlation is looked up at each distance
LEAST_DIRECTIONS = 24  # that have to be on the detector
ALIKE = 0.25  # share of the directions that have much the same value on a ridge, ...
EVEN, NOISY = 0.15, 2.5  # ... to this share of it, or to so many times the noise
SIGMA = 1.5  # times the noise that it is at least


class Ground(NamedTuple):
    """What of a pattern is not disks."""

    gain: float  # variance over mean of what the correlation sums up
    levels: np.ndarray  # the correlation without disks at the distances of `rings_of`; empty if it is 0 everywhere


def rings_of(mask: np.ndarray, size: int, centre: tuple[float, float], least: float, apart: int) -> np.ndarray:
    """Where the binned correlation is looked up, flat: (distances, directions) int32, -1 off the detector.

    Distances from a centre (px) are `apart` bins of `size` pixels from each other; within `least` px there are none.
    """
    kept = mask[size // 2 :: size, size // 2 :: size]
    middle = (np.array(centre) + 0.5) / size - 0.5
    shape = tuple(-(-n // size) for n in mask.shape)
    furthest = float(np.hypot(*np.maximum(middle, np.array(shape) - 1 - middle)))
    angles = 2.0 * np.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    distance = np.arange(0, furthest + 1, apart)[:, None]
    y = np.rint(middle[0] + distance * np.sin(angles)).astype(int)
    x = np.rint(middle[1] + distance * np.cos(angles)).astype(int)
    there = (y >= 0) & (x >= 0) & (y < kept.shape[0]) & (x < kept.shape[1]) & (distance * size >= least)
    there[there] = kept[y[there], x[there]]
    return np.where(there, y * shape[1] + x, -1).astype(np.int32)


@njit(nogil=True, cache=True)
def ridges(binned: Any, response: Any, plan: Any, gain: Any) -> Any:  # pragma: no cover - compiled
    """The levels of a `Ground`, which are taken away from the correlation; empty where there is no ridge."""
    pad, width = plan.pad // plan.bin, response.shape[1]
    flat = response.reshape(-1)
    found = np.zeros(len(plan.rings) + 1, np.float32)
    values, places = np.empty(plan.rings.shape[1], np.float32), np.empty(plan.rings.shape[1], np.int64)
    for k in range(len(plan.rings)):
        size = 0
        for place in plan.rings[k]:
            if place >= 0:
                values[size], places[size] = flat[place], place
                size += 1
        if size < LEAST_DIRECTIONS:
            continue
        least = SIGMA**2 * gain * dot(binned, plan.coarse_squares, places[0] // width + pad, places[0] % width + pad)
        above = 0
        for value in values[:size]:
            above += value > 0.0 and value * value > least
        if above >= ALIKE * size:
            found[k] = _common(values[:size], places[:size], binned, plan, pad, width, gain)
    levels = np.zeros_like(found)
    ridge = False
    for k in range(1, len(found) - 1):  # the median of three: a ridge is as wide as a disk
        levels[k] = max(min(found[k - 1], found[k]), min(max(found[k - 1], found[k]), found[k + 1]))
        ridge |= levels[k] > 0.0
    if not ridge:
        return levels[:0]
    flatten(response, 0, 0, levels, plan, plan.bin)
    return levels


@njit(nogil=True, cache=True)
def _common(
    values: Any, places: Any, binned: Any, plan: Any, pad: Any, width: Any, gain: Any
) -> Any:  # pragma: no cover - compiled
    """The value that most directions have in common, noise apart, if it stands out of the noise; else 0.

    It is the middle of the shortest interval that holds a share of them: disks add to some directions, and the rings of
    their templates take from others.
    """
    order = np.argsort(values)
    size = int(ALIKE * len(values))
    best = 0
    for k in range(len(values) - size):
        if values[order[k + size]] - values[order[k]] < values[order[best + size]] - values[order[best]]:
            best = k
    spread = values[order[best + size]] - values[order[best]]
    level = 0.5 * (values[order[best + size]] + values[order[best]])
    place = places[order[best + size // 2]]
    noise = np.sqrt(gain * dot(binned, plan.coarse_squares, place // width + pad, place % width + pad))
    return level if level > SIGMA * noise and spread < max(NOISY * noise, EVEN * level) else 0.0


@njit(nogil=True, cache=True)
def flatten(values: Any, top: Any, left: Any, levels: Any, plan: Any, step: Any) -> None:  # pragma: no cover - compiled
    """Take the levels away from the correlation at bins of `step` px, from (top, left) on."""
    for i in range(values.shape[0]):
        y = ((top + i + 0.5) * step - 0.5 - plan.centre_y) / plan.ring_step
        for j in range(values.shape[1]):
            x = ((left + j + 0.5) * step - 0.5 - plan.centre_x) / plan.ring_step
            away = np.sqrt(y * y + x * x)
            k = int(away)
            if k + 1 < levels.size:
                values[i, j] -= levels[k] + (away - k) * (levels[k + 1] - levels[k])
