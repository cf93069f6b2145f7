"""Dark regions of a mean pattern that may be the shadow of a beam stop.

There are two ways to find one: by its outline, as the region below some level that is most sharply and regularly
bounded; and by what is far darker than its ring about the middle. `shadow_evidence` judges it. Leans on scipy.ndimage.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from napari_stemnmf.control import Control
from napari_stemnmf.preprocessing.shadow_evidence import (
    COUNTS,
    DARK,
    GHOST,
    LEAST_AREA,
    MOST_AREA,
    Light,
    hull,
    is_a_stop,
    is_regular,
    largest,
    percentiles,
)

TRIALS = 4
"""The middle is that of the pattern with its shadow filled: so often it is corrected."""
TYPICAL, BETWEEN = 50.0, 10.0
"""Percentiles of a ring: of its light as a whole, and of that between disks once what is darkest is left out."""
LEVELS = 32
"""Levels that a region is looked for below."""
FEW_COUNTS = 4.0
"""Contrast is judged as if so many counts more fell into each smoothing square: no stop is made of noise."""
CONTRAST, SHARP, REGULAR = 4.0, 0.75, 0.75
"""A sharp outline separates values so many times apart; so much of it is sharp, and so much of its hull is filled."""
GROWTHS, FAR, DARKER = 3, 12, 0.2
"""How often, and how far in coarse pixels, a shadow is continued where no more than this share of the light falls."""


def find_shadow(light: Light, control: Control) -> np.ndarray | None:
    """The shadow of a stop in a smoothed pattern; None where there is none."""
    outlined = _outlined(light, control)
    if outlined is not None:
        region = _grown(light, outlined, control)
        middle = np.array(middle_of(np.where(region, 0.0, light.values), region))
        if is_a_stop(light, rings_about(region.shape, middle), region):
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
        lit = largest(smooth >= level)
        around = hull(lit) if len(candidates) else lit
        for label in candidates:
            region = _within(labels == label, lit, around)
            if not LEAST_AREA <= region.mean() <= MOST_AREA:
                continue
            share, solid = _share_of_outline(region, sharp), float(region.sum() / hull(region).sum())
            if share < SHARP or solid < REGULAR or share * solid <= best_score:
                continue
            if _hides_the_middle(region, smooth):
                best, best_score = region, share * solid
    return best


def _within(region: np.ndarray, lit: np.ndarray, around: np.ndarray) -> np.ndarray:
    """The largest part of a region, holes filled, that lies within the hull of what is lit; no sliver along it."""
    inside = ndimage.binary_fill_holes(region) & ~lit & around
    return largest(ndimage.binary_opening(inside, np.ones((3, 3))))


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
            if is_a_stop(light, rings, region) and _near(region, (middle, moved, brightest), 3 * light.reach):
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
        darker = largest(region | (near & (smooth < DARKER * lit)))
        filled = np.asarray(ndimage.binary_fill_holes(darker))
        grown = filled if (filled & ~darker).sum() < 0.5 * region.sum() else darker  # a lit aperture is no hole
        if (grown == region).all() or grown.mean() > MOST_AREA or not is_regular(grown):
            break
        region = grown
    return region
