"""What the Calibrate step shows of a scan, and the live preview of disks: data and settings in, a picture out. No Qt.

A `Preview` is used from one worker thread: it keeps what was read and found last, so that a change of a setting costs
no more than what depends on it. Leans on the stages of the pipeline, imported late.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.patterns import overlays

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.geometry import Geometry
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.disks.probe import Probe
    from napari_stemnmf.recipe import Recipe

PICTURES = {
    "mean": "mean pattern",
    "maximum": "maximum pattern",
    "position": "pattern at position",
    "raw map": "Bragg vectors, raw",
    "calibrated map": "Bragg vectors, calibrated",
}
"""What can be shown, and its name in the window."""
SCALES = ("log", "sqrt", "linear")
SAMPLED = 512
"""Pixels along an axis that percentiles are taken from, at least where there are so many."""
SOFTNESS = 0.25
"""Blur (sigma) of a Bragg vector map, in probe radii: for the eye, which would miss single pixels."""


@dataclass(frozen=True, eq=False)
class Request:
    """What to show: a picture of a scan, under settings that may be newer than what was found."""

    dataset: Dataset | None
    analysis: Analysis | None
    recipe: Recipe
    picture: str = "mean"
    position: tuple[int, int] = (0, 0)
    number: int = 0


@dataclass(frozen=True, eq=False)
class Picture:
    """What was asked for.

    Attributes
    ----------
    image : ndarray of float32 or None
        (q_y, q_x); None where there is nothing to show, and `note` says why.
    geometry : Geometry or None
        Centre, probe radius, ellipse and mask of this picture.
    lines : dict
        (n, 2) points of each overlay, by the names of `overlays.OVERLAYS`.
    mask : ndarray of bool or None
        (q_y, q_x), True = keep.
    disks : tuple of ndarray or None
        q_y, q_x, height, snr of the disks found on it.
    seconds : float
        What finding them took.
    note : str
        A sentence for the user.
    number : int
        That of the request.
    """

    image: np.ndarray | None = None
    geometry: Geometry | None = None
    lines: dict[str, np.ndarray] = field(default_factory=dict)
    mask: np.ndarray | None = None
    disks: tuple[np.ndarray, ...] | None = None
    seconds: float = 0.0
    note: str = ""
    number: int = 0

    def radius(self, q_y: float, q_x: float) -> float | None:
        """Calibrated radius (px) of a point; None where the centre is not known."""
        if self.geometry is None:
            return None
        return float(self.geometry.to_polar(np.array(q_y), np.array(q_x))[0])


class Preview:
    """Makes pictures, and remembers the last of each ingredient."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def __call__(self, request: Request) -> Picture:
        """The picture that is requested for; what cannot be done becomes its note."""
        try:
            return replace(self._picture(request), number=request.number)
        except StemNMFError as error:
            return Picture(note=str(error), number=request.number)

    def forget(self) -> None:
        """Let go of everything that was read."""
        self._kept = {}

    def _picture(self, request: Request) -> Picture:
        if request.picture.endswith("map"):
            return self._map(request)
        image = self._pattern(request)
        if image is None:
            return Picture(note="Press First look, or Calibrate all: the mean and maximum patterns are not known yet.")
        try:
            probe = self._probe(request, image.shape)
        except StemNMFError as error:
            return Picture(image, note=str(error))
        if probe is None:
            return Picture(image, note="Disks show after a First look.")
        where = geometry_of(request, probe)
        start = time.perf_counter()
        disks = self._disks(request, image, probe)
        seconds = time.perf_counter() - start
        lines = self._lines(request, where)
        lines["disks"] = overlays.circles(disks[0], disks[1], probe.radius)
        return Picture(image, where, lines, probe.mask, disks, seconds)

    def _map(self, request: Request) -> Picture:
        from napari_stemnmf.calibration.bragg_vectors import calibrated_map, raw_map

        analysis = request.analysis
        calibrated = request.picture == "calibrated map"
        if analysis is None or analysis.peaks is None or (calibrated and analysis.calibration is None):
            return Picture(note="Press Calibrate all: the Bragg disks of the scan are not known yet.")
        peaks, calibration, probe = analysis.peaks, analysis.calibration, analysis.probe
        mask = None if calibrated or probe is None else probe.mask
        if calibrated and calibration is not None:
            radius = calibration.geometry.probe_radius
            image = self._keep(
                request.picture, (peaks, calibration), lambda: _soft(calibrated_map(peaks, calibration), radius)
            )
            where = overlays.geometry_round(calibration.geometry)
        else:
            radius = 0.0 if probe is None else probe.radius
            image = self._keep(request.picture, (peaks, probe), lambda: _soft(raw_map(peaks), radius))
            if probe is None:
                return Picture(image)
            where = geometry_of(request, probe)
        return Picture(image, where, self._lines(request, where), mask)

    def _pattern(self, request: Request) -> np.ndarray | None:
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

        return np.asarray(self._keep("position", (dataset, survey, request.position), read))

    def _probe(self, request: Request, shape: tuple[int, ...]) -> Probe | None:
        """The probe under the present settings: that of the analysis, or one found now on its survey."""
        analysis, recipe, dataset = request.analysis, request.recipe, request.dataset
        if analysis is None or analysis.survey is None or analysis.survey.mean.shape != shape:
            return None
        preparation = analysis.recipe.preprocess  # what the survey was taken with
        as_surveyed = replace(recipe, preprocess=preparation)
        if analysis.probe is not None and (dataset is None or analysis.is_current("probe", as_surveyed)):
            return analysis.probe
        if dataset is None:
            return None
        survey = analysis.survey

        def find() -> Probe:
            from napari_stemnmf import pipeline
            from napari_stemnmf.disks.probe import find_probe
            from napari_stemnmf.preprocessing.beam_stop import detector_mask

            mask = detector_mask(survey, recipe.beam_stop, preparation, dataset.detector_shape, given=analysis.mask)
            return find_probe(pipeline.prepared(analysis, dataset), survey, mask, recipe.center, recipe.probe)

        return self._keep("probe", (survey, recipe.beam_stop, recipe.center, recipe.probe, analysis.mask), find)

    def _disks(self, request: Request, image: np.ndarray, probe: Probe) -> tuple[np.ndarray, ...]:
        from napari_stemnmf.disks.detection import detect

        return tuple(detect(image, probe, request.recipe.disks))

    def _lines(self, request: Request, where: Geometry) -> dict[str, np.ndarray]:
        analysis, recipe = request.analysis, request.recipe
        if analysis is None or analysis.survey is None:
            return {}
        calibration = analysis.calibration
        survey = analysis.survey
        fitted = [] if calibration is None else [calibration.ellipse_radius, calibration.pixel_radius]
        rings = self._rings(request, where)
        hot = overlays.in_prepared_pixels(survey.hot_pixels, analysis.recipe.preprocess)
        if request.picture == "calibrated map":
            hot = hot[:0]
        key = (where, rings, recipe.aa.featurize, recipe.rv.featurize, survey, calibration)
        return dict(
            self._keep(
                "lines",
                key,
                lambda: overlays.drawn(where, recipe, cell_rings=rings, fitted=fitted, hot_pixels=hot),
            )
        )

    def _rings(self, request: Request, where: Geometry) -> tuple[float, ...]:
        """The bounds of AA's rings, as Featurize would take them; none where there are none."""
        analysis = request.analysis
        set_by_hand = request.recipe.aa.featurize.rings
        if set_by_hand is not None or analysis is None or analysis.survey is None:
            return set_by_hand or ()
        survey, calibration, peaks = analysis.survey, analysis.calibration, analysis.peaks

        def find() -> tuple[float, ...]:
            from napari_stemnmf.features.angular_average import centered_maximum, find_rings

            try:
                if calibration is None:
                    return find_rings(survey.maximum, where)
                return find_rings(centered_maximum(survey, calibration, peaks), calibration.geometry)
            except StemNMFError:  # Featurize says so when it runs
                return ()

        found: tuple[float, ...] = self._keep(
            "rings", (survey, calibration, peaks, where if calibration is None else None), find
        )
        return found

    def _keep(self, name: str, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` gives, made again only when one of the things that it depends on is another."""
        kept = self._kept.get(name)
        if kept is None or not all(a is b or (_plain(a) and a == b) for a, b in zip(kept[0], key, strict=True)):
            kept = self._kept[name] = (key, make())
        return kept[1]


def geometry_of(request: Request, probe: Probe) -> Geometry:
    """Centre, ellipse and mask of the picture that is requested for, as far as they are known.

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


def _soft(image: np.ndarray, radius: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, SOFTNESS * radius))


def scaled(image: np.ndarray, scale: str) -> np.ndarray:
    """(rows, columns) float32 for the eye: counts on a linear, root or logarithmic scale; invalid values are 0."""
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


def _plain(value: Any) -> bool:
    return not isinstance(value, np.ndarray) and type(value).__eq__ is not object.__eq__
