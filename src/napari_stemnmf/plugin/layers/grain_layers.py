"""Grains as napari layers: labels, stack, overlap, marks, outlines, and their features. No viewer, no Qt.

A label is the grain's id, which it keeps over all edits, and with it its colour. Grains that were merged or deleted
leave gaps in the labels; the features have a row for them all the same, since napari's features table takes a row's
number for its label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.grains.review import REJECTED
from napari_stemnmf.plugin.layers.grain_colours import colours, places_in_palette
from napari_stemnmf.plugin.layers.grain_marks import changed, marks, raster, rows_at
from napari_stemnmf.plugin.layers.grain_outlines import number_places
from napari_stemnmf.plugin.layers.grain_planes import Planes
from napari_stemnmf.plugin.layers.places import on_scan
from napari_stemnmf.plugin.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.grains.grains import Grains

GONE = "gone"
"""The verdict in the row of an id whose grain was merged into another or deleted."""
OUTLINE, BRUSH, NUMBERS, MARKS = "outline", "brush", "numbers", "marks"
"""Roles of layers: the outline of the selected grains, what a brush paints on, the ids, stripes and hatching."""
COLOUR, BESIDE, HALO = "#ffe600", "#ffffff", "#000000"
"""Of the outline, of those of others that are selected with it, and of the halo around them."""
INK = (0.0, 0.0, 0.0, 1.0)
"""Of the hatching."""
ROOM = 64
"""Labels that are made room for at a time."""
LINE, AROUND = 1.0, 3.0
"""Widths of an outline and of its halo, in pixels of the screen."""
PLACES_KEY = "stemnmf_places"
"""In the metadata of the flat labels: each grain's place in the palette."""
STRIPED = 0.85
"""Opacity of stripes and hatching."""


def grain_layers(session: Session, feature: str, features: pd.DataFrame | None = None) -> list[LayerTuple]:
    """Overlap, one plane a grain, the dominant grain of each position, and stripes and hatching on top."""
    grains: Grains = session.result("refine", feature)
    features = features_of(session, feature) if features is None else features
    name, overlap = feature.upper(), grains.overlap
    review = session.review(feature)
    places = places_in_palette(grains, None if review is None else places_in_palette(review.base))
    colour = label_colours(grains, features, places)
    stack = on_scan(session, f"{name} grain stack", f"stack/{feature}", "grain")
    flat = on_scan(session, f"{name} grains", f"grains/{feature}")
    flat["metadata"][PLACES_KEY] = places
    count = on_scan(session, f"{name} overlap", f"overlap/{feature}") | {
        "contrast_limits": (0, max(2, int(overlap.max(initial=0)))),
        "colormap": "magma",
        "visible": False,
    }
    labelled = {"features": features, "colormap": colour}
    return [
        (overlap, count, "image"),
        (planes(grains), stack | labelled | {"visible": False}, "labels"),
        (grains.labels, flat | labelled | {"opacity": 0.6}, "labels"),
        marks_layer(session, feature, features, colour),
    ]


def label_colours(grains: Grains, features: pd.DataFrame, places: Mapping[int, int], by: str = "neighbours") -> Any:
    """napari's colours of the labels, and after them the ink of the hatching."""
    from napari.utils.colormaps import CyclicLabelColormap  # a direct one takes napari a second to compile

    table = np.zeros((ink_of(features) + 1, 4), np.float32)
    table[: max(2, len(features))] = colours(grains, features, places, by)
    table[-1] = INK
    return CyclicLabelColormap(colors=table)


