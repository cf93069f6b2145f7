"""Dark regions of a mean pattern, and whether they are the shadow of a beam stop.

There are two ways to find one: by its outline, as the region below some level that is most sharply and regularly
bounded; and by what is far darker than its ring about the middle. Whichever it was, a shadow is dark behind, and beside
it, at the same distance from the middle, it is light: disks come and go, the light between them is even. Leans on
scipy.ndimage.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_stemnmf.control import Control

TRIALS = 4
"""The middle is that of the pattern with its shadow filled: so often it is corrected."""
TYPICAL, BETWEEN = 50.0, 10.0
"""Percentiles of a ring: of its light as a whole, and of that between disks once what is darkest is left out."""
DARK = 0.3
"""Behind a stop there is no more than this share of the light."""
COUNTS = 8.0
"""Least counts that each smoothing square is short of, where it is called dark."""
LEAST_AREA, MOST_AREA = 0.003, 0.35
"""Of a shadow, as shares of the detector."""
LEAST_AREA_AT_EDGE, SMALLEST = 0.009, 3.0
"""Least area of one that reaches the detector's edge, and least radius, in coarse pixels, of one that does not."""
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
GHOST = 3.0
"""The direct beam shines faintly through a stop: brighter than this, against what is brightest beside, it is not
hidden."""
CUT, STEEP, FALL = 3, 5.0, 1.5
"""At the outline of a shadow light sets in within so many coarse pixels; its logarithm rises so many times more than
over the next ones, and does not fall so far there."""
ARM = 0.6
"""What is narrower than this share of a shadow's widest part is its arm."""
LEVELS = 32
"""Levels that a region is looked for below."""
FEW_COUNTS = 4.0
"""Contrast is judged as if so many counts more fell into each smoothing square: no stop is made of noise."""
CONTRAST, SHARP, REGULAR = 4.0, 0.75, 0.75
"""A sharp outline separates values so many times apart; so much of it is sharp, and so much of its hull is filled."""
GROWTHS, FAR, DARKER = 3, 12, 0.2
"""How often, and how far in coarse pixels, a shadow is continued where no more than this share of the light falls."""


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


def find_shadow(light: Light, control: Control) -> np.ndarray | None:
    """The shadow of a stop in a smoothed pattern; None where there is none."""
    outlined = _outlined(light, control)
    if outlined is not None:
        region = _grown(light, outlined, control)
        middle = np.array(middle_of(np.where(region, 0.0, light.values), region))
        if _is_a_stop(light, rings_about(region.shape, middle), region):
            return region
    return _against_rings(light, control)


def _outlined(light: Light, control: Control) -> np.ndarray | None:
    """The dark region with the best outline that hides the middle of a smoothed pattern."""
    smooth, reach, floor = np.where(light.keep, light.values, 0.0), 2 * light.window + 1, FEW_COUNTS * light.one
    highest = ndimage.maximum_filter(smooth, reach, mode="nearest") + floor
    sharp = highest > CONTRAST * (ndimage.minimum_filter(smooth, reach, mode="nearest") + floor)
    best, best_score = None, 0.0
    for level in np.geomspace(floor, max(2 * floor, float(np.median(smooth))), LEVELS):
        control.check()
        labels, number = ndimage.label(smooth < level)
        sizes = np.bincount(labels.ravel(), minlength=number + 1) / smooth.size
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        candidates = edge[(edge > 0) & (sizes[edge] >= LEAST_AREA)]
        lit = _largest(smooth >= level)
        hull = _hull(lit) if len(candidates) else lit
        for label in candidates:
            region = _within(labels == label, lit, hull)
            if not LEAST_AREA <= region.mean() <= MOST_AREA:
                continue
            share, solid = _share_of_outline(region, sharp), float(region.sum() / _hull(region).sum())
            if share < SHARP or solid < REGULAR or share * solid <= best_score:
                continue
            if _hides_the_middle(region, smooth):
                best, best_score = region, share * solid
    return best


def _within(region: np.ndarray, lit: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """The largest part of a region, holes filled, that lies within the hull of what is lit; no sliver along it."""
    inside = ndimage.binary_fill_holes(region) & ~lit & hull
    return _largest(ndimage.binary_opening(inside, np.ones((3, 3))))


def _largest(region: np.ndarray) -> np.ndarray:
    """The largest connected part of a region."""
    labels, number = ndimage.label(region)
    return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])) if number > 1 else region


