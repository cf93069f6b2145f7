"""One picture of a run: the scan, what was measured on its patterns, the grains, and how sure the clustering is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import binary_dilation

from napari_stemnmf.errors import AnalysisError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.grains.separation import Grains
    from napari_stemnmf.passes.survey import Survey

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#7A5195", "#8C564B", "#5F9EA0")
"""Okabe and Ito's colour-blind safe set, and four that stand apart from it; neighbours are told apart by outlines."""
SAME_ERROR = 0.005
"""Least range of the axis of errors, as a share of the error."""


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
        Not yet drawn; save it with ``savefig``.

    Raises
    ------
    AnalysisError
        If the analysis holds no grains of `feature`, or no survey.
    """
    survey = analysis.survey
    if feature not in analysis.grains or survey is None:
        raise AnalysisError(f"The analysis holds no grains of {feature.upper()} to draw; run it first.")
    figure = Figure(figsize=(11, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(2, 3)
    grains = analysis.grains[feature]
    name = analysis.input.name
    figure.suptitle(f"{name}: {len(grains)} grains from {feature.upper()}", fontsize=12)
    _virtual_image(axes[0, 0], analysis, survey, feature)
    _maximum_pattern(axes[0, 1], analysis, survey, feature)
    _grains(axes[0, 2], analysis, grains)
    _overlap(axes[1, 0], analysis, grains)
    _seeds(axes[1, 1], analysis, feature)
    _sizes(axes[1, 2], analysis, feature)
    return figure


def _virtual_image(ax: Axes, analysis: Analysis, survey: Survey, feature: str) -> None:
    """What the representation sees of the scan as a whole; the mean of all pixels would show little but the beam."""
    title, label, values = "mean of each pattern", "mean counts per pixel", survey.virtual_image
    if feature in analysis.features:
        found = analysis.features[feature]
        values = np.asarray(found.values.mean(axis=1)).reshape(found.scan_shape)
        root = "√" if found.details.get("intensity") == "sqrt" else ""
        names = {"aa": ("dark field: mean of the rings", f"{root}counts per pixel"), "rv": ("mean radial variance", "")}
        names["bd"] = ("mean of the Bragg disks", f"{root}counts per bin")
        title, label = names[feature]
        label = label or f"variance of {root}counts"
    image = ax.imshow(values, cmap="gray", extent=_extent(analysis), interpolation="nearest")
    _finish_map(ax, analysis, title)
    _bar(ax, image, label)


def _maximum_pattern(ax: Axes, analysis: Analysis, survey: Survey, feature: str) -> None:
    pattern = np.log1p(np.clip(survey.maximum, 0, None))
    ax.imshow(pattern, cmap="magma", interpolation="nearest")
    if analysis.calibration is not None:
        geometry = analysis.calibration.geometry
        center = (geometry.q_x, geometry.q_y)
        ax.add_patch(Circle(center, geometry.probe_radius, fill=False, color="#56B4E9", lw=1))
        for radius in _radii(analysis, feature):
            ax.add_patch(_ring(center, radius, geometry.ellipse_ratio, geometry.ellipse_angle))
    ax.set(title="maximum pattern (log)", xlabel="q_x (px)", ylabel="q_y (px)")


def _radii(analysis: Analysis, feature: str) -> tuple[float, ...]:
    """The bounds of the rings (AA), of the radii that were used (RV), or what is left out about the centre (BD), px."""
    if feature not in analysis.features:
        return ()
    found = analysis.features[feature]
    if feature == "aa":
        return tuple(found.details["rings"])
    if feature == "bd":
        return (float(found.details["r_min"]),)
    radii = found.columns["radius"]
    return (float(radii.min()), float(radii.max()))


def _ring(center: tuple[float, float], radius: float, ratio: float, angle: float) -> Ellipse:
    """The ellipse a/b = `ratio` whose axes have the geometric mean `radius`."""
    stretch = np.sqrt(ratio)
    size = (2 * radius * stretch, 2 * radius / stretch)
    return Ellipse(center, *size, angle=angle, fill=False, color="white", lw=0.7, ls="--")


def _grains(ax: Axes, analysis: Analysis, grains: Grains) -> None:
    labels = np.ma.masked_equal(grains.labels, 0)
    colours = neighbours_apart(grains.masks)
    extent = _extent(analysis)
    ax.set_facecolor("#f2f2f2")
    ax.imshow(
        labels,
        cmap=ListedColormap(colours or ["white"]),
        vmin=0.5,
        vmax=max(1, len(grains)) + 0.5,
        extent=extent,
        interpolation="nearest",
        alpha=0.75,
    )
    left, right, bottom, top = extent
    rows, columns = labels.shape
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    for i, mask in enumerate(grains.masks):
        if min(mask.shape) > 1:
            ax.contour(x, y, mask, levels=[0.5], colors=[colours[i]], linewidths=1.0)
    _finish_map(ax, analysis, "grains and their outlines")


def neighbours_apart(masks: np.ndarray) -> list[str]:
    """A colour for each mask (g, scan_y, scan_x), another than those of the masks that it meets while they last."""
    chosen: list[str] = []
    for i, mask in enumerate(masks):
        near = binary_dilation(mask, iterations=3)
        taken = {chosen[j] for j in range(i) if (near & masks[j]).any()}
        turn = [COLOURS[(i + step) % len(COLOURS)] for step in range(len(COLOURS))]
        chosen.append(next((colour for colour in turn if colour not in taken), turn[0]))
    return chosen


def _overlap(ax: Axes, analysis: Analysis, grains: Grains) -> None:
    most = int(grains.overlap.max(initial=0))
    colours = ListedColormap(["#ffffff", *_steps(most)])
    image = ax.imshow(
        grains.overlap, cmap=colours, vmin=-0.5, vmax=most + 0.5, extent=_extent(analysis), interpolation="nearest"
    )
    _finish_map(ax, analysis, "grains at each probe position")
    _bar(ax, image, "number of grains", ticks=range(most + 1))


def _steps(count: int) -> list[str]:
    """`count` colours from light to dark."""
    return [to_hex(colormaps["viridis"](0.9 - 0.8 * i / max(1, count - 1))) for i in range(count)]


def _seeds(ax: Axes, analysis: Analysis, feature: str) -> None:
    ax.set(title="random starts", xlabel="components k", ylabel="error ‖V − WH‖ / ‖V‖")
    model = analysis.models.get(feature)
    if model is None:
        return
    done = [s for s in model.seeds if s.status == "done"]
    other = [s for s in model.seeds if s.status != "done"]
    ax.scatter([s.k for s in done], [s.error for s in done], color=COLOURS[0], label="done", s=22)
    if other:
        ax.scatter([s.k for s in other], [s.error for s in other], color="0.6", marker="x", label="stopped", s=22)
    ax.scatter(
        [model.W.shape[1]],
        [model.error],
        s=90,
        facecolor="none",
        edgecolor=COLOURS[3],
        label=f"chosen: seed {model.seed}",
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = ax.get_ylim()
    if high - low < SAME_ERROR * high:  # starts that ended alike: no axis of differences in the tenth digit
        ax.set_ylim(model.error * (1 - SAME_ERROR), model.error * (1 + SAME_ERROR))
    ax.legend(fontsize=8, frameon=False)


def _sizes(ax: Axes, analysis: Analysis, feature: str) -> None:
    table = analysis.tables.get(feature)
    column = None if table is None else next((c for c in ("area_nm2", "area_px") if c in table), None)
    unit = "nm²" if column == "area_nm2" else "probe positions"
    ax.set(title="grain sizes", xlabel=f"area ({unit})", ylabel="grains")
    if table is not None and column is not None and len(table):
        ax.hist(table[column], bins=min(20, max(5, len(table) // 2)), color=COLOURS[0], edgecolor="white")


def _extent(analysis: Analysis) -> tuple[float, float, float, float]:
    """Edges of the scan in its own units: left, right, bottom, top."""
    y, x = analysis.axes[:2]
    return (-0.5 * x.scale, (x.size - 0.5) * x.scale, (y.size - 0.5) * y.scale, -0.5 * y.scale)


def _finish_map(ax: Axes, analysis: Analysis, title: str) -> None:
    y, x = analysis.axes[:2]
    ax.set(title=title, xlabel=f"x ({x.unit})", ylabel=f"y ({y.unit})")


def _bar(ax: Axes, image: AxesImage, label: str, ticks: range | None = None) -> None:
    ax.figure.colorbar(image, ax=ax, label=label, ticks=ticks, shrink=0.85)
