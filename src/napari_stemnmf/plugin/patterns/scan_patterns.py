"""Patterns of a scan for the docks: read, located on the detector, and scaled for the eye. No Qt.

A `PictureMaker` is used from one worker thread: it caches what was read and found last, so that a change of a setting
costs no more than what depends on it. Leans on the stages of the pipeline, imported late.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.patterns.overlays import round_geometry

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.geometry import Geometry
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.disks.probe import Probe
    from napari_stemnmf.recipe import Recipe
    from napari_stemnmf.stage_settings import DiskSettings

SCALES = ("log", "sqrt", "linear")
SAMPLED = 512
"""Pixels along an axis that percentiles are taken from, at least where there are so many."""
SOFTNESS = 0.25
"""Blur (sigma) of a Bragg vector map, in probe radii: for the eye, which would miss single pixels."""


@dataclass(frozen=True, eq=False)
class PictureRequest:
    """What to show: a picture of a scan, under settings that may be newer than what was found.

    `picture` is "mean", "maximum", "position", "raw map" or "calibrated map".
    """

    dataset: Dataset | None
    analysis: Analysis | None
    recipe: Recipe
    picture: str = "mean"
    position: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Picture:
    """A pattern or a map of Bragg disks, and what is drawn over it."""

    image: np.ndarray | None = None  # float32 (q_y, q_x); None where there is nothing to show, and `note` says why
    geometry: Geometry | None = None  # centre, probe radius, ellipse and mask of this picture
    lines: dict[str, np.ndarray] = field(default_factory=dict)  # (n, 2) points of each overlay, by its name
    mask: np.ndarray | None = None  # bool (q_y, q_x), True = keep
    note: str = ""  # a sentence for the user

    def radius(self, q_y: float, q_x: float) -> float | None:
        """Calibrated radius (px) of a point; None where the centre is not known."""
        if self.geometry is None:
            return None
        return float(self.geometry.to_polar(np.array(q_y), np.array(q_x))[0])


class PictureMaker:
    """Base of what makes the pictures of a dock: patterns, maps, the probe and disks, the last of each cached."""

    def __init__(self) -> None:
        self._cache: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def forget(self) -> None:
        """Drop everything that was read."""
        self._cache = {}

    def _bragg_map(self, request: PictureRequest) -> Picture:
        """The Bragg vectors of the scan, raw or calibrated, without lines over them."""
        from napari_stemnmf.calibration.bragg_vectors import calibrated_map, raw_map

        analysis = request.analysis
        calibrated = request.picture == "calibrated map"
        if analysis is None or analysis.peaks is None or (calibrated and analysis.calibration is None):
            return Picture(note="Press Calibrate all: the Bragg disks of the scan are not known yet.")
        peaks, calibration, probe = analysis.peaks, analysis.calibration, analysis.probe
        if calibrated and calibration is not None:
            radius = calibration.geometry.probe_radius
            image = self._cached(
                request.picture, (peaks, calibration), lambda: _soft(calibrated_map(peaks, calibration), radius)
            )
            return Picture(image, round_geometry(calibration.geometry))
        radius = 0.0 if probe is None else probe.radius
        image = self._cached(request.picture, (peaks, probe), lambda: _soft(raw_map(peaks), radius))
        return Picture(image) if probe is None else Picture(image, geometry_of(request, probe), mask=probe.mask)

    def _pattern(self, request: PictureRequest) -> np.ndarray | None:
        survey = request.analysis.survey if request.analysis is not None else None
        if request.picture != "position":
            return None if survey is None else getattr(survey, request.picture)
        dataset, analysis = request.dataset, request.analysis
        if dataset is None:
            raise StemNMFError("The scan itself is not open; open its file to see single patterns.")

        def read() -> np.ndarray:
            data = dataset
            if survey is not None and analysis is not None:
                from napari_stemnmf import pipeline

                data = pipeline.prepared(analysis, dataset)
            rows, columns = data.scan_shape
            return np.asarray(data.pattern(min(request.position[0], rows - 1), min(request.position[1], columns - 1)))

        return np.asarray(self._cached("position", (dataset, survey, request.position), read))

    def _probe(self, request: PictureRequest, shape: tuple[int, ...]) -> Probe | None:
        """The probe under the present settings: that of the analysis, or one found now on its survey."""
        analysis, recipe, dataset = request.analysis, request.recipe, request.dataset
        if analysis is None or analysis.survey is None or analysis.survey.mean.shape != shape:
            return None
        preprocess = analysis.recipe.preprocess  # what the survey was taken with
        as_surveyed = replace(recipe, preprocess=preprocess)
        if analysis.probe is not None and (dataset is None or analysis.is_current("probe", as_surveyed)):
            return analysis.probe
        if dataset is None:
            return None
        survey = analysis.survey

        def find() -> Probe:
            from napari_stemnmf import pipeline
            from napari_stemnmf.disks.probe import find_probe
            from napari_stemnmf.preprocessing.beam_stop import detector_mask

            mask = detector_mask(survey, recipe.beam_stop, preprocess, dataset.detector_shape, given=analysis.mask)
            return find_probe(pipeline.prepared(analysis, dataset), survey, mask, recipe.center, recipe.probe)

        return self._cached("probe", (survey, recipe.beam_stop, recipe.center, recipe.probe, analysis.mask), find)

    def _cached(self, name: str, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` gives, made again only when one of the things that it depends on is another."""
        cached = self._cache.get(name)
        if cached is None or not all(a is b or (_plain(a) and a == b) for a, b in zip(cached[0], key, strict=True)):
            cached = self._cache[name] = (key, make())
        return cached[1]


