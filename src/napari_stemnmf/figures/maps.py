"""Maps of a scan: overlapping grains, drawn so that the overlap is visible; the scan's image; frames, bars and colours.

Every grain has a pale fill and an outline of its own colour. Where grains overlap, the fill is striped in the colours
of all of them in turn, so that two, three or four grains are distinct in print; a flat label image shows one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, to_hex, to_rgb
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory
from scipy.sparse import csr_array

from napari_stemnmf.clustering.crops import Crop, row
from napari_stemnmf.dataset import Axis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.style import COLOURS, SMALLEST_FONT, wrapped
from napari_stemnmf.grains.grains import Grains, grown
from napari_stemnmf.grains.scoring import Scores
from napari_stemnmf.recipe import FEATURES

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis

MAP_MM = 40.0
"""Printed width of a map, unless another is given."""
FINE = 22.0
"""Pixels per printed mm of a fill: 560 per inch."""
STRIPE_MM = 0.36
"""Printed width of a stripe."""
BOTH_MM = 34.0
"""Width of a map from which on a scale bar and the number of grains stand in one line below it."""
PALE = 0.55
"""Share of white in the fill of a single grain."""
FULLER = 0.75
"""Factor on that share for each further grain on a position."""
OUTLINE = 0.7
"""Width of an outline, points."""
DISTINCT = 30.0
"""Distance in CIELAB from which on two pale fills are distinct."""
GAMMA = 2.2
"""Of sRGB, about."""
PROTANOPE = ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0519))
"""Red, green and blue light as eyes without red cones see it."""
DEUTERANOPE = ((0.3673, 0.8607, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689))
"""The same without green cones."""
UNMATCHED = "#404040"
"""Colour of a grain that matches no true one: darker than any other, for eyes that see some colours as grey."""
GROUND = "#F4F4F4"
"""Where no grain is."""
TICKS = 5
"""Along the longer side of a map in a square frame."""
LINE = 0.05
"""Sides of a scan that is drawn as a line: the shorter over the longer, at most."""
LINE_WIDTH = 0.15
"""Of a line scan's length, its width in a map."""
BEST = ("vdf", "aa", "bd", "rv")
"""Representations by how near their image comes to a dark field."""


def draw_grains(
    ax: Axes,
    masks: Grains | np.ndarray,
    axes: Sequence[Axis],
    *,
    colours: Sequence[str] | None = None,
    scale: Literal["bar", "axes", "none"] = "bar",
    width_mm: float = MAP_MM,
) -> None:
    """Draw overlapping grains: pale fills, stripes where they overlap, an outline each.

    Parameters
    ----------
    ax : Axes
    masks : Grains, or ndarray of bool, (g, scan_y, scan_x)
        May overlap; none at all gives an empty map.
    axes : sequence of Axis
        The axes of the scan; the first two are scan_y and scan_x.
    colours : sequence of str, optional
        One a grain; `neighbours_apart` by default.
    scale : {"bar", "axes", "none"}
        A scale bar below the map, ticks with the scan's unit, or neither.
    width_mm : float
        About how wide the map is printed, so that stripes are as wide in every map.
    """
    grains = _as_grains(masks)
    colours = neighbours_apart(grains) if colours is None else list(colours)
    edges = extent(axes)
    y, x = axes[:2]
    ax.imshow(striped(grains, colours, width_mm), extent=edges, interpolation="auto")
    crops = map(grains.crop, range(len(grains)))
    lines = [
        ((points + np.array([crop.left, crop.top])) * (x.scale, y.scale), colour)
        for crop, colour in zip(crops, colours, strict=True)
        for points in outlines(crop.values)
    ]
    ax.add_collection(
        LineCollection(
            [points for points, _ in lines],
            colors=[tuple(0.8 * np.array(to_rgb(c))) for _, c in lines],
            linewidths=OUTLINE,
        ),
        autolim=False,
    )
    ax.set(xlim=edges[:2], ylim=edges[2:])
    set_aspect(ax, axes)
    if scale == "axes":
        ax.set(xlabel=f"x ({x.unit})", ylabel=f"y ({y.unit})")
        return
    ax.set(xticks=[], yticks=[])
    if scale == "bar":
        scale_bar(ax, x)


