"""The disks of several patterns, each taken to its own middle: how large they are, and what they look like."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_stemnmf.disks.central_disk import SMALL, find_center
from napari_stemnmf.disks.rim import STEP, Rim, rim_of
from napari_stemnmf.disks.scale import copies, crowd, gain_of
from napari_stemnmf.errors import DataError

SIMILAR = 0.35  # a disk whose radius differs from the median by a larger share is no copy of the others
FAR = 3.0  # px that a disk keeps from masked pixels where it may be any
WINDOW = 2.5  # radii around the brightest spot that are used
MOST_OFF = 1.5  # times the radius that a disk looks like, its edge is no further out
SUPPORT = 0.35  # share of a disk's height from which a pixel is part of it


@dataclass(frozen=True, eq=False)
class Aligned:
    """Disks of several patterns."""

    centers: np.ndarray  # (k, 2) where they were found (q_y, q_x), px
    radius: float  # of the mean disk, px; NaN where none was found
    profile: np.ndarray | None  # mean height at 0, STEP, 2 STEP, ... px from the centre, 1 at the plateau, 0 around
    hollow: bool = False  # whether its middle is dark
    moments: np.ndarray | None = None  # (2, 2) second moments of its support, px^2; None where it is cut


def align(
    patterns: Iterable[np.ndarray],
    mask: np.ndarray | None = None,
    near: tuple[float, float, float] | None = None,
    sharp: bool = False,
    radius: float = 0.0,
) -> Aligned:
    """Find one disk in each pattern (q_y, q_x) and average them.

    It is the brightest one: within a distance of a point, given as (q_y, q_x, distance) by `near`, or anywhere if
    that is None, then away from masked pixels. Patterns without counts there are passed over. Spots of about one pixel
    count as hot pixels unless they are `sharp`. The disks have about that `radius`, px.
    """
    found = [disk for pattern in patterns if (disk := _disk(pattern, mask, near, sharp, radius)) is not None]
    if not found:
        return Aligned(np.empty((0, 2)), float("nan"), None)
    typical = float(np.median([disk.radius for disk in found]))
    similar = [disk for disk in found if abs(disk.radius - typical) <= SIMILAR * typical]
    centers = np.array([disk.center for disk in similar]).reshape(-1, 2)
    if not similar:
        return Aligned(centers, typical, None)
    away = np.concatenate([disk.away for disk in similar])
    values = np.concatenate([disk.values for disk in similar])
    distance = np.hypot(*away.T)
    rim = rim_of(distance, values, 1.5 * typical + 1.5)
    if rim is None or (typical < SMALL and np.rint(distance.min() / STEP) * STEP > max(0.5 * typical, STEP)):
        return Aligned(centers, typical, None)
    return Aligned(centers, rim.radius, rim.profile, rim.hollow, _moments(away, values, rim, len(similar)))


def among(
    patterns: Iterable[np.ndarray], mask: np.ndarray | None, near: tuple[float, float, float] | None, radius: float
) -> Aligned:
    """The same of disks of about a radius (px) that lie among others, of many in each pattern."""
    centers, away, values = [], [np.empty((0, 2))], [np.empty(0)]
    for pattern in patterns:
        disks = copies(pattern, mask, radius, gain_of(pattern, mask))
        centers += list(disks.at[disks.whole & disks.within(near)][:1])
        if disks.whole.any():
            pixels = crowd(pattern, mask, disks, 4.0 * radius + 8.0)
            away.append(pixels[0])
            values.append(pixels[1])
    at = np.array(centers).reshape(-1, 2)
    rim = rim_of(np.hypot(*np.concatenate(away).T), np.concatenate(values), MOST_OFF * radius + 0.5)
    if rim is None:
        return Aligned(at, radius, None)
    return Aligned(at, rim.radius, rim.profile if rim.radius >= SMALL else None, rim.hollow)


def _moments(away: np.ndarray, values: np.ndarray, rim: Rim, number: int) -> np.ndarray | None:
    reach = 1.5 * rim.radius + 1.5
    near = np.hypot(*away.T) <= reach
    if near.sum() < 0.95 * np.pi * reach**2 * number:
        return None
    share = np.clip((values[near] - rim.floor) / (SUPPORT * rim.height), 0.0, 1.0)
    return np.asarray((share * away[near].T) @ away[near] / max(float(share.sum()), 1e-30))


class _Disk(NamedTuple):
    center: tuple[float, float]
    radius: float
    away: np.ndarray  # (pixels, 2) from the centre, px, of the pixels that are kept around it
    values: np.ndarray  # (pixels,)


def _disk(
    pattern: np.ndarray, mask: np.ndarray | None, near: tuple[float, float, float] | None, sharp: bool, about: float
) -> _Disk | None:
    """The brightest disk."""
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
    reach = 8 * 2 ** max(0, int(np.ceil(np.log2((WINDOW * about + 3.0) / 8))))
    for _ in range(4):  # the window grows until it holds the disk and its surroundings
        top, left = max(row - reach, 0), max(column - reach, 0)
        cut = np.s_[top : row + reach + 1, left : column + reach + 1]
        try:
            disk = find_center(values[cut], mask=keep[cut], sharp=sharp, at=(row - top, column - left))
        except DataError:
            return None
        if reach >= WINDOW * disk.probe_radius + 3.0 or reach >= max(values.shape):
            break
        reach = int(np.ceil(max(WINDOW * disk.probe_radius + 3.0, 2 * reach)))
    q_y, q_x = disk.q_y + top, disk.q_x + left
    away = np.argwhere(keep[cut]) - (disk.q_y, disk.q_x)
    return _Disk((q_y, q_x), disk.probe_radius, away, values[cut][keep[cut]])
