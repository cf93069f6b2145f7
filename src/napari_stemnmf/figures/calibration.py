"""What calibration found, on one page, in pixels of the detector: patterns, disks, and what the fits rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from napari_stemnmf.calibration.geometry import calibrated_map, centred, raw_map
from napari_stemnmf.errors import AnalysisError, DataError
from napari_stemnmf.features.angular_average import rings_of
from napari_stemnmf.features.radial_variance import choose_radii
from napari_stemnmf.figures import patterns
from napari_stemnmf.figures.style import COLOURS, in_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.geometry import Calibration, Geometry
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.disks.detection import Peaks
    from napari_stemnmf.preprocessing.survey import Survey

SECTOR_STEP = 5.0
"""Degrees between the lines of the AA cells."""
PIXELS = patterns.Frame()


@in_style
def calibration_figure(analysis: Analysis, dataset: Dataset | None = None) -> Figure:
    """Patterns with centre, ellipse, mask and cells; Bragg vector map before and after; descan; radii.

    Parameters
    ----------
    analysis : Analysis
        Calibrated.
    dataset : Dataset, optional
        The prepared scan: one of its patterns is drawn with its disks; the virtual image is drawn without it.

    Returns
    -------
    matplotlib.figure.Figure
        175 mm wide.

    Raises
    ------
    AnalysisError
        If the analysis is not calibrated yet.
    """
    survey, calibration, peaks = analysis.survey, analysis.calibration, analysis.peaks
    if calibration is None or survey is None:
        raise AnalysisError("The analysis is not calibrated yet; run the step 'calibrate' first.")
    figure = new_figure("page", 98.0)
    figure.suptitle(f"{analysis.input.name}: calibration", parse_math=False)
    axes = figure.subplots(2, 4)
    rings = _rings(analysis, survey, calibration)
    _mean_pattern(axes[0, 0], analysis, survey, calibration.geometry)
    _maximum_pattern(axes[0, 1], survey, calibration.geometry, rings)
    _unrolled(axes[0, 2], analysis, survey, calibration.geometry)
    _one_pattern(axes[0, 3], survey, calibration.geometry, peaks, dataset)
    _vector_maps(axes[1, 0], axes[1, 1], calibration, peaks, rings)
    _radii(axes[1, 2], calibration, peaks)
    _descan(axes[1, 3], calibration)
    return figure


def _mean_pattern(ax: Axes, analysis: Analysis, survey: Survey, geometry: Geometry) -> None:
    patterns.draw_log(ax, survey.mean, keep=geometry.mask)
    if geometry.mask is not None:
        hidden = np.ma.masked_where(geometry.mask, np.ones(geometry.mask.shape))
        ax.imshow(hidden, cmap=ListedColormap([COLOURS[3]]), alpha=0.35)
    q_y, q_x, colour = geometry.q_y, geometry.q_x, patterns.ON_PATTERN
    ax.add_patch(Circle((q_x, q_y), geometry.probe_radius, fill=False, color=colour, lw=0.8))
    ax.plot([q_x], [q_y], "+", color=colour, ms=5, mew=0.8)
    settings = analysis.recipe.preprocess
    first = np.array([s[0] if s else 0 for s in (settings.q_y, settings.q_x)])
    hot = (survey.hot_pixels - first + 0.5) / settings.bin - 0.5  # in prepared pixels
    if len(hot):
        ax.plot(hot[:, 1], hot[:, 0], "o", mfc="none", mec=COLOURS[1], ms=5, mew=0.7)
    notes = [f"repaired hot pixels: {len(hot)}"] * bool(len(hot)) + ["mask in red"] * (geometry.mask is not None)
    _finish(ax, "mean pattern (log)" + (f"\n{', '.join(notes)}" if notes else ""))


def _rings(analysis: Analysis, survey: Survey, calibration: Calibration) -> tuple[float, ...]:
    """Bounds of the AA rings: of the feature if it is there, else as they would be found; none if there are none."""
    if "aa" in analysis.features:
        return tuple(analysis.features["aa"].details["rings"])
    if analysis.recipe.aa.featurize.rings is not None:
        return analysis.recipe.aa.featurize.rings
    try:
        return rings_of(survey, calibration.geometry, calibration, analysis.peaks)
    except DataError:
        return ()


def _maximum_pattern(ax: Axes, survey: Survey, geometry: Geometry, rings: tuple[float, ...]) -> None:
    patterns.draw_log(ax, survey.maximum, keep=geometry.mask)
    patterns.draw_rings(ax, geometry, rings, PIXELS)
    if len(rings) > 1:
        azimuth = np.arange(0.0, 360.0, SECTOR_STEP)
        ends = [np.stack(geometry.from_polar(np.full(azimuth.shape, r), azimuth)[::-1], axis=1) for r in rings[:2]]
        ax.add_collection(LineCollection(list(np.stack(ends, axis=1)), colors="white", linewidths=0.3, alpha=0.8))
    title = "maximum pattern (log)"
    _finish(ax, f"{title}\nAA rings, cells of the first" if rings else f"{title}\nno rings found")


def _unrolled(ax: Axes, analysis: Analysis, survey: Survey, geometry: Geometry) -> None:
    """The maximum pattern over azimuth and radius, with the variance that RV would be of it."""
    try:
        radii = choose_radii(geometry, analysis.recipe.rv.featurize)
    except DataError:
        radii = np.empty(0)
    patterns.draw_unrolled(ax, survey.maximum, geometry, radii, PIXELS)
    ax.set_title("maximum pattern, ellipse undone")


def _one_pattern(ax: Axes, survey: Survey, geometry: Geometry, peaks: Peaks | None, dataset: Dataset | None) -> None:
    if dataset is None or peaks is None or not len(peaks):
        ax.imshow(survey.virtual_image, cmap="gray")
        ax.set(title="mean of each pattern", xlabel="scan_x (px)", ylabel="scan_y (px)")
        return
    row, column = patterns.typical_position(peaks)
    patterns.draw_log(ax, dataset.pattern(row, column), keep=geometry.mask, percentiles=(0.0, 99.5))
    here = peaks.of(row * peaks.scan_shape[1] + column)
    patterns.draw_circles(ax, peaks.q_x[here], peaks.q_y[here], geometry.probe_radius)
    _finish(ax, f"pattern at ({row}, {column}) (log)\n{here.stop - here.start} disks")


def _vector_maps(
    before: Axes, after: Axes, calibration: Calibration, peaks: Peaks | None, rings: tuple[float, ...]
) -> None:
    for ax, title in ((before, "Bragg vector map, raw"), (after, "Bragg vector map, calibrated")):
        ax.set_title(title)
        if peaks is None or not len(peaks):
            ax.text(0.5, 0.5, "no disks", ha="center", va="center", transform=ax.transAxes)
            ax.set(xticks=[], yticks=[])
        else:
            patterns.draw_vector_map(ax, raw_map(peaks) if ax is before else calibrated_map(peaks, calibration), PIXELS)
    if peaks is not None and len(peaks):
        geometry = calibration.geometry
        round_ = type(geometry)(geometry.detector_shape, geometry.q_y, geometry.q_x, geometry.probe_radius)
        patterns.draw_rings(after, round_, rings, PIXELS)


def _radii(ax: Axes, calibration: Calibration, peaks: Peaks | None) -> None:
    """How many disks lie at each radius, before and after calibration: rings sharpen."""
    geometry = calibration.geometry
    ax.set(title="radii of the disks", ylabel="disks per radius")
    if peaks is None or not len(peaks):
        ax.text(0.5, 0.5, "no disks", ha="center", va="center", transform=ax.transAxes)
        return
    edge = (min(geometry.detector_shape) - 1) / 2
    step = max(0.2, edge / 400)
    bins = np.arange(2.0 * geometry.probe_radius, edge, step)
    frame = patterns.Frame.calibrated(calibration)
    raw, calibrated = (peaks.q_y - geometry.q_y, peaks.q_x - geometry.q_x), centred(peaks, calibration)
    for vectors, color, label in ((raw, "0.6", "raw"), (calibrated, COLOURS[0], "calibrated")):
        count = np.histogram(np.hypot(*vectors), bins)[0]
        ax.plot((bins[:-1] + step / 2) * frame.scale, count, color=color, lw=1.0, label=label)
    ax.set_xlabel(f"radius ({frame.unit})")
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # room for the legend
    ax.legend(loc="upper right", ncols=2)


def _descan(ax: Axes, calibration: Calibration) -> None:
    """Where the centre is over the scan: what was measured (dots) and the surface at the corners (outline)."""
    origin = calibration.origin
    measured = calibration.measured.reshape(-1, 2)
    rows, columns = calibration.scan_shape
    color = np.linspace(0.0, 1.0, rows).repeat(columns)
    known = np.isfinite(measured).all(axis=1)
    if known.any():
        y, x = measured[known].T
        dots = ax.scatter(x, y, c=color[known], cmap="viridis", s=1.5, alpha=0.5, linewidths=0, vmin=0, vmax=1)
        bar = ax.figure.colorbar(dots, ax=ax, ticks=[0, 1], shrink=0.85)
        bar.ax.set_yticklabels(["first row", "last row"])
        if bar.solids is not None:
            bar.solids.set_alpha(1.0)
    q_y, q_x = calibration.geometry.q_y, calibration.geometry.q_x
    border = np.concatenate([origin[0], origin[:, -1], origin[-1, ::-1], origin[::-1, 0]])
    ax.plot(border[:, 1], border[:, 0], color=COLOURS[3], lw=1.0, label=f"fitted {calibration.origin_fit}")
    ax.plot([q_x], [q_y], "+", color="black")
    half = max(1.0, 1.3 * float(np.abs(border - [q_y, q_x]).max()))
    ax.set(xlim=(q_x - half, q_x + half), ylim=(q_y + half, q_y - half))
    _finish(ax, "centre of each pattern")
    ax.set_aspect("equal")
    ax.legend(loc="best")


def _finish(ax: Axes, title: str) -> None:
    PIXELS.label(ax)
    ax.set_title(title)
