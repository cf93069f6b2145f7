"""From disks to calibrated coordinates, in one call: centres, then ellipse, then pixel size.

Centres come first and need no ellipse: a Friedel pair has its midpoint at the centre whatever the distortion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_stemnmf.calibration.bragg_vectors import centred
from napari_stemnmf.calibration.calibration import Calibration
from napari_stemnmf.calibration.diffuse_ring import ellipse_of_pattern, radial_mean, ring_of_pattern
from napari_stemnmf.calibration.ellipse import Ellipse, ellipse_of_disks
from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.calibration.origin import find_origin
from napari_stemnmf.calibration.pixel_size import pixel_size
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Axis
from napari_stemnmf.disks.peaks import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.errors import DataError
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.stage_settings import EllipseSettings
from napari_stemnmf.streaming.survey import Survey


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
        If a ring that was asked for is not there, or disks and survey are of different scans.
    """
    recipe = Recipe() if recipe is None else recipe
    control = Control() if control is None else control
    scan_shape = (int(survey.pattern_sum.shape[0]), int(survey.pattern_sum.shape[1]))
    if peaks is not None and peaks.scan_shape != scan_shape:
        raise DataError(f"Disks of a scan of {peaks.scan_shape} do not go with a survey of {scan_shape}.")
    origin = find_origin(peaks, probe, survey.mean, scan_shape, recipe.origin, recipe.center, control)
    q_y, q_x = (float(part) for part in origin.origin.mean(axis=(0, 1), dtype=np.float64))
    found = Calibration(
        Geometry(probe.detector_shape, q_y, q_x, probe.radius, mask=probe.mask),
        origin.origin, origin.measured, origin.method, origin.fit, origin.residual,
    )  # fmt: skip
    found = _with_ellipse(found, peaks, survey, recipe.ellipse, control)
    control.check()
    return _with_pixel_size(found, peaks, survey, axes, recipe)


def _with_ellipse(
    found: Calibration, peaks: Peaks | None, survey: Survey, settings: EllipseSettings, control: Control
) -> Calibration:
    if settings.method == "off":
        return replace(found, ellipse_method="off")
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
    found = replace(
        found,
        ellipse_radius=measured.radius,
        ellipse_residual=measured.residual,
        ellipse_error=measured.error,
    )
    if settings.ratio is not None:
        return _stretched(found, settings.ratio, measured.angle, "set")
    if settings.angle is not None:
        along = np.cos(2.0 * np.radians(measured.angle - settings.angle))
        measured = replace(measured, ratio=max(measured.ratio ** float(along), 1.0), angle=settings.angle)
    if settings.method == "auto" and not measured.significant:
        return found
    return _stretched(found, measured.ratio, measured.angle, method)


def _of_disks(found: Calibration, peaks: Peaks, settings: EllipseSettings, control: Control) -> Ellipse | None:
    y, x = centred(peaks, found)
    return ellipse_of_disks(y, x, found.geometry.probe_radius, settings.r_min, settings.r_max, control)


def _of_ring(found: Calibration, survey: Survey, settings: EllipseSettings) -> Ellipse | None:
    ring = ring_of_pattern(survey.mean, found.geometry, settings.r_min, settings.r_max)
    if ring is None:
        return None
    blur = np.cov(found.origin.reshape(-1, 2).T.astype(np.float64), bias=True)
    return ellipse_of_pattern(survey.mean, found.geometry, ring, blur)


def _stretched(found: Calibration, ratio: float, angle: float, method: str) -> Calibration:
    geometry = replace(found.geometry, ellipse_ratio=ratio, ellipse_angle=angle % 180.0)
    return replace(found, geometry=geometry, ellipse_method=method)


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
