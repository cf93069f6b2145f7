"""How many grains lie at each probe position: maps of all representations, and of the truth, on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.frames import square_map
from napari_stemnmf.figures.maps import empty_map, extent
from napari_stemnmf.figures.style import FEATURE_NAMES, WIDTHS, in_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from napari_stemnmf.analysis import Analysis

LEAST_MANY = 3
"""The scale goes up to so many grains at least, so that single grains are not dark."""
PAGE_MM, LARGEST_MM = 235.0, 52.0
"""Heights: of a page, and at most of a map."""
BAR_MM, BESIDE_MM, ABOUT_MM = 26.0, 4.0, 12.0
"""Widths of the colour bar with the first labels and of the gaps between maps; height of the words about a map."""


@in_style
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
    features = [f for f in FEATURE_NAMES if any(f in analysis.grains for analysis in analyses.values())]
    if not features:
        raise AnalysisError("There are no grains to count; run the analyses to the end first.")
    columns = ["truth"] * bool(truths) + features
    depths = {name: _depths(name, analysis, truths.get(name)) for name, analysis in analyses.items()}
    most = max(LEAST_MANY, *(int(depth.max(initial=0)) for row in depths.values() for depth in row.values()))
    side = min(LARGEST_MM, (WIDTHS["page"] - BAR_MM) / len(columns) - BESIDE_MM)
    figure = new_figure("page", min(len(analyses) * (side + ABOUT_MM), PAGE_MM))
    grid = figure.subplots(len(analyses), len(columns), squeeze=False)
    drawn: list[AxesImage] = []
    for row, (name, analysis) in zip(grid, analyses.items(), strict=True):
        for ax, column in zip(row, columns, strict=True):
            if column in depths[name]:
                drawn.append(_map(ax, analysis, depths[name][column], most))
            else:
                why = "not given" if column == "truth" else analysis.failed.get(column, "not run")
                empty_map(ax, analysis.axes, why, side)
            square_map(ax, analysis.axes, f"{name}: {FEATURE_NAMES.get(column, column)}")
            if ax is not row[0]:
                ax.set_ylabel("")
                ax.tick_params(labelleft=False)
    bar = figure.colorbar(drawn[0], ax=list(grid.flat), ticks=_ticks(most), shrink=min(1.0, 1.2 / len(analyses)))
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


def _map(ax: Axes, analysis: Analysis, depth: np.ndarray, most: int) -> AxesImage:
    colours = ListedColormap(
        ["#ffffff", *(to_hex(colormaps["viridis"](0.95 - 0.95 * i / (most - 1))) for i in range(most))]
    )
    return ax.imshow(depth, cmap=colours, vmin=-0.5, vmax=most + 0.5, extent=extent(analysis.axes))


def _ticks(most: int) -> Sequence[int]:
    return range(0, most + 1, max(1, most // 8))
