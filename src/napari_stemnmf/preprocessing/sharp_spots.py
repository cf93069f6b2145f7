"""Spots of a pixel or two, which stand out as hot pixels do: they change, fade, come in pairs, or are the beam."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

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
FADING, FADING_SIGMA = 0.05, 5.0
"""Beside a spot, on opposite sides, pixels exceed all that lie further out by this share of its height and by so many
errors; beside a hot pixel at the edge of a disk they may do so on one side."""
PAIRED, PAIRS, MOST_PLACES = 0.5, 6, 500
"""Where this share of what stands out, and so many at least, have their like across one middle, those are spots; of so
many, the brightest, that is asked."""


def numbers(pattern: np.ndarray) -> np.ndarray:
    """As float64, with 0 for what is no number."""
    return np.nan_to_num(np.asarray(pattern, np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def changing(patterns: np.ndarray, calm: np.ndarray, hot: np.ndarray, step: float, out: np.ndarray) -> np.ndarray:
    """Which pixels that stand out are spots: missing in the calm pattern, or changing far more than counts do."""
    spots = np.zeros(hot.shape, bool)
    bad = hot | out
    for y, x in np.argwhere(hot):
        box = np.s_[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        good = ~bad[box]
        if not good.any():
            continue
        around = numbers(patterns[(slice(None), *box)])[:, good]
        values = numbers(patterns[:, y, x])
        excess = float(values.mean() - np.median(around.mean(axis=0)))
        missing = float(calm[y, x] - np.median(calm[box][good])) < CALM_SHARE * excess
        expected = float(around.var(axis=0).max()) + max(step, 0.0) * max(excess, 0.0)
        found = float(values.var())
        error = found * np.sqrt(2.0 / len(values))
        times = float(np.clip(excess / max(2.0 * step, 1e-30), *CHANGING))
        changes = found > times * expected and found - expected > SURE * error and step > 0
        spots[y, x] = changes or (missing and excess > CALM_COUNTS * step)
    return spots


def symmetric(where: np.ndarray, mean: np.ndarray) -> np.ndarray:
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


def touching(hot: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """The groups of pixels that stand out of which one is of a spot: the others are its flanks."""
    groups, _ = ndimage.label(hot | spots, np.ones((3, 3)))
    return np.isin(groups, groups[spots])


def fading(hot: np.ndarray, mean: np.ndarray, step: float, out: np.ndarray) -> np.ndarray:
    """The groups whose light fades into the pixels beside them, as a spot's does and a hot pixel's does not.

    Of a spot that the detector's edge cuts, one side is enough.
    """
    groups, _ = ndimage.label(hot, np.ones((3, 3)))
    found = np.zeros(hot.shape, bool)
    for label, box in enumerate(ndimage.find_objects(groups), 1):
        wide = tuple(slice(max(0, span.start - 2), span.stop + 2) for span in box)
        group, values = groups[wide] == label, mean[wide]
        others = (hot[wide] & ~group) | out[wide]
        near = ndimage.binary_dilation(group, np.ones((3, 3)))
        beside, around = near & ~group & ~others, ndimage.binary_dilation(near, np.ones((3, 3))) & ~near & ~others
        if not beside.any() or not around.any():
            continue
        height = float(values[group].max() - values[around].mean())
        outward = ndimage.maximum_filter(np.where(around, values, -np.inf), 3, mode="constant", cval=-np.inf)
        error = np.sqrt(step * np.maximum(values + np.maximum(outward, 0.0), step))
        sides = np.argwhere(beside & (values > outward + np.maximum(FADING * height, FADING_SIGMA * error)))
        ends = [(span.start - low.start) + (span.stop - 1 - low.start) for span, low in zip(box, wide, strict=True)]
        across = np.array(ends) - sides
        beyond = ((across < 0) | (across >= group.shape)).any(axis=-1)  # the detector's edge: it cuts the spot
        if beyond.any() or (sides[:, np.newaxis] == across).all(axis=-1).any():
            found[wide] |= group
    return found


def beam_of_one_pixel(hot: np.ndarray, mean: np.ndarray, out: np.ndarray) -> np.ndarray:
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
