"""What calibration found, on one page, in pixels of the detector: patterns, disks, and what the fits rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from napari_stemnmf.calibration.bragg_vectors import calibrated_map, centred, raw_map
from napari_stemnmf.errors import AnalysisError, DataError
from napari_stemnmf.features.angular_average import centered_maximum, find_rings
from napari_stemnmf.features.radial_variance import choose_radii
from napari_stemnmf.figures.patterns import (
    ON_PATTERN,
    Frame,
    draw_circles,
    draw_log,
    draw_rings,
    draw_unrolled,
    draw_vector_map,
    typical_position,
)
from napari_stemnmf.figures.style import COLOURS, in_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.calibration import Calibration
    from napari_stemnmf.dataset import Dataset

SECTOR_STEP = 5.0
"""Degrees between the lines of the AA cells."""
PIXELS = Frame()


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
    if analysis.calibration is None or analysis.survey is None:
        raise AnalysisError("The analysis is not calibrated yet; run the step 'calibrate' first.")
    figure = new_figure("page", 98.0)
    figure.suptitle(f"{analysis.input.name}: calibration")
    axes = figure.subplots(2, 4)
    _mean_pattern(axes[0, 0], analysis)
    rings = _rings(analysis)
    _maximum_pattern(axes[0, 1], analysis, rings)
    _unrolled(axes[0, 2], analysis)
    _one_pattern(axes[0, 3], analysis, dataset)
    _vector_maps(axes[1, 0], axes[1, 1], analysis, rings)
    _radii(axes[1, 2], analysis)
    _descan(axes[1, 3], analysis.calibration)
    return figure


def _mean_pattern(ax: Axes, analysis: Analysis) -> None:
    survey, calibration = analysis.survey, _calibration(analysis)
    assert survey is not None
    geometry = calibration.geometry
    draw_log(ax, survey.mean, keep=geometry.mask)
    if geometry.mask is not None:
        hidden = np.ma.masked_where(geometry.mask, np.ones(geometry.mask.shape))
        ax.imshow(hidden, cmap=ListedColormap([COLOURS[3]]), alpha=0.35)
    ax.add_patch(Circle((geometry.q_x, geometry.q_y), geometry.probe_radius, fill=False, color=ON_PATTERN, lw=0.8))
    ax.plot([geometry.q_x], [geometry.q_y], "+", color=ON_PATTERN, ms=5, mew=0.8)
    hot = _on_prepared(analysis)
    if len(hot):
        ax.plot(hot[:, 1], hot[:, 0], "o", mfc="none", mec=COLOURS[1], ms=5, mew=0.7)
    words = [f"repaired hot pixels: {len(hot)}"] * bool(len(hot)) + ["mask in red"] * (geometry.mask is not None)
    _finish(ax, "mean pattern (log)" + (f"\n{', '.join(words)}" if words else ""))


def _on_prepared(analysis: Analysis) -> np.ndarray:
    """(h, 2) hot pixels in prepared pixels."""
    assert analysis.survey is not None
    settings = analysis.recipe.preprocess
    first = np.array([s[0] if s else 0 for s in (settings.q_y, settings.q_x)])
    return (analysis.survey.hot_pixels - first + 0.5) / settings.bin - 0.5


def _rings(analysis: Analysis) -> tuple[float, ...]:
    """Bounds of the AA rings: of the feature if it is there, else as they would be found; none if there are none."""
    assert analysis.survey is not None
    if "aa" in analysis.features:
        return tuple(analysis.features["aa"].details["rings"])
    if analysis.recipe.aa.featurize.rings is not None:
        return analysis.recipe.aa.featurize.rings
    try:
        maximum = centered_maximum(analysis.survey, _calibration(analysis), analysis.peaks)
        return find_rings(maximum, _calibration(analysis).geometry)
    except DataError:
        return ()


def _maximum_pattern(ax: Axes, analysis: Analysis, rings: tuple[float, ...]) -> None:
    assert analysis.survey is not None
    geometry = _calibration(analysis).geometry
    draw_log(ax, analysis.survey.maximum, keep=geometry.mask)
    draw_rings(ax, geometry, rings)
    if len(rings) > 1:
        azimuth = np.arange(0.0, 360.0, SECTOR_STEP)
        ends = [np.stack(geometry.from_polar(np.full(azimuth.shape, r), azimuth)[::-1], axis=1) for r in rings[:2]]
        ax.add_collection(LineCollection(list(np.stack(ends, axis=1)), colors="white", linewidths=0.3, alpha=0.8))
    title = "maximum pattern (log)"
    _finish(ax, f"{title}\nAA rings, cells of the first" if rings else f"{title}\nno rings found")


def _unrolled(ax: Axes, analysis: Analysis) -> None:
    """The maximum pattern over azimuth and radius, with the variance that RV would be of it."""
    assert analysis.survey is not None
    geometry = _calibration(analysis).geometry
    try:
        radii = choose_radii(geometry, analysis.recipe.rv.featurize)
    except DataError:
        radii = np.empty(0)
    draw_unrolled(ax, analysis.survey.maximum, geometry, radii)
    ax.set_title("maximum pattern, ellipse undone")


def _one_pattern(ax: Axes, analysis: Analysis, dataset: Dataset | None) -> None:
    assert analysis.survey is not None
    peaks, geometry = analysis.peaks, _calibration(analysis).geometry
    if dataset is None or peaks is None or not len(peaks):
        ax.imshow(analysis.survey.virtual_image, cmap="gray")
        ax.set(title="mean of each pattern", xlabel="scan_x (px)", ylabel="scan_y (px)")
        return
    row, column = typical_position(peaks)
    draw_log(ax, dataset.pattern(row, column), keep=geometry.mask, percentiles=(0.0, 99.5))
    here = peaks.of(row * peaks.scan_shape[1] + column)
    draw_circles(ax, peaks.q_x[here], peaks.q_y[here], geometry.probe_radius)
    _finish(ax, f"pattern at ({row}, {column}) (log)\n{here.stop - here.start} disks")


def _vector_maps(before: Axes, after: Axes, analysis: Analysis, rings: tuple[float, ...]) -> None:
    peaks, calibration = analysis.peaks, _calibration(analysis)
    for ax, title in ((before, "Bragg vector map, raw"), (after, "Bragg vector map, calibrated")):
        if peaks is None or not len(peaks):
            ax.text(0.5, 0.5, "no disks", ha="center", va="center", transform=ax.transAxes)
            ax.set(title=title, xticks=[], yticks=[])
            continue
        draw_vector_map(ax, raw_map(peaks) if ax is before else calibrated_map(peaks, calibration), PIXELS)
        ax.set_title(title)
    if peaks is not None and len(peaks):
        geometry = calibration.geometry
        round_ = type(geometry)(geometry.detector_shape, geometry.q_y, geometry.q_x, geometry.probe_radius)
        draw_rings(after, round_, rings)


def _radii(ax: Axes, analysis: Analysis) -> None:
    """How many disks lie at each radius, before and after calibration: rings sharpen."""
    peaks, calibration = analysis.peaks, _calibration(analysis)
    geometry = calibration.geometry
    ax.set(title="radii of the disks", ylabel="disks per radius")
    if peaks is None or not len(peaks):
        ax.text(0.5, 0.5, "no disks", ha="center", va="center", transform=ax.transAxes)
        return
    edge = (min(geometry.detector_shape) - 1) / 2
    step = max(0.2, edge / 400)
    bins = np.arange(2.0 * geometry.probe_radius, edge, step)
    known = calibration.pixel_method != "none"
    scale, unit = (calibration.pixel_size, calibration.pixel_unit) if known else (1.0, "px")
    raw = np.hypot(peaks.q_y - geometry.q_y, peaks.q_x - geometry.q_x)
    for radii, color, label in (
        (raw, "0.6", "raw"),
        (np.hypot(*centred(peaks, calibration)), COLOURS[0], "calibrated"),
    ):
        count = np.histogram(radii, bins)[0]
        ax.plot((bins[:-1] + step / 2) * scale, count, color=color, lw=1.0, label=label)
    ax.set_xlabel(f"radius ({unit})")
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # room for the legend
    ax.legend(loc="upper right", ncols=2)


def _descan(ax: Axes, calibration: Calibration) -> None:
    """Where the centre is over the scan: what was measured (dots) and the surface at the corners (outline)."""
    origin = calibration.origin
    measured = calibration.measured.reshape(-1, 2)
    rows, columns = calibration.scan_shape
    color = np.linspace(0.0, 1.0, rows).repeat(columns)
    seen = np.isfinite(measured).all(axis=1)
    if seen.any():
        dots = ax.scatter(
            measured[seen, 1],
            measured[seen, 0],
            c=color[seen],
            cmap="viridis",
            s=1.5,
            alpha=0.5,
            linewidths=0,
            vmin=0,
            vmax=1,
        )
        bar = ax.figure.colorbar(dots, ax=ax, ticks=[0, 1], shrink=0.85)
        bar.ax.set_yticklabels(["first row", "last row"])
        if bar.solids is not None:
            bar.solids.set_alpha(1.0)
    border = np.concatenate([origin[0], origin[:, -1], origin[-1, ::-1], origin[::-1, 0]])
    ax.plot(border[:, 1], border[:, 0], color=COLOURS[3], lw=1.0, label=f"fitted {calibration.origin_fit}")
    ax.plot([calibration.geometry.q_x], [calibration.geometry.q_y], "+", color="black")
    half = max(1.0, 1.3 * float(np.abs(border - [calibration.geometry.q_y, calibration.geometry.q_x]).max()))
    ax.set(
        title="centre of each pattern", xlabel="$q_x$ (px)", ylabel="$q_y$ (px)",
        xlim=(calibration.geometry.q_x - half, calibration.geometry.q_x + half),
        ylim=(calibration.geometry.q_y + half, calibration.geometry.q_y - half),
    )  # fmt: skip
    ax.set_aspect("equal")
    ax.legend(loc="best")


def _finish(ax: Axes, title: str) -> None:
    PIXELS.label(ax)
    ax.set_title(title)


def _calibration(analysis: Analysis) -> Calibration:
    assert analysis.calibration is not None
    return analysis.calibration
