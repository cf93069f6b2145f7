"""Sizes of grains: figure 5 of Bruefach et al. 2022, for any scan, and the box plots that it is drawn with.

An image of the scan, a map of the grains of each representation, and box plots of area, maximum diameter and
dissimilarity. The arrangement follows the shape of the scan: a long wire's maps stand, or lie, beside each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures import style
from napari_stemnmf.figures.maps import count_below, draw_grains, draw_image, draw_odd, empty_map, scale_bar, scan_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from napari_stemnmf.analysis import Analysis

CHARTS_MM = 52.0
"""Height of the box plots where they are below the maps."""
WORDS_MM = 11.0
"""Height of the words above and below a row of maps."""
TALL, WIDE = 3.5, 0.62
"""Height over width of a scan from which, or down to which, it is a standing or a lying wire."""
LARGEST_MM = 75.0
"""Largest height of a map above its box plots."""
LEAST_MM = 16.0
"""Least width that a standing wire's map and its words take."""
STANDING_MM = (92.0, 115.0)
"""Least and largest height of a standing wire's figure."""
QUANTITIES = (
    ("area (nm²)", "area_nm2"),
    ("area (px)", "area_px"),
    ("maximum diameter (nm)", "feret_max_nm"),
    ("maximum diameter (px)", "feret_max_px"),
    ("weighted dissimilarity", "dissimilarity"),
)
"""What is drawn, by column of the tables; in px, probe positions, where the scan is not calibrated."""
BOX = 0.62
"""Width of a box, where 1 is the distance of two."""
LEVELS = 30
"""Points in the same one of so many equal steps of the axis stand beside each other."""


@style.in_style
def sizes(analysis: Analysis) -> Figure:
    """Draw the grains of every representation and the distributions of their sizes.

    Parameters
    ----------
    analysis : Analysis
        With grains, and tables, of at least one representation.

    Returns
    -------
    matplotlib.figure.Figure
        As wide as a page; save it with `style.save`.

    Raises
    ------
    AnalysisError
        If the analysis holds no grains.
    """
    features = [f for f in style.FEATURE_NAMES if f in analysis.grains or f in analysis.failed]
    if not any(f in analysis.grains for f in features):
        raise AnalysisError("The analysis holds no grains to draw; run it to the end first.")
    plan = _plan(analysis, 1 + len(features))
    figure = style.new_figure("page", plan.height)
    if plan.beside:
        grid = figure.add_gridspec(1, 2, width_ratios=plan.shares)
    else:
        grid = figure.add_gridspec(2, 1, height_ratios=plan.shares)
    upper, lower = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    panels = list(upper.subplots(*plan.maps, squeeze=False).flat)
    _image(panels[0], analysis, plan.map_mm)
    _maps(panels[1:], analysis, features, plan.map_mm)
    for ax in panels[1 + len(features) :]:
        ax.remove()
    charts = _charts(lower, analysis, [f for f in features if f in analysis.grains], plan.beside)
    style.panel_letters([*panels[: 1 + len(features)], *charts])
    return figure


class _Plan(NamedTuple):
    """How maps and box plots share a page."""

    maps: tuple[int, int]
    """Rows and columns of the maps."""
    map_mm: float
    """Printed width of a map, mm."""
    beside: bool
    """Whether the box plots stand beside the maps, one below the other; else they are below the maps."""
    shares: tuple[float, float]
    """Of maps and box plots in the figure."""
    height: float
    """Of the figure, mm."""


