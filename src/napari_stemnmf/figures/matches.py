"""Found grains against true ones, a small picture each: where the grain is right, false, or too small.

One picture a found grain, beside its best match (the true grain that holds most of its weight), since that is what
TPR_G and its like are of; then one for each true grain that is no grain's best match, beside its one-to-one partner if
it has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from napari_stemnmf.dataset import Axis
from napari_stemnmf.figures.maps import GROUND, outlines, round_length
from napari_stemnmf.figures.style import KIND_COLOURS, KIND_NAMES, WIDTHS, in_style, new_figure
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.scoring import FN, FP, MATCH_IOU, TN, TP, Scores, confusion, score

PAGE_HEIGHT = 235.0
"""A figure is made no higher than this while its pictures can be made smaller, mm."""
COLUMNS = range(8, 15)
"""Numbers of pictures side by side, the fewest that fit on a page are taken."""
MARGIN, GAP, CAPTION, HEAD, LINE = 1.5, 1.6, 5.4, 9.0, 5.0
"""At the edges, between pictures, for two lines below each, for the legend, and for a line of text; mm."""
USUAL_SHARE = 80
"""Share of the grains, %, that are drawn at one scale; larger ones are drawn smaller."""


@dataclass(frozen=True)
class _Tile:
    """One picture: a found grain and a true one, and what stands below them."""

    found: Callable[[], np.ndarray]
    true: Callable[[], np.ndarray]
    caption: tuple[str, str]
    bold: bool = False

    @property
    def kinds(self) -> np.ndarray:
        """(scan_y, scan_x) of what kind each position is; made anew at each call, as all at once would be many."""
        return confusion(self.found(), self.true())


@in_style
def matches(grains: Grains, truth: np.ndarray, axes: Sequence[Axis] | None = None) -> Figure:
    """Draw every found grain against its best match, and the true grains that were missed.

    Parameters
    ----------
    grains : Grains
        What was found.
    truth : ndarray of bool, (t, scan_y, scan_x)
        True masks; they may overlap.
    axes : sequence of Axis, optional
        Axes of the scan, of which the first two are scan_y and scan_x; probe positions by default.

    Returns
    -------
    matplotlib.figure.Figure
        Of a page's width, and as high as it needs to be.

    Raises
    ------
    DataError
        If grains and truth are of different scans.
    """
    scores = score(grains, truth)
    steps, unit = ((1.0, 1.0), "px") if axes is None else ((axes[0].scale, axes[1].scale), axes[1].unit)
    found, missed = _found_tiles(grains, truth, scores), _missed_tiles(grains, truth, scores)
    sides = [_own_side(tile.kinds, steps) for tile in (*found, *missed)]
    usual = float(np.percentile(sides, USUAL_SHARE)) if sides else 1.0  # in the scan's unit
    columns, side = _columns(len(found), len(missed))
    height = _height(columns, side, len(found), len(missed))
    figure = new_figure("page", height)
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTHS["page"]), ylim=(height, 0), aspect="equal")
    ax.set_axis_off()
    ax.autoscale(False)
    bar = round_length(0.5 * usual)
    _legend(ax, f"bar: {bar:g} {unit}")
    top = HEAD
    for title, tiles in (
        (f"{len(found)} found grains", found), (f"{len(missed)} true grains that are no grain's best match", missed),
    ):  # fmt: skip
        if tiles:
            top = _section(ax, top, title, tiles, columns, side, (usual, steps, bar))
    return figure


def _found_tiles(grains: Grains, truth: np.ndarray, scores: Scores) -> list[_Tile]:
    hits = {tuple(pair) for pair, iou in zip(scores.pairs.tolist(), scores.pair_iou, strict=True) if iou > MATCH_IOU}
    nothing = partial(np.zeros, grains.scan_shape, bool)
    tiles = []
    for row, match, TPR, iou in zip(
        scores.found.tolist(), scores.best_match.tolist(), scores.distributions["TPR_G"], scores.best_iou, strict=True
    ):
        true = partial(truth.__getitem__, match) if match >= 0 else nothing
        number = grains.ids[row]
        caption = (f"{number} → {match + 1}", f"{TPR:.2f} | {iou:.2f}") if match >= 0 else (f"{number}", "no match")
        tiles.append(_Tile(partial(grains.mask, row), true, caption, (row, match) in hits))
    return tiles


def _missed_tiles(grains: Grains, truth: np.ndarray, scores: Scores) -> list[_Tile]:
    partners = {true: (found, iou) for (found, true), iou in zip(scores.pairs.tolist(), scores.pair_iou, strict=True)}
    tiles = []
    for row in scores.missed.tolist():
        true = partial(truth.__getitem__, row)
        if row in partners:
            partner, iou = partners[row]
            caption = (f"{grains.ids[partner]} ↔ {row + 1}", f"IoU {iou:.2f}")
            tiles.append(_Tile(partial(grains.mask, partner), true, caption, iou > MATCH_IOU))
        else:
            tiles.append(_Tile(partial(np.zeros, grains.scan_shape, bool), true, (f"{row + 1}", "not found")))
    return tiles


def _columns(found: int, missed: int) -> tuple[int, float]:
    """Pictures side by side, and the side of each in mm."""
    for columns in COLUMNS:
        side = (WIDTHS["page"] - 2 * MARGIN + GAP) / columns - GAP
        if _height(columns, side, found, missed) <= PAGE_HEIGHT:
            break
    return columns, side


def _height(columns: int, side: float, found: int, missed: int) -> float:
    sections = [count for count in (found, missed) if count]
    rows = sum(math.ceil(count / columns) for count in sections)
    return HEAD + len(sections) * LINE + rows * (side + CAPTION + GAP) + MARGIN


def _own_side(kinds: np.ndarray, steps: tuple[float, float]) -> float:
    """The side of a square window that shows all of the two grains and two positions around them."""
    rows, columns = np.nonzero(kinds != TN)
    return float(max((np.ptp(rows) + 5) * steps[0], (np.ptp(columns) + 5) * steps[1]))


def _section(
    ax: Axes,
    top: float,
    title: str,
    tiles: list[_Tile],
    columns: int,
    side: float,
    window: tuple[float, tuple[float, float], float],
) -> float:
    """A line of text and the pictures below it; returns where it ends."""
    ax.text(MARGIN, top + LINE - 1.5, title, fontsize=7, fontweight="bold", va="baseline")
    top += LINE
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        _draw(ax, (MARGIN + column * (side + GAP), top + row * (side + CAPTION + GAP)), side, tile, *window)
    return top + math.ceil(len(tiles) / columns) * (side + CAPTION + GAP)


def _draw(
    ax: Axes,
    corner: tuple[float, float],
    side: float,
    tile: _Tile,
    usual: float,
    steps: tuple[float, float],
    bar: float,
) -> None:
    """One picture with outline, bar and caption; `corner` and `side` in mm, `usual` and `bar` in the scan's unit."""
    kinds = tile.kinds
    window = max(usual, _own_side(kinds, steps))
    per_unit = side / window
    rows, columns = np.nonzero(kinds != TN)
    first = [
        (int(np.min(places)) + int(np.max(places)) + 1) / 2 * step - window / 2
        for places, step in zip((rows, columns), steps, strict=True)
    ]  # upper left corner of the window, in the scan's unit, from the corner of the scan
    left, up = corner[0] - first[1] * per_unit, corner[1] - first[0] * per_unit  # where the scan's corner would be
    height, width = (size * step * per_unit for size, step in zip(kinds.shape, steps, strict=True))
    frame = Rectangle(corner, side, side, facecolor="none", edgecolor="0.6", linewidth=0.4)
    ax.add_patch(frame)
    colours = np.array([to_rgb({TN: GROUND, **KIND_COLOURS}[kind]) for kind in (TN, TP, FP, FN)])
    edges = (left, left + width, up + height, up)
    image = ax.imshow(colours[kinds], extent=edges, interpolation="nearest")
    image.set_clip_path(frame)
    for line in outlines(tile.true()):
        x, y = (line + 0.5).T * np.array([[steps[1]], [steps[0]]]) * per_unit
        (drawn,) = ax.plot(left + x, up + y, color="black", linewidth=0.5)
        drawn.set_clip_path(frame)
    x, y = corner[0] + 0.7, corner[1] + side - 0.7
    ax.plot([x, x + bar * per_unit], [y, y], color="black", linewidth=1.0, solid_capstyle="butt")
    for line_number, text in enumerate(tile.caption):
        ax.text(
            corner[0] + side / 2, corner[1] + side + 2.3 * (line_number + 1), text, ha="center", va="baseline",
            fontsize=6, fontweight="bold" if tile.bold else "normal",
        )  # fmt: skip


def _legend(ax: Axes, bar: str) -> None:
    """What the colours and the captions mean."""
    x, y = MARGIN, MARGIN
    for kind, name in KIND_NAMES.items():
        ax.add_patch(Rectangle((x, y), 3.0, 2.2, facecolor=KIND_COLOURS[kind], edgecolor="none"))
        ax.text(x + 3.8, y + 2.0, name, fontsize=6, va="baseline")
        x += 19.0
    ax.text(x, y + 2.0, f"black line: the true grain; {bar}", fontsize=6, va="baseline")
    ax.text(
        MARGIN, y + 5.6, "below: found grain → its best match, TPR | IoU of the two; "
        f"↔: one-to-one partners; bold: such with an IoU above {MATCH_IOU:g}", fontsize=6, va="baseline",
    )  # fmt: skip
