"""A pattern with overlays, in Qt: pyqtgraph, so that no second OpenGL context is needed beside napari's canvas.

Shows an image and signals the position of the mouse, clicks, arrow keys and what is drawn, without reference to a scan.
Coordinates are detector pixels, a pixel's centre on its index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QTransform
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_stemnmf.plugin.patterns.scan_patterns import OVERLAYS, limits

SIZE = (320, 280)
"""Preferred width and height of the view, in pixels of the screen."""
LEAST = 150
"""Least width and height of the view, in pixels of the screen."""
MASK_OPACITY = 90
"""Of 255."""
COLOURMAPS = ("inferno", "viridis", "magma", "cividis", "gray", "gray_r")
"""Perceptually uniform ones; the names are napari's."""
LARGE_STEP = 10
"""Steps of an arrow key with Shift."""
ARROWS = {
    Qt.Key.Key_Up: (-1, 0),
    Qt.Key.Key_Down: (1, 0),
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
}
DRAWN_COLOUR = "#ffffff"


class PatternView(pg.PlotWidget):
    """An image in detector pixels, row 0 on top, with lines and a mask over it.

    Wheel and drag zoom and move; a double click shows all of it again. `stepped` carries arrow keys (rows, columns).
    While a polygon is drawn, clicks add corners, a double click or Enter ends it (`drawn`), Escape cancels it.
    """

    clicked = Signal(float, float)
    hovered = Signal(object)
    stepped = Signal(int, int)
    drawn = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        plot = self.getPlotItem()
        plot.hideAxis("left")
        plot.hideAxis("bottom")
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.setContentsMargins(0, 0, 0, 0)
        box = plot.getViewBox()
        box.setAspectLocked(True)
        box.invertY(True)
        box.setDefaultPadding(0.0)
        self._box = box
        self._image = pg.ImageItem(axisOrder="row-major", autoDownsample=True)
        self._mask = pg.ImageItem(axisOrder="row-major")
        self._lines = {name: pg.PlotCurveItem(connect="finite") for name in OVERLAYS if name != "mask"}
        for item in (self._image, self._mask, *self._lines.values()):
            plot.addItem(item)
        for item in (self._image, self._mask):
            item.setTransform(QTransform.fromTranslate(-0.5, -0.5))  # a pixel is centred on its index
        self._lines["centre"].setZValue(1)  # not hidden by the disk that is found there
        for name, item in self._lines.items():
            item.setPen(pg.mkPen(OVERLAYS[name].colour, width=0.8 if name == "aa" else 1.4))
        self._corners: list[tuple[float, float]] | None = None
        self._drawing = pg.PlotCurveItem(pen=pg.mkPen(DRAWN_COLOUR, width=1.6, style=Qt.PenStyle.DashLine))
        self._drawing.setZValue(30)
        plot.addItem(self._drawing)
        self.show_colourmap("gray")
        self._message = QLabel(self)
        self._message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._message.setWordWrap(True)
        self._message.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._shape: tuple[int, ...] = (1, 1)
        self._values: np.ndarray | None = None
        self.setMinimumSize(LEAST, LEAST)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFrameShape(self.Shape.NoFrame)
        self.scene().sigMouseClicked.connect(self._on_click)
        self.scene().sigMouseMoved.connect(self._on_move)

    def sizeHint(self) -> QSize:
        """As wide as napari's docks are by default."""
        return QSize(*SIZE)

    def show_image(
        self, image: np.ndarray | None, values: np.ndarray | None, levels: tuple[float, float] | None = None
    ) -> None:
        """Show an image (q_y, q_x) between two levels; `values` of the same shape are what the mouse reads."""
        self._values = values
        self._image.setVisible(image is not None)
        if image is None:
            return
        self._image.setImage(image, levels=levels or limits(image), autoLevels=False)
        if image.shape != self._shape:
            self._shape = image.shape
            self.show_all()

    def show_colourmap(self, name: str) -> None:
        """Take one of `COLOURMAPS`."""
        colours = pg.colormap.get("CET-L1" if name.startswith("gray") else name)
        if name.endswith("_r"):
            colours.reverse()
        self._image.setColorMap(colours)

    def draw(self, on: bool = True) -> None:
        """Begin to draw a polygon, or cancel it."""
        self._corners = [] if on else None
        self._drawing.setData(x=[], y=[])
        self.setCursor(Qt.CursorShape.CrossCursor if on else Qt.CursorShape.ArrowCursor)
        if on:
            self.setFocus()

    def show_mask(self, mask: np.ndarray | None) -> None:
        """Show a mask (True = keep) over the image, masked pixels red."""
        if mask is None:
            self._mask.clear()
            return
        colour = QColor(OVERLAYS["mask"].colour)
        layer = np.zeros((*mask.shape, 4), np.uint8)
        layer[~mask] = (colour.red(), colour.green(), colour.blue(), MASK_OPACITY)
        self._mask.setImage(layer, levels=(0, 255), autoLevels=False)

    def show_lines(self, name: str, points: np.ndarray | None) -> None:
        """Draw an overlay's (n, 2) points, or none; rows of NaN lift the pen."""
        points = np.empty((0, 2)) if points is None else points
        self._lines[name].setData(x=points[:, 1].astype(np.float64), y=points[:, 0].astype(np.float64))

    def show_overlay(self, name: str, visible: bool) -> None:
        """Show or hide an overlay."""
        (self._mask if name == "mask" else self._lines[name]).setVisible(visible)

    def show_message(self, text: str) -> None:
        """Show a message in place of an image."""
        self._message.setText(text)
        self._message.setVisible(bool(text))

    def show_all(self) -> None:
        """The whole detector."""
        rows, columns = self._shape
        self._box.setRange(QRectF(-0.5, -0.5, columns, rows), padding=0.0)

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self.setBackground(QColor(background))
        self._message.setStyleSheet(f"background: transparent; color: {text};")

    def _at(self, scene: QPointF) -> tuple[float, float] | None:
        """Row and column under a point of the scene, if that is on the detector."""
        point = self._box.mapSceneToView(scene)
        q_y, q_x = float(point.y()), float(point.x())
        rows, columns = self._shape
        inside = -0.5 <= q_y < rows - 0.5 and -0.5 <= q_x < columns - 0.5
        return (q_y, q_x) if inside and self._values is not None else None

    def _on_click(self, event: Any) -> None:
        if event.double():
            self.show_all() if self._corners is None else self._end_drawing()
            return
        found = self._at(event.scenePos())
        if found is None or event.button() != Qt.MouseButton.LeftButton:
            return
        if self._corners is None:
            self.clicked.emit(*found)
            return
        self._corners.append(found)
        q_y, q_x = np.array([*self._corners, self._corners[0]]).T
        self._drawing.setData(x=q_x, y=q_y)

    def _on_move(self, scene: QPointF) -> None:
        found = self._at(scene)
        if found is None or self._values is None:
            self.hovered.emit(None)
            return
        self.hovered.emit((*found, float(self._values[int(found[0] + 0.5), int(found[1] + 0.5)])))

    def _end_drawing(self) -> None:
        corners = self._corners or []
        self.draw(False)
        self.drawn.emit(corners)

    def keyPressEvent(self, event: Any) -> None:
        """Arrow keys step, Enter and Escape end a drawing."""
        drawing = self._corners is not None
        if drawing and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._end_drawing()
        elif drawing and event.key() == Qt.Key.Key_Escape:
            self._corners = []
            self._end_drawing()
        elif event.key() in ARROWS:
            far = LARGE_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            rows, columns = ARROWS[event.key()]
            self.stepped.emit(far * rows, far * columns)
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: Any) -> None:
        """Keep the message in the middle."""
        super().resizeEvent(event)
        message = getattr(self, "_message", None)
        if message is not None:
            message.setGeometry(self.rect().adjusted(12, 0, -12, 0))

    def leaveEvent(self, event: Any) -> None:
        """The mouse has left: there is nothing to read."""
        self.hovered.emit(None)
        super().leaveEvent(event)
