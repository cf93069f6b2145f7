"""Films side by side, a row of maps each: truth and grains with their scores, and how many grains lie at each position.

`films` is figure 4 of Bruefach et al. 2022, for any films. A found grain has the colour of the true grain that it
matches best, so that what was split, missed or mixed up is visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures import maps, style
from napari_stemnmf.figures.sizes import distributions
from napari_stemnmf.grains.scoring import Scores, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage

    from napari_stemnmf.analysis import Analysis

CHARTS_MM = 56.0
"""Height of the charts below the maps."""
PAGE_MM = 235.0
"""A figure is not higher than that while its maps can be smaller."""
MAP_MM, COUNT_MM = 70.0, 52.0
"""Largest heights of a map of grains, and of a map of their number."""
LEAST_MANY = 3
"""The scale of a map of numbers goes up to so many grains at least, so that single grains are not dark."""
BAR_MM, BESIDE_MM, ABOUT_MM = 26.0, 4.0, 12.0
"""Widths of its colour bar with the first labels and of the gaps between maps; height of the words about a map."""
NOTE_MM = 10.0
"""Height of titles and note above and below the maps."""
WORDS_MM = 5.0
"""Height of the words below a map."""
NOTE = (
    "Found grains have the colour of the true grain that they match best; grey: they match none. "
    "Stripes: the colours of all grains that overlap there."
)


@style.in_style
def films(analyses: Mapping[str, Analysis], truths: Mapping[str, np.ndarray]) -> Figure:
    """Draw truth, grains and scores of one or more films.

    Parameters
    ----------
    analyses : mapping of str to Analysis
        By the name that the figure is to give the film; with grains of at least one representation.
    truths : mapping of str to ndarray of bool, (t, scan_y, scan_x)
        True masks by the same names; they may overlap.

    Returns
    -------
    matplotlib.figure.Figure
        As wide as a page; save it with `style.save`.

    Raises
    ------
    AnalysisError
        If there are no analyses, no grains, or a film has no truth.
    DataError
        If a truth is not of the scan of its film.
    """
    features = _features(analyses)
    for name in analyses:
        if name not in truths:
            raise AnalysisError(f"There is no truth for '{name}'; give the true masks of every film that is drawn.")
    scores = scores_of(analyses, truths)
    sizes = _map_sizes(list(analyses.values()), len(features) + 1)
    upper_mm = sum(height + WORDS_MM for _, height in sizes) + NOTE_MM
    figure = style.new_figure("page", upper_mm + CHARTS_MM)
    grid = figure.add_gridspec(2, 1, height_ratios=[upper_mm, CHARTS_MM])
    upper, lower = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    first = _maps(upper, analyses, truths, features, scores, sizes)
    charts = _charts(lower, tuple(analyses), features, scores)
    style.panel_letters([*first, *charts])
    return figure


def scores_of(analyses: Mapping[str, Analysis], truths: Mapping[str, np.ndarray]) -> dict[tuple[str, str], Scores]:
    """The scores of all grains of some films, by film and representation."""
    return {
        (name, feature): score(analysis.grains[feature], truths[name])
        for name, analysis in analyses.items()
        for feature in style.FEATURE_NAMES
        if feature in analysis.grains
    }


def _features(analyses: Mapping[str, Analysis], purpose: str = "draw") -> list[str]:
    """The representations that any of the films has grains of, in the paper's order."""
    found = [f for f in style.FEATURE_NAMES if any(f in analysis.grains for analysis in analyses.values())]
    if not found:
        raise AnalysisError(f"There are no grains to {purpose}; run the analyses to the end first.")
    return found


def _map_sizes(analyses: Sequence[Analysis], columns: int) -> list[tuple[float, float]]:
    """Printed width and height of the maps of each film, mm, so that all fit on a page."""
    scans = [analysis.axes[:2] for analysis in analyses]
    aspect = np.array([(y.size * y.scale) / (x.size * x.scale) for y, x in scans])
    heights = np.minimum(aspect * (style.WIDTHS["page"] / columns - 4.0), MAP_MM)
    left = PAGE_MM - CHARTS_MM - NOTE_MM - len(analyses) * WORDS_MM
    heights *= min(1.0, max(left, 10.0) / heights.sum())
    return [(float(h / a), float(h)) for h, a in zip(heights, aspect, strict=True)]


def _maps(
    figure: SubFigure,
    analyses: Mapping[str, Analysis],
    truths: Mapping[str, np.ndarray],
    features: Sequence[str],
    scores: Mapping[tuple[str, str], Scores],
    sizes: Sequence[tuple[float, float]],
) -> list[Axes]:
    """A row for each film; gives the axes of the first."""
    axes = figure.subplots(len(analyses), 1 + len(features), squeeze=False, height_ratios=[h for _, h in sizes])
    for row, (name, analysis), (width, height) in zip(axes, analyses.items(), sizes, strict=True):
        truth = np.asarray(truths[name], bool)
        colours = maps.neighbours_apart(truth)
        maps.draw_grains(row[0], truth, analysis.axes, colours=colours, width_mm=width)
        row[0].set_ylabel(style.wrapped(name, height))
        maps.count_below(row[0], len(truth), width)
        for ax, feature in zip(row[1:], features, strict=True):
            if feature not in analysis.grains:
                maps.empty_map(ax, analysis.axes, analysis.failed.get(feature, "not run"), width)
                continue
            found = analysis.grains[feature]
            own = maps.matched_colours(scores[name, feature], len(found), colours)
            maps.draw_grains(ax, found, analysis.axes, colours=own, scale="none", width_mm=width)
            maps.count_below(ax, len(found), width)
    for ax, title in zip(axes[0], ("truth", *(style.FEATURE_NAMES[f] for f in features)), strict=True):
        ax.set_title(title)
    figure.supxlabel(NOTE, fontsize=6)
    return list(axes[0])


