"""A plot of any two numbers of the grains, linked with the table: a click selects a grain, a lasso several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, Qt, Signal
from qtpy.QtGui import QColor, QPolygonF
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from napari_stemnmf.plugin.docks.review.model import plotted
from napari_stemnmf.plugin.layers.grain_colours import ACCEPTED, OPEN, REJECTED
from napari_stemnmf.plugin.layers.grain_layers import COLOUR
from napari_stemnmf.plugin.plain_plot import PlainPlot
from napari_stemnmf.plugin.widgets import column, row

if TYPE_CHECKING:
    import pandas as pd

DOT, CHOSEN_DOT = 7, 12
"""Diameters of grains, in pixels of the screen."""
NEAR = 12
"""Pixels of the screen within which a click means a grain."""


class LassoBox(pg.ViewBox):
    """A view in which a drag with the left button draws a line; `drawn` carries its points."""

    drawn = Signal(object)

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self._line: list[QPointF] = []
        self._shown = pg.PlotCurveItem(pen=pg.mkPen(COLOUR, width=1.5, style=Qt.PenStyle.DashLine))

    def mouseDragEvent(self, event: Any, axis: Any = None) -> None:
        """Draw, and tell at the end."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        event.accept()
        if event.isStart():
            self._line = [self.mapToView(event.buttonDownPos())]
            self.addItem(self._shown, ignoreBounds=True)
        self._line.append(self.mapToView(event.pos()))
        self._shown.setData(x=[p.x() for p in self._line], y=[p.y() for p in self._line])
        if event.isFinish():
            self.removeItem(self._shown)
            self._shown.setData(x=[], y=[])
            self.drawn.emit(self._line)

    def wheelEvent(self, event: Any, axis: Any = None) -> None:
        """A wheel leaves the plot as it is."""
        event.ignore()


class GrainScatter(QWidget):
    """The plot and the two columns it shows; `chosen` carries ids that a click or a lasso has selected."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.across, self.upward = QComboBox(), QComboBox()
        for box, name in ((self.across, "across"), (self.upward, "upward")):
            box.setToolTip(f"the number of the grains that is shown {name}")
            box.currentTextChanged.connect(lambda _: self._draw())
        self._box = LassoBox()
        self.plot = _plot(self._box)
        self._dots = pg.ScatterPlotItem(pxMode=True, size=DOT)
        self._picked = pg.ScatterPlotItem(pxMode=True, size=CHOSEN_DOT, brush=None, pen=pg.mkPen(COLOUR, width=2))
        for item in (self._dots, self._picked):
            self.plot.addItem(item)
        self._table: pd.DataFrame | None = None
        self._chosen: tuple[int, ...] = ()
        self._ids, self._at = np.empty(0, np.int64), np.empty((0, 2))
        head = row(QLabel("of"), self.upward, QLabel("over"), self.across)
        head.setStretch(1, 1)
        head.setStretch(3, 1)
        column(head, self.plot, parent=self, stretch=self.plot).setSpacing(2)
        self._box.drawn.connect(self._on_lasso)
        self.plot.scene().sigMouseClicked.connect(self._on_click)

    def show_grains(self, table: pd.DataFrame | None) -> None:
        """Take the numbers of the grains, a row each, by id."""
        self._table = table
        names = [] if table is None else plotted(table)
        for box, first in ((self.across, "positions"), (self.upward, "confidence")):
            if [box.itemText(i) for i in range(box.count())] != names:
                kept = box.currentText()
                box.blockSignals(True)
                box.clear()
                box.addItems(names)
                wanted = next((n for n in (kept, first, *names[::-1]) if n in names), "")
                box.setCurrentText(wanted)
                box.blockSignals(False)
        self._draw()

    def select(self, ids: Sequence[int]) -> None:
        """Mark these grains."""
        self._chosen = tuple(ids)
        if self.isVisible():
            self._mark()

    def set_theme(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self.plot.setBackground(QColor(background))
        for name in ("left", "bottom"):
            self.plot.getAxis(name).setPen(QColor(text))
            self.plot.getAxis(name).setTextPen(QColor(text))

    def showEvent(self, event: Any) -> None:
        """What has changed while nobody saw it is drawn."""
        super().showEvent(event)
        self._draw()

    def _draw(self) -> None:
        if not self.isVisible():
            return
        table, x, y = self._table, self.across.currentText(), self.upward.currentText()
        if table is None or x not in table or y not in table:
            self._ids, self._at = np.empty(0, np.int64), np.empty((0, 2))
            self._dots.setData(x=[], y=[])
        else:
            values = table[[x, y]].to_numpy(np.float64)
            known = np.isfinite(values).all(axis=1)
            self._ids, self._at = table.index.to_numpy(np.int64)[known], values[known]
            of = {"accepted": ACCEPTED, "rejected": REJECTED}
            brushes = [pg.mkBrush(of.get(v, OPEN)) for v in table["verdict"][known]]
            self._dots.setData(x=self._at[:, 0], y=self._at[:, 1], brush=brushes, pen=None)
        self._mark()

    def _mark(self) -> None:
        picked = np.isin(self._ids, self._chosen)
        self._picked.setData(x=self._at[picked, 0], y=self._at[picked, 1])

    def _on_click(self, event: Any) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not len(self._ids):
            return
        here = self._box.mapSceneToView(event.scenePos())
        pixel = np.array(self._box.viewPixelSize())
        away = np.hypot(*((self._at - (here.x(), here.y())) / pixel).T)
        nearest = int(away.argmin())
        if away[nearest] <= NEAR:
            grain = int(self._ids[nearest])
            more = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
            self.chosen.emit([*(i for i in self._chosen if i != grain), grain] if more else [grain])

    def _on_lasso(self, line: list[QPointF]) -> None:
        around = QPolygonF(line)
        rule = Qt.FillRule.OddEvenFill
        inside = [
            int(i) for i, (x, y) in zip(self._ids, self._at, strict=True) if around.containsPoint(QPointF(x, y), rule)
        ]
        if inside:
            self.chosen.emit(inside)


def _plot(box: pg.ViewBox) -> pg.PlotWidget:
    """A plot without buttons and menu, in this view."""
    plot = pg.PlotWidget(viewBox=box)
    plot.getPlotItem().hideButtons()
    plot.setToolTip("click a grain, or draw around several with the mouse held down; colours tell the verdict")
    plot.setMinimumSize(*PlainPlot.least)
    plot.setFrameShape(plot.Shape.NoFrame)
    for name in ("left", "bottom"):
        plot.getAxis(name).enableAutoSIPrefix(False)
    return plot
