"""The size of a detector pixel: from a ring of known lattice spacing, or as the file says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_stemnmf.calibration.rings import CENTRAL, disk_rings, profile_rings, step_for
from napari_stemnmf.calibration.surface import MAD_TO_SIGMA
from napari_stemnmf.dataset import Axis
from napari_stemnmf.errors import DataError
from napari_stemnmf.stage_settings import PixelSizeSettings

NEAR = 0.1  # a ring lies within so much of the radius that is given
STEPS = 20


@dataclass(frozen=True)
class PixelSize:
    """Fields as in `Calibration`."""

    size: float = 1.0
    unit: str = "px"
    method: str = "none"
    radius: float = float("nan")


def pixel_size(
    radius: np.ndarray,
    height: np.ndarray,
    profile: np.ndarray,
    probe_radius: float,
    axes: Sequence[Axis],
    settings: PixelSizeSettings | None = None,
) -> PixelSize:
    """The size of a detector pixel.

    With a known spacing d, the ring of radius R px gives 1 / (d R), in 1/nm. Without, the file's calibration is kept,
    in the file's unit; where its two detector axes differ in scale, their geometric mean is taken, as radii are those
    of circles of radius sqrt(a b).

    Parameters
    ----------
    radius : ndarray
        (peaks,) calibrated radius of each disk, px.
    height : ndarray
        (peaks,) height of each disk: the strongest ring is that whose heights add up to most.
    profile : ndarray
        (radii,) radial mean of the mean pattern at 0, 1, 2... px, for patterns without disks.
    probe_radius : float
        px.
    axes : sequence of Axis
        The axes of the scan; the last two are the detector's.
    settings : PixelSizeSettings, optional

    Raises
    ------
    DataError
        If a spacing is given, but there is no ring, or none near the radius that is given.
    """
    settings = PixelSizeSettings() if settings is None else settings
    if settings.d_spacing is None:
        return _of_file(axes)
    found = _disk_radius(radius, height, probe_radius, settings.radius)
    if found is None:
        found = _profile_radius(profile, probe_radius, settings.radius)
    if found is None:
        where = "" if settings.radius is None else f" near {settings.radius:g} px"
        raise DataError(
            f"There is no ring{where} that the lattice spacing of {settings.d_spacing:g} nm could belong to; "
            "set pixel_size.radius to the radius of one, or leave pixel_size.d_spacing empty."
        )
    return PixelSize(1.0 / (settings.d_spacing * found), "1/nm", "d-spacing", found)


def _of_file(axes: Sequence[Axis]) -> PixelSize:
    q_y, q_x = axes[-2:]
    scale = float(np.sqrt(abs(q_y.scale * q_x.scale)))
    if q_y.assumed or q_x.assumed or q_y.unit != q_x.unit or q_y.unit == "px" or not (np.isfinite(scale) and scale > 0):
        return PixelSize()
    return PixelSize(scale, q_y.unit, "file")


def _disk_radius(radius: np.ndarray, height: np.ndarray, probe_radius: float, near: float | None) -> float | None:
    """Radius of the strongest ring of disks, or of the one nearest to `near`: the centre of its crowd."""
    first = max(CENTRAL * probe_radius, 3.0)
    last = float(radius.max(initial=0.0))
    weight = np.maximum(np.nan_to_num(np.asarray(height, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    if near is not None:
        first, last, weight = near * (1.0 - NEAR), near * (1.0 + NEAR), np.ones(len(radius))
    rings = disk_rings(np.asarray(radius, np.float64), probe_radius, first, last, weight)
    if not rings:
        return None
    ring = rings[0] if near is None else min(rings, key=lambda ring: abs(ring.radius - near))
    at, window = ring.radius, max(0.5 * (ring.high - ring.low), 2.0 * step_for(probe_radius))
    for _ in range(STEPS):
        miss = radius[np.abs(radius - at) < window] - at
        if not len(miss):
            break
        sigma = MAD_TO_SIGMA * float(np.median(np.abs(miss)))
        share = np.exp(-0.5 * (miss / max(2.0 * sigma, 1e-3)) ** 2)
        at += float((share * miss).sum() / share.sum())
    return at


def _profile_radius(profile: np.ndarray, probe_radius: float, near: float | None) -> float | None:
    """Radius of the most prominent maximum of a radial mean, or of the one nearest to `near`."""
    first, last = max(CENTRAL * probe_radius, 3.0), float(len(profile) - 1)
    rings = profile_rings(profile, probe_radius, first, last)
    if near is not None:
        rings = sorted((r for r in rings if abs(r.radius - near) <= NEAR * near), key=lambda r: abs(r.radius - near))
    return rings[0].radius if rings else None
