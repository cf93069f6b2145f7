"""Grains as napari layers: labels, stack, overlap, the outline of one grain, and their features. No viewer, no Qt.

A label is the grain's id, which it keeps over all edits, and with it its colour. Grains that were merged or deleted
leave gaps in the labels; the features have a row for them all the same, since napari's features table takes a row's
number for its label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.plugin.session import ROLE_KEY, SESSION_KEY, Session
from napari_stemnmf.streaming.virtual_detectors import inside_polygon

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Axis
    from napari_stemnmf.grains.refinement import Grains

GONE = "gone"
"""The verdict in the row of an id whose grain was merged into another or deleted."""
OUTLINE = "outline"
COLOUR = "#ffe600"
"""Of the outline, which is seen on grains of any colour."""
CONTOUR = 2
"""Width of the outline, in probe positions."""


def grain_layers(session: Session, feature: str, features: pd.DataFrame | None = None) -> list[LayerTuple]:
    """Overlap, one plane a grain, and the dominant grain of each position; the last on top."""
    grains: Grains = session.result("refine", feature)
    features = features_of(session, feature) if features is None else features
    name, overlap = feature.upper(), grains.overlap
    stack = on_scan(session, f"{name} grain stack", f"stack/{feature}", "grain")
    flat = on_scan(session, f"{name} grains", f"grains/{feature}")
    count = on_scan(session, f"{name} overlap", f"overlap/{feature}") | {
        "contrast_limits": (0, max(2, int(overlap.max(initial=0)))),
        "colormap": "magma",
        "visible": False,
    }
    return [
        (overlap, count, "image"),
        (planes(grains), stack | {"features": features, "visible": False}, "labels"),
        (grains.labels, flat | {"features": features, "opacity": 0.6}, "labels"),
    ]


def planes(grains: Grains) -> Planes | np.ndarray:
    """(g, scan_y, scan_x) int32: the id of each grain inside its mask; one empty plane where there is no grain."""
    return Planes(grains) if len(grains) else np.zeros((1, *grains.scan_shape), np.int32)  # napari needs a plane


def outline_layer(session: Session, feature: str, grain_id: int) -> LayerTuple:
    """The whole of one grain, what others cover included, drawn as its outline."""
    from napari.utils.colormaps import CyclicLabelColormap

    one = CyclicLabelColormap(colors=["transparent", COLOUR])  # a direct one takes napari a second to compile
    meta = on_scan(session, f"{feature.upper()} outline", f"{OUTLINE}/{feature}")
    style = {"opacity": 1.0, "colormap": one}
    return outline(session.result("refine", feature), grain_id), meta | style, "labels"


def outline(grains: Grains, grain_id: int, others: Sequence[int] = ()) -> np.ndarray:
    """(scan_y, scan_x) int32: the id inside the grain's mask, those of others beneath it; 0 where there is none."""
    drawn = np.zeros(grains.scan_shape, np.int32)
    for each in (*others, grain_id):
        for mask in grains.masks[grains.ids == each]:
            drawn[mask] = each
    return drawn


def features_of(session: Session, feature: str, stale: np.ndarray | None = None) -> pd.DataFrame:
    """Features of the layers of a feature's grains, as far as they are known now; `stale` as `stale_grains` has it."""
    analysis, review = session.analysis, session.review(feature)
    grains = session.result("refine", feature)
    if analysis is None:
        return grain_features(grains)
    stale = stale_grains(analysis, feature) if stale is None else stale
    edited = review is not None and bool(review.digest)
    table = analysis.tables.get(feature) if edited or not stale.all() else None  # else it is of other grains
    return grain_features(grains, table, None if review is None else review.verdicts(), stale)


def stale_grains(analysis: Analysis, feature: str) -> np.ndarray:
    """(g,) whether what was measured of each grain is of another mask, or is not there yet."""
    grains = analysis.grains[feature]
    if analysis.is_current(f"tables/{feature}", partial=True):
        return np.zeros(len(grains), bool)
    if feature not in analysis.tables:
        return np.ones(len(grains), bool)
    from napari_stemnmf.pipeline import changed  # late: it takes long to import

    return changed(analysis, feature)


