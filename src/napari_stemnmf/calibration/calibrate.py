"""From disks to calibrated coordinates, in one call: centres, then ellipse, then pixel size.

Centres come first and need no ellipse: a Friedel pair has its midpoint at the centre whatever the distortion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_stemnmf.calibration.diffuse_ring import ellipse_of_pattern, radial_mean, ring_of_pattern
from napari_stemnmf.calibration.ellipse import Ellipse, ellipse_of_disks
from napari_stemnmf.calibration.geometry import Calibration, Geometry, centred
from napari_stemnmf.calibration.origin import find_origin
from napari_stemnmf.calibration.rings import CENTRAL, disk_rings, profile_rings, step_for
from napari_stemnmf.calibration.spot_ellipse import ellipse_of_spots
from napari_stemnmf.calibration.spots import spots_of
from napari_stemnmf.calibration.surface import MAD_TO_SIGMA
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Axis
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.disks.sampled import sampled
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.dead_pixels import SATURATED
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.stage_settings import EllipseSettings, PixelSizeSettings
from napari_stemnmf.units import pixel_ratio

NEAR = 0.1  # a ring lies within so much of the radius that is given
TELLING = 0.0015  # standard error of the ratio up to which a circle is told from an ellipse that matters
SMALL = 0.015  # above 1: the direction of so small an ellipse matters little, and `TELLING` is enough to keep it
RIGHT, DIRECTED = 0.003, 2.5  # ratio, and direction in degrees, to which an ellipse is right that is kept
WITHIN = 1.7  # stated errors that lie within that
STEPS = 20  # in which the radius of a ring of disks is refined


def calibrate(
    peaks: Peaks | None,
    probe: Probe,
    survey: Survey,
    axes: Sequence[Axis],
    recipe: Recipe | None = None,
    control: Control | None = None,
) -> Calibration:
    """Calibrate a scan.

    Parameters
    ----------
    peaks : Peaks or None
        Disks of every pattern. Without, there is one centre for all, and an ellipse only from a ring of the mean
        pattern.
    probe : Probe
        Mean centre, radius of the central disk, mask.
    survey : Survey
        Mean pattern and scan shape of the same (prepared) patterns.
    axes : sequence of Axis
        Those of the prepared scan.
    recipe : Recipe, optional
        Its ``origin``, ``center``, ``ellipse`` and ``pixel_size``.
    control : Control, optional
        Checked for a cancel all along.

    Raises
    ------
    DataError
        If a ring that the settings name is not there, or disks and survey are of different scans.
    """
    recipe = Recipe() if recipe is None else recipe
    control = Control() if control is None else control
    scan_shape = (int(survey.pattern_sum.shape[0]), int(survey.pattern_sum.shape[1]))
    if peaks is not None and peaks.scan_shape != scan_shape:
        raise DataError(f"Disks of a scan of {peaks.scan_shape} do not go with a survey of {scan_shape}.")
    origin = find_origin(
        peaks, probe, survey.mean, scan_shape, recipe.origin, recipe.center, control, SATURATED in survey.dead
    )
    q_y, q_x = (float(part) for part in origin.origin.mean(axis=(0, 1), dtype=np.float64))
    known = Geometry(probe.detector_shape, q_y, q_x, probe.radius, *ellipse_of_pixels(axes), mask=probe.mask)
    found = Calibration(
        known,
        origin.origin,
        origin.measured,
        origin_method=origin.method,
        origin_fit=origin.fit,
        origin_residual=origin.residual,
        ellipse_method="none" if known.ellipse_ratio == 1.0 else "file",
        pixel_ratio=pixel_ratio(axes),
        origin_use=origin.use,
        origin_error=origin.error,
        descan_error=origin.descan_error,
        notes=origin.note,
    )
    some = None if peaks is None else sampled(peaks)
    found = _with_ellipse(found, some, survey, recipe.ellipse, control)
    control.check()
    return _with_pixel_size(found, some, survey, axes, recipe)


def _with_ellipse(
    found: Calibration, peaks: Peaks | None, survey: Survey, settings: EllipseSettings, control: Control
) -> Calibration:
    if settings.method == "off":
        return found if found.ellipse_method == "file" else replace(found, ellipse_method="off")
    if settings.ratio is not None and settings.angle is not None:
        return _stretched(found, settings.ratio, settings.angle, "set")
    measured, method = None, "none"
    if peaks is not None and settings.method in ("auto", "disks"):
        measured, method = _of_disks(found, peaks, settings, control), "disks"
    if measured is None and settings.method in ("auto", "ring"):
        control.check()
        measured, method = _of_ring(found, survey, settings), "ring"
    if measured is None:
        if settings.ratio is None:
            return found
        return _stretched(found, settings.ratio, 0.0, "set")
    both = found.geometry.with_ellipse(measured.ratio, measured.angle) if found.ellipse_method == "file" else None
    alone = measured  # on top of what the file tells
    if both is not None:
        measured = replace(measured, ratio=both.ellipse_ratio, angle=both.ellipse_angle)
    found = replace(
        found, ellipse_radius=measured.radius, ellipse_residual=measured.residual, ellipse_error=measured.error,
        ellipse_angle_error=measured.angle_error,
    )  # fmt: skip
    if settings.ratio is not None:
        return _stretched(found, settings.ratio, measured.angle, "set")
    if settings.angle is not None:
        along = np.cos(2.0 * np.radians(measured.angle - settings.angle))
        measured = replace(measured, ratio=max(measured.ratio ** float(along), 1.0), angle=settings.angle)
    if settings.method == "auto" and not (alone.significant and _fine(alone)):
        found = replace(found, ellipse_error=float(np.hypot(alone.ratio - 1.0, alone.error)))
        silent = np.isnan(alone.error) or (alone.error <= TELLING and not alone.significant)
        return found if silent else _noted(found, alone)
    return _stretched(found, measured.ratio, measured.angle, method)


def _fine(measured: Ellipse) -> bool:
    """Whether a ratio, and its direction where that matters, are known well enough to use them."""
    if measured.ratio - 1.0 < SMALL:
        return measured.error <= TELLING
    return WITHIN * measured.error <= RIGHT and WITHIN * measured.angle_error <= DIRECTED


def _noted(found: Calibration, measured: Ellipse) -> Calibration:
    """With a sentence on the ellipse that was measured, but is not kept."""
    why = "is known too coarsely" if measured.significant else "may be chance"
    note = (
        f"The ellipse that was measured, {measured.ratio:.3f} ± {measured.error:.3f} at {measured.angle:.0f}°, {why} "
        "(few grains fill few directions): the rings are taken as round. "
        "To use it all the same, set ellipse.method to disks."
    )
    return replace(found, notes="\n".join(filter(None, (found.notes, note))))


def _of_disks(found: Calibration, peaks: Peaks, settings: EllipseSettings, control: Control) -> Ellipse | None:
    """From spots of grains; from the disks themselves where no spot is seen at enough positions."""
    places = y, x = np.stack(centred(peaks, found))
    radius = found.geometry.probe_radius
    first = max(CENTRAL * radius, 3.0) if settings.r_min is None else settings.r_min
    last = float(np.hypot(y, x).max(initial=0.0)) if settings.r_max is None else settings.r_max
    spots = spots_of(peaks, places, np.stack(centred(peaks.by_edges(), found)), radius)
    return ellipse_of_spots(spots, radius, first, last, control) or ellipse_of_disks(
        y, x, radius, settings.r_min, settings.r_max, control
    )


def _of_ring(found: Calibration, survey: Survey, settings: EllipseSettings) -> Ellipse | None:
    ring = ring_of_pattern(survey.mean, found.geometry, settings.r_min, settings.r_max)
    if ring is None:
        return None
    blur = np.cov(found.origin.reshape(-1, 2).T.astype(np.float64), bias=True)
    return ellipse_of_pattern(survey.mean, found.geometry, ring, blur)


def _stretched(found: Calibration, ratio: float, angle: float, method: str) -> Calibration:
    geometry = replace(found.geometry, ellipse_ratio=ratio, ellipse_angle=angle % 180.0)
    return replace(found, geometry=geometry, ellipse_method=method)


def ellipse_of_pixels(axes: Sequence[Axis]) -> tuple[float, float]:
    """Ratio and angle (degrees) of the ellipse that a circle is on a detector of rectangular pixels, by its axes."""
    ratio = pixel_ratio(axes)
    return (ratio, 90.0) if ratio > 1.0 else (1.0 / ratio, 0.0)


def _with_pixel_size(
    found: Calibration, peaks: Peaks | None, survey: Survey, axes: Sequence[Axis], recipe: Recipe
) -> Calibration:
    geometry = found.geometry
    radius = height = np.zeros(0, np.float32)
    profile = np.zeros(0)
    if recipe.pixel_size.d_spacing is not None:
        profile = radial_mean(survey.mean, geometry)
        if peaks is not None:
            radius, height = np.hypot(*centred(peaks, found)), peaks.height
    size = pixel_size(radius, height, profile, geometry.probe_radius, axes, recipe.pixel_size)
    return replace(
        found, pixel_size=size.size, pixel_unit=size.unit, pixel_method=size.method, pixel_radius=size.radius
    )


@dataclass(frozen=True)
class PixelSize:
    """The size of a detector pixel and where it is from; fields as in `Calibration`."""

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

    With a known spacing d, the ring of radius R px gives 1 / (d R), in 1/nm: the ring of disks (peaks,) whose heights
    add up to most, or of the radial mean (radii,) at 0, 1, 2... px where there are no disks. Without, the file's
    calibration is kept, in the file's unit; where its two detector axes differ in scale, their geometric mean is taken,
    as radii are those of circles of radius sqrt(a b), and `ellipse_of_pixels` tells the rest. A DataError if there is
    no ring for a spacing, or none near the radius that is given.
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
