"""Whether a dark region of a mean pattern is the shadow of a beam stop.

A shadow is dark behind, and beside it, at the same distance from the middle, it is light: disks come and go, the light
between them is even. Its outline is cut, as by an edge. Leans on scipy.ndimage.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

DARK = 0.3
"""Behind a stop there is no more than this share of the light."""
COUNTS = 8.0
"""Least counts that each smoothing square is short of, where it is called dark."""
LEAST_AREA, MOST_AREA = 0.003, 0.22
"""Of a shadow, as shares of the detector."""
LEAST_AREA_AT_EDGE, SMALLEST = 0.009, 3.0
"""Least area of one that reaches the detector's edge, and least radius, in coarse pixels, of one that does not."""
AMID = 0.6
"""So much of one at the edge lies amid what is lit; dark corners do not."""
SOLID = 0.7
"""Least share of its convex hull that a shadow fills."""
OUTLINE, AROUND = 0.7, 0.9
"""Least share of its outline that has light beside it; of that of a disk that reaches no edge."""
LIT, HIDDEN = 20.0, 75.0
"""What is beside a shadow, at the same distance from the middle, is bright in this percentile against that of what is
behind it..."""
SURE, COMPARED, BESIDE = 0.97, 0.6, 0.4
"""... on rings that hold this share of the pixels that can be compared; so many of a shadow can, at least: those on
rings of which it leaves so much."""
ROUND = 0.75
"""A shadow that reaches no edge is a disk: the largest circle in it has this share of its area."""
GAPS = 0.1
"""Beside it no larger share of the pixels is as dark as behind it: as between disks that lie on nothing, whose inner
ones are around a dark place, too."""
GHOST = 3.0
"""The direct beam shines faintly through a stop: brighter than this, against what is brightest beside, it is not
hidden."""
CUT, STEEP, FALL = 3, 5.0, 0.4
"""At the outline of a shadow light sets in within so many coarse pixels; its logarithm rises so many times more than
over the next ones, and does not fall by such a share of it there."""
ARM = 0.6
"""What is narrower than this share of a shadow's widest part is its arm."""


class Light(NamedTuple):
    """A smoothed mean pattern."""

    values: np.ndarray  # (rows, columns) coarse pixels
    sharp: np.ndarray  # the same, not smoothed
    keep: np.ndarray  # which of them count
    one: float  # what one electron is in a smoothing square
    window: int  # side of that square

    @property
    def reach(self) -> int:
        """Pixels over which an outline is smoothed."""
        return self.window // 2 + 1


def is_a_stop(light: Light, rings: np.ndarray, region: np.ndarray) -> bool:
    """Whether a dark region is the shadow of a stop."""
    if not LEAST_AREA <= region.mean() <= MOST_AREA:
        return False
    if not is_regular(region):
        return False
    away = ndimage.distance_transform_edt(~region)
    beside = light.keep & (away > light.reach)
    inside = region & light.keep
    if light.values[inside].max(initial=0.0) > GHOST * light.values[beside].max(initial=0.0):
        return False
    size = int(rings.max()) + 1
    core = inside & (ndimage.distance_transform_edt(np.pad(region, 1, mode="edge"))[1:-1, 1:-1] > min(light.reach, 1))
    lit = percentiles(light.values, rings, beside, LIT, size)
    behind = percentiles(light.values, rings, core, HIDDEN, size)
    total = np.bincount(rings[light.keep], minlength=size)
    left = np.bincount(rings[beside], minlength=size) / np.maximum(total, 1)
    number = np.bincount(rings[core], minlength=size)
    near = light.keep & (away > light.reach) & (away <= 2 * light.reach + 1)
    around = _sides(light, region, near)
    if _at_edge(region):
        if region.mean() < LEAST_AREA_AT_EDGE or not core.any():
            return False
        bright = beside & (light.values > 2.0 * np.percentile(light.values[core], HIDDEN))
        if (region & hull(bright)).sum() < AMID * region.sum():
            return False
        compared = (left >= BESIDE) & (number > 0) & np.isfinite(lit) & np.isfinite(behind)
        compared &= (1.0 - DARK) * lit > COUNTS * light.one  # where hardly any light falls nothing tells a shadow
        dark = compared & (behind < DARK * lit) & (lit - behind > COUNTS * light.one)
        pixels = number[compared].sum()
        return bool(
            pixels >= max(COMPARED * core.sum(), 8) and number[dark].sum() >= SURE * pixels and around >= OUTLINE
        )
    radius = float(np.sqrt(region.sum() / np.pi))
    farther = light.keep & (away > light.reach) & (away <= light.reach + max(3.0, radius))
    if not core.any() or not farther.any() or radius < SMALLEST or not _is_cut(light, region, away):
        return False
    darkest, brightest = np.percentile(light.values[core], 50), np.percentile(light.values[farther], 10)
    roundness = float(np.pi * ndimage.distance_transform_edt(region).max() ** 2 / region.sum())
    return bool(
        roundness >= ROUND
        and darkest < 0.5 * DARK * brightest
        and brightest - darkest > COUNTS * light.one
        and around >= AROUND
        and _gaps(light, core, farther) <= GAPS
    )