def _charts(
    figure: SubFigure, names: Sequence[str], features: list[str], scores: Mapping[tuple[str, str], Scores]
) -> list[Axes]:
    """Bars of precision_A, and TPR_G of each representation that distinguishes orientations."""
    distributed = [feature for feature in features if feature != "rv"] or features
    axes = figure.subplots(1, 1 + len(distributed), squeeze=False, width_ratios=[1.3] + [1.0] * len(distributed))[0]
    _precision(axes[0], names, features, scores)
    for ax, feature in zip(axes[1:], distributed, strict=True):
        found = {n: 100 * scores[n, feature].distributions["TPR_G"] for n in names if (n, feature) in scores}
        distributions(ax, found, [style.FEATURE_COLOURS[feature]] * len(found), "TPR_G (%)", width_mm=36.0)
        ax.set(title=f"{style.FEATURE_NAMES[feature]}: share of the true grain found", ylim=(-3.0, 103.0))
    return list(axes)


def _precision(
    ax: Axes, names: Sequence[str], features: Sequence[str], scores: Mapping[tuple[str, str], Scores]
) -> None:
    """A bar for each film and representation, with its number."""
    width = min(0.84 / len(features), 0.28)
    for i, feature in enumerate(features):
        at = np.arange(len(names)) + (i - (len(features) - 1) / 2) * width
        values = [100 * scores[n, feature].precision_A if (n, feature) in scores else np.nan for n in names]
        label, colour = style.FEATURE_NAMES[feature], style.FEATURE_COLOURS[feature]
        ax.bar(at, np.nan_to_num(values), width * 0.94, color=colour, label=label)
        for x, value in zip(at, values, strict=True):
            inside, known = value > 30, np.isfinite(value)
            ax.annotate(
                f"{value:.1f}" if known else "–", (x, value if inside else max(np.nan_to_num(value), 0)),
                xytext=(0, -3 if inside else 3), textcoords="offset points", rotation=90 if known else 0, ha="center",
                va="top" if inside else "bottom", fontsize=6, color="white" if inside else "black",
            )  # fmt: skip
    ax.set_xticks(range(len(names)), [style.wrapped(name, 50.0 / len(names)) for name in names])
    ax.set(ylim=(0.0, 103.0), xlim=(-0.5, len(names) - 0.5), ylabel="precision_A (%)")
    ax.tick_params(axis="x", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(features))


@style.in_style
def grains_per_pattern(analyses: Mapping[str, Analysis], truths: Mapping[str, np.ndarray] | None = None) -> Figure:
    """The number of grains at each probe position.

    Parameters
    ----------
    analyses : mapping of str to Analysis
        A row of maps each, by the name it is given.
    truths : mapping of str to ndarray of bool, (t, scan_y, scan_x), optional
        True masks by the same names; those of some analyses will do.

    Returns
    -------
    matplotlib.figure.Figure
        175 mm wide.

    Raises
    ------
    AnalysisError
        If no analysis holds grains, or a truth is not of the scan of its analysis.
    """
    truths = {} if truths is None else truths
    features = _features(analyses, "count")
    columns = ["truth"] * bool(truths) + features
    depths = {name: _depths(name, analysis, truths.get(name)) for name, analysis in analyses.items()}
    most = max(LEAST_MANY, *(int(depth.max(initial=0)) for row in depths.values() for depth in row.values()))
    side = min(COUNT_MM, (style.WIDTHS["page"] - BAR_MM) / len(columns) - BESIDE_MM)
    figure = style.new_figure("page", min(len(analyses) * (side + ABOUT_MM), PAGE_MM))
    grid = figure.subplots(len(analyses), len(columns), squeeze=False)
    drawn: list[AxesImage] = []
    for row, (name, analysis) in zip(grid, analyses.items(), strict=True):
        for ax, column in zip(row, columns, strict=True):
            if column in depths[name]:
                drawn.append(maps.draw_counts(ax, depths[name][column], analysis.axes, most))
            else:
                why = "not given" if column == "truth" else analysis.failed.get(column, "not run")
                maps.empty_map(ax, analysis.axes, why, side)
            maps.square_map(ax, analysis.axes, f"{name}: {style.FEATURE_NAMES.get(column, column)}")
            if ax is not row[0]:
                ax.set_ylabel("")
                ax.tick_params(labelleft=False)
    ticks = range(0, most + 1, max(1, most // 8))
    bar = figure.colorbar(drawn[0], ax=list(grid.flat), ticks=ticks, shrink=min(1.0, 1.2 / len(analyses)))
    bar.set_label("grains at a probe position")
    bar.ax.minorticks_off()
    return figure


def _depths(name: str, analysis: Analysis, truth: np.ndarray | None) -> dict[str, np.ndarray]:
    """Grains at each position, by column of the figure."""
    depths = {feature: grains.overlap for feature, grains in analysis.grains.items()}
    if truth is not None:
        masks = np.asarray(truth, bool)
        shape = tuple(axis.size for axis in analysis.axes[:2])
        if masks.ndim != 3 or masks.shape[1:] != shape:
            raise AnalysisError(
                f"The truth of '{name}' has the shape {masks.shape}; masks (grain, scan_y, scan_x) of its scan of "
                f"{shape[0]} x {shape[1]} positions are needed."
            )
        depths["truth"] = masks.sum(axis=0)
    return depths
