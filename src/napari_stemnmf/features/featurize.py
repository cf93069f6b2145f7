"""All representations of a scan, with no more than one read of its patterns.

AA and RV are kernels of one pass; BD needs no patterns, only the table of disks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_stemnmf.calibration.calibration import Calibration
from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.peaks import Peaks
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.angular_average import AngularAverage, centered_maximum, find_rings
from napari_stemnmf.features.bragg_disks import bragg_disks
from napari_stemnmf.features.features import Features
from napari_stemnmf.features.polar import Table
from napari_stemnmf.features.projection import Projection
from napari_stemnmf.features.radial_variance import RadialVariance
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.streaming.engine import BlockResult, Executor, run_pass
from napari_stemnmf.streaming.survey import Survey


@dataclass(frozen=True, eq=False)
class Featurized:
    """The representations that were asked for.

    Attributes
    ----------
    features : dict
        `Features` by name, in the order asked for, without those that the data does not allow.
    failed : dict
        Why each of the others could not be had: a sentence by name.
    """

    features: dict[str, Features]
    failed: dict[str, str] = field(default_factory=dict)


class AngularAverageAndRadialVariance:
    """The `Kernel` that gives both features from one copy of the patterns: ``per_pattern["aa"]`` and ``["rv"]``."""

    def __init__(self, angular_average: AngularAverage, radial_variance: RadialVariance) -> None:
        same = angular_average.sqrt == radial_variance.sqrt
        if not same or not angular_average.centers.same_as(radial_variance.centers):
            raise DataError("Only features of the same centres and intensity scale share a copy of the patterns.")
        self.angular_average = angular_average
        self.radial_variance = radial_variance
        self._project = Projection(angular_average.centers, self._tables, sqrt=angular_average.sqrt)

    def _tables(self, geometry: Geometry) -> tuple[Table, Table]:
        return self.angular_average.table(geometry), self.radial_variance.table(geometry)

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """AA and RV of one block (p, q_y, q_x)."""
        means, variances = self._project(block, positions)
        return BlockResult(per_pattern={"aa": means, "rv": variances})


def featurize(
    dataset: Dataset,
    survey: Survey,
    calibration: Calibration,
    recipe: Recipe,
    *,
    names: Sequence[str] | None = None,
    peaks: Peaks | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Featurized:
    """The features of every pattern: AA and RV in one read of the scan, BD from the disks that were found before.

    A representation that the data does not allow, such as AA where no ring is seen, does not stop the others.

    Parameters
    ----------
    dataset : Dataset
        The scan.
    survey : Survey
        Its maximum pattern shows the rings, where the recipe does not set them.
    calibration : Calibration
        The centre of every pattern, probe radius, ellipse and mask.
    recipe : Recipe
        Settings of each representation.
    names : sequence of str, optional
        Which to compute; the recipe's if not given.
    peaks : Peaks, optional
        The disks of every pattern; BD is made of them, and they show the rings where descan blurs the survey.
    workers, control, executor
        As for `run_pass`.

    Returns
    -------
    Featurized

    Raises
    ------
    DataError
        If none of the features can be had (no ring is found, no column is left, no disks were looked for), or the
        calibration or the disks are of another scan or detector.
    Cancelled
        If the user asked to stop.
    """
    names = tuple(dict.fromkeys(recipe.features if names is None else names))
    listening = Control() if control is None else control
    if calibration.geometry.detector_shape != dataset.detector_shape:
        raise DataError(
            f"The geometry is for {calibration.geometry.detector_shape} pixels, "
            f"the detector has {dataset.detector_shape}."
        )
    if calibration.scan_shape != dataset.scan_shape:
        raise DataError(f"The calibration is of a scan of {calibration.scan_shape}, the data is {dataset.scan_shape}.")
    if peaks is not None and peaks.scan_shape != dataset.scan_shape:
        raise DataError(f"The disks are of a scan of {peaks.scan_shape}, the data is {dataset.scan_shape}.")
    features: dict[str, Features] = {}
    kernels: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name in names:
        listening.check()
        try:
            if name == "bd":
                features[name] = _bragg_disks(peaks, calibration, recipe)
            else:
                kernels[name] = _kernel(name, survey, calibration, peaks, recipe)
        except DataError as error:
            failed[name] = str(error)
    if failed and not features and not kernels:
        raise DataError(" ".join(dict.fromkeys(failed.values())))
    if kernels:
        values = _read(dataset, kernels, workers=workers, control=control, executor=executor)
        features |= {name: _features(name, kernels[name], values[name], dataset.scan_shape) for name in kernels}
    return Featurized({name: features[name] for name in names if name in features}, failed)


def _bragg_disks(peaks: Peaks | None, calibration: Calibration, recipe: Recipe) -> Features:
    if peaks is None:
        raise DataError("Bragg disks (BD) need the disks of every pattern; run disk detection first.")
    return bragg_disks(peaks, calibration, recipe.bd.featurize)


def _kernel(name: str, survey: Survey, calibration: Calibration, peaks: Peaks | None, recipe: Recipe) -> Any:
    geometry, origin = calibration.geometry, calibration.origin
    if name == "rv":
        return RadialVariance(geometry, recipe.rv.featurize, origin)
    rings = recipe.aa.featurize.rings
    if rings is None:
        rings = find_rings(centered_maximum(survey, calibration, peaks), geometry)
    return AngularAverage(geometry, rings, recipe.aa.featurize, origin)


def _read(dataset: Dataset, kernels: dict[str, Any], **how: Any) -> dict[str, np.ndarray]:
    """The values (n, columns) of all kernels, from one read and if possible one copy of the patterns."""
    if "aa" in kernels and "rv" in kernels and kernels["aa"].sqrt == kernels["rv"].sqrt:
        (both,) = run_pass(dataset, [AngularAverageAndRadialVariance(kernels["aa"], kernels["rv"])], **how)
        return both.per_pattern
    results = run_pass(dataset, list(kernels.values()), **how)
    return {name: result.per_pattern["values"] for name, result in zip(kernels, results, strict=True)}


def _features(name: str, kernel: Any, values: np.ndarray, scan_shape: tuple[int, int]) -> Features:
    details: dict[str, Any] = {"intensity": kernel.settings.intensity, "angle_step": kernel.settings.angle_step}
    if name == "aa":
        details["rings"] = kernel.rings
    else:
        details["radii"] = tuple(float(r) for r in kernel.columns["radius"])
    return Features(name, values, dict(kernel.columns), kernel.dropped, scan_shape, details)
