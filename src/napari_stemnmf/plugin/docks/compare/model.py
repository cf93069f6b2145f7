"""One representation of one scan as Compare shows it: grains as a picture, outlines, and their sizes. No Qt.

Positions are (row, column) of the scan, a position's centre on its index; a `Frame` places them on a canvas that
several scans share, in nm where all of them are calibrated. `compare` runs in a thread, where matplotlib is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_stemnmf.units import normalise

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Axis
    from napari_stemnmf.grains.grains import Grains

PICTURE = 1024
"""Pixels of a picture's longer side, about."""
FINEST = 8
"""Pixels of the picture for one probe position, at most."""
SHORT = 22
"""Letters of all names below the boxes of a plot."""
FIRST = ("grain_id", "area_nm2", "area_px", "feret_max_nm", "feret_max_px", "dissimilarity")
"""Columns of a grain's row that are seen without scrolling."""
STRIPES = 40
"""Stripes along the longer side of the scan where grains overlap."""


class Measure(NamedTuple):
    """A column of the table of grains: its name there, with "px" and "nm" at its end where it has a unit."""

    title: str
    calibrated: str
    pixels: str
    unit: str
    pixel_unit: str
    meaning: str


MEASURES = (
    Measure("area", "area_nm2", "area_px", "nm²", "px", "area of each grain, what others cover included"),
    Measure(
        "maximum diameter", "feret_max_nm", "feret_max_px", "nm", "px", "largest distance of two corners (max. Feret)"
    ),
    Measure(
        "dissimilarity", "dissimilarity", "dissimilarity", "", "", "how much a grain's patterns differ from their mean"
    ),
)


class Request(NamedTuple):
    """A representation of a scan that is to be compared, and the scan's name on the screen."""

    name: str
    feature: str
    analysis: Analysis


@dataclass(frozen=True, eq=False)
class Compared:
    """One column of the comparison.

    Attributes
    ----------
    name, feature : str
    colour : str
        Of its box and points.
    image : (scan_y, scan_x) array or None
        Virtual image.
    grains : Grains
    labels : (scan_y, scan_x) array of int
        The id of the dominant grain of each position, 0 for none.
    table : DataFrame or None
        None where the grains were not measured.
    axes : tuple of Axis
        scan_y, scan_x.
    picture : (rows, columns, 4) array of uint8
        The grains' colours, striped where they overlap; a whole number of pixels for a position.
    outlines : list of (n, 2) arrays
        For each grain the ends (row, column) of the straight parts of its outline, two by two.
    """

    name: str
    feature: str
    colour: str
    image: np.ndarray | None
    grains: Grains
    labels: np.ndarray
    table: pd.DataFrame | None
    axes: tuple[Axis, Axis]
    picture: np.ndarray
    outlines: list[np.ndarray]

    @property
    def title(self) -> str:
        """Scan and representation."""
        return f"{self.name} {self.feature.upper()}"

    def values(self, measure: Measure, calibrated: bool) -> np.ndarray | None:
        """One number a grain, in nm or in pixels; None where that was not measured."""
        name = measure.calibrated if calibrated else measure.pixels
        if self.table is None or name not in self.table:
            return None
        return self.table[name].to_numpy(dtype=np.float64)

    def same_scan(self, other: Compared) -> bool:
        """Whether positions of one are those of the other, so that grains can be matched."""
        return self.labels.shape == other.labels.shape and self.axes == other.axes

    def grains_at(self, row: int, column: int) -> list[int]:
        """The grains (rows of the masks) that cover a position, the dominant one first."""
        rows, columns = self.labels.shape
        if not (0 <= row < rows and 0 <= column < columns):
            return []
        covering = self.grains.at(row, column)
        below = self.grains.ids[covering] != self.labels[row, column]
        return [int(grain) for grain in covering[np.argsort(below, kind="stable")]]

    def counterpart(self, mask: np.ndarray) -> tuple[int, float] | None:
        """The grain that a mask (scan_y, scan_x) overlaps most, and their intersection over union; None for none."""
        shared = self.grains.flat @ mask.ravel().astype(np.int64)
        if not shared.any():
            return None
        ratio = shared / (self.grains.areas + np.count_nonzero(mask) - shared)
        best = int(np.argmax(ratio))
        return best, float(ratio[best])


