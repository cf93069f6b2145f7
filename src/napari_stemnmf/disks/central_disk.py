"""Where the direct beam hits the detector, and how large its disk is, from the mean pattern.

The disk is found as the brightest blob, then its centre of mass and its area are refined in turn, in a window that
follows it. Isolated hot pixels are left out. Where a mask hides the disk, the centre is that of the pattern's symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.special import erfc

from napari_stemnmf.disks.rim import rim_of
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.sharp_spots import symmetric
from napari_stemnmf.preprocessing.symmetry import inversion_center, symmetry
from napari_stemnmf.stage_settings import CenterSettings

HOT_FACTOR = 4.0  # pixels above this multiple of the 4th highest around them are hot; a small probe stays below
ITERATIONS = 50
FULL = 0.35  # share of a disk's height from which a pixel is part of it, however dark the disk is there...
PULLED, LEAST_PULLED = 0.1, 0.3  # ... which counts where it puts the centre elsewhere, in radii, and at least in px
TOLERANCE = 1e-4  # px
BRIDGED = 3.0  # px from a kept pixel up to which a masked one is taken to be as bright
LEAST_PIXELS = 6  # of a cut disk, to tell its centre
SMALL = 2.0  # px: a disk of a smaller radius is measured pixel by pixel
CLEARLY, ALIKE = 0.1, 0.35
"""How much higher the correlation about the direct beam is than about a Bragg disk; share by which their radii differ,
at most."""
FINE = 2.5  # px: patterns are thinned until the radius is about that, to look at their symmetry
CUT = 0.3  # share of a disk at the centre of symmetry that is enough to measure it on
EDGE = 1.0  # standard deviation of a disk's edge, px, where it is cut
_NEIGHBOURS = np.pad(np.ones((3, 3), bool), 1, constant_values=True)
_NEIGHBOURS[[0, 0, -1, -1], [0, -1, 0, -1]] = False  # 5 x 5 less the corners, as in docs/method.md


@dataclass(frozen=True)
class Center:
    """Row and column of the direct beam and the radius of its disk, all in detector pixels."""

    q_y: float
    q_x: float
    probe_radius: float


def find_center(
    mean: np.ndarray,
    settings: CenterSettings | None = None,
    *,
    mask: np.ndarray | None = None,
    sharp: bool | None = None,
    at: tuple[int, int] | None = None,
) -> Center:
    """Centre and radius of the central disk of a mean pattern.

    The centre is the centre of mass of the disk above its surroundings, each pixel counting up to the disk's plateau
    at most; the radius is that of a uniform disk with the same area, so a soft edge does not change it.

    Parameters
    ----------
    mean : ndarray
        (q_y, q_x) mean pattern, in counts.
    settings : CenterSettings, optional
        What is set there is kept; the rest is measured.
    mask : ndarray of bool, optional
        (q_y, q_x), True = keep.
    sharp : bool, optional
        Whether spots of about one pixel are disks, and not hot pixels; found from the pattern if it is not given.
    at : tuple of int, optional
        A pixel (row, column) of the disk; the brightest disk without.

    Raises
    ------
    DataError
        If the pattern is empty, so that there is nothing to find, or a set centre lies off the detector by more than
        its side.
    """
    settings = CenterSettings() if settings is None else settings
    off = off_detector(settings, mean.shape)
    if settings.q_y is not None and settings.q_x is not None and settings.probe_radius is not None:
        return Center(settings.q_y, settings.q_x, settings.probe_radius)
    values = np.nan_to_num(np.asarray(mean, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    keep = np.ones(values.shape, bool) if mask is None else np.asarray(mask, bool)
    values = np.where(keep, np.maximum(values, 0.0), 0.0)
    if not values.max(initial=0.0) > 0.0:
        raise DataError(
            "The mean pattern holds no counts where pixels are kept, so its centre cannot be found; check whether the "
            "mask is the other way round (True, or not 0, is what is kept), or set center.q_y, center.q_x and "
            "center.probe_radius."
        )
    if not (sharp_spots(values) if sharp is None else sharp):
        values = without_hot_pixels(values)
    y, x, radius = _start(values, keep, at)
    most = 1.5 * radius + 1.5
    y = y if settings.q_y is None or off else settings.q_y
    x = x if settings.q_x is None or off else settings.q_x
    radius = radius if settings.probe_radius is None else settings.probe_radius
    box = tuple(slice(max(0, int(c - 5.0 * radius) - 9), int(c + 5.0 * radius) + 10) for c in (y, x))
    values, keep, grid = values[box], keep[box], np.indices(values.shape)[(slice(None), *box)]
    for _ in range(ITERATIONS):
        last = (y, x, radius)
        found = _measure(values, keep, grid, *last, most)
        if found is None:
            break
        y = found[0] if settings.q_y is None or off else y
        x = found[1] if settings.q_x is None or off else x
        radius = found[2] if settings.probe_radius is None else radius
        if max(abs(a - b) for a, b in zip(last, (y, x, radius), strict=True)) < TOLERANCE:
            break
    if off:  # the radius is that of the brightest disk
        y, x = (found if given is None else given for found, given in ((y, settings.q_y), (x, settings.q_x)))
    return Center(float(y), float(x), float(radius))


def without_hot_pixels(pattern: np.ndarray) -> np.ndarray:
    """A copy in which pixels far above all but three of their neighbours take the fourth highest value there.

    The neighbourhood is 5 x 5 less the corners, so up to three hot pixels side by side are removed, while a disk of
    four pixels or more stays as it is. A pattern of nothing but such pixels is returned unchanged.
    """
    fourth = ndimage.rank_filter(pattern, rank=-4, footprint=_NEIGHBOURS, mode="constant")
    clean = np.where(pattern > HOT_FACTOR * fourth, fourth, pattern)
    return clean if clean.max(initial=0.0) > 0.0 else pattern.copy()


def sharp_spots(pattern: np.ndarray) -> bool:
    """Whether what looks like hot pixels are spots of about one pixel, which lie in pairs about the direct beam."""
    return bool(symmetric(without_hot_pixels(pattern) < pattern, pattern).any())


class Located(NamedTuple):
    """The central disk of a mean pattern; whether it is hidden; whether a Bragg disk is brighter."""

    center: Center
    hidden: bool
    outshone: bool = False


def locate(mean: np.ndarray, center: CenterSettings, mask: np.ndarray | None = None) -> Located:
    """The central disk of the mean pattern; it is hidden where the mask says so, or it is set to lie off the detector.

    Where one crystal fills the scan a Bragg disk may be brighter; then the central disk is the one about which the
    pattern is symmetric. Where that is hidden, the centre is what is set or that of the mean pattern's symmetry under
    inversion, and the radius that of the brightest visible disk. A DataError if the pattern is empty.
    """
    start = find_center(mean, center, mask=mask)
    if off_detector(center, mean.shape):
        return Located(start, True)
    if center.q_y is None and center.q_x is None and (other := _outshone(mean, center, mask, start)):
        return Located(other, False, True)
    if mask is None:
        return Located(start, False)
    q_y, q_x = inversion_center(mean, mask) or (start.q_y, start.q_x)
    q_y = q_y if center.q_y is None else center.q_y
    q_x = q_x if center.q_x is None else center.q_x
    radius = start.probe_radius
    seen, distance = _kept_share(mask, start.q_y, start.q_x, radius), np.hypot(start.q_y - q_y, start.q_x - q_x)
    if seen > CUT and distance <= 0.5 * radius + 0.5:
        return Located(start, False)
    visible = seen > 0.7
    there = _kept_share(mask, q_y, q_x, radius)  # of a disk about the centre of inversion
    if visible and (distance <= radius or (distance <= 2.0 * radius + 2.0 and there > 0.1)):
        return Located(start, False)
    if seen > CUT and there > 0.5:  # it would be seen there
        return Located(start, False)
    return Located(Center(float(q_y), float(q_x), radius), True)


def _outshone(mean: np.ndarray, center: CenterSettings, mask: np.ndarray | None, start: Center) -> Center | None:
    """The disk, like the brightest one, about which the pattern is clearly more symmetric than about that; or None."""
    radius, step = start.probe_radius, max(1, int(start.probe_radius / FINE))
    about = symmetry(mean, mask, np.array([start.q_y, start.q_x]), 1.0, step)
    middle = inversion_center(mean, mask) if about < 1.0 - CLEARLY else None
    if middle is None or np.hypot(middle[0] - start.q_y, middle[1] - start.q_x) < 2.0 * radius + 2.0:
        return None
    if symmetry(mean, mask, np.array(middle), 1.0, step) < about + CLEARLY:
        return None
    y, x = np.ogrid[: mean.shape[0], : mean.shape[1]]
    near = np.where(np.hypot(y - middle[0], x - middle[1]) <= radius + 1.0, np.nan_to_num(mean, posinf=0.0), 0.0)
    near *= 1.0 if mask is None else mask
    if not near.any():
        return None
    row, column = np.unravel_index(int(np.argmax(near)), near.shape)
    found = find_center(mean, center, mask=mask, at=(int(row), int(column)))
    off = np.hypot(found.q_y - middle[0], found.q_x - middle[1])
    like = abs(found.probe_radius - radius) <= ALIKE * radius
    return found if like and off <= max(0.5 * radius, 1.0) else None


def off_detector(settings: CenterSettings, shape: tuple[int, ...]) -> bool:
    """Whether a set centre lies beyond the detector's edge; a DataError where that is by more than its side."""
    off = False
    for name, value, size in (("q_y", settings.q_y, shape[0]), ("q_x", settings.q_x, shape[1])):
        if value is not None and not -size <= value <= 2 * size:
            raise DataError(
                f"center.{name} is {value:g}, but the detector has pixels 0 to {size - 1} along {name}; a centre "
                "may be off it by as much as it is wide."
            )
        off = off or (value is not None and not -0.5 <= value <= size - 0.5)
    if off and None in (settings.q_y, settings.q_x):
        raise DataError("A centre off the detector cannot be found by itself: set both center.q_y and center.q_x.")
    return off


