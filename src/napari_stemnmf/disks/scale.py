"""How large disks are, from the size of disk that patterns look most like.

What stands between a disk and its neighbours is lost where they crowd, and a beam of few counts has no outline: then
the edge of the brightest blob (`central_disk`) is that of several disks, or of noise. A disk of a tried radius that is
laid over a pattern, less a ring around it, gives the height of what is so large, which is highest for the true radius:
within a disk there is nothing, and of what is larger it holds a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_stemnmf.disks.central_disk import SMALL, nearest_kept
from napari_stemnmf.disks.template import binned, synthetic_kernel

LEAST_RADIUS, STEP = 0.5, 2.0**0.5  # of the tried radii: px, and from one to the next
MOST_SHARE = 0.25  # of the detector's shorter side: none is larger
SIGMA = 4.5  # times the error of counting is taken from each height: that of noise is below
WIDEST = 0.7  # share of the greatest height up to which a wider disk is preferred: disks have smaller things in them
NEARLY = 0.85  # times the best radius: smaller ones are none that look like it
LARGER, SMALLER, OTHERS = 0.9, 0.4, 0.6  # share of the best radius' height below which a radius is wrong: one that is
# smaller; a direct beam's, as disks have smaller things in them; that of spots, and of the brightest of many disks
BRIGHT, MOST_DISKS = 0.3, 20  # share of the highest disk's height of those that are taken as its copies; their number
COARSE = 2.4  # bins along the radius, at least
FAINT = 0.1  # of the mean count: a gain above it may be that of disks that lie close together
ROUNDED = 0.05  # of a step: so far off a whole number of them counts may be
MOST_PIXELS = 9 * 256 * 256  # that are looked at, so that large detectors take no longer


class Heights:
    """The heights of disks of all tried radii, added up over patterns.

    Parameters
    ----------
    mask : ndarray of bool or None
        (q_y, q_x), True = keep.
    start : tuple of float or None
        A disk, if one is seen: q_y, q_x, radius, px. Looked for are those there, up to twice their radius and `more`
        px off; or if the mask cuts it, those elsewhere.
    """

    def __init__(self, mask: np.ndarray | None, start: tuple[float, float, float] | None, more: float) -> None:
        self.mask, self.start, self.more = mask, start, more
        self.radii = self.sums = np.empty(0)
        self.pixels = 0
        self.cut = False
        if mask is not None and start is not None:
            y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
            self.cut = not mask[np.hypot(y - start[0], x - start[1]) <= start[2] + 1.0].all()

    def watched(self, patterns: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same patterns, looked at as they go by."""
        for pattern in patterns:
            if not self.radii.size:
                steps = int(np.log(max(MOST_SHARE * min(pattern.shape) / LEAST_RADIUS, 1.0)) / np.log(STEP))
                self.radii, self.sums = LEAST_RADIUS * STEP ** np.arange(1 + steps), np.zeros(1 + steps)
            if self.pixels < MOST_PIXELS:
                self.pixels += pattern.size
                gain = gain_of(pattern, self.mask)
                for k, radius in enumerate(self.radii):
                    found = copies(pattern, self.mask, float(radius), gain)
                    self.sums[k] += found.height[found.whole & self._there(found, float(radius))].max(initial=0.0)
            yield pattern

    def _there(self, found: Copies, radius: float) -> np.ndarray:
        """Which disks are looked for."""
        if self.start is None:
            return found.whole
        if self.cut:
            return ~found.within(self.start)
        return found.within((*self.start[:2], self.more + 2.0 * max(radius, self.start[2])))

    def best(self) -> float:
        """The radius of what is highest; NaN where nothing stands out of the noise."""
        if not self.sums.max(initial=0.0) > 0.0:
            return float("nan")
        around = np.pad(self.sums, 1)
        peak = (self.sums >= around[:-2]) & (self.sums >= around[2:]) & (self.sums >= WIDEST * self.sums.max())
        return float(self.radii[np.flatnonzero(peak)[-1]])

    def doubt(self, radius: float) -> bool:
        """Whether disks of that radius are so much lower than those of the best one that it is another's."""
        best = self.best()
        if not np.isfinite(best):
            return False
        here = float(np.interp(np.log(radius), np.log(self.radii), self.sums))
        least = (
            LARGER
            if radius < NEARLY * best
            else OTHERS
            if radius < SMALL or self.start is None or self.cut
            else SMALLER
        )
        return here < least * float(self.sums[self.radii == best].max())


class Copies(NamedTuple):
    """Where a pattern looks like a disk, the highest first."""

    at: np.ndarray  # (k, 2) q_y, q_x, px
    height: np.ndarray  # (k,) counts a pixel, less the errors
    whole: np.ndarray  # (k,) bool: neither the detector's edge nor the mask cuts it

    def within(self, near: tuple[float, float, float] | None) -> np.ndarray:
        """Which of them are within a distance of a place: q_y, q_x, distance; all, if that is None."""
        if near is None:
            return np.ones(len(self.at), bool)
        return np.hypot(*(self.at - near[:2]).T) <= near[2]


