"""What calibration found, on one page: figure 3 of Bruefach et al. 2022 for any data, and what the fits rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_stemnmf.calibration.bragg_vectors import calibrated_map, centred, raw_map
from napari_stemnmf.errors import AnalysisError, DataError
from napari_stemnmf.features.angular_average import centered_maximum, find_rings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.calibration import Calibration
    from napari_stemnmf.calibration.geometry import Geometry
    from napari_stemnmf.dataset import Dataset

BLUE, ORANGE, GREEN = "#56B4E9", "#E69F00", "#009E73"
"""Okabe and Ito's colour-blind safe set; on dark patterns."""
BVM_POWER = 0.25
"""Of the Bragg vector map's values, so that weak reflections are seen beside strong ones."""
SECTOR_STEP = 5.0
"""Degrees between the lines of the AA cells."""


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
        Not yet drawn; save it with ``savefig``.

    Raises
    ------
    AnalysisError
        If the analysis is not calibrated yet.
    """
    if analysis.calibration is None or analysis.survey is None:
        raise AnalysisError("The analysis is not calibrated yet; run the step 'calibrate' first.")
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{analysis.input.name}: calibration", fontsize=12)
    axes = figure.subplots(2, 4)
    _mean_pattern(axes[0, 0], analysis)
    rings = _rings(analysis)
    _maximum_pattern(axes[0, 1], analysis, rings)
    _unrolled(axes[0, 2], analysis)
    _one_pattern(axes[0, 3], analysis, dataset)
    _vector_maps(axes[1, 0], axes[1, 1], analysis, rings)
    _radii(axes[1, 2], analysis)
    _descan(axes[1, 3], analysis.calibration)
    for ax in axes.flat:
        ax.title.set_fontsize(10)
    return figure


def _mean_pattern(ax: Axes, analysis: Analysis) -> None:
    survey, calibration = analysis.survey, _calibration(analysis)
    assert survey is not None
    geometry = calibration.geometry
    _log(ax, survey.mean, keep=geometry.mask)
    if geometry.mask is not None:
        hidden = np.ma.masked_where(geometry.mask, np.ones(geometry.mask.shape))
        ax.imshow(hidden, cmap=ListedColormap(["#D55E00"]), alpha=0.35, interpolation="nearest")
    ax.add_patch(Circle((geometry.q_x, geometry.q_y), geometry.probe_radius, fill=False, color=BLUE, lw=1))
    ax.plot([geometry.q_x], [geometry.q_y], "+", color=BLUE, ms=7, mew=1)
    hot = _on_prepared(analysis)
    if len(hot):
        ax.plot(hot[:, 1], hot[:, 0], "o", mfc="none", mec=ORANGE, ms=6, mew=0.8)
    words = [f"{len(hot)} hot pixels repaired"] * bool(len(hot)) + ["mask in red"] * (geometry.mask is not None)
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
    if analysis.recipe.aa.describe.rings is not None:
        return analysis.recipe.aa.describe.rings
    try:
        maximum = centered_maximum(analysis.survey, _calibration(analysis), analysis.peaks)
        return find_rings(maximum, _calibration(analysis).geometry)
    except DataError:
        return ()


def _maximum_pattern(ax: Axes, analysis: Analysis, rings: tuple[float, ...]) -> None:
    assert analysis.survey is not None
    geometry = _calibration(analysis).geometry
    _log(ax, analysis.survey.maximum, keep=geometry.mask)
    _draw_rings(ax, geometry, rings)
    if len(rings) > 1:
        azimuth = np.arange(0.0, 360.0, SECTOR_STEP)
        ends = [np.stack(geometry.from_polar(np.full(azimuth.shape, r), azimuth)[::-1], axis=1) for r in rings[:2]]
        ax.add_collection(LineCollection(list(np.stack(ends, axis=1)), colors="white", linewidths=0.4, alpha=0.8))
    title = "maximum pattern (log)"
    _finish(ax, f"{title}\nAA rings, cells of the first" if rings else f"{title}\nno rings found")


def _unrolled(ax: Axes, analysis: Analysis) -> None:
    """The maximum pattern in polar coordinates, with the variance over azimuth along the radius."""
    assert analysis.survey is not None
    geometry = _calibration(analysis).geometry
    edge = (min(geometry.detector_shape) - 1) / 2
    radii, azimuth = np.arange(0.0, edge), np.arange(0.0, 360.0)
    y, x = geometry.from_polar(radii[:, None], azimuth)
    image = np.nan_to_num(np.maximum(analysis.survey.maximum, 0.0))
    polar = map_coordinates(image, [y, x], order=1, cval=np.nan)
    if geometry.mask is not None:
        polar[map_coordinates(geometry.mask.astype(float), [y, x], order=1, cval=0.0) < 0.999] = np.nan
    _log(ax, polar, extent=(0, 360, edge - 0.5, -0.5), aspect="auto")
    with np.errstate(invalid="ignore", divide="ignore"):
        valid = np.isfinite(polar).sum(axis=1)
        mean = np.nansum(polar, axis=1) / valid
        variance = np.nansum((polar - mean[:, None]) ** 2, axis=1) / valid
    past = (radii > 2.0 * geometry.probe_radius + 2.0) & (valid > 180)
    if past.any():
        high = np.nanmax(variance[past])
        ax.plot(330 * variance[past] / (high or 1.0) + 10, radii[past], color=BLUE, lw=1.2)
    ax.set(
        title="maximum pattern, ellipse undone\nblue: variance over azimuth", xlabel="azimuth (°)", ylabel="radius (px)"
    )
    ax.set_xticks(range(0, 361, 90))


def _one_pattern(ax: Axes, analysis: Analysis, dataset: Dataset | None) -> None:
    assert analysis.survey is not None
    peaks, geometry = analysis.peaks, _calibration(analysis).geometry
    if dataset is None or peaks is None or not len(peaks):
        ax.imshow(analysis.survey.virtual_image, cmap="gray", interpolation="nearest")
        ax.set(title="mean of each pattern", xlabel="scan_x (px)", ylabel="scan_y (px)")
        return
    counts = peaks.counts
    position = int(np.argmin(np.abs(counts - np.percentile(counts, 80))))
    row, column = divmod(position, peaks.scan_shape[1])
    _log(ax, dataset.pattern(row, column), keep=geometry.mask, percentiles=(0.0, 99.5))
    here = peaks.of(position)
    for y, x in zip(peaks.q_y[here], peaks.q_x[here], strict=True):
        ax.add_patch(Circle((x, y), geometry.probe_radius, fill=False, color=BLUE, lw=0.8))
    _finish(ax, f"pattern at ({row}, {column}) (log)\n{counts[position]} disks")


def _vector_maps(before: Axes, after: Axes, analysis: Analysis, rings: tuple[float, ...]) -> None:
    peaks, calibration = analysis.peaks, _calibration(analysis)
    for ax, title in ((before, "Bragg vector map, raw"), (after, "Bragg vector map, calibrated")):
        if peaks is None or not len(peaks):
            ax.text(0.5, 0.5, "no disks", ha="center", va="center", transform=ax.transAxes)
            ax.set(title=title, xticks=[], yticks=[])
            continue
        image = raw_map(peaks) if ax is before else calibrated_map(peaks, calibration)
        level = gaussian_filter(image, 0.5) ** BVM_POWER
        ax.imshow(level, cmap="magma", interpolation="nearest", vmin=0.0, vmax=float(np.percentile(level, 99.5)) or 1.0)
        _finish(ax, title)
    if peaks is not None and len(peaks):
        geometry = calibration.geometry
        round_ = type(geometry)(geometry.detector_shape, geometry.q_y, geometry.q_x, geometry.probe_radius)
        _draw_rings(after, round_, rings)


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
        (np.hypot(*centred(peaks, calibration)), "#0072B2", "calibrated"),
    ):
        count = np.histogram(radii, bins)[0]
        ax.plot((bins[:-1] + step / 2) * scale, count, color=color, lw=1.0, label=label)
    ax.set_xlabel(f"radius ({unit})")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8, frameon=False)


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
            s=3,
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
    ax.plot(border[:, 1], border[:, 0], color="#D55E00", lw=1.2, label=f"fitted {calibration.origin_fit}")
    ax.plot([calibration.geometry.q_x], [calibration.geometry.q_y], "+", color="black")
    half = max(1.0, 1.3 * float(np.abs(border - [calibration.geometry.q_y, calibration.geometry.q_x]).max()))
    ax.set(
        title="centre of each pattern", xlabel="q_x (px)", ylabel="q_y (px)",
        xlim=(calibration.geometry.q_x - half, calibration.geometry.q_x + half),
        ylim=(calibration.geometry.q_y + half, calibration.geometry.q_y - half),
    )  # fmt: skip
    ax.set_aspect("equal")
    ax.legend(fontsize=8, frameon=False, loc="best")


def _draw_rings(ax: Axes, geometry: Geometry, rings: tuple[float, ...]) -> None:
    azimuth = np.linspace(0.0, 360.0, 181)
    for radius in rings:
        y, x = geometry.from_polar(np.full(azimuth.shape, radius), azimuth)
        ax.plot(x, y, color="white", lw=0.7, ls="--")
    rows, columns = geometry.detector_shape
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))


def _log(
    ax: Axes,
    image: np.ndarray,
    *,
    keep: np.ndarray | None = None,
    percentiles: tuple[float, float] = (1.0, 99.9),
    extent: tuple[float, float, float, float] | None = None,
    aspect: Literal["equal", "auto"] = "equal",
) -> None:
    """An image on a logarithmic scale, its contrast taken from the pixels that are kept."""
    values = np.maximum(np.asarray(image, np.float64), 0.0)
    seen = values[np.isfinite(values) & (values > 0) & (True if keep is None else keep)]
    unit = max(float(np.percentile(seen, 5)) if seen.size else 1.0, 1e-12)
    level, within = np.log1p(values / unit), np.log1p(seen / unit)
    low, high = np.percentile(within, percentiles) if within.size else (0.0, 1.0)
    low = low if percentiles[0] > 0 else 0.0
    ax.imshow(
        level, cmap="magma", interpolation="nearest", extent=extent, aspect=aspect, vmin=low, vmax=max(high, low + 1e-6)
    )


def _finish(ax: Axes, title: str) -> None:
    ax.set(title=title, xlabel="q_x (px)", ylabel="q_y (px)")


def _calibration(analysis: Analysis) -> Calibration:
    assert analysis.calibration is not None
    return analysis.calibration
