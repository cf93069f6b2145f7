"""From a component map to grains, step by step: map, threshold, regions, and those that are large enough to keep.

Every step is `grains.refinement`'s own, with the settings of the analysis, so that the figure shows what a run does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from napari_stemnmf.clustering.crops import Crop
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.maps import GROUND, draw_grains, extent, outlines, square_map
from napari_stemnmf.figures.style import COLOURS, FEATURE_NAMES, GREY, in_style, new_figure, panel_letters
from napari_stemnmf.grains.refinement import Cut, coherence, cut, least_size, regions
from napari_stemnmf.representation_settings import RefinementSettings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_stemnmf.analysis import Analysis

BINS = 128
"""Of the histogram of a map."""
FEW = 5
"""The chart of sizes has room for so many regions at least."""
KEPT, LINE = COLOURS[0], COLOURS[3]
"""Of what is kept, and of thresholds."""


@in_style
def refinement(analysis: Analysis, feature: str, component: int | None = None) -> Figure:
    """How one component map of a representation becomes grains.

    Parameters
    ----------
    analysis : Analysis
        With a model of `feature`.
    feature : str
        ``aa``, ``rv`` or ``bd``: VDF has no components.
    component : int, optional
        Row of the component, from 0; one that shows every step if not given: with regions that are kept and others
        that are too small, and of such the one with most grains.

    Returns
    -------
    matplotlib.figure.Figure
        175 mm wide.

    Raises
    ------
    AnalysisError
        If there is no model of `feature`, or no such component.
    """
    if feature not in analysis.models:
        raise AnalysisError(f"The analysis holds no components of {feature.upper()}; run the step 'cluster' first.")
    model, settings = analysis.ensemble(feature), analysis.recipe.chain(feature).refinement
    if model is None or not isinstance(settings, RefinementSettings):
        raise AnalysisError(
            f"{feature.upper()} has no component maps that a threshold cuts; choose another representation."
        )
    crops, shape = model.crops, model.scan_shape
    least = least_size(settings, shape)
    chosen = _most_instructive(crops, settings, analysis.left_out, least) if component is None else int(component)
    if not 0 <= chosen < len(crops):
        raise AnalysisError(
            f"There is no component {chosen} of {feature.upper()}; they are counted from 0 to {len(crops) - 1}."
        )
    crop = crops[chosen]
    seen = _cut(crop, settings, analysis.left_out)
    noise, every, kept = _all_regions(crop.values, seen, settings, least)
    every = [_whole(region, crop, shape) for region in every]
    values, above = _whole(crop.values, crop, shape), _whole(seen.above, crop, shape)
    part = Cut(_whole(seen.smooth, crop, shape), seen.threshold, above)
    figure = new_figure("page", 112.0)
    title = f"{analysis.input.name}: {FEATURE_NAMES[feature]} component {chosen} (of 0 to {len(crops) - 1})"
    figure.suptitle(title, parse_math=False)
    (a, b, c), (d, e, f) = figure.subplots(2, 3)
    _map(a, analysis, values, part)
    _histogram(b, seen, settings)
    _above(c, analysis, part, noise)
    _regions(d, analysis, every)
    _sizes(e, every, kept, least)
    _grains(f, analysis, every, kept)
    panel_letters([a, b, c, d, e, f])
    return figure


def _cut(crop: Crop, settings: RefinementSettings, left_out: np.ndarray | None) -> Cut:
    """The part of a map that NMF saw, cut as Refine does."""
    return cut(crop.values, settings, None if left_out is None else left_out[crop.within])


def _whole(values: np.ndarray, crop: Crop, scan_shape: tuple[int, int]) -> np.ndarray:
    """What lies where a crop does, on the whole scan."""
    whole = np.zeros(scan_shape, values.dtype)
    whole[crop.within] = values
    return whole


def _all_regions(
    values: np.ndarray, part: Cut, settings: RefinementSettings, least: int
) -> tuple[bool, list[np.ndarray], np.ndarray]:
    """Whether a map is noise, its regions of any size, and which of them (r,) are large enough to keep."""
    noise = 0 < settings.min_coherence > coherence(values)
    every = [] if noise else regions(part.above, 1)
    return noise, every, np.array([region.sum() >= least for region in every], bool)


def _most_instructive(crops: list[Crop], settings: RefinementSettings, left_out: np.ndarray | None, least: int) -> int:
    """The component that shows most: both kinds of regions if any does, then most grains, then most left out."""

    def count(component: int) -> tuple[bool, int, int]:
        crop = crops[component]
        _, _, kept = _all_regions(crop.values, _cut(crop, settings, left_out), settings, least)
        large = int(kept.sum())
        return 0 < large < len(kept), large, len(kept) - large

    return max(range(len(crops)), key=count)


def _map(ax: Axes, analysis: Analysis, values: np.ndarray, part: Cut) -> None:
    image = ax.imshow(values, cmap="gray", extent=extent(analysis.axes), vmin=0.0)
    y, x = analysis.axes[:2]
    for line in outlines(part.above):
        ax.plot(line[:, 0] * x.scale, line[:, 1] * y.scale, color=LINE, lw=0.7)
    square_map(ax, analysis.axes, "component map and threshold")
    ax.figure.colorbar(image, ax=ax, label="weight", shrink=0.9)


def _histogram(ax: Axes, part: Cut, settings: RefinementSettings) -> None:
    ax.hist(part.smooth.ravel(), bins=BINS, color=GREY, log=True)
    blurred = f", blurred by {settings.smoothing:g} px" if settings.smoothing else ""
    scaled = f" × {settings.threshold_scale:g}" if settings.threshold_scale != 1 else ""
    if np.isfinite(part.threshold):
        ax.axvline(
            part.threshold, color=LINE, lw=1.0, label=f"{settings.threshold.capitalize()}{scaled}: {part.threshold:.3g}"
        )
        ax.legend(loc="upper right")
    ax.set(title="its histogram and the threshold", xlabel=f"weight{blurred}", ylabel="probe positions")


def _above(ax: Axes, analysis: Analysis, part: Cut, noise: bool) -> None:
    ax.imshow(part.above, cmap=ListedColormap([GROUND, KEPT]), extent=extent(analysis.axes), vmin=0, vmax=1)
    title = "left out: the map is noise" if noise else f"at or above it: {int(part.above.sum())} positions"
    square_map(ax, analysis.axes, title)


def _regions(ax: Axes, analysis: Analysis, every: list[np.ndarray]) -> None:
    turn = np.full([axis.size for axis in analysis.axes[:2]], -1)
    for index, region in enumerate(every):
        turn[region] = index % len(COLOURS)
    colours = ListedColormap([GROUND, *COLOURS])
    ax.imshow(turn, cmap=colours, extent=extent(analysis.axes), vmin=-1, vmax=len(COLOURS) - 1)
    square_map(ax, analysis.axes, f"regions, 8-connected: {len(every)}")


def _sizes(ax: Axes, every: list[np.ndarray], kept: np.ndarray, least: int) -> None:
    areas = np.array([region.sum() for region in every], int)
    order = np.argsort(-areas, kind="stable")
    at = np.arange(1, len(areas) + 1)
    for these, colour, label in ((kept[order], KEPT, "kept"), (~kept[order], GREY, "left out")):
        if these.any():
            ax.bar(at[these], areas[order][these], color=colour, label=label)
    ax.axhline(least, color=LINE, lw=1.0, label=f"smallest grain: {least}")
    ax.set_yscale("log")
    ax.set_xlim(0.3, max(len(areas), FEW) + 0.7)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    ax.set_ylim(0.7, 6.0 * max(least, areas.max(initial=1)))
    ax.set(title="sizes of the regions", xlabel="region, by size", ylabel="probe positions")
    ax.legend(loc="upper right")


def _grains(ax: Axes, analysis: Analysis, every: list[np.ndarray], kept: np.ndarray) -> None:
    rows = np.flatnonzero(kept)
    masks = np.array(every, bool).reshape(-1, *(axis.size for axis in analysis.axes[:2]))[kept]
    draw_grains(ax, masks, analysis.axes, colours=[COLOURS[row % len(COLOURS)] for row in rows], scale="none")
    square_map(ax, analysis.axes, f"grains: {len(rows)}")