def empty_map(ax: Axes, axes: Sequence[Axis], why: str, width_mm: float = MAP_MM) -> None:
    """A map without grains, of the same shape as the others, with the reason why there are none."""
    draw_grains(ax, np.zeros((0, axes[0].size, axes[1].size), bool), axes, scale="none")
    ax.text(
        0.5, 0.5, wrapped(why, width_mm - 4.0), ha="center", va="center", transform=ax.transAxes, fontsize=SMALLEST_FONT
    )


def draw_counts(
    ax: Axes, counts: np.ndarray, axes: Sequence[Axis], most: int, shades: tuple[float, float] = (0.95, 0.95)
) -> AxesImage:
    """A map (scan_y, scan_x) of the number of grains up to `most`: white for none, a shade of viridis for each number.

    The shade of one grain is `shades[0]` of the way up the colour map; that of `most` lies `shades[1]` below it.
    """
    steps = [shades[0] - shades[1] * i / max(1, most - 1) for i in range(most)]
    colours = ListedColormap(["#ffffff", *(to_hex(colormaps["viridis"](step)) for step in steps)])
    return ax.imshow(counts, cmap=colours, vmin=-0.5, vmax=most + 0.5, extent=extent(axes))


def _as_grains(masks: Grains | np.ndarray) -> Grains:
    return masks if isinstance(masks, Grains) else Grains.from_masks(np.asarray(masks))


