"""What Featurize would make of a scan, before it runs: pattern, cells, radii, disks and profiles. No Qt.

`FeaturePictures` calls the very functions that Run calls (rings, radii, kernels, disks in use), with the calibration as
it is now; where there is no survey it can take a coarse sample of the scan in its place.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.featurize import tracks as of_tracks
from napari_stemnmf.plugin.patterns import scan_patterns as overlays
from napari_stemnmf.plugin.patterns.scan_patterns import Picture, PictureMaker, PictureRequest, geometry_of

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.geometry import Geometry
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.preprocessing.survey import Survey
    from napari_stemnmf.stage_settings import PreprocessSettings

WITHOUT_SURVEY = (
    "Nothing is known of the patterns yet. Featurize looks at all of them by itself; to see first what it will take, "
    "press the button below, or First look in Calibrate."
)
SAMPLE_SIDE = 12
"""Rows and columns of the scan that a coarse sample takes, at most; at least two."""
SAMPLE_BYTES, SAMPLE_HELD = 2**28, 2**26
"""Bytes of the chunks that a coarse sample touches, and of its patterns, at most, if so few are possible."""


@dataclass(frozen=True, eq=False)
class FeatureRequest(PictureRequest):
    """What to show of which representation; `coarse` allows a sample of the scan where there is no survey."""

    feature: str = "aa"
    coarse: bool = False


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of the profile; those of one picture share the axis of their values."""

    title: str
    radius: np.ndarray  # (m,) px
    value: np.ndarray  # (m,)
    strong: bool = True  # whether features are made from it, rather than something to compare it with


@dataclass(frozen=True, eq=False)
class FeaturePicture(Picture):
    """A pattern and a profile, with what Featurize would take of them."""

    feature: str = "aa"
    curves: tuple[Curve, ...] = ()
    rings: tuple[float, ...] = ()  # radii that bound the rings of AA, px
    peaks: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))  # (p, 2) radius and value, one for each ring
    span: tuple[float, float] | None = None  # first and last radius of RV, or of the disks of BD, px
    axis: str = ""  # unit of the curves' values
    summary: str = ""  # what the matrix would hold, in words


