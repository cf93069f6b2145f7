"""One picture of a run: the scan, what was measured on its patterns, the grains, and how sure the clustering is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Circle, Ellipse
from matplotlib.ticker import MaxNLocator

from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.maps import draw_counts, draw_grains, draw_odd, extent, scan_image, set_aspect
from napari_stemnmf.figures.style import FEATURE_COLOURS, GREY, in_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.preprocessing.survey import Survey

SAME_ERROR = 0.005
"""Least range of the axis of errors, as a share of the error."""


@in_style
def overview(analysis: Analysis, feature: str) -> Figure:
    """The scan, the maximum pattern, the grains with their overlaps, the seeds and the sizes, on one page.

    Parameters
    ----------
    analysis : Analysis
        With survey, features, model and grains of `feature`.
    feature : str
        Representation to show.

    Returns
    -------
    matplotlib.figure.Figure
        As wide as a page; save it with `style.save`.

    Raises
    ------
    AnalysisError
        If the analysis holds no grains of `feature`, or no survey.
    """
    survey = analysis.survey
    if feature not in analysis.grains or survey is None:
        raise AnalysisError(f"The analysis holds no grains of {feature.upper()} to draw; run it first.")
    figure = new_figure("page", 118.0)
    figure.set_layout_engine("constrained", w_pad=0.08)  # inches; a map that keeps its aspect moves its labels outwards
    axes = figure.subplots(2, 3)
    grains = analysis.grains[feature]
    figure.suptitle(f"{analysis.input.name}: {len(grains)} grains from {feature.upper()}", parse_math=False)
    _image(axes[0, 0], analysis, feature)
    _maximum_pattern(axes[0, 1], analysis, survey, feature)
    draw_grains(axes[0, 2], grains, analysis.axes, scale="axes", width_mm=45.0)
    axes[0, 2].set_title("grains (stripes: overlap)")
    if feature == "vdf" and feature in analysis.unexplained:
        share = analysis.unexplained[feature]
        image = axes[1, 0].imshow(share, cmap="magma", vmin=0, vmax=1, extent=extent(analysis.axes))
        _finish_map(axes[1, 0], analysis, "what no grain explains", image, "share of the diffracted intensity")
    else:
        most = int(grains.overlap.max(initial=0))
        image = draw_counts(axes[1, 0], grains.overlap, analysis.axes, most, shades=(0.9, 0.8))
        _finish_map(axes[1, 0], analysis, "grains at each probe position", image, "number of grains", range(most + 1))
    (_spots if feature == "vdf" else _seeds)(axes[1, 1], analysis, feature)
    _sizes(axes[1, 2], analysis, feature)
    return figure


def _image(ax: Axes, analysis: Analysis, feature: str) -> None:
    shown = scan_image(analysis, feature)
    image = ax.imshow(shown.values, cmap="gray", extent=extent(analysis.axes))
    note = draw_odd(ax, analysis.left_out, analysis.axes)
    _finish_map(ax, analysis, shown.title + note, image, shown.label)


def _maximum_pattern(ax: Axes, analysis: Analysis, survey: Survey, feature: str) -> None:
    pattern = np.log1p(np.clip(survey.maximum, 0, None))
    ax.imshow(pattern, cmap="magma")
    if analysis.calibration is not None:
        geometry = analysis.calibration.geometry
        center = (geometry.q_x, geometry.q_y)
        ax.add_patch(Circle(center, geometry.probe_radius, fill=False, color="#56B4E9", lw=0.8))
        for radius in _radii(analysis, feature):
            stretch = np.sqrt(geometry.ellipse_ratio)  # `radius` is the geometric mean of the axes
            size = (2 * radius * stretch, 2 * radius / stretch)
            ring = Ellipse(center, *size, angle=geometry.ellipse_angle, fill=False, color="white", lw=0.7, ls="--")
            ax.add_patch(ring)
    ax.set(title="maximum pattern (log)", xlabel="q_x (px)", ylabel="q_y (px)")


def _radii(analysis: Analysis, feature: str) -> tuple[float, ...]:
    """The bounds of the rings (AA), of the radii that were used (RV), or what is left out about the centre (BD), px."""
    if feature not in analysis.features or feature == "vdf":
        return ()
    found = analysis.features[feature]
    if feature == "aa":
        return tuple(found.details["rings"])
    if feature == "bd":
        return (float(found.details["r_min"]),)
    radii = found.columns["radius"]
    return (float(radii.min()), float(radii.max()))


def _seeds(ax: Axes, analysis: Analysis, feature: str) -> None:
    ax.set(title="random starts", xlabel="components k", ylabel="error ‖V − WH‖ / ‖V‖")
    model = analysis.ensemble(feature)
    if model is None:
        return
    done = [s for s in model.seeds if s.status == "done"]
    other = [s for s in model.seeds if s.status != "done"]
    ax.scatter([s.k for s in done], [s.error for s in done], color=FEATURE_COLOURS[feature], label="done", s=12)
    if other:
        ax.scatter([s.k for s in other], [s.error for s in other], color=GREY, marker="x", label="stopped", s=12)
    label = f"chosen: seed {model.seed}"
    ax.scatter([model.W.shape[1]], [model.error], s=45, facecolor="none", edgecolor="black", label=label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = ax.get_ylim()
    if high - low < SAME_ERROR * high:  # starts that ended alike: no axis of differences in the tenth digit
        ax.set_ylim(model.error * (1 - SAME_ERROR), model.error * (1 + SAME_ERROR))
    ax.legend()


def _spots(ax: Axes, analysis: Analysis, feature: str) -> None:
    """How many spots each grain has, and how likely it is to be right."""
    grains, model = analysis.grains[feature], analysis.models.get(feature)
    ax.set(title="spots and confidence", xlabel="spots of a grain", ylabel="confidence", ylim=(0, 1.03))
    if isinstance(model, Groups):
        known = grains.component >= 0
        spots = model.sizes[grains.component[known]]
        ax.scatter(spots, grains.confidence[known], color=FEATURE_COLOURS[feature], s=12)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _sizes(ax: Axes, analysis: Analysis, feature: str) -> None:
    table = analysis.tables.get(feature)
    column = None if table is None else next((c for c in ("area_nm2", "area_px") if c in table), None)
    unit = "nm²" if column == "area_nm2" else "px"
    ax.set(title="grain sizes", xlabel=f"area ({unit})", ylabel="grains")
    if table is not None and column is not None and len(table):
        ax.hist(table[column], bins=min(20, max(5, len(table) // 2)), color=FEATURE_COLOURS[feature], edgecolor="white")


def _finish_map(
    ax: Axes, analysis: Analysis, title: str, image: AxesImage, label: str, ticks: range | None = None
) -> None:
    y, x = analysis.axes[:2]
    ax.set(title=title, xlabel=f"x ({x.unit})", ylabel=f"y ({y.unit})")
    set_aspect(ax, analysis.axes)
    ax.figure.colorbar(image, ax=ax, label=label, ticks=ticks, shrink=0.85)