def striped(masks: Grains | np.ndarray, colours: Sequence[str], width_mm: float = MAP_MM) -> np.ndarray:
    """The picture of the fills of grains or of masks (g, y, x): (rows, columns, 3) in 0 to 1, finer by a whole factor.

    Where n grains overlap, every n-th stripe has the colour of each of them, and is fuller than where there are fewer.
    """
    grains = _as_grains(masks)
    rows, columns = grains.scan_shape
    factor = max(1, round(FINE * width_mm / columns))
    inside = [_enlarged(grains.crop(g), factor) for g in range(len(grains))]
    depth = np.zeros((rows * factor, columns * factor), np.int32)
    for where, here in inside:
        depth[where] += here
    y, x = np.ogrid[: depth.shape[0], : depth.shape[1]]
    width = max(1, round(STRIPE_MM * columns * factor / width_mm * np.sqrt(2)))  # measured along x + y
    ahead = ((x + y) // width).astype(np.int32) % np.maximum(depth, 1)  # how many grains come before the stripe's own
    picture = np.empty((*depth.shape, 3), np.float32)
    picture[:] = to_rgb(GROUND)
    for (where, here), colour in zip(inside, colours, strict=True):
        picture[where][here & (ahead[where] == 0)] = to_rgb(colour)
        ahead[where] -= here
    white = (PALE * FULLER ** np.maximum(depth - 1, 0))[..., None].astype(np.float32)
    return np.where(depth[..., None] > 0, (1 - white) * picture + white, picture)


def _enlarged(mask: Crop, factor: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """Where a mask is on a grid finer by `factor`, and its smooth shape there: that of its `outlines`."""
    box, part = mask.within, mask.values.astype(np.float32)
    fine_y, fine_x = (_finer(size, factor) for size in part.shape)
    fine = (slice(box[0].start * factor, box[0].stop * factor), slice(box[1].start * factor, box[1].stop * factor))
    return fine, fine_y @ part @ fine_x.T >= 0.5


def _finer(size: int, factor: int) -> np.ndarray:
    """(size * factor, size) weights that interpolate linearly between the middles of pixels; 0 beyond the border."""
    at = (np.arange(size * factor) + 0.5) / factor - 0.5
    return np.maximum(1 - np.abs(at[:, None] - np.arange(size)), 0).astype(np.float32)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Closed lines (n, 2) of (x, y) about the regions of a mask (y, x), in pixels; along the border of the scan too."""
    from skimage.measure import find_contours  # late: slow to import

    return [line[:, ::-1] - 1 for line in find_contours(np.pad(mask, 1).astype(np.float32), 0.5)]


def extent(axes: Sequence[Axis]) -> tuple[float, float, float, float]:
    """Edges of the scan in its own units: left, right, bottom, top, as ``imshow`` takes them."""
    y, x = axes[:2]
    return (-0.5 * x.scale, (x.size - 0.5) * x.scale, (y.size - 0.5) * y.scale, -0.5 * y.scale)


def set_aspect(ax: Axes, axes: Sequence[Axis]) -> None:
    """Draw positions as high as they are wide, but a line scan so wide that it is seen."""
    y, x = axes[:2]
    down_by_across = (y.size * y.scale) / (x.size * x.scale)
    if LINE <= down_by_across <= 1 / LINE:
        ax.set_aspect("equal")
        return
    ax.set_aspect("auto")
    ax.set_box_aspect(LINE_WIDTH if down_by_across < 1 else 1 / LINE_WIDTH)
    (ax.yaxis if down_by_across < 1 else ax.xaxis).set_ticks([])


def square_map(ax: Axes, axes: Sequence[Axis], title: str) -> None:
    """Put the map that was drawn on `ax` into a square frame, with ticks on the scan only, labels and a title."""
    y, x = axes[:2]
    across, down = x.size * x.scale, y.size * y.scale
    side = max(across, down)
    middle_x, middle_y = (across - x.scale) / 2, (down - y.scale) / 2
    ax.set_box_aspect(1)
    ax.set_aspect("auto")  # the limits below make a position as high as it is wide
    ax.set(xlim=(middle_x - side / 2, middle_x + side / 2), ylim=(middle_y + side / 2, middle_y - side / 2))
    for axis, length in ((ax.xaxis, across), (ax.yaxis, down)):
        ticks = MaxNLocator(max(1, round(TICKS * length / side))).tick_values(0, length)
        axis.set_ticks([at for at in ticks if 0 <= at <= length])
    ax.set(title=title, xlabel=f"x ({x.unit})", ylabel=f"y ({y.unit})")


def draw_image(ax: Axes, image: np.ndarray, axes: Sequence[Axis]) -> tuple[float, float]:
    """An image (scan_y, scan_x) in grey; returns the values that are black and white: its percentiles 0.5 and 99.5."""
    low, high = (float(v) for v in np.nanpercentile(image, (0.5, 99.5)))
    ax.imshow(image, cmap="gray", extent=extent(axes), vmin=low, vmax=max(high, low + 1e-12))
    return low, high


def draw_odd(ax: Axes, left_out: np.ndarray | None, axes: Sequence[Axis]) -> str:
    """Mark the odd patterns (scan_y, scan_x) on an image in red; returns a note for its title, "" where none is."""
    if left_out is None:
        return ""
    ax.imshow(np.ma.masked_where(~left_out, left_out), cmap=ListedColormap([COLOURS[3]]), extent=extent(axes))
    return f"\nodd patterns in red: {int(left_out.sum())}"


def scale_bar(ax: Axes, axis: Axis) -> None:
    """A bar of 1, 2 or 5 times a power of ten below the left corner of a map, with its length and unit."""
    length = round_length(0.3 * axis.size * axis.scale)
    left = -0.5 * axis.scale
    lower = ScaledTranslation(0, -5 / 72, ax.figure.dpi_scale_trans)
    below = blended_transform_factory(ax.transData, ax.transAxes) + lower
    ax.plot([left, left + length], [0, 0], color="black", lw=1.5, solid_capstyle="butt", transform=below, clip_on=False)
    ax.annotate(
        f"{length:g} {axis.unit}", (left + length, 0.0), xytext=(3, -5), xycoords=("data", "axes fraction"),
        textcoords="offset points", va="center", fontsize=SMALLEST_FONT, annotation_clip=False,
    )  # fmt: skip


def count_below(ax: Axes, count: int, width_mm: float = MAP_MM) -> None:
    """How many grains, below the right corner of a map; in a line of its own where the scale bar is in the way."""
    text = f"{count or 'no'} grain{'' if count == 1 else 's'}"
    ax.set_xlabel(text, loc="right", labelpad=2.0 if width_mm >= BOTH_MM else 9.0)


def round_length(most: float) -> float:
    """The longest length of 1, 2 or 5 times a power of ten that is at most `most`."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))


def neighbours_apart(masks: Grains | np.ndarray) -> list[str]:
    """A colour for each grain or mask (g, y, x), another than those of the masks that it meets while they last.

    Of the colours that are free the next one is taken that is not similar to theirs.
    """
    similarity = _similarity()
    grains = _as_grains(masks)
    shared = csr_array(grown(grains, 3) @ grains.flat.T)
    chosen: list[int] = []
    for i in range(len(grains)):
        met = np.zeros(len(COLOURS))
        for j, positions in zip(*row(shared, i), strict=True):
            if j < i:
                met[chosen[j]] += positions
        turn = [(i + step) % len(COLOURS) for step in range(len(COLOURS))]
        chosen.append(min(turn, key=lambda k: (met[k], float(met @ similarity[k]))))
    return [COLOURS[k] for k in chosen]


@cache
def _similarity() -> np.ndarray:
    """(c, c) similarity of the fills of two colours, 1 to 0, to the eyes that distinguish them worst.

    By the distance in CIELAB up to `DISTINCT`: in full colour, and without the red or the green cones (the matrices of
    G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291).
    """
    from skimage.color import rgb2lab  # late: slow to import

    fills = PALE + (1 - PALE) * np.array([to_rgb(colour) for colour in COLOURS])
    light = fills**GAMMA
    views = [fills] + [np.clip(light @ np.transpose(eyes), 0, 1) ** (1 / GAMMA) for eyes in (PROTANOPE, DEUTERANOPE)]
    lab = rgb2lab(np.array(views))
    distance = np.linalg.norm(lab[:, :, None] - lab[:, None], axis=-1).min(axis=0)
    return np.maximum(1 - distance / DISTINCT, 0)


def matched_colours(scores: Scores, count: int, true_colours: Sequence[str]) -> list[str]:
    """The colour of the true grain that each of `count` found grains matches best; grey for those that match none."""
    colours = [UNMATCHED] * count
    for found, match in zip(scores.found, scores.best_match, strict=True):
        if match >= 0:
            colours[found] = true_colours[match]
    return colours


class ScanImage(NamedTuple):
    """An image of the scan."""

    values: np.ndarray
    """(scan_y, scan_x)."""
    title: str
    label: str
    """Of its values, with the unit."""


def scan_image(analysis: Analysis, feature: str | None = None) -> ScanImage:
    """The mean of a representation's features at each position; by default, of the one nearest to a dark field.

    Without features, or where they have no column (VDF of an amorphous film), it is the mean of all pixels, which shows
    little but the beam; without a survey, an AnalysisError.
    """
    feature = next((f for f in (*BEST, *FEATURES) if f in analysis.features), None) if feature is None else feature
    if feature in analysis.features and analysis.features[feature].values.shape[1]:
        found = analysis.features[feature]
        values = np.asarray(found.values.mean(axis=1)).reshape(found.scan_shape)
        counts = "√counts" if found.details.get("intensity") == "sqrt" else "counts"
        texts = {
            "vdf": ("mean of the virtual dark fields", counts),
            "aa": ("dark field: mean of the rings", f"{counts} per pixel"),
            "rv": ("mean radial variance", f"variance of {counts}"),
            "bd": ("mean of the Bragg disks", f"{counts} per bin"),
        }
        return ScanImage(values, *texts.get(feature, ("mean of the features", counts)))
    if analysis.survey is None:
        raise AnalysisError("The analysis holds no image of the scan; run the step 'survey' first.")
    return ScanImage(analysis.survey.virtual_image, "mean of each pattern", "mean counts per pixel")
