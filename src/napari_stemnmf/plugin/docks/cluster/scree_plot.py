"""The scree before clustering: what each principal component explains, the suggested number, and where seeds start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.plain_plot import MAIN, SECOND, PlainPlot, faint

if TYPE_CHECKING:
    from napari_stemnmf.clustering.scree import Scree
    from napari_stemnmf.control import Control
    from napari_stemnmf.recipe import ScalingSettings

TOOLTIP = (
    "Share of the variance [%] that each principal component explains. Orange: how many stand out of the noise. "
    "Blue: components that the seeds start from; drag it, or set 'components' below."
)
ROOM = 1.1
"""Of the axis, beyond the farthest line."""
FLOOR = 1e-4
"""Least share [%] that is drawn."""


class ScreeRequest(NamedTuple):
    """Of what a scree is wanted."""

    features: Any
    scaling: ScalingSettings
    control: Control
    """Cancelled when the scree is wanted no more."""


class Found(NamedTuple):
    """A scree, or a sentence on why there is none."""

    request: ScreeRequest
    scree: Scree | None
    error: str = ""


def find(request: ScreeRequest) -> Found:
    """The scree of a feature matrix, scaled as it will be clustered."""
    from napari_stemnmf.clustering.scaling import scale
    from napari_stemnmf.clustering.scree import scree
    from napari_stemnmf.threads import one_blas_thread

    try:
        with one_blas_thread():
            scaled = scale(request.features.values, request.scaling, control=request.control)
            return Found(request, scree(scaled.values, control=request.control))
    except StemNMFError as error:
        return Found(request, None, str(error))


class ScreePlot(PlainPlot):
    """The scree, the suggested number of components, and the number to start from, which can be dragged.

    Attributes
    ----------
    line : pyqtgraph.InfiniteLine or None
        Where the seeds start.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("explained [%]", "component", TOOLTIP, parent)
        self.line: pg.InfiniteLine | None = None
        self._scree: Scree | None = None
        self._start = 0
        self._note = ""

    def show_scree(self, scree: Scree | None, start: int = 0, note: str = "") -> None:
        """Draw a scree and the number to start from; without one, the note."""
        if (scree, start, note) != (self._scree, self._start, self._note) or self.line is None:
            self._scree, self._start, self._note = scree, start, note
            self.redraw()

    def redraw(self) -> None:
        """Draw what was given last."""
        self.line = None
        if self._scree is None:
            self.write(self._note)
            return
        plot = self.getPlotItem()
        plot.clear()
        self._values(True)
        plot.setLogMode(False, True)
        share = np.maximum(100.0 * self._scree.ratio, FLOOR)
        number = np.arange(1, len(share) + 1)
        plot.plot(number, share, pen=pg.mkPen(faint(self.text), width=1.2))
        out = number <= self._scree.suggested
        for part, colour in ((out, SECOND), (~out, self.text)):
            plot.plot(number[part], share[part], pen=None, symbol="o", symbolSize=4, symbolPen=None, symbolBrush=colour)
        last = ROOM * max(len(share), self._start)
        self._mark(self._scree.suggested, f"suggested {self._scree.suggested}", SECOND, last, 0.92)
        self.line = self._mark(self._start, f"start {self._start}", MAIN, last, 0.72, movable=True)
        self.line.sigPositionChanged.connect(self._on_moved)
        self.line.sigPositionChangeFinished.connect(self._on_let_go)
        plot.setXRange(0, last, padding=0)
        plot.enableAutoRange(axis="y")

    def _mark(
        self, at: int, text: str, colour: str, last: float, height: float, movable: bool = False
    ) -> pg.InfiniteLine:
        style = Qt.PenStyle.SolidLine if movable else Qt.PenStyle.DashLine
        right = at > 0.6 * last
        line = pg.InfiniteLine(
            at, movable=movable, pen=pg.mkPen(colour, width=2 if movable else 1.5, style=style), label=text,
            hoverPen=pg.mkPen(colour, width=4), bounds=(2, None) if movable else None,
            labelOpts={"position": height, "color": QColor(colour), "anchors": [(1.0 if right else 0.0, 0.5)] * 2},
        )  # fmt: skip
        self.addItem(line)
        return line

    def _on_moved(self) -> None:
        if self.line is not None:
            self.line.label.setFormat(f"start {round(self.line.value())}")

    def _on_let_go(self) -> None:
        if self.line is not None:
            self.chosen.emit(max(2, round(self.line.value())))