class Frame(NamedTuple):
    """Where a scan lies on the common canvas: y = y + row · step_y, and x alike."""

    y: float
    x: float
    step_y: float
    step_x: float

    def rectangle(self, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
        """Left, top, width and height of a scan of that shape."""
        left, top = self.x - self.step_x / 2, self.y - self.step_y / 2
        return left, top, shape[1] * self.step_x, shape[0] * self.step_y


def short_names(compared: Sequence[Compared]) -> list[str]:
    """Names that differ, briefly: the representation, the scan, or both."""
    scans, features = {each.name for each in compared}, {each.feature for each in compared}
    if len(scans) == 1:
        return [each.feature.upper() for each in compared]
    most = SHORT // max(1, len(compared))
    if len(features) == 1:
        return [elided(each.name, most) for each in compared]
    return [f"{elided(each.name, most - 3)} {each.feature.upper()}" for each in compared]


def elided(text: str, most: int) -> str:
    """A text of at most so many letters; its beginning and end stay."""
    return text if len(text) <= most else f"{text[: most - most // 2 - 1]}…{text[-(most // 2) :]}"


def grain_row(compared: Compared, grain: int | None, iou: float | None, calibrated: bool) -> dict[str, Any]:
    """The table's row of one grain, by name; nothing if there is none."""
    if grain is None:
        return {}
    start: dict[str, Any] = {"grain_id": int(compared.grains.ids[grain])}
    start |= {} if iou is None else {"IoU": iou}
    if compared.table is None:
        return start | {"area_px": int(compared.grains.areas[grain])}
    row = dict(compared.table.iloc[grain].items())
    columns = [*(name for name in FIRST if name in row), *(name for name in row if name not in FIRST)]
    others = "_px" if calibrated else ("_nm", "_nm2")
    return start | {str(name): row[name] for name in columns if not str(name).endswith(others)}


def text(value: Any) -> str:
    """A value of a row."""
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    number = float(value)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e9 else f"{number:.4g}"


def compare(requests: Sequence[Request | None]) -> list[Compared | None]:
    """The columns of a comparison, one a request; None where that is None or has no grains."""
    from napari_stemnmf.figures.style import COLOURS, FEATURE_COLOURS

    features = [request.feature for request in requests if request is not None]
    by_feature = len(set(features)) == len(features)  # then the colours are those of the figures
    return [
        None if request is None else _compared(request, FEATURE_COLOURS[request.feature] if by_feature else COLOURS[i])
        for i, request in enumerate(requests)
    ]


def common_frames(compared: Sequence[Compared]) -> tuple[bool, list[Frame]]:
    """Places for some scans on one canvas, and whether its unit is nm; positions where a scan is not calibrated.

    A crop stays where it was cut out. Scans that do not meet there are laid corner on corner.
    """
    factors = [[_nanometres(axis) for axis in each.axes] for each in compared]
    calibrated = all(factor is not None for pair in factors for factor in pair)
    frames = []
    for each, pair in zip(compared, factors, strict=True):
        (y, step_y), (x, step_x) = (
            (axis.offset * factor, axis.scale * factor) if calibrated and factor is not None else (0.0, 1.0)
            for axis, factor in zip(each.axes, pair, strict=True)
        )
        frames.append(Frame(y, x, abs(step_y), abs(step_x)))
    if not _meet([frame.rectangle(each.labels.shape) for frame, each in zip(frames, compared, strict=True)]):
        frames = [frame._replace(y=frame.step_y / 2, x=frame.step_x / 2) for frame in frames]
    return calibrated, frames


def picture(grains: Grains, colours: Sequence[str]) -> np.ndarray:
    """Grains in their colours; where several overlap, stripes of all of them.

    Parameters
    ----------
    grains : Grains
    colours : sequence of str
        One for each grain, ``#rrggbb``.

    Returns
    -------
    (scan_y · n, scan_x · n, 4) array of uint8
        Red, green, blue and opacity; n pixels a position.
    """
    longest = max(grains.scan_shape)
    fine = int(np.clip(PICTURE // longest, 1, FINEST))
    palette = np.array([[0, 0, 0, 0], *([*bytes.fromhex(colour.lstrip("#")), 255] for colour in colours)], np.uint8)
    covering = _covering(grains)
    rows, columns = (np.arange(size * fine) for size in grains.scan_shape)
    count = np.maximum(1, (covering > 0).sum(axis=0))[rows[:, None] // fine, columns // fine]
    width = max(1, round(fine * longest / STRIPES / 2))
    turn = ((rows[:, None] + columns) // width) % count
    return palette[covering[turn, rows[:, None] // fine, columns // fine]]


def outline(mask: np.ndarray) -> np.ndarray:
    """The straight parts of a mask's outline, along the edges of its positions: (n, 2), two ends (row, column) each."""
    padded = np.pad(mask, 1).astype(np.int8)
    across = _runs(padded[1:, 1:-1] != padded[:-1, 1:-1])
    down = _runs((padded[1:-1, 1:] != padded[1:-1, :-1]).T)[:, ::-1]
    return np.concatenate([across, down]) - 0.5


def _compared(request: Request, colour: str) -> Compared | None:
    from napari_stemnmf.figures.maps import neighbours_apart

    analysis, feature = request.analysis, request.feature
    grains = analysis.grains.get(feature)
    if grains is None:
        return None
    table = analysis.tables.get(feature)
    measured = table is not None and len(table) == len(grains)
    current = measured and analysis.is_current(f"tables/{feature}", partial=True)
    image = None if analysis.survey is None else analysis.survey.virtual_image
    return Compared(
        request.name,
        feature,
        colour,
        image,
        grains,
        grains.labels,
        table if current else None,
        (analysis.axes[0], analysis.axes[1]),
        picture(grains, neighbours_apart(grains)),
        [outline(crop.values) + np.array([crop.top, crop.left]) for crop in map(grains.crop, range(len(grains)))],
    )


def _covering(grains: Grains) -> np.ndarray:
    """(most, scan_y, scan_x): row + 1 of the first, second... grain at each position, 0 where there are no more."""
    by_position = grains.flat.tocsc()
    by_position.sort_indices()
    count = np.diff(by_position.indptr)
    rank = np.arange(by_position.nnz) - np.repeat(by_position.indptr[:-1], count)
    out = np.zeros((max(1, int(count.max(initial=0))), len(count)), np.int32)
    out[rank, np.repeat(np.arange(len(count)), count)] = by_position.indices + 1
    return out.reshape(-1, *grains.scan_shape)


def _runs(edges: np.ndarray) -> np.ndarray:
    """Ends (line, start), (line, stop) of the runs of True along the last axis, (n, 2)."""
    steps = np.diff(np.pad(edges.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    ends = np.stack([np.argwhere(steps == 1), np.argwhere(steps == -1)], axis=1)
    return ends.reshape(-1, 2).astype(np.float64)


def _nanometres(axis: Axis) -> float | None:
    """One unit of the axis in nm; None if it is no length, or assumed beyond the width of a line scan."""
    known = None if axis.assumed and axis.size > 1 else normalise(axis.unit)
    return known[0] if known is not None and known[1] == "nm" else None


def _meet(rectangles: Sequence[tuple[float, float, float, float]]) -> bool:
    """Whether all rectangles (left, top, width, height) share a point."""
    left, top, width, height = np.array(rectangles or [(0, 0, 1, 1)], float).T
    return bool(left.max() < (left + width).min() and top.max() < (top + height).min())
