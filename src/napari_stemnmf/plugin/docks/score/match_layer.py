"""One scored grain on the canvas: where it is right, false or too small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.figures.kinds import KIND_COLOURS, KIND_NAMES
from napari_stemnmf.grains.score_table import TN
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.places import LayerTuple, on_scan
from napari_stemnmf.plugin.session import Session, session_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

ROLE = "match"


def show_match(viewer: ViewerModel, session: Session, kinds: np.ndarray) -> None:
    """Show what each position is to a found grain and a true one, and move there.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        The scan that the grains are of.
    kinds : ndarray of int8, (scan_y, scan_x)
        As `score_table.confusion` has them. When they are first shown, other labels of the scan, and those of none, are
        hidden.
    """
    labels = [layer for layer in viewer.layers if layer.visible and type(layer).__name__ == "Labels"]
    others = [layer for layer in labels if session_of(layer) in (session, None)]
    if display.put(viewer, *match_layer(session, kinds)):
        for layer in others:
            layer.visible = False
    shown = display.find(viewer, session, ROLE)
    if shown is None:
        return
    shown.visible = True
    rows, columns = np.nonzero(kinds)
    if len(rows):
        display.move_to(viewer, shown, (rows.min(), columns.min()), (rows.max(), columns.max()))


def clear_match(viewer: ViewerModel, session: Session) -> None:
    """Empty the picture: the grains that it was of are no longer those that were scored."""
    layer = display.find(viewer, session, ROLE)
    if layer is not None:
        layer.data = np.zeros_like(layer.data)


def match_layer(session: Session, kinds: np.ndarray) -> LayerTuple:
    """The Labels layer: blue where the true grain is, dark where it was found, and orange where nothing true is."""
    import pandas as pd
    from napari.utils.colormaps import DirectLabelColormap

    colours: dict[Any, str] = {None: "transparent", TN: "transparent", **KIND_COLOURS}
    look = {
        "features": pd.DataFrame({"index": [TN, *KIND_NAMES], "kind": ["", *KIND_NAMES.values()]}),
        "colormap": DirectLabelColormap(color_dict=colours),
        "opacity": 0.85,
    }
    return kinds, on_scan(session, "match", ROLE) | look, "labels"
