"""A virtual detector over the pattern, in Qt: drawn in its colour, moved by its inside, shaped by its handles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from qtpy.QtCore import QObject, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainterPath, QPolygonF

from napari_stemnmf.plugin.docks.explore.detector_shapes import CENTRE, dragged, handles, outlines
from napari_stemnmf.streaming.virtual_detectors import Detector

if TYPE_CHECKING:
    from napari_stemnmf.plugin.docks.explore.model import Explored
    from napari_stemnmf.plugin.patterns.pattern_view import PatternView

FILL = 45
"""Opacity of the chosen detector, of 255."""
HANDLE = 10
"""Size of a handle, in pixels of the screen."""


class DetectorItem(pg.GraphicsObject):
    """One detector; the one that is chosen shows its handles."""

    changed = Signal(object)
    chosen = Signal()

    def __init__(self, detector: Detector, colour: str) -> None:
        super().__init__()
        self._colour = QColor(colour)
        self._detector = detector
        self._chosen = False
        self._path = QPainterPath()
        self._handles: dict[str, pg.TargetItem] = {}
        self._quiet = False
        self._from: tuple[float, float] | None = None
        self.show_detector(detector, colour, False)

    @property
    def detector(self) -> Detector:
        """What is shown."""
        return self._detector

    def show_detector(self, detector: Detector, colour: str, chosen: bool) -> None:
        """Show another detector, without signalling that."""
        self.prepareGeometryChange()
        self._detector, self._colour, self._chosen = detector, QColor(colour), chosen
        self._path = QPainterPath()
        self._path.setFillRule(Qt.FillRule.OddEvenFill)
        for line in outlines(detector):
            self._path.addPolygon(QPolygonF([QPointF(float(x), float(y)) for y, x in line]))
            self._path.closeSubpath()
        self._show_handles()
        self.setZValue(20 if chosen else 10)
        self.update()

    def handle(self, name: str) -> Any:
        """The handle of that name, of the chosen detector."""
        return self._handles[name]

    def boundingRect(self) -> QRectF:
        """As Qt asks for it."""
        return self._path.boundingRect().adjusted(-1.0, -1.0, 1.0, 1.0)

    def shape(self) -> QPainterPath:
        """What the mouse can press."""
        return self._path

    def paint(self, painter: Any, *_: Any) -> None:
        """As Qt asks for it."""
        painter.setRenderHint(painter.RenderHint.Antialiasing)
        painter.setPen(pg.mkPen(self._colour, width=2.4 if self._chosen else 1.4))
        fill = QColor(self._colour)
        fill.setAlpha(FILL if self._chosen else 0)
        painter.setBrush(fill)
        painter.drawPath(self._path)

    def mouseClickEvent(self, event: Any) -> None:
        """A click chooses it."""
        if event.button() == Qt.MouseButton.LeftButton and not event.double():
            self.chosen.emit()

    def mouseDragEvent(self, event: Any) -> None:
        """A drag of its inside moves it."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        event.accept()
        if event.isStart():
            self.chosen.emit()
            self._from = self._detector.q_y, self._detector.q_x
        if self._from is not None:
            by = event.pos() - event.buttonDownPos()
            self._change(self._detector.moved(self._from[0] + by.y(), self._from[1] + by.x()))
        if event.isFinish():
            self._from = None

    def _show_handles(self) -> None:
        wanted = handles(self._detector) if self._chosen else {}
        for name in set(self._handles) - set(wanted):
            target = self._handles.pop(name)
            target.setParentItem(None)
            if target.scene() is not None:
                target.scene().removeItem(target)
        self._quiet = True
        try:
            for name, (q_y, q_x) in wanted.items():
                if name not in self._handles:
                    self._handles[name] = self._new_handle(name)
                self._handles[name].setPos(q_x, q_y)
        finally:
            self._quiet = False

    def _new_handle(self, name: str) -> pg.TargetItem:
        target = pg.TargetItem(
            size=HANDLE,
            symbol="+" if name == CENTRE else "s",
            pen=pg.mkPen(self._colour, width=1.5),
            hoverPen=pg.mkPen("w", width=2),
            brush=pg.mkBrush(0, 0, 0, 120),
            hoverBrush=pg.mkBrush(self._colour),
        )
        target.setParentItem(self)
        target.setZValue(float(name == CENTRE))  # where a small detector's handles lie on one another, it is moved
        target.sigPositionChanged.connect(lambda _, name=name: self._on_handle(name))
        return target

    def _on_handle(self, name: str) -> None:
        if not self._quiet:
            at = self._handles[name].pos()
            self._change(dragged(self._detector, name, at.y(), at.x()))

    def _change(self, detector: Detector) -> None:
        if detector != self._detector:
            self.changed.emit(detector)


class DetectorOverlay(QObject):
    """The detectors of an `Explored` over a pattern view; what the user does with them goes to it.

    Attributes
    ----------
    items : list of DetectorItem
    """

    def __init__(self, view: PatternView) -> None:
        super().__init__(view)
        self._view = view
        self._explored: Explored | None = None
        self.items: list[DetectorItem] = []

    def show_explored(self, found: Explored | None) -> None:
        """Show its detectors as they are now; None for none."""
        self._explored = found
        placed = found.detectors if found is not None else ()
        while len(self.items) > len(placed):
            self._view.remove(self.items.pop())
        for i, each in enumerate(placed):
            if i == len(self.items):
                self.items.append(self._new_item(i, each.detector, each.colour))
            self.items[i].show_detector(each.detector, each.colour, found is not None and i == found.chosen)

    def _new_item(self, index: int, detector: Detector, colour: str) -> DetectorItem:
        item = DetectorItem(detector, colour)
        item.changed.connect(lambda changed: self._on_changed(index, changed))
        item.chosen.connect(lambda: self._on_chosen(index))
        self._view.add(item)
        return item

    def _on_changed(self, index: int, detector: Detector) -> None:
        if self._explored is not None:
            self._explored.change(index, detector)

    def _on_chosen(self, index: int) -> None:
        if self._explored is not None:
            self._explored.choose(index)