def copies(pattern: np.ndarray, mask: np.ndarray | None, radius: float, gain: float) -> Copies:
    """Where a pattern looks like a disk of a radius (px), by more than the noise; `gain` is that of its counts."""
    from napari_stemnmf.disks.correlation import bin_pixels, correlate, lay_out
    from napari_stemnmf.preprocessing.vertex import vertex

    shape = pattern.shape
    size = max(1, int(radius / COARSE))
    kernel = binned(synthetic_kernel(radius), size)
    pad = size * (kernel.shape[0] // 2 + 1)
    keep = np.ones(shape, bool) if mask is None else mask
    masked, source, away = nearest_kept(keep)
    image = np.zeros((1, *(-(-(n + 2 * pad) // size) * size for n in shape)), np.float32)
    lay_out(np.ascontiguousarray(pattern)[None], masked, source, pad, image)
    coarse = np.empty((image.shape[1] // size, image.shape[2] // size), np.float32)
    bin_pixels(image[0], size, coarse)
    height, variance = (np.empty((-(-shape[0] // size), -(-shape[1] // size)), np.float32) for _ in range(2))
    correlate(coarse, kernel, pad // size, pad // size, height)
    correlate(coarse, kernel**2 / np.float32(size * size), pad // size, pad // size, variance)
    sure = height - np.float32(SIGMA) * np.sqrt(np.maximum(gain * variance, 0.0))
    i, j = np.nonzero((sure > 0.0) & (sure == ndimage.maximum_filter(sure, 3, mode="nearest")))
    order = np.argsort(-sure[i, j], kind="stable")
    i, j = i[order], j[order]
    wide = np.pad(height, 1, "edge")
    up, left, down, right = (wide[i + a, j + b] for a, b in ((0, 1), (1, 0), (2, 1), (1, 2)))
    middle = wide[i + 1, j + 1]
    y, x = (
        (at + np.array([vertex(*line) for line in zip(low, middle, high, strict=True)], np.float64) + 0.5) * size - 0.5
        for at, low, high in ((i, up, down), (j, left, right))
    )
    room = np.minimum(np.minimum(y, shape[0] - 1 - y), np.minimum(x, shape[1] - 1 - x)) + 0.5
    row, column = (np.clip(np.rint(axis).astype(int), 0, n - 1) for axis, n in zip((y, x), shape, strict=True))
    whole = (room >= radius) & (away[row, column] >= radius + 0.5)
    return Copies(np.stack([y, x], axis=1), sure[i, j], whole)


def gain_of(pattern: np.ndarray, mask: np.ndarray | None) -> float:
    """Variance over mean of the counts, where the pattern is smooth; the step between them where it is so nowhere.

    Parts of a pattern have one gain, unless disks lie close together; those that are counted have steps.
    """
    from napari_stemnmf.disks.noise import ALIKE, TILE_BIAS, TILE_COLUMNS, TILE_QUANTILE, TILE_ROWS

    tall, wide = pattern.shape[0] // TILE_ROWS, pattern.shape[1] // TILE_COLUMNS
    inner = np.s_[: tall * TILE_ROWS, : wide * TILE_COLUMNS]
    tiles = np.nan_to_num(pattern[inner], nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
    tiles = tiles.reshape(tall, TILE_ROWS, wide, TILE_COLUMNS // 4, 2, 2)  # pairs of neighbours but one
    total = tiles.sum((1, 3, 4, 5))
    square = ((tiles[..., 0, :] - tiles[..., 1, :]) ** 2).sum((1, 3, 4))
    there = total > 0.0
    if mask is not None:
        there &= mask[inner].reshape(tall, TILE_ROWS, wide, TILE_COLUMNS).all((1, 3))
    if not there.any():
        return 1.0
    low, high = np.quantile(square[there] / total[there], [TILE_QUANTILE, 1.0 - TILE_QUANTILE])
    mean = float(np.median(total[there])) / (TILE_ROWS * TILE_COLUMNS)
    if high < ALIKE * low and low < FAINT * mean:
        return float(low / TILE_BIAS)
    for step in (1.0, float(tiles[tiles > 0.0].min())):
        if np.abs(tiles / step - np.rint(tiles / step)).max() < ROUNDED:
            return step
    return float(low / TILE_BIAS)


def crowd(pattern: np.ndarray, mask: np.ndarray | None, disks: Copies, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """The pixels around the brightest whole disks, up to `reach` px: (n, 2) px from its centre, and values.

    Each pixel is of the disk that is nearest, so that of a disk among others there is what lies between them.
    """
    values = np.nan_to_num(np.asarray(pattern, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    keep = np.ones(values.shape, bool) if mask is None else mask
    tree = cKDTree(disks.at)
    away, found = [np.empty((0, 2))], [np.empty(0)]
    chosen = np.flatnonzero(disks.whole)[:MOST_DISKS]
    for k in chosen[disks.height[chosen] >= BRIGHT * disks.height[chosen].max(initial=0.0)]:
        box = tuple(slice(max(0, int(c - reach)), max(0, int(c + reach) + 2)) for c in disks.at[k])
        pixels = np.argwhere(keep[box]) + [part.start for part in box]
        pixels = pixels[tree.query(pixels)[1] == k]
        away.append(pixels - disks.at[k])
        found.append(values[tuple(pixels.T)])
    return np.concatenate(away), np.concatenate(found)