def grain_features(
    grains: Grains,
    table: pd.DataFrame | None = None,
    verdicts: pd.DataFrame | None = None,
    stale: np.ndarray | None = None,
) -> pd.DataFrame:
    """Features of the Labels layers: the row of a label is its number; row 0 is the background.

    Parameters
    ----------
    grains : Grains
    table : DataFrame, optional
        What was measured, with the column ``grain_id``.
    verdicts : DataFrame, optional
        As `Review.verdicts` gives them.
    stale : (g,) ndarray of bool, optional
        Grains that were changed since they were measured.

    Returns
    -------
    DataFrame
        ``index`` (the label); ``grain_id`` (0 where there is none); ``verdict``, ``class`` and ``comment``; ``stale``
        where there is a table; then its columns, NaN where they are stale, or the component and area where nothing was
        measured yet. A label whose grain is no more has the verdict `GONE`.
    """
    import pandas as pd

    ids = grains.ids
    highest = int(max(ids.max(initial=0), 0 if verdicts is None else verdicts.index.max() if len(verdicts) else 0))
    index = np.arange(highest + 1)
    there = np.isin(index, ids)
    out = pd.DataFrame({"index": index, "grain_id": np.where(there, index, 0)})
    for name in ("verdict", "class", "comment"):
        known = pd.Series("", index=ids, dtype=object) if verdicts is None else verdicts[name]
        out[name] = known.reindex(index, fill_value="").to_numpy()
    out.loc[(index > 0) & ~there, "verdict"] = GONE
    if table is None:
        areas = grains.masks.sum(axis=(1, 2))
        table = pd.DataFrame({"grain_id": ids, "component": grains.component, "area [px]": areas})
    elif stale is not None:
        out["stale"] = np.isin(index, ids[stale])
        table = table[~table["grain_id"].isin(ids[stale])]
    measured = table.set_index("grain_id")
    measured = measured[measured.index.isin(ids)]
    columns = {
        str(name): _for_all(measured[name], index, unknown=len(measured) < len(ids))
        for name in measured.columns
        if name not in ("index", "label", "grain", *out.columns)
    }
    columns["component"] = pd.Series(grains.component, index=ids).reindex(index, fill_value=-1).to_numpy()
    return pd.concat([out, pd.DataFrame(columns)], axis=1)


def _for_all(column: pd.Series, index: np.ndarray, unknown: bool) -> np.ndarray:
    """A column with a value for every label: neutral, of the same kind where one exists, where there is none.

    Whole numbers become NaN there if they are `unknown` for a grain.
    """
    number = np.nan if unknown else 0
    absent = {"b": False, "i": number, "u": number, "f": np.nan}.get(column.dtype.kind, "")
    return column.reindex(index, fill_value=absent).to_numpy()


