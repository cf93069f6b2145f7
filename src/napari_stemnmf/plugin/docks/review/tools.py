"""The tools of the Review dock: brush, eraser, and what a grain is split with. One at a time is in use, or none.

A brush paints on a layer that is there while it is in use, and so is that on which a line, a region or seeds to split
a grain by are drawn. No Qt but the buttons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.plugin.docks.review.actions import EditButtons
from napari_stemnmf.plugin.docks.review.canvas import DRAWN, GrainCanvas
from napari_stemnmf.plugin.docks.review.keys import keys_of
from napari_stemnmf.plugin.docks.review.model import stroke
from napari_stemnmf.plugin.layers.grain_layers import BRUSH, COLOUR
from napari_stemnmf.plugin.layers.grain_view import redraw
from napari_stemnmf.plugin.layers.places import axes_of, inside_of, on_scan
from napari_stemnmf.plugin.session import session_of
from napari_stemnmf.plugin.widgets import show_error

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_stemnmf.grains.grains import Grains
    from napari_stemnmf.plugin.session import Session

BRUSHES = ("paint", "erase", "new")
SELECT_FIRST = "Select a grain first: click it on the canvas or in the table."
PEN = 1.5
"""Width of what is drawn, in probe positions."""
BRUSH_SIZE = 4
"""Diameter of the brush at first, in probe positions."""


class Tools:
    """Turns what is drawn and painted on the canvas into edits.

    Parameters
    ----------
    viewer : napari viewer
    canvas : GrainCanvas
    buttons : EditButtons
        Shows the instruction for the tool.
    edit : callable
        Makes edits; returns whether they were possible.
    choose : callable
        Selects grains by their ids.

    Attributes
    ----------
    tool : str
        The one that is in use, or "".
    """

    def __init__(
        self,
        viewer: ViewerModel,
        canvas: GrainCanvas,
        buttons: EditButtons,
        edit: Callable[..., bool],
        choose: Callable[[Sequence[int]], None],
    ) -> None:
        self._viewer, self._canvas, self._buttons = viewer, canvas, buttons
        self._edit, self._choose = edit, choose
        self.tool = ""

    def start(self, tool: str, grain: int, session: Session) -> None:
        """Begin to paint on a grain or to split it; a tool that is in use already is stopped."""
        again = tool == self.tool
        self.stop()
        if again:
            return
        if tool != "new" and not grain:
            show_error(SELECT_FIRST)
            return
        self._choose([] if tool == "new" else [grain])
        if tool == "new":
            self._paint("paint", 1)
        elif tool in BRUSHES:
            self._paint(tool, grain)
        else:
            self._stop_painting()
            layer = self._drawing_layer(session, tool)
            for key in keys_of("cancel"):
                layer.bind_key(key, lambda _: self.stop(), overwrite=True)
            for key in keys_of("split line"):
                layer.bind_key(key, lambda _: self.split(grain), overwrite=True)
        self.tool = tool
        self._buttons.show_tool(tool, grain)

    def stop(self) -> None:
        """Use no tool any more; what was drawn and not used is removed."""
        if self.tool:
            self.tool = ""
            self._remove_drawing()
            self._stop_painting()
            self._canvas.activate()
            self._canvas.show_again()
            self._buttons.show_tool("", 0)

    def split(self, grain: int) -> None:
        """Split a grain by what was drawn."""
        from napari_stemnmf.grains.editing import Edit

        points = self._drawn()
        if not len(points):
            show_error(self._buttons.prompt.text())
        elif self._edit(Edit(self.tool, (grain,), points=points)):
            self.stop()

    def propose(self, mask: np.ndarray) -> None:
        """Show positions (scan_y, scan_x) as a new grain, to be painted on and then taken or left."""
        self.stop()
        self._choose([])
        self._paint("paint", 1)
        layer = self._canvas.layer(BRUSH)
        if layer is not None:
            redraw(layer, mask.astype(np.int32))
        self.tool = "propose"
        self._buttons.show_tool(self.tool, 0)

    def take_proposal(self, grains: Callable[[], Grains]) -> None:
        """Make what is proposed a grain, and select it."""
        from napari_stemnmf.grains.editing import Edit

        layer = self._canvas.layer(BRUSH)
        points = np.argwhere(np.asarray(layer.data) != 0) if layer is not None else np.empty((0, 2))
        before = grains().ids
        if self.tool == "propose" and len(points) and self._edit(Edit("new", points=points)):
            self.stop()
            self._choose(np.setdiff1d(grains().ids, before).tolist())

    def take_stroke(self, grain: int, grains: Callable[[], Grains], now: np.ndarray) -> None:
        """Make a stroke an edit: `now` is the mask (scan_y, scan_x) that it has left of a grain, 0 for a new one."""
        from napari_stemnmf.grains.editing import Edit

        before = grains()
        if self.tool == "propose":
            return  # it is taken as a whole
        if grain:
            mask = before.mask(before.row_of(grain))
            if not np.array_equal(mask, now):
                self._edit(*stroke(grain, mask, now))
        elif now.any() and self._edit(Edit("new", points=np.argwhere(now))):
            grain = int(np.setdiff1d(grains().ids, before.ids)[0])
            self._choose([grain])
            if self.tool:
                self._paint("paint", grain)
                self.tool = "paint"
                self._buttons.show_tool(self.tool, grain)
        self._canvas.show(grain)  # as the grain is now, whether the stroke was possible or not

    def _paint(self, mode: str, label: int) -> None:
        """Put the layer of brushes into napari's mode "paint" or "erase", for the label of a grain."""
        layer = self._canvas.layer(BRUSH)
        if layer is None:
            layer = self._canvas.add_brush(label)
            layer.n_edit_dimensions, layer.brush_size, layer.preserve_labels = 2, BRUSH_SIZE, False
        self._viewer.layers.selection.active = layer
        layer.selected_label = label
        layer.mode = mode

    def _stop_painting(self) -> None:
        layer = self._canvas.layer(BRUSH)
        if layer is not None:
            self._viewer.layers.remove(layer)

    def _drawing_layer(self, session: Session, tool: str) -> Layer:
        """Add a layer to draw on: for "split line" and "split region" freehand, for "split seeds" by clicks."""
        meta = on_scan(session, tool, DRAWN)
        if tool == "split seeds":
            style = {"size": 2 * PEN, "face_color": COLOUR, "border_color": "black"}
            layer = self._viewer.add_points(None, ndim=2, **meta, **style)
            layer.mode = "add"
        else:
            style = {"edge_color": COLOUR, "edge_width": PEN / 2, "face_color": "#ffe60040"}
            layer = self._viewer.add_shapes(None, ndim=2, **meta, **style)
            layer.mode = "add_path" if tool == "split line" else "add_polygon_lasso"
        self._viewer.layers.selection.active = layer
        return layer

    def _drawn(self) -> np.ndarray:
        """(n, 2) what was drawn: vertices of the last line, positions inside regions, or seeds."""
        layer = self._canvas.layer(DRAWN)
        session = session_of(layer)
        if layer is None or session is None or not len(layer.data):
            return np.empty((0, 2))
        if self.tool == "split region":
            return np.argwhere(inside_of(layer, axes_of(session)[:2]))
        points = np.asarray(layer.data if self.tool == "split seeds" else layer.data[-1])[:, -2:]
        return np.rint(points) if self.tool == "split seeds" else points

    def _remove_drawing(self) -> None:
        """Remove the layer that was drawn on, and select the grains again."""
        layer = self._canvas.layer(DRAWN)
        if layer is not None:
            self._viewer.layers.remove(layer)
            grains = self._canvas.layer("grains")
            if grains is not None:
                self._viewer.layers.selection.active = grains