def find_disks(image: np.ndarray, probe: Probe, settings: DiskSettings) -> tuple[np.ndarray, ...]:
    """q_y, q_x, height and snr of the disks of one pattern."""
    from napari_stemnmf.disks.detection import detect

    return tuple(detect(image, probe, settings))


def geometry_of(request: PictureRequest, probe: Probe) -> Geometry:
    """Centre, ellipse and mask of the requested picture, as far as they are known.

    The calibration's, stale or not, unless the centre's settings have changed; a single pattern has its own centre.
    Radius, mask, and an ellipse that the settings give, are those of now.
    """
    from napari_stemnmf.calibration.geometry import Geometry

    analysis = request.analysis
    calibration = analysis.calibration if analysis is not None else None
    same = analysis is not None and analysis.recipe.center == request.recipe.center
    if calibration is not None and same and calibration.geometry.detector_shape == probe.detector_shape:
        where = replace(calibration.geometry, probe_radius=probe.radius, mask=probe.mask)
        y, x = request.position
        if request.picture == "position" and y < calibration.scan_shape[0] and x < calibration.scan_shape[1]:
            q_y, q_x = calibration.origin[y, x]
            where = replace(where, q_y=float(q_y), q_x=float(q_x))
    else:
        where = Geometry(probe.detector_shape, probe.q_y, probe.q_x, probe.radius, mask=probe.mask)
    given = request.recipe.ellipse
    if given.ratio is not None and given.angle is not None:
        where = replace(where, ellipse_ratio=given.ratio, ellipse_angle=given.angle)
    return where


def scaled(image: np.ndarray, scale: str) -> np.ndarray:
    """(rows, columns) float32 for the eye: counts on a linear, sqrt or logarithmic scale; invalid values are 0."""
    values = np.maximum(np.nan_to_num(np.asarray(image, np.float32), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    if scale == "sqrt":
        return np.sqrt(values)
    if scale != "log":
        return values
    top = float(values.max(initial=0.0))
    some = _sample(values)
    above = some[some > 0]
    floor = max(float(np.percentile(above, 5)), 1e-4 * top) if above.size else 1.0
    return np.log1p(values / floor)


def limits(image: np.ndarray, low: float = 0.5, high: float = 99.8) -> tuple[float, float]:
    """Darkest and brightest value to show, at two percentiles: nearly all of what there is, always ascending."""
    if not image.size:
        return 0.0, 1.0
    darkest, brightest = (float(v) for v in np.percentile(_sample(image), [low, high]))
    return (darkest, brightest) if brightest > darkest else (darkest, darkest + 1.0)


def _sample(image: np.ndarray) -> np.ndarray:
    """An image thinned to what percentiles need, so that a large detector is shown as fast as a small one."""
    return image[tuple(slice(None, None, max(1, n // SAMPLED)) for n in image.shape)]


def point_reading(q_y: float, q_x: float, value: float, radius: float | None, step: float, unit: str) -> str:
    """A point of a pattern in two lines: pixel and value, then radius and, where it is calibrated, the d-spacing."""
    text = f"q_y {q_y:.0f}, q_x {q_x:.0f}: {value:.4g}\n"
    if radius is None:
        return text
    text += f"r {radius:.1f} px"
    if unit == "1/nm" and radius * step > 0:
        text += f" = {radius * step:.3g} 1/nm, d {1 / (radius * step):.3g} nm"
    return text


def _soft(image: np.ndarray, radius: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, SOFTNESS * radius))


def _plain(value: Any) -> bool:
    return not isinstance(value, np.ndarray) and type(value).__eq__ is not object.__eq__
