"""The centre of every pattern, without moving a pixel: a fraction of a pixel, which has its own look-up tables, and
a shift by whole pixels, which is a number added to the pixels' addresses.

Leans on `calibration.geometry`; `polar` makes the tables of each fraction, `projection` applies tables and shifts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.polar import SUBPIXELS

ROUNDING = 0.05  # most that a centre is moved along an axis, in probe radii
PARTS = (1, 2, SUBPIXELS)  # all divide what a pixel is divided by for the sectors, which then is the same for all


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

        Raises
        ------
        DataError
            If a centre is not finite, or as far from the mean as the detector is wide.
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
