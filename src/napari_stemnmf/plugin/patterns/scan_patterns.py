"""Patterns of a scan for the docks: read, located on the detector, and scaled for the eye. No Qt.

A `PictureMaker` is used from one worker thread: it caches what was read and found last, so that a change of a setting
costs no more than what depends on it. Leans on the stages of the pipeline, imported late.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_stemnmf.errors import StemNMFError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.geometry import Geometry
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.disks.probe import Probe
    from napari_stemnmf.recipe import Recipe
    from napari_stemnmf.stage_settings import PreprocessSettings

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
        from napari_stemnmf.calibration.geometry import calibrated_map, raw_map

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
            data = dataset if survey is None or analysis is None else self._prepared(analysis, dataset)
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
            from napari_stemnmf.disks.probe import find_probe
            from napari_stemnmf.preprocessing.beam_stop import detector_mask

            mask = detector_mask(survey, recipe.beam_stop, preprocess, dataset.detector_shape, given=analysis.mask)
            return find_probe(self._prepared(analysis, dataset), survey, mask, recipe.center, recipe.probe)

        return self._cached("probe", (survey, recipe.beam_stop, recipe.center, recipe.probe, analysis.mask), find)

    def _prepared(self, analysis: Analysis, dataset: Dataset) -> Dataset:
        from napari_stemnmf import pipeline

        return self._cached("prepared", (dataset, analysis.survey), lambda: pipeline.prepared(analysis, dataset))

    def _cached(self, name: str, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` gives, made again only when one of the things that it depends on is another."""
        cached = self._cache.get(name)
        if cached is None or not all(a is b or (_plain(a) and a == b) for a, b in zip(cached[0], key, strict=True)):
            cached = self._cache[name] = (key, make())
        return cached[1]


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


STEP = 5.0
"""Degrees between the points of a circle, at most."""
MOST_LINES = 400
"""Above so many lines of bins none are drawn: they would hide what is under them."""
GAP = np.full((1, 2), np.nan)


class Overlay(NamedTuple):
    """One kind of overlay: its name in the window, what it means, its colour and whether it starts visible."""

    title: str
    meaning: str
    colour: str
    shown: bool


OVERLAYS = {
    "centre": Overlay("centre", "centre of this pattern and the circle of the central disk", "#00d5ff", True),
    "disks": Overlay("disks", "Bragg disks found with the present settings, as circles of the probe's size", "#57f287",
                     True),
    "ellipse": Overlay("ellipse", "the ring that the ellipse, or the pixel size, was fitted to", "#ffb000", True),
    "mask": Overlay("mask", "pixels that are left out (translucent)", "#ff3b3b", True),
    "hot": Overlay("hot", "hot pixels that were repaired", "#ff66ff", False),
    "aa": Overlay("AA", "cells of the angular average: rings and sectors", "#b9c4ff", False),
    "rv": Overlay("RV", "first and last radius of the radial variance", "#f5f542", False),
}  # fmt: skip
"""All overlays, in the order of their boxes."""


def joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    """(n, 2) one array of several lines, with a gap after each."""
    lines = [line for part in parts for line in (part, GAP)]
    return np.concatenate(lines) if lines else np.empty((0, 2))


def circles(q_y: np.ndarray, q_x: np.ndarray, radius: float, *, points: int = 24) -> np.ndarray:
    """(n, 2) circles of one radius (px) around some points."""
    angle = np.linspace(0.0, 2 * np.pi, points + 1)
    around = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    centres = np.stack([np.atleast_1d(q_y), np.atleast_1d(q_x)], axis=1).astype(np.float64)
    out = np.full((len(centres), points + 2, 2), np.nan)
    out[:, :-1] = centres[:, None] + around
    return out.reshape(-1, 2)


def ring(geometry: Geometry, radius: float) -> np.ndarray:
    """(n, 2) where points of one calibrated radius (px) are on the detector: an ellipse."""
    azimuth = np.linspace(0.0, 360.0, max(8, round(360.0 / STEP)) + 1)
    return np.stack(geometry.from_polar(np.full(azimuth.shape, radius), azimuth), axis=1)


def cells(geometry: Geometry, rings: Sequence[float], angle_step: float) -> np.ndarray:
    """(n, 2) the bounds of the angular average: each ring, and the spokes between sectors."""
    spokes = np.arange(0.0, 360.0, angle_step)
    ends = np.array([min(rings), max(rings)])
    lines = [ring(geometry, radius) for radius in rings]
    lines += [np.stack(geometry.from_polar(ends, np.full(2, azimuth)), axis=1) for azimuth in spokes]
    return joined(lines)


def in_prepared_pixels(pixels: np.ndarray, settings: PreprocessSettings) -> np.ndarray:
    """(n, 2) where pixels of the file's detector are after crop and binning, px."""
    first = np.array([crop[0] if crop else 0 for crop in (settings.q_y, settings.q_x)])
    return np.asarray((np.asarray(pixels, np.float64).reshape(-1, 2) - first + 0.5) / settings.bin - 0.5)


def centre(geometry: Geometry) -> np.ndarray:
    """(n, 2) the centre as a cross, and the central disk around it."""
    q_y, q_x, radius = geometry.q_y, geometry.q_x, geometry.probe_radius
    arm = 0.4 * radius
    arms = np.array([[[q_y - arm, q_x], [q_y + arm, q_x]], [[q_y, q_x - arm], [q_y, q_x + arm]]])
    return joined([joined(arms), ring(round_geometry(geometry), radius)])


def kept_cells(
    geometry: Geometry, r_in: np.ndarray, r_out: np.ndarray, azimuth: np.ndarray, angle_step: float
) -> np.ndarray:
    """(n, 2) outlines of the cells that are kept, each with its middle azimuth."""
    if not len(r_in):
        return np.empty((0, 2))
    points = max(2, round(angle_step / STEP) + 1)
    arc = np.linspace(-0.5, 0.5, points) * angle_step
    turn = np.concatenate([arc, arc[::-1], arc[:1]])
    radius = np.concatenate([np.zeros(points), np.ones(points), np.zeros(1)])
    radii = r_in[:, None] + (r_out - r_in)[:, None] * radius
    outline = np.stack(geometry.from_polar(radii, azimuth[:, None] + turn), axis=-1)
    gaps = np.full((len(outline), 1, 2), np.nan)
    return np.concatenate([outline, gaps], axis=1).reshape(-1, 2)


def bin_grid(shape: tuple[int, int], side: float) -> np.ndarray:
    """(n, 2) the bounds of square bins over a detector; none where they would be too many to see."""
    rows, columns = (np.arange(math.ceil(size / side) + 1) * side - 0.5 for size in shape)
    if len(rows) + len(columns) > MOST_LINES:
        return np.empty((0, 2))
    lines = [np.array([[y, columns[0]], [y, columns[-1]]]) for y in rows]
    return joined(lines + [np.array([[rows[0], x], [rows[-1], x]]) for x in columns])


def round_geometry(geometry: Geometry) -> Geometry:
    """The same centre without an ellipse: the geometry of a disk, or of a calibrated map."""
    return replace(geometry, ellipse_ratio=1.0)
