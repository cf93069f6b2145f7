"""What no grain explains, shown over the grains, and new grains proposed there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox

from napari_stemnmf.plugin.docks.review.canvas import GrainCanvas
from napari_stemnmf.plugin.docks.review.model import proposal
from napari_stemnmf.plugin.docks.review.tools import Tools
from napari_stemnmf.plugin.widgets import show_error

if TYPE_CHECKING:
    import numpy as np

NOT_KNOWN = "What is not explained is not known yet: run Measure."


class Missed:
    """Shows the map of what is left over while its box is ticked; a click there, off all grains, proposes one.

    Parameters
    ----------
    box : QCheckBox
    canvas : GrainCanvas
    tools : Tools
    share : callable
        Gives the map, (scan_y, scan_x), or None.
    """

    def __init__(
        self, box: QCheckBox, canvas: GrainCanvas, tools: Tools, share: Callable[[], np.ndarray | None]
    ) -> None:
        self._box, self._canvas, self._tools, self._share = box, canvas, tools, share
        box.toggled.connect(self._on_toggled)

    def hide(self) -> None:
        """Show the map no longer."""
        self._box.setChecked(False)

    def propose(self, row: int, column: int) -> bool:
        """Propose a grain at a position, if the map is shown and much is left over there; whether that is so."""
        share = self._share() if self._box.isChecked() else None
        if share is None:
            return False
        found = proposal(share, row, column)
        if found.any():
            self._tools.propose(found)
        return bool(found.any())

    def _on_toggled(self, on: bool) -> None:
        if not self._canvas.show_unexplained(on) and on:
            self.hide()
            show_error(NOT_KNOWN)
