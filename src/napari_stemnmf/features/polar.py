"""Look-up tables from detector pixels to rings, sectors and polar samples, and the centres that they are for.

The tables depend on the geometry alone, so they are built once and kept (`functools.lru_cache`, keyed by content).
No pixel is moved to centre a pattern: the fraction of a pixel by which its centre is off has its own tables, and a
shift by whole pixels is a number added to the pixels' addresses. How both are applied is in `projection`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError

SUBPIXELS = 4
"""A pixel is split into so many parts along each axis to share it between the sectors that it touches."""

KEPT = 32  # tables of each kind: those of the sixteen fractions of a pixel that centres are rounded to, twice

ROUNDING = 0.05  # most that a centre is moved along an axis, in probe radii
PARTS = (1, 2, SUBPIXELS)  # of a pixel; all divide `SUBPIXELS`, so that the sectors' parts are the same for all
PROFILE_VALID = 0.1  # a beam stop may hide most of the azimuths around the central disk


@dataclass(frozen=True, eq=False)
class Table:
    """Sparse weights of detector pixels, in segments: one segment per column of a feature."""

    start: np.ndarray  # (columns + 1,) int64, where the entries of each column start
    index: np.ndarray  # (entries, taps) int32, flat detector pixels
    weight: np.ndarray  # (entries, taps) float32, weight of each pixel
    share: np.ndarray  # (columns,) float64, part of the column's area (or of its samples) on valid pixels, 0 to 1

    def select(self, keep: np.ndarray) -> Table:
        """The table of the columns where `keep` (columns,) is True."""
        if keep.all():
            return self
        sizes = np.diff(self.start)
        entries = np.repeat(keep, sizes)
        return Table(_starts(sizes[keep]), self.index[entries], self.weight[entries], self.share[keep])


@dataclass(frozen=True, eq=False)
class Centers:
    """Where the patterns of a scan are centred, rounded to a step from the mean centre that is small for a disk.

    The step is 1, 1/2 or 1/4 px (`parts_of_a_pixel`). So a block of large patterns, which holds few of them, has few
    fractions to deal with as well. Where no centre is a step away from the mean, all have the mean centre itself.

    Attributes
    ----------
    geometries : tuple of Geometry
        One for each fraction of a pixel that occurs (at most 16), for patterns that are not shifted. Their mask keeps
        what is valid whatever the shift, so that the columns of a feature mean the same for every pattern.
    choice : ndarray of int8, (n,), or None
        Which geometry each pattern has; None where all patterns have the only one, unshifted.
    shift : ndarray of int64, (n,), or None
        What is added to the flat index of a pixel to find it in each pattern.
    """

    geometries: tuple[Geometry, ...]
    choice: np.ndarray | None = None
    shift: np.ndarray | None = None

    @classmethod
    def of(cls, geometry: Geometry, origin: np.ndarray | None = None) -> Centers:
        """Centres from the mean geometry and the centre (..., 2) of each pattern, px; None if all have the same.

        A DataError if a centre is not finite, or as far from the mean as the detector is wide.
        """
        if origin is None:
            return cls((geometry,))
        offset = np.asarray(origin, np.float64).reshape(-1, 2) - (geometry.q_y, geometry.q_x)
        inside = (np.abs(offset) < geometry.detector_shape).all(axis=1)
        if not inside.all():
            where = int(np.argmin(inside))
            raise DataError(f"The centre of pattern {where} lies off the detector; check the origin's calibration.")
        n = parts_of_a_pixel(geometry.probe_radius)
        steps = np.rint(offset * n).astype(np.int64)
        if not steps.any():
            return cls((geometry,))
        whole, part = np.divmod(steps, n)
        mask = _always_valid(geometry, np.unique(whole, axis=0))
        parts, choice = np.unique(part[:, 0] * n + part[:, 1], return_inverse=True)
        geometries = tuple(
            replace(geometry, q_y=geometry.q_y + part // n / n, q_x=geometry.q_x + part % n / n, mask=mask)
            for part in parts.tolist()
        )
        shift = whole[:, 0] * geometry.detector_shape[1] + whole[:, 1]
        return cls(geometries, choice.astype(np.int8), shift)

    def same_as(self, other: Centers) -> bool:
        """Whether the patterns have the same tables and shifts."""
        if self.choice is None or other.choice is None or self.shift is None or other.shift is None:
            return self.geometries == other.geometries and self.choice is other.choice
        same = np.array_equal(self.choice, other.choice) and np.array_equal(self.shift, other.shift)
        return same and self.geometries == other.geometries


def parts_of_a_pixel(probe_radius: float) -> int:
    """How many steps to a pixel centres are rounded to: the fewest of 1, 2, 4 that are fine enough for the disks."""
    return next((n for n in PARTS if 0.5 / n <= ROUNDING * probe_radius), PARTS[-1])


def _always_valid(geometry: Geometry, shifts: np.ndarray) -> np.ndarray:
    """(q_y, q_x) mask of the pixels that are kept, and on the detector, under every one of the shifts (s, 2)."""
    rows, columns = geometry.detector_shape
    around = np.zeros((3 * rows, 3 * columns), bool)
    around[rows : 2 * rows, columns : 2 * columns] = True if geometry.mask is None else geometry.mask
    valid = np.ones((rows, columns), bool)
    for down, right in shifts:
        valid &= around[rows + down : 2 * rows + down, columns + right : 2 * columns + right]
    return valid


@lru_cache(maxsize=KEPT)
def sectors(geometry: Geometry, rings: tuple[float, ...], angle_step: float) -> Table:
    """Weights that average the valid pixels of each ring and sector; ring-major, then by azimuth.

    Pixels are areas, not points: each is split into `SUBPIXELS` x `SUBPIXELS` parts, and a part belongs to the ring
    and the sector in which its centre lies (inner and lower bounds included). A pixel weighs in each cell by the
    number of its parts there. So a pixel within one cell counts once and whole, one on a boundary is shared, and the
    small sectors near the beam, which hold the centre of no pixel, still have a value.

    Rings lie between ascending radii (px); sectors are `angle_step` degrees wide, from +q_x on towards +q_y. The table
    has one tap, and the weights of a column add up to 1, or it has none.
    """
    n_sectors = round(360.0 / angle_step)
    n_columns = (len(rings) - 1) * n_sectors
    bounds = np.asarray(rings, np.float64)
    rows, columns = geometry.detector_shape
    reach = int(np.ceil(bounds[-1] * np.sqrt(geometry.ellipse_ratio))) + 1
    y0, y1 = int(geometry.q_y) - reach, int(geometry.q_y) + reach + 2
    x0, x1 = int(geometry.q_x) - reach, int(geometry.q_x) + reach + 2
    parts = (np.arange(SUBPIXELS) + 0.5) / SUBPIXELS - 0.5
    x = (np.arange(x0, x1)[:, None] + parts).ravel()
    pixel_x = np.repeat(np.arange(x0, x1), SUBPIXELS)
    valid = np.ones((rows, columns), bool) if geometry.mask is None else geometry.mask
    full = np.zeros(n_columns, np.int64)
    keys, counts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for row in range(y0, y1):
        radius, azimuth = geometry.to_polar(row + parts[:, None], x)
        ring = np.searchsorted(bounds, radius, side="right") - 1
        within = (ring >= 0) & (ring < len(rings) - 1)
        cell = ring[within] * n_sectors + (azimuth[within] / angle_step).astype(np.int64) % n_sectors
        full += np.bincount(cell, minlength=n_columns)
        if not 0 <= row < rows:
            continue
        column = np.broadcast_to(pixel_x, within.shape)[within]
        there = (column >= 0) & (column < columns)
        there[there] = valid[row, column[there]]
        key, count = np.unique(cell[there] * (rows * columns) + row * columns + column[there], return_counts=True)
        keys.append(key)
        counts.append(count)
    order = np.argsort(np.concatenate(keys), kind="stable")
    count = np.concatenate(counts)[order]
    cell, pixel = np.divmod(np.concatenate(keys)[order], rows * columns)
    area = np.bincount(cell, count, minlength=n_columns)
    sizes = np.bincount(cell, minlength=n_columns)
    weight = (count / area[cell]).astype(np.float32)
    return Table(_starts(sizes), pixel.astype(np.int32)[:, None], weight[:, None], area / np.maximum(full, 1))


@lru_cache(maxsize=KEPT)
def samples(geometry: Geometry, radii: tuple[float, ...], angle_step: float) -> Table:
    """The table of `sample_weights`, kept for the next call."""
    return sample_weights(geometry, radii, angle_step)


def sample_weights(geometry: Geometry, radii: tuple[float, ...], angle_step: float) -> Table:
    """Weights that sample a pattern bilinearly at each radius (px), in steps of azimuth (degrees).

    Samples that need a masked pixel, or one off the detector, are left out; `share` is the share of those that are
    left. The table has four taps, and one column per radius.
    """
    index, weight, valid = _taps(geometry, radii, angle_step)
    kept = valid.sum(axis=1)
    return Table(_starts(kept), index[valid], weight[valid], kept / max(1, valid.shape[1]))


def unrolled(image: np.ndarray, geometry: Geometry, radii: tuple[float, ...], angle_step: float = 1.0) -> np.ndarray:
    """An image (q_y, q_x), finite, in polar coordinates, the ellipse undone: the samples that RV is the variance of.

    Returns (radii, 360 / angle_step) float64, by radius (px) and azimuth from +q_x towards +q_y; NaN where a masked
    pixel would be needed, or one off the detector.
    """
    index, weight, valid = _taps(geometry, radii, angle_step)
    values = (np.asarray(image, np.float64).ravel()[index] * weight).sum(axis=-1)
    return np.where(valid, values, np.nan)


def _taps(geometry: Geometry, radii: tuple[float, ...], angle_step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat pixels and weights (m, azimuths, 4) of bilinear samples, and which of them (m, azimuths) are valid."""
    azimuth = np.arange(round(360.0 / angle_step)) * angle_step
    y, x = geometry.from_polar(np.asarray(radii, np.float64)[:, None], azimuth)
    y, x = np.round(y, 9), np.round(x, 9)  # sin(180 deg) is not quite 0, and must not ask for one more row
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    down, right = y - top, x - left
    rows, columns = geometry.detector_shape
    index = np.zeros((*y.shape, 4), np.int32)
    weight = np.zeros((*y.shape, 4), np.float32)
    valid = np.ones(y.shape, bool)
    for tap, (dy, dx) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        share = (down if dy else 1.0 - down) * (right if dx else 1.0 - right)
        row, column = top + dy, left + dx
        there = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        pixel = np.where(there, row * columns + column, 0)
        if geometry.mask is not None:
            there &= geometry.mask.ravel()[pixel]
        valid &= there | (share == 0.0)
        index[..., tap] = np.where(share == 0.0, 0, pixel)
        weight[..., tap] = share
    index = np.where(weight > 0.0, index, index.max(axis=-1, keepdims=True))  # an idle tap reads a neighbour
    return index, weight, valid


def check_reach(radius: float, geometry: Geometry) -> None:
    """Refuse a radius (px) so far off the detector that it must be a mistake, such as a wrong unit: a DataError."""
    top, bottom, left, right = geometry.edge_distances()
    corner = float(np.hypot(max(top, bottom), max(left, right)))
    if radius > 4.0 * corner:
        raise DataError(
            f"A radius of {radius:g} px was set, but the detector ends {corner:.0f} px from the beam; "
            "radii are in detector pixels."
        )


def radial_profile(image: np.ndarray, geometry: Geometry, radii: tuple[float, ...]) -> np.ndarray:
    """Mean of an image over the valid samples of each radius (px), float64; NaN where under a tenth are valid."""
    table = sample_weights(geometry, radii, 1.0)
    values = (np.asarray(image, np.float64).ravel()[table.index] * table.weight).sum(axis=1)
    column = np.repeat(np.arange(len(radii)), np.diff(table.start))
    sums = np.bincount(column, values, minlength=len(radii))
    counts = np.diff(table.start)
    return np.where(table.share >= PROFILE_VALID, sums / np.maximum(counts, 1), np.nan)


def _starts(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
