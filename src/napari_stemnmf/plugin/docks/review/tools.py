"""The tools of the Review dock: brush, eraser, and what a grain is split with. One at a time is in use, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.docks.review import model as reviewing
from napari_stemnmf.plugin.docks.review.buttons import EditButtons
from napari_stemnmf.plugin.docks.review.grains_on_canvas import GrainsOnCanvas
from napari_stemnmf.plugin.docks.review.keys import KEYS

if TYPE_CHECKING:
    from napari_stemnmf.grains.editing import Edit
    from napari_stemnmf.grains.refinement import Grains

BRUSHES = ("paint", "erase", "new")
SELECT_FIRST = "Select a grain first: click it on the canvas or in the table."


class Tools:
    """Turns what is drawn and painted on the canvas into edits.

    Parameters
    ----------
    canvas : GrainsOnCanvas
    buttons : EditButtons
        Asks for what the tool takes.
    do : callable
        Makes edits; returns whether they were possible.
    choose : callable
        Selects grains by their ids.
    tell : callable
        Shows a sentence.
    """

    def __init__(
        self,
        canvas: GrainsOnCanvas,
        buttons: EditButtons,
        do: Callable[[Callable[[], Sequence[Edit]]], bool],
        choose: Callable[[Sequence[int]], None],
        tell: Callable[[str], None],
    ) -> None:
        self._canvas, self._buttons = canvas, buttons
        self._do, self._choose, self._tell = do, choose, tell
        self.tool = ""

    def take_up(self, tool: str, grain: int) -> None:
        """Begin to paint on a grain or to split it; a brush that is in use already is put down."""
        again = tool == self.tool
        self.put_down()
        if again:
            return
        if tool != "new" and not grain:
            self._tell(SELECT_FIRST)
            return
        self._choose([] if tool == "new" else [grain])
        if tool == "new":
            self._canvas.paint("paint", 1)
        elif tool in BRUSHES:
            self._canvas.paint(tool, grain)
        else:
            layer = self._canvas.draw(tool)
            if layer is None:
                return
            layer.bind_key(KEYS["cancel"], lambda _: self.put_down(), overwrite=True)
            layer.bind_key(KEYS["split line"], lambda _: self.split(grain), overwrite=True)
        self.tool = tool
        self._buttons.show_tool(tool, grain)

    def put_down(self) -> None:
        """No tool is in use any more; what was drawn and not used goes."""
        if self.tool:
            self.tool = ""
            self._canvas.stop_drawing()
            self._canvas.paint("pan_zoom", 0)
            self._canvas.activate()
            self._buttons.show_tool("", 0)

    def split(self, grain: int) -> None:
        """Split a grain by what was drawn."""
        from napari_stemnmf.grains.editing import Edit

        tool = self.tool
        points = self._canvas.drawn(tool)
        if not len(points):
            self._tell(self._buttons.prompt.text())
        elif self._do(lambda: [Edit(tool, (grain,), points=points)]):
            self.put_down()

    def painted(self, grain: int, grains: Callable[[], Grains], now: np.ndarray) -> None:
        """Take a stroke over: `now` is the mask (scan_y, scan_x) that it has left of a grain, 0 for a new one."""
        from napari_stemnmf.grains.editing import Edit

        before = grains()
        if grain:
            mask = before.masks[before.ids == grain][0]
            if not np.array_equal(mask, now):
                self._do(lambda: reviewing.stroke(grain, mask, now))
        elif now.any() and self._do(lambda: [Edit("new", points=np.argwhere(now))]):
            grain = int(np.setdiff1d(grains().ids, before.ids)[0])
            self._choose([grain])
            if self.tool:
                self._canvas.paint("paint", grain)
                self.tool = "paint"
                self._buttons.show_tool(self.tool, grain)
        self._canvas.show(grain)  # as the grain is now, whether the stroke was possible or not


def tell(message: Any) -> None:
    """A sentence as a notification of napari's."""
    from napari.utils.notifications import show_error

    show_error(str(message))
