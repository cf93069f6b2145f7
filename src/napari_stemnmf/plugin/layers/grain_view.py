"""Shows grains as they are now in the layers that are in a viewer, and draws anew only what has changed. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.grain_colours import places_in_palette, recoloured
from napari_stemnmf.plugin.layers.grain_layers import (
    MARKS,
    PLACES_KEY,
    ink_of,
    label_colours,
    marks_layer,
    planes,
    rejected_of,
)
from napari_stemnmf.plugin.layers.grain_marks import Box, changed, marks, raster
from napari_stemnmf.plugin.layers.grain_planes import Planes

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from napari_stemnmf.grains.grains import Grains
    from napari_stemnmf.plugin.session import Session

SHOWN_KEY = "stemnmf_grains"
"""In the metadata of the flat labels: the grains that the layers show."""
NOTED = ("verdict", "class", "comment")
"""Features that a user has noted."""
COLOURING_KEY = "stemnmf_colouring"
"""In the metadata of the flat labels: what the colours tell."""


def show_grains(
    viewer: ViewerModel,
    session: Session,
    feature: str,
    features: pd.DataFrame,
    by: str = "",
    *,
    again: bool = False,
) -> None:
    """Bring labels, stack, overlap and marks of a feature's grains up to date.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
    feature : str
    features : DataFrame
        As `grain_layers.features_of` makes them.
    by : str
        What the colours tell, one of `grain_colours.COLOURINGS`; what they told before if it is empty.
    again : bool
        Whether labels that somebody has painted on are drawn again, too.
    """
    grains: Grains = session.result("refine", feature)
    flat, stack, overlap, marked = (
        display.find(viewer, session, f"{kind}/{feature}") for kind in ("grains", "stack", "overlap", MARKS)
    )
    before = flat.metadata.get(SHOWN_KEY) if flat is not None else None
    said = flat.features[["grain_id", "verdict"]].copy() if flat is not None else features
    same = features[["grain_id", "verdict"]].equals(said)
    ids, box = _changes(before, grains)
    if flat is not None:
        places = flat.metadata.get(PLACES_KEY)
        if places is None or box is None:
            places = places_in_palette(grains, places)
        elif ids:
            places = recoloured(grains, places, ids)
        flat.metadata[PLACES_KEY] = places
        flat.metadata[SHOWN_KEY] = grains
    if grains is not before or again:
        if flat is not None:
            redraw(flat, grains.labels, None if again else box)
        if stack is not None:
            _restack(stack, grains)
        if overlap is not None:
            redraw(overlap, grains.overlap)
    for labels in (flat, stack):
        if labels is not None and (labels is flat or labels.visible):
            _describe(labels, features)
    if flat is not None:
        by = by or flat.metadata.get(COLOURING_KEY, "neighbours")
        recolour(viewer, session, feature, features, by)
    if marked is not None and (grains is not before or not same):
        _mark(marked, session, feature, features, said, box if grains is not before else Box(0, 0, 0, 0))


def _restack(layer: Any, grains: Grains) -> None:
    """Show other grains in a stack; one that is hidden is not drawn for that."""
    if not (isinstance(layer.data, Planes) and layer.data.become(grains)):
        layer.data = planes(grains)
        layer.translate = layer.translate  # of one that is hidden, napari would go on showing the former slider
    elif layer.visible:
        layer.refresh(extent=False)


def _changes(before: Grains | None, grains: Grains) -> tuple[list[int], Box | None]:
    """Ids of what has changed, and where; no box where that is not known."""
    if before is grains:
        return [], Box(0, 0, 0, 0)
    return ([], None) if before is None or before.scan_shape != grains.scan_shape else changed(before, grains)


def _describe(layer: Any, features: pd.DataFrame) -> None:
    """Give a Labels layer its features; where only what is noted of grains is new, in the table that napari has."""
    table = layer.features
    if list(table.columns) != list(features.columns) or len(table) != len(features):
        layer.features = features
        return
    new = [name for name in features.columns if not features[name].equals(table[name])]
    if set(new) <= set(NOTED):
        for name in new:
            table[name] = features[name].to_numpy()
        if new:
            layer.events.features()
    else:
        layer.features = features


def recolour(viewer: ViewerModel, session: Session, feature: str, features: pd.DataFrame, by: str) -> None:
    """Give the layers of a feature's grains the colours that tell something, where they have others."""
    flat = display.find(viewer, session, f"grains/{feature}")
    grains = session.result("refine", feature)
    if flat is None or grains is None:
        return
    flat.metadata[COLOURING_KEY] = by
    places = flat.metadata.get(PLACES_KEY) or places_in_palette(grains)
    made = label_colours(grains, features, places, by)
    for kind in ("grains", "stack", MARKS):
        layer = display.find(viewer, session, f"{kind}/{feature}")
        if layer is not None and not _same_colours(layer.colormap, made):
            layer.colormap = made


def redraw(layer: Any, data: Any, box: Box | None = None) -> None:
    """Show new values, in the same array if possible: napari then keeps its table, undo and extent.

    Only what lies in a `box` is compared and drawn, if one is given.
    """
    if isinstance(data, Planes) or np.shape(layer.data) != data.shape or layer.data.dtype != data.dtype:
        layer.data = data
        return
    within = slice(None) if box is None else (slice(box.top, box.bottom), slice(box.left, box.right))
    at = np.argwhere(np.asarray(layer.data)[within] != data[within])
    if not len(at):
        return
    if box is not None and hasattr(layer, "data_setitem"):
        y, x = (at + np.array([box.top, box.left])).T
        set_some(layer, (y, x), data[y, x])
    else:
        layer.data[...] = data
        layer.refresh(extent=False)


def set_some(layer: Any, places: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> None:
    """Show new values at some places of a Labels layer; that is no stroke, and nobody is told of one."""
    with layer.events.paint.blocker():
        layer.data_setitem(places, values)


def _mark(
    layer: Any, session: Session, feature: str, features: pd.DataFrame, said: pd.DataFrame, box: Box | None
) -> None:
    """Draw stripes and hatching anew, where grains have changed and where verdicts have."""
    grains: Grains = session.result("refine", feature)
    drawn, ink = rejected_of(features), ink_of(features)
    if box is None or ink != ink_of(said):
        data, _, _ = marks_layer(session, feature, features, layer.colormap)
        redraw(layer, data)
        return
    boxes = [box]
    for grain in set(drawn) ^ set(rejected_of(said)):
        row = grains.row_of(grain)
        if row >= 0:
            y, x = grains.places(row)
            boxes.append(Box(int(y.min()), int(y.max()) + 1, int(x.min()), int(x.max()) + 1))
    finer = raster(grains.scan_shape).finer
    for each in boxes:
        if each.bottom > each.top:
            fine = Box(*(finer * edge for edge in each))
            data = marks(grains, drawn, ink, each)
            before = np.asarray(layer.data)[fine.top : fine.bottom, fine.left : fine.right]
            y, x = np.nonzero(before != data)
            if len(y):
                set_some(layer, (y + fine.top, x + fine.left), data[y, x])


def _same_colours(colormap: Any, other: Any) -> bool:
    mine = getattr(colormap, "colors", None)
    return mine is not None and np.array_equal(mine, other.colors)
