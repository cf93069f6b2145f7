"""What each representation takes from the patterns: figure 3 of Bruefach et al. 2022, for any analysis.

Virtual image, maximum pattern and Bragg vector map; one pattern's disks, the bins they fall into and the row of BD that
they make; the cells of AA on the first ring; the profile of RV. All by the features' own code, so that what is drawn
is what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from napari_stemnmf.calibration.geometry import calibrated_map
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.features.angular_average import AngularAverage, centered_maximum
from napari_stemnmf.features.bragg_disks import disks_used
from napari_stemnmf.figures.maps import draw_image, square_map
from napari_stemnmf.figures.patterns import (
    ON_PATTERN,
    PATTERN_COLOURS,
    VECTOR_MAP_POWER,
    Edges,
    Frame,
    draw_circles,
    draw_log,
    draw_rings,
    draw_unrolled,
    draw_vector_map,
    typical_position,
)  # fmt: skip
from napari_stemnmf.figures.style import FEATURE_NAMES, in_style, new_figure, panel_letters, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.geometry import Calibration
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.preprocessing.survey import Survey

MARGIN = 1.12
"""Of the view about the first ring."""
NOTE_MM = 28.0
"""Width of a sentence in place of a picture."""
ZOOM = 20
"""Bins along each side of the part that is shown enlarged."""
INNER = 0.85
"""Share of that part which the middle of a disk is to lie in."""


@dataclass(frozen=True, eq=False)
class Raster:
    """The row of BD of one position, in pixels from the beam."""

    image: np.ndarray
    """(rows, columns) value of each bin."""
    edges: Edges
    """Of all bins together."""
    side: float
    """Of a bin."""
    y: np.ndarray
    x: np.ndarray
    """(disks,) the disks that it is made of, calibrated."""

    @classmethod
    def of(cls, analysis: Analysis, calibration: Calibration, position: tuple[int, int]) -> Raster | None:
        """Of a position (row, column) of the scan; None where the analysis holds no BD, or no disks."""
        if "bd" not in analysis.features or analysis.peaks is None:
            return None
        found = analysis.features["bd"]
        flat = position[0] * found.scan_shape[1] + position[1]
        side, (rows, columns) = float(found.details["bin"]), (int(n) for n in found.details["grid"])
        values = found.values[[flat]]
        image = np.asarray(values if isinstance(values, np.ndarray) else values.todense()).reshape(rows, columns)
        left, top = float(found.columns["q_x"][0]) - side / 2, float(found.columns["q_y"][0]) - side / 2
        here = analysis.peaks.of(flat)
        y, x, used = (v[here] for v in disks_used(analysis.peaks, calibration, analysis.recipe.bd.featurize))
        return cls(image, (left, left + side * columns, top + side * rows, top), side, y[used], x[used])

    @property
    def window(self) -> Edges | None:
        """The part that holds most disks; None where there are none."""
        if not len(self.y):
            return None
        reach = ZOOM * self.side / 2
        left, right, bottom, top = self.edges
        y = np.clip((self.y[:, None] + self.y).ravel() / 2, top + reach, bottom - reach)
        x = np.clip((self.x[:, None] + self.x).ravel() / 2, left + reach, right - reach)  # between any two disks
        within = (np.abs(y[:, None] - self.y) < INNER * reach) & (np.abs(x[:, None] - self.x) < INNER * reach)
        best = int(np.argmax(within.sum(axis=1)))
        y, x = float(y[best]), float(x[best])
        return x - reach, x + reach, y + reach, y - reach


@in_style
def representations(
    analysis: Analysis, dataset: Dataset | None = None, position: tuple[int, int] | None = None
) -> Figure:
    """What RV, AA and BD take from the patterns of a scan, in eight panels.

    Parameters
    ----------
    analysis : Analysis
        Calibrated. A panel whose representation it does not hold gives the reason.
    dataset : Dataset, optional
        The prepared scan; without it the pattern that is shown is the mean pattern of a grain.
    position : tuple of int, optional
        Scan row and column of the pattern that is shown; one rich in disks if not given.

    Returns
    -------
    matplotlib.figure.Figure
        175 mm wide.

    Raises
    ------
    AnalysisError
        If the analysis is not calibrated yet, or there is no such position.
    """
    survey, calibration = analysis.survey, analysis.calibration
    if survey is None or calibration is None:
        raise AnalysisError("The analysis is not calibrated yet; run the step 'calibrate' first.")
    row, column = _position(analysis, calibration, dataset, position)
    frame = Frame.calibrated(calibration)
    figure = new_figure("page", 98.0)
    (a, b, c, d), (e, f, g, h) = figure.subplots(2, 4)
    _virtual_image(a, analysis, survey, (row, column))
    _maximum(b, survey, calibration, frame)
    _vector_map(c, analysis, calibration, frame)
    raster = Raster.of(analysis, calibration, (row, column))
    _pattern(d, analysis, calibration, dataset, (row, column), frame)
    _enlarged(e, analysis, calibration, frame, raster)
    _row(f, analysis, frame, raster)
    _cells(g, analysis, survey, calibration, frame)
    _profile(h, analysis, survey, calibration, frame)
    panel_letters([a, b, c, d, e, f, g, h])
    return figure


def _position(
    analysis: Analysis, calibration: Calibration, dataset: Dataset | None, given: tuple[int, int] | None
) -> tuple[int, int]:
    rows, columns = calibration.scan_shape
    if given is not None:
        row, column = (int(n) for n in given)
        if not (0 <= row < rows and 0 <= column < columns):
            raise AnalysisError(f"There is no position ({row}, {column}) in a scan of {rows} x {columns}.")
        return row, column
    if analysis.peaks is None:
        return rows // 2, columns // 2
    name = _with_patterns(analysis)
    among = analysis.grains[name].overlap > 0 if dataset is None and name is not None else None
    return typical_position(analysis.peaks, among)


def _with_patterns(analysis: Analysis) -> str | None:
    """A representation whose grains have patterns."""
    names = [name for name in ("bd", "aa", "rv") if len(analysis.patterns.get(name, ())) and name in analysis.grains]
    return names[0] if names else None


def _virtual_image(ax: Axes, analysis: Analysis, survey: Survey, position: tuple[int, int]) -> None:
    y, x = analysis.axes[:2]
    draw_image(ax, survey.virtual_image, analysis.axes)
    ax.plot([position[1] * x.scale], [position[0] * y.scale], "s", mfc="none", mec=ON_PATTERN, ms=5, mew=1.0)
    square_map(ax, analysis.axes, "mean of each pattern")


def _maximum(ax: Axes, survey: Survey, calibration: Calibration, frame: Frame) -> None:
    geometry = calibration.geometry
    draw_log(ax, survey.maximum, keep=geometry.mask, extent=frame.extent(geometry.detector_shape))
    frame.label(ax)
    ax.set_title("maximum pattern (log)")


def _vector_map(ax: Axes, analysis: Analysis, calibration: Calibration, frame: Frame) -> None:
    ax.set_title("Bragg vector map")
    if analysis.peaks is None or not len(analysis.peaks):
        _message(ax, "No disks were found.")
        return
    draw_vector_map(ax, calibrated_map(analysis.peaks, calibration), frame)


def _pattern(
    ax: Axes,
    analysis: Analysis,
    calibration: Calibration,
    dataset: Dataset | None,
    position: tuple[int, int],
    frame: Frame,
) -> None:
    """A pattern with its disks; without the scan, the mean pattern of the grain there; without that, disks alone."""
    geometry, peaks = calibration.geometry, analysis.peaks
    name = _with_patterns(analysis)
    count = 0
    if peaks is not None:
        here = peaks.of(position[0] * peaks.scan_shape[1] + position[1])
        count = here.stop - here.start
    title = f"{count} disks at ({position[0]}, {position[1]})"
    image = np.zeros(geometry.detector_shape)
    if dataset is not None:
        image = dataset.pattern(*position)
    elif name is not None and analysis.grains[name].labels[position]:
        grain = int(np.flatnonzero(analysis.grains[name].ids == analysis.grains[name].labels[position])[0])
        image = analysis.patterns[name].patterns[grain]
        title = f"{count} disks on {FEATURE_NAMES[name]} grain {analysis.grains[name].ids[grain]}"
    draw_log(ax, image, keep=geometry.mask, percentiles=(0.0, 99.5), extent=frame.extent(geometry.detector_shape))
    if peaks is not None:
        draw_circles(ax, *frame.place(peaks.q_y[here], peaks.q_x[here]), geometry.probe_radius * frame.scale)
    draw_rings(ax, geometry, (), frame)
    frame.label(ax)
    ax.set_title(title)


def _enlarged(ax: Axes, analysis: Analysis, calibration: Calibration, frame: Frame, raster: Raster | None) -> None:
    """The disks of a pattern on the bins of the window; weak bins lifted."""
    if raster is None or raster.window is None:
        ax.set_title("disks on bins")
        _message(ax, _why_not(analysis, "bd") or "There is no disk at this position.")
        return
    window = raster.window
    rows, columns = raster.image.shape
    left, right, bottom, top = raster.edges
    at_y, at_x = (np.linspace(a, b, n + 1) for a, b, n in ((top, bottom, rows), (left, right, columns)))
    seen_y, seen_x = (at_y[1:] > window[3]) & (at_y[:-1] < window[2]), (at_x[1:] > window[0]) & (at_x[:-1] < window[1])
    level = raster.image**VECTOR_MAP_POWER
    high = level[seen_y][:, seen_x].max(initial=0.0)
    edges = _scaled(raster.edges, frame.scale)
    ax.imshow(level, cmap=PATTERN_COLOURS, extent=edges, vmin=0.0, vmax=float(high) or 1.0)
    for lines, places in ((ax.axhline, at_y), (ax.axvline, at_x)):
        for place in places * frame.scale:
            lines(place, color="0.55", lw=0.3)
    x, y = raster.x * frame.scale, raster.y * frame.scale
    draw_circles(ax, x, y, calibration.geometry.probe_radius * frame.scale)
    ax.plot(x, y, "+", color=ON_PATTERN, ms=4, mew=0.8)
    left, right, bottom, top = _scaled(window, frame.scale)
    ax.set(xlim=(left, right), ylim=(bottom, top), title=f"disks on bins of {raster.side:g} px")
    frame.label(ax)


def _row(ax: Axes, analysis: Analysis, frame: Frame, raster: Raster | None) -> None:
    """All bins, weak ones lifted, with the window as a frame."""
    if raster is None:
        ax.set_title("BD")
        _message(ax, _why_not(analysis, "bd") or "The disks are not in the analysis.")
        return
    edges = _scaled(raster.edges, frame.scale)
    ax.imshow(raster.image**VECTOR_MAP_POWER, cmap=PATTERN_COLOURS, extent=edges, vmin=0.0)
    if raster.window is not None:
        left, right, bottom, top = _scaled(raster.window, frame.scale)
        ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, ec="white", lw=0.8))
    ax.set_title(f"BD: {raster.image.shape[0]} × {raster.image.shape[1]} bins")
    frame.label(ax)


def _scaled(edges: Edges, scale: float) -> Edges:
    left, right, bottom, top = edges
    return left * scale, right * scale, bottom * scale, top * scale


def _cells(ax: Axes, analysis: Analysis, survey: Survey, calibration: Calibration, frame: Frame) -> None:
    """The cells of the first ring on the maximum pattern, each in the colour of its mean."""
    ax.set_title("AA")
    if why := _why_not(analysis, "aa"):
        _message(ax, why)
        return
    geometry, found = calibration.geometry, analysis.features["aa"]
    rings = tuple(float(r) for r in found.details["rings"])
    step = float(found.details["angle_step"])
    maximum = np.nan_to_num(centered_maximum(survey, calibration, analysis.peaks)).astype(np.float32)
    edges = frame.extent(geometry.detector_shape)
    draw_log(ax, maximum, keep=geometry.mask, colours="gray", extent=edges)  # grey, so that the cells stand out
    first = found.columns["ring"] == found.columns["ring"].min()
    inner, outer = float(found.columns["r_in"][first][0]), float(found.columns["r_out"][first][0])
    average = AngularAverage(geometry, rings, analysis.recipe.aa.featurize)
    means = average(maximum[None], np.zeros(1, np.int64)).per_pattern["values"][0]
    by_azimuth = dict(zip(average.columns["azimuth"][average.columns["r_in"] == inner], means, strict=False))
    azimuths = [angle for angle in found.columns["azimuth"][first] if angle in by_azimuth]
    outlines = [np.stack(frame.place(*_outline(calibration, inner, outer, angle, step)), axis=1) for angle in azimuths]
    values = np.log1p([by_azimuth[angle] for angle in azimuths])
    ax.add_collection(
        PolyCollection(outlines, array=values, cmap="viridis", alpha=0.7, edgecolors="white", linewidths=0.3)
    )
    half = MARGIN * outer * np.sqrt(geometry.ellipse_ratio) * frame.scale
    ax.set(xlim=(-half, half), ylim=(half, -half))
    frame.label(ax)
    ax.set_title(f"AA: ring 1, {len(azimuths)} cells of {step:g}°")


def _outline(
    calibration: Calibration, inner: float, outer: float, azimuth: float, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a cell on the detector: out along one side, back along the other."""
    angles = azimuth + step * np.linspace(-0.5, 0.5, 5)
    radii = np.repeat([inner, outer], 5)
    return calibration.geometry.from_polar(radii, np.concatenate([angles, angles[::-1]]))


