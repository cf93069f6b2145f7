"""What Calibrate shows of a scan: patterns and maps with their overlays, and a live preview of the disks. No Qt."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.errors import DataError, StemNMFError
from napari_stemnmf.plugin.patterns import scan_patterns as overlays
from napari_stemnmf.plugin.patterns.scan_patterns import Picture, PictureMaker, PictureRequest, geometry_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stemnmf.calibration.geometry import Geometry
    from napari_stemnmf.plugin.session import Session
    from napari_stemnmf.recipe import Recipe

LOOK_SECONDS = 1.0
"""How long a scan that was just opened is looked over."""
PICTURES = {
    "mean": "mean pattern",
    "maximum": "maximum pattern",
    "position": "pattern at position",
    "raw map": "Bragg vectors, raw",
    "calibrated map": "Bragg vectors, calibrated",
}
"""What can be shown, and its name in the window."""


def look_over(session: Session) -> tuple[Session, tuple[str, ...]]:
    """What is odd about a scan that was just opened, a sentence each, with its session."""
    from napari_stemnmf.preprocessing.oddities import oddities

    return session, () if session.dataset is None else oddities(session.dataset, seconds=LOOK_SECONDS)


@dataclass(frozen=True, eq=False)
class CalibratePicture(Picture):
    """A picture with the disks found on it, under the settings as they are now."""

    disks: tuple[np.ndarray, ...] | None = None  # q_y, q_x, height, snr
    seconds: float = 0.0  # time that finding them took

    def summary(self) -> str:
        """The disks in two lines; empty where they are not known."""
        if self.disks is None:
            return ""
        heights, snr = self.disks[2:4]
        run_time = f"looked for in {1e3 * self.seconds:.0f} ms"
        if not len(heights):
            return f"No disk\n{run_time}"
        what = "1 disk" if len(heights) == 1 else f"{len(heights)} disks"
        return f"{what}, SNR {snr.min():.1f} to {snr.max():.0f}\nleast height {heights.min():.3g} counts; {run_time}"


class CalibratePictures(PictureMaker):
    """Makes the pictures of Calibrate."""

    def __call__(self, request: PictureRequest) -> CalibratePicture:
        """The requested picture.

        Raises
        ------
        StemNMFError
            If a pattern cannot be read.
        """
        from napari_stemnmf.disks.detection import detect

        if request.picture.endswith("map"):
            found = self._bragg_map(request)
            lines = {} if found.geometry is None else self._lines(request, found.geometry)
            return CalibratePicture(found.image, found.geometry, lines, found.mask, found.note)
        image = self._pattern(request)
        if image is None:
            return CalibratePicture(
                note="Press First look, or Calibrate all: the mean and maximum patterns are not known yet."
            )
        try:
            probe = self._probe(request, image.shape)
        except StemNMFError as error:
            return CalibratePicture(image, note=str(error))
        if probe is None:
            return CalibratePicture(image, note="Disks show after a First look.")
        geometry = geometry_of(request, probe)
        start = time.perf_counter()
        disks = detect(image, probe, request.recipe.disks)
        seconds = time.perf_counter() - start
        lines = self._lines(request, geometry)
        lines["disks"] = overlays.circles(disks[0], disks[1], probe.radius)
        return CalibratePicture(image, geometry, lines, probe.mask, disks=disks, seconds=seconds)

    def _lines(self, request: PictureRequest, geometry: Geometry) -> dict[str, np.ndarray]:
        analysis, recipe = request.analysis, request.recipe
        if analysis is None or analysis.survey is None:
            return {}
        calibration, survey = analysis.calibration, analysis.survey
        fitted = [] if calibration is None else [calibration.ellipse_radius, calibration.pixel_radius]
        rings = self._rings(request, geometry)
        hot = overlays.in_prepared_pixels(survey.hot_pixels, analysis.recipe.preprocess)
        if request.picture == "calibrated map":
            hot = hot[:0]
        key = (geometry, rings, recipe.aa.featurize, recipe.rv.featurize, survey, calibration)
        return dict(
            self._cached(
                "lines", key, lambda: lines_over(geometry, recipe, cell_rings=rings, fitted=fitted, hot_pixels=hot)
            )
        )

    def _rings(self, request: PictureRequest, geometry: Geometry) -> tuple[float, ...]:
        """The bounds of AA's rings, as Featurize would take them; none where there are none."""
        analysis = request.analysis
        set_by_hand = request.recipe.aa.featurize.rings
        if set_by_hand is not None or analysis is None or analysis.survey is None:
            return set_by_hand or ()
        survey, calibration, peaks = analysis.survey, analysis.calibration, analysis.peaks

        def find() -> tuple[float, ...]:
            from napari_stemnmf.features.angular_average import rings_of

            try:
                return rings_of(survey, geometry if calibration is None else calibration.geometry, calibration, peaks)
            except StemNMFError:  # Featurize reports it when it runs
                return ()

        key = (survey, calibration, peaks, geometry if calibration is None else None)
        found: tuple[float, ...] = self._cached("rings", key, find)
        return found


def lines_over(
    geometry: Geometry, recipe: Recipe, *, cell_rings: Sequence[float], fitted: Sequence[float], hot_pixels: np.ndarray
) -> dict[str, np.ndarray]:
    """The lines (n, 2) of every overlay that needs no more than the geometry, by the names of `overlays.OVERLAYS`.

    Those that cannot be drawn are absent. `geometry` is that of the shown picture; `cell_rings` are the radii (px) that
    bound the cells of AA, `fitted` those of the rings that ellipse and pixel size were fitted to (NaN for none), and
    `hot_pixels` (h, 2) are in pixels of the picture.
    """
    angle_step = recipe.aa.featurize.angle_step
    lines = {
        "centre": overlays.centre(geometry),
        "ellipse": overlays.joined(overlays.ring(geometry, radius) for radius in fitted if np.isfinite(radius)),
        "aa": overlays.cells(geometry, cell_rings, angle_step) if len(cell_rings) else np.empty((0, 2)),
        "rv": _radial_variance_bounds(geometry, recipe),
        "hot": overlays.circles(hot_pixels[:, 0], hot_pixels[:, 1], 0.8, points=4),
    }
    return {name: points for name, points in lines.items() if len(points)}


def _radial_variance_bounds(geometry: Geometry, recipe: Recipe) -> np.ndarray:
    from napari_stemnmf.features.radial_variance import choose_radii

    try:
        radii = choose_radii(geometry, recipe.rv.featurize)
    except DataError:  # no radius between disk and edge: Featurize reports it when it runs
        return np.empty((0, 2))
    return overlays.joined(overlays.ring(geometry, float(radius)) for radius in (radii[0], radii[-1]))
