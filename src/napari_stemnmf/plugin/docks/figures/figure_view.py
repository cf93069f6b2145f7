"""A drawn figure in a dock: as large as fits, nearer with the mouse wheel."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPixmap
from qtpy.QtWidgets import QFrame, QGraphicsPixmapItem, QGraphicsScene, QGraphicsView, QSizePolicy, QWidget

SIZE = (520, 420)
"""Width and height that the view asks for, in pixels of the screen."""
STEP = 1.25
"""How much nearer one step of the wheel goes."""
NEAREST = 4.0
"""Pixels of the screen for one of the picture, at most."""


class FigureView(QGraphicsView):
    """A picture that the wheel zooms and a drag moves; a double click shows all of it again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._paper = QGraphicsScene(self)
        self._picture = QGraphicsPixmapItem()
        self._paper.addItem(self._picture)
        self._picture.setTransformationMode(Qt.TransformationMode.SmoothTransformation)
        self._all = True
        self.setScene(self._paper)
        self.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMinimumSize(160, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setToolTip("wheel: nearer; drag: move; double click: all of it")

    def sizeHint(self) -> QSize:
        """Wide enough to tell what a figure shows."""
        return QSize(*SIZE)

    def show_png(self, png: bytes) -> None:
        """Show a picture; nothing where there are no bytes."""
        pixmap = QPixmap()
        pixmap.loadFromData(png)
        self._picture.setPixmap(pixmap)
        self._paper.setSceneRect(QRectF(pixmap.rect()))
        self.show_all()

    @property
    def pixmap(self) -> QPixmap:
        """What is shown."""
        return self._picture.pixmap()

    def show_all(self) -> None:
        """All of the picture, not larger than it is."""
        self._all = True
        if self.pixmap.isNull():
            return
        self.fitInView(self._picture, Qt.AspectRatioMode.KeepAspectRatio)
        if self.transform().m11() > 1.0:
            self.resetTransform()

    def set_theme(self, background: str) -> None:
        """Take the colour of the window's theme."""
        self.setBackgroundBrush(QColor(background))

    def wheelEvent(self, event: Any) -> None:
        """Nearer or further, about the mouse."""
        factor = STEP if event.angleDelta().y() > 0 else 1 / STEP
        if self.pixmap.isNull() or self.transform().m11() * factor > NEAREST:
            return
        self._all = False
        self.scale(factor, factor)
        if self.transform().m11() * self.pixmap.width() < self.width() / 2:
            self.show_all()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """All of it."""
        self.show_all()

    def resizeEvent(self, event: Any) -> None:
        """All of it stays all of it."""
        super().resizeEvent(event)
        if self._all:
            self.show_all()