def _start(values: np.ndarray, keep: np.ndarray, at: tuple[int, int] | None) -> tuple[float, float, float]:
    """Centre of mass and radius of the brightest blob, or of that at a pixel.

    It is what is above half between its smoothed height and the median. What is masked is as bright as the nearest kept
    pixel, if that is near: a cut disk is one blob.
    """
    level = float(np.median(values[keep]))
    if not keep.all():
        away, nearest = ndimage.distance_transform_edt(~keep, return_indices=True)
        values = np.where(away <= BRIDGED, values[tuple(nearest)], 0.0)
    smooth = ndimage.uniform_filter(values, 3, mode="constant")
    peak = np.unravel_index(int(np.argmax(np.where(keep, smooth, 0.0))), smooth.shape) if at is None else at
    level = min(level, 0.9 * smooth[peak])
    blobs, _ = ndimage.label(smooth > 0.5 * (smooth[peak] + level))
    blob = ndimage.binary_fill_holes(blobs == blobs[peak])
    above = blob * np.maximum(values - level, 0.0)
    y, x = ndimage.center_of_mass(above) if above.any() else peak
    return float(y), float(x), max(1.0, float(np.sqrt(blob.sum() / np.pi)) - 0.5)


def _measure(
    values: np.ndarray, keep: np.ndarray, grid: np.ndarray, y: float, x: float, radius: float, most: float
) -> tuple[float, float, float] | None:
    """One refinement: centre and radius of what stands above the surroundings within a window.

    The centre is that of mass; of a cut disk, that about which its edge is round.
    """
    dy, dx = grid[0] - y, grid[1] - x
    distance = np.hypot(dy, dx)
    rim = rim_of(distance[keep], values[keep], most)
    if rim is None:
        return None
    if max(rim.radius, radius) < SMALL and keep[distance <= 1.5 * SMALL + 1.5].all():
        return _of_pixels(values, keep, grid, distance, radius) or (y, x, rim.radius)
    reach = 1.5 * rim.radius + 1.5
    height = np.maximum((values - rim.floor) / rim.height, 0.0)
    if not keep[distance <= rim.radius + 1.0].all():
        there = keep & (distance <= reach)
        if there.sum() < LEAST_PIXELS:
            return None
        moved = _to_edge(np.minimum(height[there] / FULL, 1.0), dy[there], dx[there])
        return y + moved[0], x + moved[1], rim.radius
    window = np.clip(reach + 0.5 - distance, 0.0, 1.0) * keep
    mass, support = (_middle(np.minimum(height / full, 1.0) * window, grid) for full in (1.0, FULL))
    pulled = np.hypot(*(mass - support)) > max(PULLED * rim.radius, LEAST_PULLED)
    y, x = support if pulled else mass
    return float(y), float(x), rim.radius