def percentiles(values: np.ndarray, rings: np.ndarray, where: np.ndarray, q: float, size: int) -> np.ndarray:
    """A percentile of the values on each ring; NaN where there are none."""
    out = np.full(size, np.nan)
    ring, value = rings[where], values[where]
    order = np.lexsort((value, ring))
    ring, value = ring[order], value[order]
    first = np.searchsorted(ring, np.arange(size))
    number = np.diff(np.append(first, len(ring)))
    some = number > 0
    out[some] = value[first[some] + ((number[some] - 1) * q / 100.0).astype(np.int64)]
    return out


def is_regular(region: np.ndarray) -> bool:
    """Whether a region fills its convex hull, or is a disk on an arm, each of which does."""
    if region.sum() >= SOLID * hull(region).sum():
        return True
    depth = ndimage.distance_transform_edt(np.pad(region, 1, mode="edge"))[1:-1, 1:-1]
    most = ARM * float(depth.max())
    body = largest(ndimage.distance_transform_edt(~(depth > most)) <= most) & region
    arm = region & ~body
    if not arm.any():
        return False
    arm = largest(arm)
    rest = region.sum() - body.sum() - arm.sum()
    parts = (body, arm)
    return bool(rest < 0.1 * region.sum()) and all(part.sum() >= SOLID * hull(part).sum() for part in parts)


def _at_edge(region: np.ndarray) -> bool:
    """Whether a region reaches the detector's edge."""
    return bool(region[[0, -1]].any() or region[:, [0, -1]].any())


def _is_cut(light: Light, region: np.ndarray, away: np.ndarray) -> bool:
    """Whether light sets in at the outline of a region, as behind an edge, and stays: it is no flank of a ring."""
    signed = np.where(region, 0.5 - ndimage.distance_transform_edt(region), away - 0.5)
    outwards = np.arange(-(light.reach + 2), light.reach + 3 + CUT) + 0.5
    bands = [light.keep & (np.abs(signed - at) <= 0.5) for at in outwards]
    one = light.one * light.window**2
    level = np.log([np.median(light.sharp[band]) + one for band in bands if band.any()])
    if len(level) <= 2 * CUT:
        return False
    step = level[CUT:] - level[:-CUT]
    first = int(np.argmax(step[:-CUT]))
    after = level[first + CUT :]
    return bool(step[first] > STEEP * (after[CUT] - after[0]) and after.min() - after[0] > -FALL * step[first])


def _gaps(light: Light, core: np.ndarray, beside: np.ndarray) -> float:
    """Share of the pixels beside a shadow that are as dark as it; 0 where single pixels have too few counts to tell."""
    one, lit = light.one * light.window**2, light.sharp[beside]
    dark = float(np.percentile(light.sharp[core], HIDDEN)) + 0.5 * one
    return float((lit <= dark).mean()) if np.median(lit) > 0.5 * COUNTS * one else 0.0


def _sides(light: Light, region: np.ndarray, near: np.ndarray) -> float:
    """Share of a region's outline within the detector that has far more light on its other side."""
    outline = region & ~ndimage.binary_erosion(region, border_value=1)
    reach = 2 * light.reach + 1
    highest = ndimage.maximum_filter(np.where(near, light.values, 0.0), 2 * reach + 1, mode="nearest")
    lowest = ndimage.minimum_filter(np.where(region, light.values, np.inf), 2 * light.reach + 1, mode="nearest")
    sharp = (DARK * highest > lowest) & (highest - lowest > COUNTS * light.one)
    outline &= light.keep
    return float(sharp[outline].mean()) if outline.any() else 0.0


def largest(region: np.ndarray) -> np.ndarray:
    """The largest connected part of a region."""
    labels, number = ndimage.label(region)
    return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])) if number > 1 else region


def hull(region: np.ndarray) -> np.ndarray:
    """The convex hull of a region."""
    from skimage.morphology import convex_hull_image

    return np.asarray(convex_hull_image(region)) if region.any() else region