def _plan(analysis: Analysis, count: int) -> _Plan:
    y, x = analysis.axes[:2]
    aspect = (y.size * y.scale) / (x.size * x.scale)
    page = style.WIDTHS["page"]
    if aspect >= TALL:
        height = float(np.clip(aspect * 0.6 * page / count, *STANDING_MM))
        width = min((height - WORDS_MM) / aspect, 0.6 * page / count - 4.0)
        maps = count * max(width + 4.0, LEAST_MM)
        return _Plan((1, count), width, True, (maps, page - maps), height)
    columns = min(count, 2 if aspect <= WIDE else 4)
    rows = -(-count // columns)
    width = min(page / columns - 4.0, LARGEST_MM / aspect)
    maps = rows * (aspect * width + WORDS_MM)
    return _Plan((rows, columns), width, False, (maps, CHARTS_MM), maps + CHARTS_MM)


def _image(ax: Axes, analysis: Analysis, width: float) -> None:
    image = scan_image(analysis)
    low, high = draw_image(ax, image.values, analysis.axes)
    draw_odd(ax, analysis.left_out, analysis.axes)
    ax.set(title="image", xticks=[], yticks=[])
    text = f"{image.title}, {number(low)} to {number(high)} {image.label}"
    ax.set_xlabel(style.wrapped(text, width), fontsize=style.SMALLEST_FONT)


def _maps(panels: Sequence[Axes], analysis: Analysis, features: Sequence[str], width: float) -> None:
    for ax, feature in zip(panels, features, strict=False):
        ax.set_title(style.FEATURE_NAMES[feature])
        if feature not in analysis.grains:
            empty_map(ax, analysis.axes, analysis.failed[feature], width)
            continue
        grains = analysis.grains[feature]
        draw_grains(ax, grains, analysis.axes, scale="none", width_mm=width)
        count_below(ax, len(grains), width)
    scale_bar(panels[0], analysis.axes[1])


def _charts(figure: SubFigure, analysis: Analysis, features: Sequence[str], beside: bool) -> list[Axes]:
    """Box plots of what was measured, in a row or one below the other."""
    tables = {f: analysis.tables[f] for f in features if f in analysis.tables}
    found = {label: column for label, column in QUANTITIES if any(column in table for table in tables.values())}
    calibrated = "area_nm2" in found.values()
    drawn = {label: c for label, c in found.items() if not (calibrated and c.endswith("_px"))}
    if not drawn:
        return []
    axes = list(figure.subplots(*((len(drawn), 1) if beside else (1, len(drawn))), squeeze=False).flat)
    for ax, (label, column) in zip(axes, drawn.items(), strict=True):
        groups = {style.FEATURE_NAMES[f]: table[column].to_numpy() for f, table in tables.items() if column in table}
        colours = [style.FEATURE_COLOURS[f] for f, table in tables.items() if column in table]
        distributions(ax, groups, colours, label, width_mm=style.WIDTHS["page"] / 4)
    return axes


def distributions(
    ax: Axes, groups: Mapping[str, np.ndarray], colours: Sequence[str], label: str, *, width_mm: float = 45.0
) -> None:
    """Draw a box for each group in its colour, all its values, and below it its name and mean.

    Values that are NaN are left out, and a group may be empty. `label` is that of the axis of values, with the unit;
    names that are long for a panel printed `width_mm` wide are wrapped.
    """
    values = [np.asarray(v, np.float64)[np.isfinite(v)] for v in groups.values()]
    at = np.arange(len(values))
    every = np.concatenate([*values, np.zeros(1)])
    low, high = float(every.min()), float(every.max())  # from 0, or below where values are
    high = high if high > low else low + 1.0
    for x, of_one, colour in zip(at, values, colours, strict=True):
        if not len(of_one):
            continue
        dark = tuple(0.7 * np.array(to_rgb(colour)))
        ax.boxplot(
            [of_one], positions=[x], widths=BOX, showfliers=False, patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": tuple(0.25 * np.array(to_rgb(colour)) + 0.75), "edgecolor": dark},
            medianprops={"color": dark, "linewidth": 0.9}, whiskerprops={"color": dark}, capprops={"color": dark},
        )  # fmt: skip
        ax.scatter(x + _beside(of_one, low, high), of_one, s=4, color=colour, linewidths=0, alpha=0.85, zorder=3)
        ax.plot(
            [x], [of_one.mean()], "D", color="black", markeredgecolor="white", markeredgewidth=0.5, markersize=3.6,
            zorder=4,
        )  # fmt: skip
    width = width_mm / max(1, len(values))
    mean = "mean " if width >= 9 * style.LETTER_MM else ""
    names = [style.wrapped(name, width) for name in groups]
    below = [mean + number(float(v.mean())) if len(v) else "none" for v in values]
    ax.set_xticks(at, [f"{name}\n{text}" for name, text in zip(names, below, strict=True)])
    room = high - low
    ax.set(xlim=(-0.6, len(values) - 0.4), ylim=(low - 0.04 * room, high + 0.08 * room), ylabel=label)
    ax.tick_params(axis="x", length=0)
    ax.spines[["top", "right"]].set_visible(False)


def number(value: float) -> str:
    """A number with about three digits, and no exponent for what is easily read without one."""
    size = abs(value)
    if size and not 1e-2 <= size < 1e5:
        return f"{value:.2g}"
    return f"{value:.{0 if size >= 1000 else 1 if size >= 10 else 2}f}"


def _beside(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """How far each point stands to the side: those of about the same value in a row about the middle."""
    level = np.round((values - low) / (high - low) * LEVELS).astype(int)
    offset = np.zeros(len(values))
    for one in np.unique(level):
        (here,) = np.nonzero(level == one)
        row = np.arange(len(here)) - (len(here) - 1) / 2
        offset[here] = row * min(0.1, 0.9 * BOX / max(1, len(here)))
    return offset
