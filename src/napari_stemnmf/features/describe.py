"""All representations of a scan in one read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.angular_average import AngularAverage, find_rings
from napari_stemnmf.features.projection import Plan, project
from napari_stemnmf.features.radial_variance import RadialVariance
from napari_stemnmf.passes.engine import BlockResult, Executor, run_pass
from napari_stemnmf.passes.survey import Survey
from napari_stemnmf.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Features:
    """One representation of a scan: a row per probe position, a column per feature.

    Attributes
    ----------
    name : str
        ``aa`` or ``rv``.
    values : ndarray of float32
        (n, m) unscaled values of the columns that were kept.
    columns : dict of ndarray
        (m,) each, what the columns stand for: ``ring``, ``r_in``, ``r_out`` [px], ``azimuth`` [deg] for AA,
        ``radius`` [px] for RV.
    dropped : tuple of str
        Columns that were left out, for lack of valid pixels.
    scan_shape : tuple of int
        (scan_y, scan_x); n is their product.
    details : dict
        What was found or used on the way: ``rings`` [px], ``intensity``, ...
    """

    name: str
    values: np.ndarray
    columns: dict[str, np.ndarray]
    dropped: tuple[str, ...]
    scan_shape: tuple[int, int]
    details: dict[str, Any] = field(default_factory=dict)


class AngularAverageAndRadialVariance:
    """The `Kernel` that gives both features from one copy of the patterns: ``per_pattern["aa"]`` and ``["rv"]``."""

    def __init__(self, angular_average: AngularAverage, radial_variance: RadialVariance) -> None:
        same = angular_average.root == radial_variance.root
        if not same or angular_average.geometry.detector_shape != radial_variance.geometry.detector_shape:
            raise DataError("Only features of the same detector and intensity scale share a copy of the patterns.")
        self.angular_average = angular_average
        self.radial_variance = radial_variance

    @cached_property
    def _plan(self) -> Plan:
        return Plan.of(
            self.angular_average.geometry.detector_shape, self.angular_average.table, self.radial_variance.table
        )

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """AA and RV of one block (p, q_y, q_x)."""
        means, variances = project(block, self._plan, root=self.angular_average.root)
        return BlockResult(per_pattern={"aa": means, "rv": variances})


def describe(
    dataset: Dataset,
    survey: Survey,
    geometry: Geometry,
    recipe: Recipe,
    *,
    names: Sequence[str] | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> dict[str, Features]:
    """The features of every pattern, all of them in one read.

    Parameters
    ----------
    dataset : Dataset
        The scan.
    survey : Survey
        Its maximum pattern shows the rings, where the recipe does not set them.
    geometry : Geometry
        Centre, probe radius, ellipse and mask.
    recipe : Recipe
        Settings of each representation.
    names : sequence of str, optional
        Which to compute; the recipe's if not given.
    workers, control, executor
        As for `run_pass`.

    Returns
    -------
    dict
        `Features` by name, in the order of `names`.

    Raises
    ------
    DataError
        If no ring is found, no column is left, or the detector does not fit the geometry.
    Cancelled
        If the user asked to stop.
    """
    names = tuple(dict.fromkeys(recipe.features if names is None else names))
    if geometry.detector_shape != dataset.detector_shape:
        raise DataError(
            f"The geometry is for {geometry.detector_shape} pixels, the detector has {dataset.detector_shape}."
        )
    kernels: dict[str, Any] = {}
    for name in names:
        settings: Any = recipe.chain(name).describe
        if name == "aa":
            rings = find_rings(survey.maximum, geometry) if settings.rings is None else settings.rings
            kernels[name] = AngularAverage(geometry, rings, settings)
        else:
            kernels[name] = RadialVariance(geometry, settings)
    shared = "aa" in kernels and "rv" in kernels and kernels["aa"].root == kernels["rv"].root
    if shared:
        both = AngularAverageAndRadialVariance(kernels["aa"], kernels["rv"])
        (result,) = run_pass(dataset, [both], workers=workers, control=control, executor=executor)
        values = result.per_pattern
    else:
        results = run_pass(dataset, list(kernels.values()), workers=workers, control=control, executor=executor)
        values = {name: r.per_pattern["values"] for name, r in zip(kernels, results, strict=True)}
    return {name: _features(name, kernels[name], values[name], dataset.scan_shape) for name in names}


def _features(name: str, kernel: Any, values: np.ndarray, scan_shape: tuple[int, int]) -> Features:
    details: dict[str, Any] = {"intensity": kernel.settings.intensity, "angle_step": kernel.settings.angle_step}
    if name == "aa":
        details["rings"] = kernel.rings
    else:
        details["radii"] = tuple(float(r) for r in kernel.columns["radius"])
    return Features(name, values, dict(kernel.columns), kernel.dropped, scan_shape, details)