class FeaturePictures(PictureMaker):
    """Makes the pictures of Featurize."""

    def __call__(self, request: FeatureRequest) -> FeaturePicture:
        """The requested picture.

        Raises
        ------
        StemNMFError
            If a pattern cannot be read, or no probe is found.
        """
        return replace(self._picture(request), feature=request.feature)

    def _picture(self, request: FeatureRequest) -> FeaturePicture:
        note = ""
        if request.analysis is None or request.analysis.survey is None:
            if not request.coarse or request.dataset is None:
                return FeaturePicture(note=WITHOUT_SURVEY)
            request = self._with_sample(request, request.dataset)
            note = "From a coarse sample of the scan; Run looks at all of it."
        if request.analysis is None:
            return FeaturePicture(note=WITHOUT_SURVEY)
        image, where, mask = self._image(request)
        if where is None:
            return FeaturePicture(image, note="The probe cannot be found; press First look in Calibrate.")
        picture = FeaturePicture(image, where, {"centre": overlays.centre(where)}, mask, note)
        previews = {"vdf": self._tracks, "aa": self._rings_and_sectors, "rv": self._radii, "bd": self._bins}
        try:
            return previews[request.feature](request, request.analysis, where, picture)
        except StemNMFError as error:
            return replace(picture, note=str(error))

    def _with_sample(self, request: FeatureRequest, dataset: Dataset) -> FeatureRequest:
        from napari_stemnmf.analysis import Analysis, Input

        settings = request.recipe.preprocess
        record = Input(dataset.name, dataset.source, dataset.shape, dataset.dtype.str, dataset.axes, "")
        analysis = self._cached(
            "coarse",
            (dataset, settings),
            lambda: Analysis(request.recipe, record, survey=coarse_survey(dataset, settings)),
        )
        return replace(request, analysis=analysis)

    def _image(self, request: FeatureRequest) -> tuple[np.ndarray | None, Geometry | None, np.ndarray | None]:
        """The requested image, its geometry, and its mask."""
        if request.picture.endswith("map"):
            picture = self._bragg_map(request)
            if picture.image is not None:
                return picture.image, picture.geometry, picture.mask
            request = replace(request, picture="position" if request.dataset is not None else "maximum")
        image = self._pattern(request)
        probe = None if image is None else self._probe(request, image.shape)
        if probe is None:
            return image, None, None
        return image, geometry_of(request, probe), probe.mask

    def _geometry(
        self, request: FeatureRequest, analysis: Analysis, where: Geometry
    ) -> tuple[Geometry, np.ndarray | None]:
        """Mean geometry, and the centre of every pattern where it is known, that Run would take."""
        probe = None if analysis.survey is None else self._probe(request, analysis.survey.mean.shape)
        if analysis.calibration is not None:
            return analysis.calibration.geometry, analysis.calibration.origin
        return (where if probe is None else geometry_of(replace(request, picture="mean"), probe)), None

    def _rings_and_sectors(
        self, request: FeatureRequest, analysis: Analysis, where: Geometry, picture: FeaturePicture
    ) -> FeaturePicture:
        from napari_stemnmf.features.angular_average import AngularAverage, centered_maximum, half_detector, rings_of
        from napari_stemnmf.features.polar import radial_profile

        survey, calibration, peaks = analysis.survey, analysis.calibration, analysis.peaks
        if survey is None:
            return picture
        geometry, origin = self._geometry(request, analysis, where)
        radii = tuple(np.arange(0.0, half_detector(geometry) + 0.25, 0.5))
        known = (survey, geometry, calibration, peaks)

        def profiles() -> tuple[np.ndarray, np.ndarray]:
            maximum = survey.maximum if calibration is None else centered_maximum(survey, calibration, peaks)
            clean = np.maximum(np.nan_to_num(maximum, posinf=0.0, neginf=0.0), 0.0)
            return radial_profile(clean, geometry, radii), radial_profile(survey.mean, geometry, radii)

        highest, mean = self._cached("profiles", known, profiles)
        radius = np.array(radii)
        curves = (Curve("maximum pattern", radius, highest), Curve("mean pattern", radius, mean, strong=False))
        picture = replace(picture, curves=curves, axis="log₁₀ counts")
        settings = request.recipe.aa.featurize
        try:
            rings = settings.rings or self._cached("rings", known, lambda: rings_of(*known))
        except StemNMFError as error:
            return replace(picture, note=str(error))
        kernel = self._cached(
            "aa", (*known, rings, settings), lambda: AngularAverage(geometry, rings, settings, origin)
        )
        columns = kernel.columns
        cells = overlays.kept_cells(where, columns["r_in"], columns["r_out"], columns["azimuth"], settings.angle_step)
        sectors, left_out = round(360 / settings.angle_step), len(kernel.dropped)
        many = "1 ring" if len(rings) == 2 else f"{len(rings) - 1} rings"
        return replace(
            picture,
            rings=tuple(rings),
            peaks=_ring_peaks(radius, highest, rings),
            lines={**picture.lines, "cells": cells},
            summary=f"{many} × {sectors} sectors: {len(columns['ring'])} columns{_left_out(left_out)}",
        )

    def _radii(
        self, request: FeatureRequest, analysis: Analysis, where: Geometry, picture: FeaturePicture
    ) -> FeaturePicture:
        from napari_stemnmf.features.radial_variance import RadialVariance, choose_radii
        from napari_stemnmf.streaming.engine import as_counts

        geometry, origin = self._geometry(request, analysis, where)
        settings = request.recipe.rv.featurize
        radii = choose_radii(geometry, settings)
        span = (float(radii[0]), float(radii[-1]))
        bounds = overlays.joined(overlays.ring(where, radius) for radius in span)
        picture = replace(picture, span=span, lines={**picture.lines, "bounds": bounds})
        kernel = self._cached("rv", (geometry, origin, settings), lambda: RadialVariance(geometry, settings, origin))
        radius = kernel.columns["radius"]
        summary = f"{len(radius)} radii{_left_out(len(kernel.dropped))}"
        curves = []
        if request.dataset is not None:
            rows, columns = self._prepared(analysis, request.dataset).scan_shape
            row, column = min(request.position[0], rows - 1), min(request.position[1], columns - 1)
            pattern = self._pattern(replace(request, picture="position"))
            if pattern is not None:
                value = kernel(as_counts(pattern[None]), np.array([row * columns + column])).per_pattern["values"][0]
                curves.append(Curve(f"variance at {row}, {column}", radius, value))
            patterns, positions = self._sample(analysis, request.dataset)

            def average() -> np.ndarray:
                return np.asarray(kernel(as_counts(patterns), positions).per_pattern["values"].mean(axis=0))

            mean = self._cached("mean rv", (kernel, patterns), average)
            if curves:  # a weak pattern would be flat beside the mean
                mean = mean * (np.nanmax(curves[0].value) / max(float(np.nanmax(mean)), 1e-12))
            curves.append(Curve(f"mean of {len(patterns)}, scaled", radius, mean, strong=False))
        counts = "counts" if settings.intensity == "sqrt" else "counts²"
        return replace(picture, curves=tuple(curves), axis=counts, summary=summary)

    def _tracks(
        self, request: FeatureRequest, analysis: Analysis, where: Geometry, picture: FeaturePicture
    ) -> FeaturePicture:
        from napari_stemnmf.disks.tracks import follow

        peaks, calibration, settings = analysis.peaks, analysis.calibration, request.recipe.vdf.featurize
        if peaks is None or calibration is None:
            return replace(picture, note=picture.note or of_tracks.WITHOUT_DISKS)
        origin, radius = calibration.origin, calibration.geometry.probe_radius
        key = (peaks, calibration, settings)
        tracks = self._cached("tracks", key, lambda: follow(peaks, origin, radius, settings))
        if request.picture == "position":
            disks, others = of_tracks.disks_at(tracks, peaks, calibration, request.position)
            lines = {"disks": disks, "left out": others}
        else:
            lines = {"disks": of_tracks.spots_of(tracks, where, calibration)}
        middle, taken, every = of_tracks.heights(tracks, peaks, calibration)
        curves = (Curve("disks in tracks", middle, taken), Curve("all disks", middle, every, strong=False))
        pooled = self._cached("pooling", key, lambda: of_tracks.before_pooling(peaks, calibration, settings))
        summary = of_tracks.in_words(tracks, peaks) + pooled
        return replace(picture, lines=picture.lines | lines, axis="counts", curves=curves, summary=summary)

    def _bins(
        self, request: FeatureRequest, analysis: Analysis, where: Geometry, picture: FeaturePicture
    ) -> FeaturePicture:
        from napari_stemnmf.disks.detection import detect
        from napari_stemnmf.features.bragg_disks import DIRECT_BEAM, bin_side, disks_used

        image, peaks, calibration = picture.image, analysis.peaks, analysis.calibration
        geometry, _ = self._geometry(request, analysis, where)
        settings = request.recipe.bd.featurize
        side = bin_side(geometry.probe_radius) if settings.bin is None else settings.bin
        edge = float(np.hypot(*geometry.detector_shape) / 2)
        r_min = DIRECT_BEAM * geometry.probe_radius if settings.r_min is None else settings.r_min
        span = (float(r_min), float(edge if settings.r_max is None else settings.r_max))
        on_map = request.picture.endswith("map") and peaks is not None
        bounds = span[: 1 + (settings.r_max is not None)]
        lines = {**picture.lines, "bounds": overlays.joined(overlays.ring(where, radius) for radius in bounds)}
        rows, columns = (math.ceil(size / side) for size in geometry.detector_shape)
        summary = f"{rows} × {columns} bins of {side:g} px"
        if peaks is None or calibration is None:
            probe = None if image is None else self._probe(request, image.shape)
            if probe is not None and image is not None:
                q_y, q_x, height, snr = detect(image, probe, request.recipe.disks)
                radius = where.to_polar(q_y, q_x)[0]
                used = (radius >= span[0]) & (radius <= span[1]) & (snr >= settings.min_snr) & (height > 0)
                lines |= _disk_lines(q_y, q_x, used, probe.radius)
            note = picture.note or "The Bragg vector map shows once Calibrate all has found the disks of every pattern."
            return replace(picture, lines=lines, span=span, summary=summary, note=note)
        key = (peaks, calibration, settings)
        y, x, used = self._cached("used", key, lambda: disks_used(peaks, calibration, settings))
        if on_map:
            lines["bins"] = overlays.bin_grid(geometry.detector_shape, side)
        else:
            at = request.position[0] * peaks.scan_shape[1] + request.position[1]
            here = np.flatnonzero(peaks.pattern == at) if request.picture == "position" else np.empty(0, int)
            lines |= _disk_lines(peaks.q_y[here], peaks.q_x[here], used[here], geometry.probe_radius)
        radius, far = np.hypot(y, x), int(np.ceil(edge))
        height = np.sqrt(np.maximum(peaks.height, 0)) if settings.intensity == "sqrt" else peaks.height
        middle = np.arange(far) + 0.5
        every, taken = (
            np.histogram(radius[which], np.arange(far + 1), weights=height[which])[0]
            for which in (np.isfinite(height), used)
        )
        share = used.mean() if len(used) else 0.0
        return replace(
            picture,
            lines=lines,
            span=span,
            axis="counts",
            curves=(Curve("disks in use", middle, taken), Curve("all disks", middle, every, strong=False)),
            summary=f"{summary}; {share:.0%} of {len(peaks)} disks in use",
        )

    def _sample(self, analysis: Analysis, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Prepared patterns (p, q_y, q_x) from all over the scan, and their flat positions."""
        data = self._prepared(analysis, dataset)

        def read() -> tuple[np.ndarray, np.ndarray]:
            rows, columns = sample_positions(data)
            lines = [np.asarray(data.data[row, columns].compute(scheduler="synchronous")) for row in rows]
            return np.concatenate(lines), (rows[:, None] * data.scan_shape[1] + columns).ravel()

        patterns, positions = self._cached("sample", (data,), read)
        return patterns, positions


def sample_positions(dataset: Dataset, side: int = SAMPLE_SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a coarse sample, evenly over the scan; fewer where each would read a large chunk."""
    chunk = math.prod(dataset.data.chunksize) * dataset.dtype.itemsize
    pattern = math.prod(dataset.detector_shape) * dataset.dtype.itemsize
    side = max(2, min(side, math.isqrt(SAMPLE_HELD // max(1, pattern))))
    sizes = [min(side, size) for size in dataset.scan_shape]

    def touched() -> list[int]:
        return [min(size, blocks) for size, blocks in zip(sizes, dataset.data.numblocks[:2], strict=True)]

    while math.prod(touched()) * chunk > SAMPLE_BYTES and max(touched()) > 2:
        sizes[int(np.argmax(touched()))] -= 1
    rows, columns = (
        ((np.arange(size) + 0.5) * full / size).astype(int)
        for size, full in zip(sizes, dataset.scan_shape, strict=True)
    )
    return rows, columns


def coarse_survey(dataset: Dataset, settings: PreprocessSettings) -> Survey:
    """The survey of a coarse sample of the scan."""
    from napari_stemnmf.preprocessing.preparation import cropped
    from napari_stemnmf.preprocessing.survey import take_survey

    scan = cropped(dataset, replace(settings, q_y=None, q_x=None))
    rows, columns = sample_positions(scan)
    data = scan.data[rows][:, columns]
    axes: Any = tuple(replace(axis, size=size) for axis, size in zip(scan.axes, data.shape, strict=True))
    return take_survey(
        replace(scan, data=data, axes=axes), replace(settings, scan_order="rows", scan_y=None, scan_x=None)
    )


def _disk_lines(q_y: np.ndarray, q_x: np.ndarray, used: np.ndarray, radius: float) -> dict[str, np.ndarray]:
    return {
        name: overlays.circles(q_y[which], q_x[which], radius) for name, which in (("disks", used), ("left out", ~used))
    }


def _ring_peaks(radius: np.ndarray, profile: np.ndarray, rings: tuple[float, ...]) -> np.ndarray:
    """(rings, 2) where the profile is highest within each ring, and its value there."""
    found = []
    for low, high in itertools.pairwise(rings):
        within = np.flatnonzero((radius >= low) & (radius <= high) & np.isfinite(profile))
        if len(within):
            top = within[np.argmax(profile[within])]
            found.append((radius[top], profile[top]))
    return np.array(found).reshape(-1, 2)


def _left_out(count: int) -> str:
    return f", {count} left out (masked or off the detector)" if count else ""
