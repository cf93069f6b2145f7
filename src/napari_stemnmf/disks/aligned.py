"""What a disk looks like, from the same disk of several patterns laid over each other.

Each pattern's disk is found by itself, so that a beam that moves over the detector does not smear their mean.
Leans on scipy.ndimage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_stemnmf.disks.central_disk import find_center
from napari_stemnmf.errors import DataError

STEP = 0.25
"""Sampling of the radial profile, px."""
ALIKE = 0.35  # a disk whose radius differs from the median by a larger share is no copy of the others
FAR = 3.0  # px that a disk keeps from masked pixels where it may be any
WINDOW = 2.5  # radii around the brightest spot that are looked at


@dataclass(frozen=True, eq=False)
class Aligned:
    """Disks of several patterns.

    Attributes
    ----------
    centers : ndarray, (k, 2)
        Where they were found (q_y, q_x), px.
    radius : float
        Of the mean disk, px; NaN where none was found.
    profile : ndarray or None
        Mean height at 0, STEP, 2 STEP, ... px from the centre, 1 at the plateau and 0 around the disk.
    """

    centers: np.ndarray
    radius: float
    profile: np.ndarray | None


def align(
    patterns: Iterable[np.ndarray],
    mask: np.ndarray | None = None,
    near: tuple[float, float, float] | None = None,
) -> Aligned:
    """Find one disk in each pattern (q_y, q_x) and average them.

    It is the brightest one: within a distance of a point, given as (q_y, q_x, distance) by `near`, or anywhere if
    that is None, then away from masked pixels. Patterns without counts there are passed over.
    """
    looks = [_look(pattern, mask, near) for pattern in patterns]
    found = [look for look in looks if look is not None]
    if not found:
        return Aligned(np.empty((0, 2)), float("nan"), None)
    typical = float(np.median([radius for _, radius, *_ in found]))
    alike = [look for look in found if abs(look[1] - typical) <= ALIKE * typical]
    profile = _profile(alike, typical)
    centers = np.array([center for center, *_ in alike]).reshape(-1, 2)
    if profile is None:
        return Aligned(centers, typical, None)
    rings = STEP * np.arange(len(profile))
    return Aligned(centers, float(np.sqrt(2.0 * (profile * rings).sum() * STEP)), profile)


def _look(
    pattern: np.ndarray, mask: np.ndarray | None, near: tuple[float, float, float] | None
) -> tuple[tuple[float, float], float, np.ndarray, np.ndarray] | None:
    """Centre and radius of the brightest disk, and distances from it and counts of the pixels around."""
    values = np.nan_to_num(np.asarray(pattern, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    keep = np.ones(values.shape, bool) if mask is None else mask
    rows, columns = np.ogrid[: values.shape[0], : values.shape[1]]
    if near is not None:
        eligible = keep & (np.hypot(rows - near[0], columns - near[1]) <= near[2])
    else:
        eligible = keep if mask is None else ndimage.distance_transform_edt(keep) > FAR
    smooth = ndimage.uniform_filter(np.maximum(values, 0.0), 3, mode="constant") * eligible
    if not smooth.max(initial=0.0) > 0.0:
        return None
    row, column = (int(k) for k in np.unravel_index(int(np.argmax(smooth)), smooth.shape))
    reach = 8
    for _ in range(4):  # the window grows until it holds the disk and its surroundings
        top, left = max(row - reach, 0), max(column - reach, 0)
        cut = np.s_[top : row + reach + 1, left : column + reach + 1]
        try:
            disk = find_center(values[cut], mask=keep[cut])
        except DataError:
            return None
        if reach >= WINDOW * disk.probe_radius + 3.0 or reach >= max(values.shape):
            break
        reach = int(np.ceil(max(WINDOW * disk.probe_radius + 3.0, 2 * reach)))
    q_y, q_x = disk.q_y + top, disk.q_x + left
    distance = np.hypot(rows[top : row + reach + 1] - q_y, columns[:, left : column + reach + 1] - q_x)
    return (q_y, q_x), disk.probe_radius, distance[keep[cut]], values[cut][keep[cut]]


def _profile(looks: list, radius: float) -> np.ndarray | None:
    """Mean radial profile, from 0 around the disk to 1 on its plateau; None where nothing stands out."""
    edge = 1.5 * radius + 1.5
    bins = int(np.ceil((edge + max(2.0, 0.5 * radius)) / STEP)) + 1
    total, weight = np.zeros(bins), np.zeros(bins)
    for *_, distance, values in looks:
        place = np.rint(distance / STEP).astype(int)
        inside = place < bins
        total += np.bincount(place[inside], values[inside], bins)
        weight += np.bincount(place[inside], minlength=bins)
    smooth = ndimage.gaussian_filter1d(total, 1.0, mode="nearest") / np.maximum(
        ndimage.gaussian_filter1d(weight, 1.0, mode="nearest"), 1e-9
    )
    rings = STEP * np.arange(bins)
    floor = float(np.median(smooth[rings >= edge]))
    middle = rings <= max(0.5 * radius, STEP)
    plateau = float(total[middle].sum() / max(weight[middle].sum(), 1.0))
    if not plateau > floor:
        return None
    return np.where(rings < edge, np.maximum((smooth - floor) / (plateau - floor), 0.0), 0.0)
