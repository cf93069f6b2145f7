"""All representations of a scan, with no more than one read of its patterns.

`REPRESENTATIONS` is the one table of them: those that need the patterns are kernels of one pass, those that need the
disks alone are made without a read. To add one, add its row and its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_stemnmf.calibration.geometry import Calibration, Geometry
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.detection import Peaks, find_disks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.angular_average import AngularAverage, rings_of
from napari_stemnmf.features.bragg_disks import bragg_disks
from napari_stemnmf.features.features import Features
from napari_stemnmf.features.polar import Table
from napari_stemnmf.features.projection import Projection
from napari_stemnmf.features.radial_variance import RadialVariance
from napari_stemnmf.features.virtual_dark_fields import VirtualDarkFields, pooling_of
from napari_stemnmf.preprocessing.pooling import pooled
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.streaming.engine import BlockResult, PassResult, run_pass
from napari_stemnmf.streaming.pools import Executor


@dataclass(frozen=True, eq=False)
class Featurized:
    """The representations of a request, by name in its order, and why the data does not allow the others."""

    features: dict[str, Features]
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Found:
    """What a representation may be made from, besides the patterns."""

    survey: Survey
    calibration: Calibration
    peaks: Peaks | None
    recipe: Recipe
    dataset: Dataset
    probe: Probe | None
    how: dict[str, Any]
    """How the scan is read, as options of `run_pass`."""


def _angular_average(found: Found) -> AngularAverage:
    geometry, settings = found.calibration.geometry, found.recipe.aa.featurize
    rings = settings.rings
    if rings is None:
        rings = rings_of(found.survey, geometry, found.calibration, found.peaks)
    return AngularAverage(geometry, rings, settings, found.calibration.origin)


def _radial_variance(found: Found) -> RadialVariance:
    return RadialVariance(found.calibration.geometry, found.recipe.rv.featurize, found.calibration.origin)


def _virtual_dark_fields(found: Found) -> VirtualDarkFields:
    if found.peaks is None:
        raise DataError("Virtual dark fields (VDF) need the disks of every pattern; run disk detection first.")
    settings = found.recipe.vdf.featurize
    given = found.calibration, found.survey, settings
    odd = found.survey.left_out
    faint = (
        pooling_of(found.dataset, found.peaks, found.calibration, odd) if settings.pooling is None else settings.pooling
    )
    gain = found.probe.gain if found.probe is not None else 0.0
    if not faint or found.probe is None:
        return VirtualDarkFields(found.peaks, *given, gain=gain)
    data = pooled(found.dataset, faint, odd)
    peaks = find_disks(data, found.probe, found.recipe.disks, gain=gain, **found.how).without(odd)
    return VirtualDarkFields(peaks, *given, gain=gain, pooled=(data, faint))


def _bragg_disks(found: Found) -> Features:
    if found.peaks is None:
        raise DataError("Bragg disks (BD) need the disks of every pattern; run disk detection first.")
    return bragg_disks(found.peaks, found.calibration, found.recipe.bd.featurize)


@dataclass(frozen=True)
class Representation:
    """A row of `REPRESENTATIONS`: how it is made, and whether from the patterns.

    With patterns, `make` gives a kernel, whose `features` takes what it found over the scan; without, the `Features`
    themselves. A kernel without `features` has ``columns``, ``dropped`` and ``details``, and its
    ``per_pattern["values"]`` become the features.
    """

    make: Callable[[Found], Any]
    reads_patterns: bool


REPRESENTATIONS = {
    "vdf": Representation(_virtual_dark_fields, reads_patterns=True),
    "aa": Representation(_angular_average, reads_patterns=True),
    "rv": Representation(_radial_variance, reads_patterns=True),
    "bd": Representation(_bragg_disks, reads_patterns=False),
}
"""How each representation is made, by name."""


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
        means, variances = self._project(block, positions)
        return BlockResult(per_pattern={"aa": means, "rv": variances})


def featurize(
    dataset: Dataset,
    survey: Survey,
    calibration: Calibration,
    recipe: Recipe,
    *,
    names: Sequence[str] | None = None,
    needed: bool = True,
    peaks: Peaks | None = None,
    probe: Probe | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Featurized:
    """The features of every pattern: VDF, AA and RV in one read of the scan, BD from the disks that were found before.

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
    needed : bool
        Whether one of them must be possible: not where there are others already.
    peaks : Peaks, optional
        The disks of every pattern; VDF and BD are made of them, and they show the rings where descan blurs the survey.
    probe : Probe, optional
        What disks look like: where patterns are pooled for VDF, their disks are looked for again.
    workers, control, executor
        As for `run_pass`.

    Returns
    -------
    Featurized

    Raises
    ------
    DataError
        If none of the features is possible and one is needed (no ring is found, no column is left, no disks were looked
        for), or the calibration or the disks are of another scan or detector.
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
    how = {"workers": workers, "control": control, "executor": executor}
    found = Found(survey, calibration, peaks, recipe, dataset, probe, how)
    features: dict[str, Features] = {}
    kernels: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name in names:
        listening.check()
        try:
            if REPRESENTATIONS[name].reads_patterns:
                kernels[name] = REPRESENTATIONS[name].make(found)
            else:
                features[name] = REPRESENTATIONS[name].make(found)
        except DataError as error:
            failed[name] = str(error)
    if failed and not features and not kernels and needed:
        raise DataError(" ".join(dict.fromkeys(failed.values())))
    if kernels:
        results = _read(dataset, kernels, how)
        for name, kernel in kernels.items():
            if hasattr(kernel, "features"):
                features[name] = kernel.features(results[name])
                continue
            values, columns = results[name].per_pattern["values"], dict(kernel.columns)
            if survey.left_out is not None:
                values[survey.left_out.ravel()] = np.nan
            features[name] = Features(name, values, columns, kernel.dropped, dataset.scan_shape, kernel.details)
    return Featurized({name: features[name] for name in names if name in features}, failed)


def _read(dataset: Dataset, kernels: dict[str, Any], how: dict[str, Any]) -> dict[str, PassResult]:
    """What all kernels found, from one read, AA and RV if possible from one copy of the patterns.

    One that looks at patterns of its own, as VDF at pooled ones, has a read of its own.
    """
    own = {name: kernel for name, kernel in kernels.items() if getattr(kernel, "dataset", None) is not None}
    results = {name: run_pass(kernel.dataset, [kernel], **how)[0] for name, kernel in own.items()}
    todo = {name: kernel for name, kernel in kernels.items() if name not in own}
    if not todo:
        return results
    if "aa" in kernels and "rv" in kernels and kernels["aa"].sqrt == kernels["rv"].sqrt:
        todo = {"aa and rv": AngularAverageAndRadialVariance(todo.pop("aa"), todo.pop("rv")), **todo}
    results |= zip(todo, run_pass(dataset, list(todo.values()), **how), strict=True)
    if both := results.pop("aa and rv", None):
        results |= {name: PassResult(per_pattern={"values": both.per_pattern[name]}) for name in ("aa", "rv")}
    return results