class Planes:
    """The ids of grains inside their masks, (g, scan_y, scan_x) int32, each plane made when it is shown.

    A scan of 200 grains would hold 50 MB that nobody sees. NumPy and napari take it for an array, and it becomes one
    when somebody paints on it.

    Attributes
    ----------
    grains : Grains
        What it was made from.
    """

    dtype = np.dtype(np.int32)
    ndim = 3

    def __init__(self, grains: Grains) -> None:
        self.grains = grains
        self._painted: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Grains, rows and columns."""
        return self.grains.masks.shape

    @property
    def size(self) -> int:
        """Values in all."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self.grains.stack if self._painted is None else self._painted
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        plane = key[0] if isinstance(key, tuple) and len(key) else key
        if self._painted is None and isinstance(plane, int | np.integer):
            return np.asarray(self.grains.masks[key] * np.int32(self.grains.ids[plane]))
        return np.asarray(np.asarray(self)[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._painted is None:
            self._painted = np.array(self)
        self._painted[key] = value


LayerTuple = tuple[Any, dict[str, Any], str]
AREAS = ("rectangle", "ellipse", "polygon", "path")
"""Shapes with an inside; a path is closed by its ends. A line has none."""
CORNERS = 180
"""Of the polygon that an ellipse becomes."""


def on_scan(session: Session, name: str, role: str, plane: str = "") -> dict[str, Any]:
    """What all layers on the scan share; `plane` names the axis of a stack, whose planes lie one apart."""
    return placed(session, name, role, axes_of(session)[:2], plane)


def on_detector(session: Session, name: str, role: str) -> dict[str, Any]:
    """What layers on the detector share with the 4-D layer, over which they lie: the file's own calibration."""
    survey = session.analysis.survey if session.analysis is not None else None
    return placed(session, name, role, (survey.axes if survey is not None else axes_of(session))[2:])


def placed(session: Session, name: str, role: str, axes: Sequence[Axis], plane: str = "") -> dict[str, Any]:
    """Options of a layer that lies on some axes."""
    return {
        "name": f"{session.name} {name}",
        "scale": [1.0] * bool(plane) + [axis.scale for axis in axes],
        "translate": [0.0] * bool(plane) + [axis.offset for axis in axes],
        "units": ["pixel"] * bool(plane) + [napari_unit(axis.unit) for axis in axes],
        "axis_labels": [plane] * bool(plane) + [axis.name for axis in axes],
        "metadata": {SESSION_KEY: session, ROLE_KEY: role},
    }


def scan_position(session: Session, world: Sequence[float]) -> tuple[int, int] | None:
    """Row and column of the probe position at a point (y, x) of the viewer's world; None off the scan."""
    axes = axes_of(session)[:2]
    row, column = (round((w - a.offset) / a.scale) for w, a in zip(world, axes, strict=True))
    return (row, column) if 0 <= row < axes[0].size and 0 <= column < axes[1].size else None


def axes_of(session: Session) -> tuple[Axis, ...]:
    """Axes of the results, which a crop has moved and a ring may have calibrated; else those of the file."""
    if session.analysis is not None and session.analysis.survey is not None:
        return session.analysis.axes
    if session.dataset is not None:
        return session.dataset.axes
    if session.analysis is None:
        raise ValueError("A session without dataset and analysis has no axes.")
    return session.analysis.input.axes


def napari_unit(unit: str) -> str:
    """A unit as napari's registry spells it."""
    return {"px": "pixel", "deg": "degree", "": "pixel"}.get(unit, unit)


def masked_by(layer: Any, axes: Sequence[Axis], point: Sequence[float] = ()) -> np.ndarray:
    """(q_y, q_x) True = keep, False where a pixel's centre lies inside what was drawn.

    Parameters
    ----------
    layer : napari Shapes or Labels layer
        Its last two axes are the detector's.
    axes : sequence of Axis
        q_y and q_x of the file's detector: they place its pixels in the viewer's world.
    point : sequence of float
        World position of the viewer's sliders: which plane of a Labels stack counts.

    Raises
    ------
    DataError
        If nothing with an inside was drawn, or it lies off the detector.
    """
    inside = inside_of(layer, axes, point)
    if not inside.any():
        raise DataError(
            f"The layer '{layer.name}' covers no pixel of the detector; draw a rectangle, an ellipse or a polygon on "
            "the mean pattern, or paint labels there."
        )
    return ~inside


def inside_of(layer: Any, axes: Sequence[Axis], point: Sequence[float] = ()) -> np.ndarray:
    """(rows, columns) True where a point of the axes' grid lies inside what was drawn; all False if nothing was."""
    y, x = (axis.offset + axis.scale * np.arange(axis.size) for axis in axes)
    if layer.__class__.__name__ == "Labels":
        return _inside_labels(layer, y, x, point)
    inside = np.zeros((len(y), len(x)), bool)
    for vertices, kind in zip(layer.data, layer.shape_type, strict=True):
        if kind in AREAS:
            world = np.array([layer.data_to_world(vertex) for vertex in np.asarray(vertices, np.float64)])[:, -2:]
            inside |= inside_polygon(_ellipse(world) if kind == "ellipse" else world, y, x)
    return inside


def _ellipse(corners: np.ndarray) -> np.ndarray:
    """(`CORNERS`, 2) the ellipse inside a (rotated) rectangle given by its four corners, as a polygon."""
    centre = corners.mean(axis=0)
    a, b = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * a + np.sin(angle) * b)


def _inside_labels(layer: Any, y: np.ndarray, x: np.ndarray, point: Sequence[float]) -> np.ndarray:
    leading = layer.ndim - 2
    start = list(point[len(point) - layer.ndim :][:leading]) if len(point) >= layer.ndim else [0.0] * leading
    first, last = (np.array(layer.world_to_data([*start, y[i], x[i]])) for i in (0, -1))
    stacked = np.clip(np.rint(first[:leading]).astype(int), 0, np.array(layer.data.shape[:leading]) - 1)
    plane = np.asarray(layer.data[tuple(stacked)])
    rows, columns = (
        np.rint(np.linspace(first[axis], last[axis], size)).astype(int)
        for axis, size in ((leading, len(y)), (leading + 1, len(x)))
    )
    nearest = (np.clip(index, 0, size - 1) for index, size in zip((rows, columns), plane.shape, strict=True))
    there = [(index >= 0) & (index < size) for index, size in zip((rows, columns), plane.shape, strict=True)]
    return (plane[np.ix_(*nearest)] > 0) & there[0][:, None] & there[1]