def _profile(ax: Axes, analysis: Analysis, survey: Survey, calibration: Calibration, frame: Frame) -> None:
    if why := _why_not(analysis, "rv"):
        ax.set_title("RV")
        _message(ax, why)
        return
    found = analysis.features["rv"]
    maximum = np.nan_to_num(centered_maximum(survey, calibration, analysis.peaks))
    sqrt = found.details.get("intensity") == "sqrt"
    over = draw_unrolled(ax, maximum, calibration.geometry, found.columns["radius"], frame, sqrt)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_box_aspect(1)
    over.set_xlabel(f"RV: {over.get_xlabel()}")
    over.xaxis.set_major_locator(MaxNLocator(4, prune="lower"))  # the panel's letter stands there


def _why_not(analysis: Analysis, feature: str) -> str:
    """Why an analysis does not hold a representation; empty if it does."""
    if feature in analysis.features:
        return ""
    return analysis.failed.get(feature, f"{FEATURE_NAMES[feature]} was not computed.")


def _message(ax: Axes, why: str) -> None:
    """A sentence in place of a picture."""
    ax.set(xticks=[], yticks=[])
    ax.set_box_aspect(1)
    ax.text(0.5, 0.5, wrapped(why, NOTE_MM), ha="center", va="center", fontsize=6, transform=ax.transAxes)