def _of_pixels(
    values: np.ndarray, keep: np.ndarray, grid: np.ndarray, distance: np.ndarray, radius: float
) -> tuple[float, float, float] | None:
    """Centre of mass and radius of a spot of a few pixels, for which a radial mean is too coarse."""
    reach = 1.5 * radius + 1.5
    around = values[keep & (distance > reach) & (distance <= reach + max(2.0, 0.5 * radius))]
    floor = float(np.median(around)) if around.size else 0.0
    inside = values[keep & (distance <= max(0.5 * radius, 0.75))]
    plateau = float(np.median(inside)) if inside.size else float(values[distance <= reach].max(initial=0.0))
    if plateau <= floor:
        return None
    share = np.clip((values - floor) / (plateau - floor), 0.0, 1.0) * np.clip(reach + 0.5 - distance, 0.0, 1.0) * keep
    y, x = _middle(share, grid)
    return float(y), float(x), float(np.sqrt(share.sum() / np.pi))


def _middle(weight: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return np.asarray((weight * grid).sum(axis=(1, 2)) / max(float(weight.sum()), 1e-30))


def _to_edge(share: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> tuple[float, float]:
    """How far from here the middle of a round disk is whose edge is that of some pixels: one step of least squares."""
    distance = np.maximum(np.hypot(dy, dx), 1e-9)
    radius = float(np.sqrt(share.mean()) * distance.max())
    beyond = (distance - radius) / EDGE
    steep = np.exp(-0.5 * beyond**2) / (np.sqrt(2.0 * np.pi) * EDGE)
    slopes = np.stack([steep * dy / distance, steep * dx / distance, steep], axis=1)
    step = np.linalg.lstsq(slopes, share - 0.5 * erfc(beyond / np.sqrt(2.0)), rcond=0.03)[0][:2]
    y, x = step / max(1.0, float(np.hypot(*step)))
    return float(y), float(x)


def nearest_kept(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat masked pixels, the kept pixel nearest to each, and the distance of every pixel to a masked one, px."""
    masked = np.flatnonzero(~mask)
    if not masked.size or not mask.any():
        return masked[:0], masked[:0], np.full(mask.shape, np.inf if mask.any() else 0.0)
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    source = np.ravel_multi_index(tuple(axis.ravel()[masked] for axis in nearest), mask.shape)
    return masked, source, ndimage.distance_transform_edt(mask)


def _kept_share(mask: np.ndarray, q_y: float, q_x: float, radius: float) -> float:
    """Share of the pixels of a disk that the mask keeps."""
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    disk = np.hypot(y - q_y, x - q_x) <= max(radius, 1.0)
    return float(mask[disk].mean()) if disk.any() else 0.0
