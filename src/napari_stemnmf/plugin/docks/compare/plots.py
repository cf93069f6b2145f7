"""Grains of one scan over its image, in a view that moves and zooms with others: pyqtgraph, no OpenGL of its own.

Shows what it is given and reports clicks; several views that were linked show the same part of their common canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QTransform
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_stemnmf.plugin.docks.compare.model import Compared, Frame
from napari_stemnmf.plugin.patterns.preview import limits

LEAST = 130
"""Least width and height of a view, in pixels of the screen."""
SIZE = (210, 240)
"""Width and height that a view asks for."""
OUTLINES = (20, 20, 20, 200)
CHOSEN = "#ffe600"
BEHIND = "#000000"
"""Under the outline of the chosen grain, so that it is seen on any colour."""


class Camera(NamedTuple):
    """The middle of what is seen, and the canvas that one pixel of the screen covers."""

    x: float
    y: float
    pixel: float


class GrainsView(pg.PlotWidget):
    """Image, coloured grains and outlines on a canvas in nm (or positions), row 0 on top.

    Wheel and drag zoom and move; a double click asks to show all.
    """

    clicked = Signal(int, int)
    moved = Signal(object)
    all_wanted = Signal()
    resized = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        plot = self.getPlotItem()
        plot.hideAxis("left")
        plot.hideButtons()
        plot.setMenuEnabled(False)
        box = plot.getViewBox()
        box.setAspectLocked(True)
        box.invertY(True)
        box.setDefaultPadding(0.0)
        self._box = box
        self._image = pg.ImageItem(axisOrder="row-major", autoDownsample=True)
        self._image.setColorMap(pg.colormap.get("CET-L1"))
        self._fill = pg.ImageItem(axisOrder="row-major", autoDownsample=True)
        self._lines = pg.PlotCurveItem(connect="pairs", pen=pg.mkPen(QColor(*OUTLINES), width=1))
        self._behind = pg.PlotCurveItem(connect="pairs", pen=pg.mkPen(BEHIND, width=5))
        self._chosen = pg.PlotCurveItem(connect="pairs", pen=pg.mkPen(CHOSEN, width=2.5))
        for item in (self._image, self._fill, self._lines, self._behind, self._chosen):
            plot.addItem(item)
        self._compared: Compared | None = None
        self._frame = Frame(0.0, 0.0, 1.0, 1.0)
        self.setMinimumSize(LEAST, LEAST)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFrameShape(self.Shape.NoFrame)
        self.scene().sigMouseClicked.connect(self._on_click)
        box.sigRangeChangedManually.connect(self._on_moved)
        box.sigResized.connect(self._on_resized)

    def sizeHint(self) -> QSize:
        """Three of them beside the canvas of a window of 1280 pixels."""
        return QSize(*SIZE)

    def show_grains(self, compared: Compared | None, frame: Frame, unit: str) -> None:
        """Show a scan's grains at their place on the common canvas; `unit` is that of the canvas."""
        self._compared, self._frame = compared, frame
        self.getPlotItem().setLabel("bottom", f"x ({unit})")
        for item in (self._image, self._fill, self._lines):
            item.setVisible(compared is not None)
        self.mark(None)
        if compared is None:
            return
        place = QRectF(*frame.rectangle(compared.labels.shape))
        self._image.setVisible(compared.image is not None)
        if compared.image is not None:
            self._image.setImage(compared.image, levels=limits(compared.image), autoLevels=False)
            _place(self._image, place, compared.image.shape)
        self._fill.setImage(compared.picture, levels=(0, 255), autoLevels=False)
        _place(self._fill, place, compared.picture.shape)
        self._draw(self._lines, compared.outlines)

    def mark(self, grain: int | None) -> None:
        """Outline one grain, the parts that others cover included; None for none."""
        chosen = [] if grain is None or self._compared is None else [self._compared.outlines[grain]]
        self._draw(self._behind, chosen)
        self._draw(self._chosen, chosen)

    def show_colours(self, opacity: float) -> None:
        """How much the grains' colours cover the image, 0 to 1."""
        self._fill.setOpacity(opacity)

    def look_at(self, rectangle: QRectF) -> None:
        """Show that part of the common canvas, or more of it where the view's shape is another."""
        self._box.setRange(rectangle, padding=0.0)

    def follow(self, camera: Camera) -> None:
        """See what another view sees, as large; a view that is larger sees more about it."""
        width, height = (size * camera.pixel for size in (self._box.width(), self._box.height()))
        self.look_at(QRectF(camera.x - width / 2, camera.y - height / 2, width, height))

    @property
    def camera(self) -> Camera:
        """What is seen now."""
        seen = self._box.viewRect()
        return Camera(seen.center().x(), seen.center().y(), seen.width() / max(1.0, self._box.width()))

    def set_theme(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self.setBackground(QColor(background))
        axis = self.getAxis("bottom")
        axis.setPen(QColor(text))
        axis.setTextPen(QColor(text))

    def _draw(self, item: pg.PlotCurveItem, outlines: Sequence[np.ndarray]) -> None:
        points = np.concatenate([*outlines, np.empty((0, 2))])
        frame = self._frame
        item.setData(x=frame.x + points[:, 1] * frame.step_x, y=frame.y + points[:, 0] * frame.step_y)

    def _on_moved(self, _: Any) -> None:
        self.moved.emit(self.camera)

    def _on_resized(self, _: Any) -> None:
        self.resized.emit()

    def _on_click(self, event: Any) -> None:
        if event.double():
            self.all_wanted.emit()
        elif event.button() == Qt.MouseButton.LeftButton and self._compared is not None:
            point, frame = self._box.mapSceneToView(event.scenePos()), self._frame
            row, column = (point.y() - frame.y) / frame.step_y, (point.x() - frame.x) / frame.step_x
            self.clicked.emit(int(np.floor(row + 0.5)), int(np.floor(column + 0.5)))


def link(views: Sequence[GrainsView]) -> None:
    """Let all views follow the one that the mouse moves or zooms."""
    for view in views:
        for other in views:
            if other is not view:
                view.moved.connect(other.follow)


def _place(item: pg.ImageItem, place: QRectF, shape: tuple[int, ...]) -> None:
    """Stretch a picture over a rectangle of the canvas."""
    to_left_top = QTransform.fromTranslate(place.left(), place.top())
    item.setTransform(to_left_top.scale(place.width() / shape[1], place.height() / shape[0]))
