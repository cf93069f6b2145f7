"""Views of grains over their image, which move and zoom together, and box plots of their numbers: pyqtgraph.

Linked views show the same part of their common canvas. A click on a grain or on its point is reported by a signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QTransform
from qtpy.QtWidgets import QWidget

from napari_stemnmf.plugin.docks.compare.model import Compared, Frame
from napari_stemnmf.plugin.patterns.scan_patterns import limits
from napari_stemnmf.plugin.plain_plot import PlainPlot, faint

OUTLINES = (20, 20, 20, 200)
CHOSEN, BEHIND = "#ffe600", "#000000"
"""Of the outline of the chosen grain, and of the wider line below it, so that it is seen on any colour."""
WIDTH = 0.66
"""Of a box, where boxes are 1 apart."""
POINT, MARKED = 6, 12
"""Diameter of a point, and of one that is marked, in pixels of the screen."""
NAMES = 24
"""Height of the line of names below the boxes."""
WHISKER = 1.5
"""Whiskers reach the last value that is not further from the box than this many times its height (Tukey)."""
GOLDEN = (np.sqrt(5) - 1) / 2
MEAN = "#ffffff"


class Camera(NamedTuple):
    """The middle of the visible part, and the canvas that one pixel of the screen covers."""

    x: float
    y: float
    pixel: float


class GrainsView(PlainPlot):
    """Image, coloured grains and outlines on a canvas in nm (or positions), row 0 on top.

    Wheel and drag zoom and move; a double click asks to show all.
    """

    clicked = Signal(int, int)
    moved = Signal(object)
    reset = Signal()
    resized = Signal()
    least, size_hint = (130, 130), (210, 240)  # three of them beside the canvas of a window of 1280 pixels

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("", "", "", parent)
        plot = self.getPlotItem()
        plot.hideAxis("left")
        plot.setMouseEnabled(x=True, y=True)
        self.getAxis("bottom").enableAutoSIPrefix(True)
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
        self.scene().sigMouseClicked.connect(self._on_click)
        box.sigRangeChangedManually.connect(lambda _: self.moved.emit(self.camera))
        box.sigResized.connect(lambda _: self.resized.emit())

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

    def show_part(self, rectangle: QRectF) -> None:
        """Show that part of the common canvas, or more of it where the view's shape is another."""
        self._box.setRange(rectangle, padding=0.0)

    def follow(self, camera: Camera) -> None:
        """See what another view sees, as large; a view that is larger sees more about it."""
        width, height = (size * camera.pixel for size in (self._box.width(), self._box.height()))
        self.show_part(QRectF(camera.x - width / 2, camera.y - height / 2, width, height))

    @property
    def camera(self) -> Camera:
        """The visible part."""
        part = self._box.viewRect()
        return Camera(part.center().x(), part.center().y(), part.width() / max(1.0, self._box.width()))

    def _draw(self, item: pg.PlotCurveItem, outlines: Sequence[np.ndarray]) -> None:
        points = np.concatenate([*outlines, np.empty((0, 2))])
        frame = self._frame
        item.setData(x=frame.x + points[:, 1] * frame.step_x, y=frame.y + points[:, 0] * frame.step_y)

    def _on_click(self, event: Any) -> None:
        if event.double():
            self.reset.emit()
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


class Spread(NamedTuple):
    """Box statistics of some numbers."""

    low: float
    """End of the lower whisker."""
    first: float
    median: float
    third: float
    high: float
    mean: float


@dataclass(frozen=True, eq=False)
class Box:
    """One box: its name below the axis, its colour, and a number for each grain (NaN: no point); None for no box."""

    name: str
    colour: str
    values: np.ndarray | None