def _hull(region: np.ndarray) -> np.ndarray:
    """The convex hull of a region."""
    from skimage.morphology import convex_hull_image

    return np.asarray(convex_hull_image(region)) if region.any() else region


def _share_of_outline(region: np.ndarray, sharp: np.ndarray) -> float:
    """How much of a region's outline within the detector is sharp."""
    outline = region & ~ndimage.binary_erosion(region, border_value=1)
    return float(sharp[outline].mean()) if outline.any() else 0.0


def _hides_the_middle(region: np.ndarray, smooth: np.ndarray) -> bool:
    """Whether the pattern's middle lies in a region, and the direct beam is not seen there."""
    if _shines_through(region, smooth):
        return False
    outside = np.where(region, 0.0, smooth)
    y, x = (round(v) for v in middle_of(outside, region))
    return bool(0 <= y < region.shape[0] and 0 <= x < region.shape[1] and region[y, x])


def _shines_through(region: np.ndarray, smooth: np.ndarray) -> bool:
    """Whether what is brightest of a pattern lies in a region: the direct beam, which is not hidden then."""
    return bool(smooth[region].max() > GHOST * smooth[~region].max(initial=0.0))


def middle_of(outside: np.ndarray, region: np.ndarray) -> tuple[float, float]:
    """Centre of mass of a pattern whose hidden region is filled with what lies opposite."""
    middle = np.array(ndimage.center_of_mass(outside))
    hidden = np.argwhere(region)
    for _ in range(50):
        filled = outside.copy()
        opposite = np.rint(2 * middle - hidden).astype(np.int64)
        there = ((opposite >= 0) & (opposite < outside.shape)).all(axis=1)
        filled[tuple(hidden[there].T)] = outside[tuple(opposite[there].T)]
        last, middle = middle, np.array(ndimage.center_of_mass(filled))
        if np.abs(middle - last).max() < 0.05:
            break
    return float(middle[0]), float(middle[1])


def _against_rings(light: Light, control: Control) -> np.ndarray | None:
    """What is far darker than its ring about the middle, if it is a shadow."""
    broad = ndimage.uniform_filter(light.values, 2 * light.reach + 3, mode="nearest")
    brightest = np.array(np.unravel_index(int(np.argmax(broad)), broad.shape), np.float64)
    for middle in (np.array(ndimage.center_of_mass(light.values)), brightest):
        for _ in range(TRIALS):
            control.check()
            rings = rings_about(light.values.shape, middle)
            region = _darkest(light, rings)
            if region is None:
                break
            moved = np.array(middle_of(np.where(region, 0.0, light.values), region))
            if _is_a_stop(light, rings, region) and _near(region, (middle, moved, brightest), 3 * light.reach):
                return _grown(light, region, control)
            if np.abs(moved - middle).max() < 0.5:
                break
            middle = moved
    return None


def _near(region: np.ndarray, points: Iterable[np.ndarray], reach: float) -> bool:
    """Whether a region comes near any of some points."""
    return any(np.hypot(*(np.argwhere(region) - point).T).min() <= reach for point in points)


