"""From disks to calibrated coordinates, in one call: centres, then ellipse, then pixel size.

Centres come first and need no ellipse: a Friedel pair has its midpoint at the centre whatever the distortion.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_stemnmf.calibration.calibration import Calibration
from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.calibration.origin import find_origin
from napari_stemnmf.dataset import Axis
from napari_stemnmf.disks.peaks import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.passes.survey import Survey
from napari_stemnmf.recipe import Recipe


def calibrate(peaks: Peaks | None, probe: Probe, survey: Survey, axes: Sequence[Axis], recipe: Recipe) -> Calibration:
    """Calibrate a scan.

    Parameters
    ----------
    peaks : Peaks or None
        Disks of every pattern. Without, there is one centre for all: the probe's.
    probe : Probe
        Mean centre, radius of the central disk, mask.
    survey : Survey
        Mean and maximum of the same (prepared) patterns.
    axes : sequence of Axis
        Those of the prepared scan.
    recipe : Recipe
        Its ``origin``, ``center``, ``ellipse`` and ``pixel_size``.

    Raises
    ------
    DataError
        If a ring that was asked for is not there.
    """
    scan_shape = (int(survey.pattern_sum.shape[0]), int(survey.pattern_sum.shape[1]))
    origin = find_origin(peaks, probe, survey.mean, scan_shape, recipe.origin, recipe.center)
    q_y, q_x = origin.origin.mean(axis=(0, 1), dtype=float)
    geometry = Geometry(probe.detector_shape, q_y, q_x, probe.radius, mask=probe.mask)
    return Calibration(geometry, origin.origin, origin.measured, origin.method, origin.fit, origin.residual)