class BoxPlot(PlainPlot):
    """Boxes side by side, each with its points, which can be clicked, and a diamond at the mean.

    Attributes
    ----------
    spreads : list of Spread or None
        Statistics of the boxes.
    """

    clicked = Signal(int, int)
    least, size_hint = (130, 120), (210, 190)

    def __init__(self, title: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__("", "", tooltip, parent)
        self.spreads: list[Spread | None] = []
        self._title = title
        self._boxes: list[Box] = []
        self._marked: list[int | None] = []
        self.getAxis("bottom").setHeight(NAMES)
        self.getAxis("bottom").setStyle(hideOverlappingLabels=False)

    def show_boxes(self, boxes: Sequence[Box], unit: str) -> None:
        """Draw boxes side by side; `unit` stands beside the title of the axis."""
        self._boxes, self._marked = list(boxes), [None] * len(boxes)
        self.spreads = [spread(box.values) for box in boxes]
        self.getPlotItem().setLabel("left", f"{self._title} ({unit})" if unit else self._title)
        self.redraw()

    def mark(self, marked: Sequence[int | None]) -> None:
        """Mark one grain of each box, or none of it."""
        self._marked = list(marked)
        self.redraw()

    def points(self, box: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the points of a box are drawn, x and y, one a grain; NaN for a grain without a value."""
        values = self._boxes[box].values
        values = np.empty(0) if values is None else values
        aside = (np.arange(len(values)) * GOLDEN) % 1.0 - 0.5  # spread evenly, the same every time
        return np.where(np.isfinite(values), box + 0.8 * WIDTH * aside, np.nan), values

    def redraw(self) -> None:
        """Draw what was given last."""
        plot = self.getPlotItem()
        plot.clear()
        self.getAxis("bottom").setTicks([[(i, box.name) for i, box in enumerate(self._boxes)]])
        for i, (box, found) in enumerate(zip(self._boxes, self.spreads, strict=True)):
            if found is None:
                self._write_at(i, "not\nmeasured" if box.values is None else "no\nvalue")
            else:
                self._draw_box(i, box, found)
        plot.setXRange(-0.6, max(1, len(self._boxes)) - 0.4, padding=0)
        plot.enableAutoRange(axis="y")
        if not any(self.spreads):
            plot.setYRange(0, 1)
        self.getAxis("left").setStyle(showValues=any(self.spreads))

    def _draw_box(self, i: int, box: Box, found: Spread) -> None:
        plot, colour = self.getPlotItem(), QColor(box.colour)
        pen = pg.mkPen(QColor(self.text), width=1.2)
        inside = faint(box.colour, 70)
        plot.addItem(
            pg.BarGraphItem(x=[i], y0=[found.first], y1=[found.third], width=WIDTH, brush=inside, pen=pg.mkPen(colour))
        )
        plot.addItem(
            pg.PlotCurveItem(
                x=np.array([i, i, i, i, i - WIDTH / 2, i + WIDTH / 2], float),
                y=np.array([found.low, found.first, found.third, found.high, found.median, found.median]),
                connect="pairs",
                pen=pen,
            )
        )
        x, y = self.points(i)
        there = np.flatnonzero(np.isfinite(y))
        points = pg.ScatterPlotItem(
            x[there], y[there], data=there, size=POINT, brush=colour, pen=None, hoverable=True, hoverSize=POINT + 4
        )
        points.sigClicked.connect(lambda _, spots, event: self.clicked.emit(i, int(spots[0].data())))
        plot.addItem(points)
        plot.addItem(
            pg.ScatterPlotItem([i], [found.mean], symbol="d", size=MARKED - 2, brush=MEAN, pen=pg.mkPen("black"))
        )
        marked = self._marked[i]
        if marked is not None and np.isfinite(y[marked]):
            plot.addItem(
                pg.ScatterPlotItem(
                    [x[marked]], [y[marked]], size=MARKED, brush=CHOSEN, pen=pg.mkPen("black", width=1.5)
                )
            )

    def _write_at(self, i: int, text: str) -> None:
        item = pg.TextItem(text, color=QColor(self.text), anchor=(0.5, 0.5))
        item.setPos(i, np.mean([s.median for s in self.spreads if s is not None] or [0.5]))
        self.addItem(item)


def spread(values: np.ndarray | None) -> Spread | None:
    """Quartiles, whiskers and mean of some numbers; None where there is no number."""
    from matplotlib.cbook import boxplot_stats

    numbers = np.empty(0) if values is None else values[np.isfinite(values)]
    if not len(numbers):
        return None
    (found,) = boxplot_stats(numbers, whis=WHISKER)
    return Spread(*(float(found[name]) for name in ("whislo", "q1", "med", "q3", "whishi", "mean")))