def ink_of(features: pd.DataFrame) -> int:
    """The label of the hatching: above all others, with room for new ones, so that it seldom changes."""
    return ROOM * (1 + (len(features) + 1) // ROOM)


def rejected_of(features: pd.DataFrame) -> list[int]:
    """Ids of the grains that were rejected."""
    return [int(i) for i in features["grain_id"][features["verdict"] == REJECTED]]


def marks_layer(session: Session, feature: str, features: pd.DataFrame, colour: Any) -> LayerTuple:
    """Stripes where grains overlap, and hatching on those that were rejected; finer than the scan."""
    grains = session.result("refine", feature)
    meta = on_scan(session, f"{feature.upper()} marks", f"{MARKS}/{feature}")
    finer = raster(grains.scan_shape).finer
    meta["translate"] = [t - s / 2 + s / (2 * finer) for t, s in zip(meta["translate"], meta["scale"], strict=True)]
    meta["scale"] = [s / finer for s in meta["scale"]]
    drawn = marks(grains, rejected_of(features), ink_of(features))
    return drawn, meta | {"opacity": STRIPED, "colormap": colour, "features": features}, "labels"


def planes(grains: Grains) -> Planes | np.ndarray:
    """(g, scan_y, scan_x) int32: the id of each grain inside its mask; one empty plane where there is no grain."""
    return Planes(grains) if len(grains) else np.zeros((1, *grains.scan_shape), np.int32)  # napari needs a plane


def outline_layer(session: Session, feature: str) -> LayerTuple:
    """The lines around the selected grains, none yet."""
    meta = on_scan(session, f"{feature.upper()} outline", f"{OUTLINE}/{feature}")
    return None, meta | {"ndim": 2, "opacity": 1.0, "face_color": "transparent"}, "shapes"


def brush_layer(session: Session, feature: str, grain_id: int) -> LayerTuple:
    """The whole of one grain, what others cover included, to paint on without changing the others."""
    from napari.utils.colormaps import CyclicLabelColormap

    one = CyclicLabelColormap(colors=["transparent", COLOUR])
    meta = on_scan(session, f"{feature.upper()} brush", f"{BRUSH}/{feature}")
    return outline(session.result("refine", feature), grain_id), meta | {"opacity": 0.6, "colormap": one}, "labels"


def numbers_layer(session: Session, feature: str) -> LayerTuple:
    """The id of each grain, inside it."""
    grains = session.result("refine", feature)
    meta = on_scan(session, f"{feature.upper()} numbers", f"{NUMBERS}/{feature}")
    style = {"size": 0.01, "face_color": "transparent", "border_color": "transparent", "text": numbered(grains)}
    return number_places(grains), meta | style, "points"


def left_over() -> Any:
    """Colours of what is not explained: nothing where all is, and more where less is."""
    from napari.utils.colormaps import Colormap

    return Colormap([[1, 0.1, 0.8, 0], [1, 0.1, 0.8, 1]], name="left over")


def numbered(grains: Grains) -> dict[str, Any]:
    """The text of the layer of numbers."""
    return {"string": [str(i) for i in grains.ids], "size": 9, "color": "white", "anchor": "center"}


def outline(grains: Grains, grain_id: int, others: Sequence[int] = ()) -> np.ndarray:
    """(scan_y, scan_x) int32: the id inside the grain's mask, those of others beneath it; 0 where there is none."""
    drawn = np.zeros(grains.scan_shape, np.int32)
    for each in (*others, grain_id):
        row = grains.row_of(each)
        if row >= 0:
            drawn[grains.places(row)] = each
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


def annotated(features: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """The same features of the same grains with what is noted of them now, as `Review.verdicts` gives it."""
    out = features.copy(deep=False)
    for name in ("verdict", "class", "comment"):
        values = out[name].to_numpy(dtype=object, copy=True)
        values[verdicts.index] = verdicts[name].to_numpy()
        out[name] = values
    return out


def stale_grains(analysis: Analysis, feature: str, before: tuple[Grains, np.ndarray] | None = None) -> np.ndarray:
    """(g,) whether what was measured of each grain is of another mask, or is not there yet.

    `before` are the grains before an edit and what was stale of them, for the same measurements: only what the edit has
    changed, and what shares positions with it, is looked at then.
    """
    grains = analysis.grains[feature]
    if analysis.is_current(f"tables/{feature}", partial=True):
        return np.zeros(len(grains), bool)
    if feature not in analysis.tables:
        return np.ones(len(grains), bool)
    from napari_stemnmf.corrections import changed as changed_rows  # late: it takes long to import

    if before is None or before[0].scan_shape != grains.scan_shape:
        return changed_rows(analysis, feature)
    was = dict(zip(before[0].ids.tolist(), before[1].tolist(), strict=True))
    stale = np.array([was.get(i, True) for i in grains.ids.tolist()], bool)
    ids, _ = changed(before[0], grains)
    rows = [(each, each.row_of(i)) for i in ids for each in (before[0], grains)]
    at = [each.part(row)[0] for each, row in rows if row >= 0]
    touched = rows_at(grains, np.concatenate([*at, np.empty(0, np.int64)]).astype(np.int64))
    stale[touched] = changed_rows(analysis, feature, touched.tolist())
    return stale


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
        ``grain_id`` (0 where there is none); ``verdict``, ``class`` and ``comment``; ``stale``
        where there is a table; then its columns, NaN where they are stale, or the component and area where nothing was
        measured yet. A label whose grain is no more has the verdict `GONE`.
    """
    import pandas as pd

    ids = grains.ids
    highest = int(max(ids.max(initial=0), 0 if verdicts is None else verdicts.index.max() if len(verdicts) else 0))
    index = np.arange(highest + 1)
    there = np.isin(index, ids)
    out = pd.DataFrame({"grain_id": np.where(there, index, 0)})
    for name in ("verdict", "class", "comment"):
        known = pd.Series("", index=ids, dtype=object) if verdicts is None else verdicts[name]
        out[name] = known.reindex(index, fill_value="").to_numpy()
    out.loc[(index > 0) & ~there, "verdict"] = GONE
    if table is None:
        table = pd.DataFrame({"grain_id": ids, "component": grains.component, "area [px]": grains.areas})
        if np.isfinite(grains.confidence).any():
            table["confidence"], table["reason"] = grains.confidence.astype(np.float64), list(grains.reasons)
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


LayerTuple = tuple[Any, dict[str, Any], str]
AREAS = ("rectangle", "ellipse", "polygon", "path")
"""Shapes with an inside; a path is closed by its ends. A line has none."""
CORNERS = 180
"""Of the polygon that an ellipse becomes."""