def rings_about(shape: tuple[int, ...], middle: np.ndarray) -> np.ndarray:
    """The ring about a middle that each pixel lies on."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.rint(np.hypot(y - middle[0], x - middle[1])).astype(np.int64)


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


def _darkest(light: Light, rings: np.ndarray) -> np.ndarray | None:
    """What is far darker than the light between disks at its distance from the middle, next to the middle."""
    size = int(rings.max()) + 1

    def dark_against(expected: np.ndarray) -> np.ndarray:
        short = expected[rings] - light.values
        return light.keep & (light.values < DARK * expected[rings]) & (short > COUNTS * light.one)

    first = dark_against(np.nan_to_num(percentiles(light.values, rings, light.keep, TYPICAL, size)))
    rest = light.keep & ~ndimage.binary_dilation(first, iterations=light.reach)
    between = np.nan_to_num(percentiles(light.values, rings, rest, BETWEEN, size))
    dark = dark_against(np.maximum.accumulate(between[::-1])[::-1])  # inwards it only gets brighter
    dark = ndimage.binary_opening(dark | ~light.keep, np.ones((3, 3))) & dark
    groups, number = ndimage.label(dark | (~light.keep & ndimage.binary_dilation(dark)))
    if not number:
        return None
    sizes = np.bincount(groups.ravel(), dark.ravel()) / dark.size
    sizes[0] = 0.0
    nearest = ndimage.minimum(rings, groups, np.arange(number + 1))
    near = np.asarray(nearest) <= 4 * light.reach
    near[0] = False
    score = np.where(near, sizes, 0.0)
    best = int(np.argmax(score))
    if score[best] < LEAST_AREA:
        return None
    return np.asarray(ndimage.binary_fill_holes(groups == best))


def _is_a_stop(light: Light, rings: np.ndarray, region: np.ndarray) -> bool:
    """Whether a dark region is the shadow of a stop."""
    if not LEAST_AREA <= region.mean() <= MOST_AREA:
        return False
    if not _is_regular(region):
        return False
    away = ndimage.distance_transform_edt(~region)
    beside = light.keep & (away > light.reach)
    inside = region & light.keep
    if light.values[inside].max(initial=0.0) > GHOST * light.values[beside].max(initial=0.0):
        return False
    border = np.zeros(region.shape, bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    size = int(rings.max()) + 1
    core = inside & (ndimage.distance_transform_edt(np.pad(region, 1, mode="edge"))[1:-1, 1:-1] > min(light.reach, 1))
    lit = percentiles(light.values, rings, beside, LIT, size)
    behind = percentiles(light.values, rings, core, HIDDEN, size)
    total = np.bincount(rings[light.keep], minlength=size)
    left = np.bincount(rings[beside], minlength=size) / np.maximum(total, 1)
    number = np.bincount(rings[core], minlength=size)
    near = light.keep & (away > light.reach) & (away <= 2 * light.reach + 1)
    around = _sides(light, region, near)
    if (region & border).any():
        if region.mean() < LEAST_AREA_AT_EDGE:
            return False
        compared = (left >= BESIDE) & (number > 0) & np.isfinite(lit) & np.isfinite(behind)
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
    )


def _is_regular(region: np.ndarray) -> bool:
    """Whether a region fills its convex hull, or is a disk on an arm, each of which does."""
    if region.sum() >= SOLID * _hull(region).sum():
        return True
    depth = ndimage.distance_transform_edt(np.pad(region, 1, mode="edge"))[1:-1, 1:-1]
    most = ARM * float(depth.max())
    body = _largest(ndimage.distance_transform_edt(~(depth > most)) <= most) & region
    arm = region & ~body
    if not arm.any():
        return False
    arm = _largest(arm)
    rest = region.sum() - body.sum() - arm.sum()
    parts = (body, arm)
    return bool(rest < 0.1 * region.sum()) and all(part.sum() >= SOLID * _hull(part).sum() for part in parts)


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
    return bool(step[first] > STEEP * (after[CUT] - after[0]) and after.min() - after[0] > -FALL)


def _sides(light: Light, region: np.ndarray, near: np.ndarray) -> float:
    """Share of a region's outline within the detector that has far more light on its other side."""
    outline = region & ~ndimage.binary_erosion(region, border_value=1)
    reach = 2 * light.reach + 1
    highest = ndimage.maximum_filter(np.where(near, light.values, 0.0), 2 * reach + 1, mode="nearest")
    lowest = ndimage.minimum_filter(np.where(region, light.values, np.inf), 2 * light.reach + 1, mode="nearest")
    sharp = (DARK * highest > lowest) & (highest - lowest > COUNTS * light.one)
    outline &= light.keep
    return float(sharp[outline].mean()) if outline.any() else 0.0


def _grown(light: Light, region: np.ndarray, control: Control) -> np.ndarray:
    """A shadow with what is as dark beside it, so that it reaches the edge and around the direct beam's faint image.

    Dark is what is below a share of the median around, of what is lit.
    """
    smooth = light.values
    for _ in range(GROWTHS):
        control.check()
        _, (rows, columns) = ndimage.distance_transform_edt(
            ndimage.binary_dilation(region, iterations=2), return_indices=True
        )
        lit = ndimage.median_filter(smooth[rows, columns], FAR + 1, mode="nearest")
        near = ndimage.distance_transform_edt(~region) <= FAR
        darker = _largest(region | (near & (smooth < DARKER * lit)))
        filled = np.asarray(ndimage.binary_fill_holes(darker))
        grown = filled if (filled & ~darker).sum() < 0.5 * region.sum() else darker  # a lit aperture is no hole
        if (grown == region).all() or grown.mean() > MOST_AREA or not _is_regular(grown):
            break
        region = grown
    return region
