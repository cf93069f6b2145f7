"""Box plots with a point a grain, which can be clicked: pyqtgraph, in the colours of the window's theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSizePolicy, QWidget

WIDTH = 0.66
"""Of a box, where boxes are 1 apart."""
POINT = 6
MARKED = 12
"""Diameter of a point, and of one that is marked, in pixels of the screen."""
LEAST = (130, 120)
SIZE = (210, 190)
NAMES = 24
"""Height of the line of names below the boxes."""
WHISKER = 1.5
"""Whiskers reach the last value that is not further from the box than this many times its height (Tukey)."""
GOLDEN = (np.sqrt(5) - 1) / 2
MEAN, MARK = "#ffffff", "#ffe600"


class Spread(NamedTuple):
    """What a box shows of some numbers."""

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


class BoxPlot(pg.PlotWidget):
    """Boxes side by side, each with its points and a diamond at the mean.

    Attributes
    ----------
    spreads : list of Spread or None
        What is drawn.
    """

    clicked = Signal(int, int)

    def __init__(self, title: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spreads: list[Spread | None] = []
        self._title = title
        self._boxes: list[Box] = []
        self._marked: list[int | None] = []
        self._text = "#808080"
        plot = self.getPlotItem()
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(x=False, y=False)
        self.getAxis("left").enableAutoSIPrefix(False)
        self.getAxis("bottom").setHeight(NAMES)
        self.getAxis("bottom").setStyle(hideOverlappingLabels=False)
        self.setToolTip(tooltip)
        self.setMinimumSize(*LEAST)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFrameShape(self.Shape.NoFrame)

    def sizeHint(self) -> QSize:
        """As wide as a view of grains."""
        return QSize(*SIZE)

    def show_boxes(self, boxes: Sequence[Box], unit: str) -> None:
        """Draw boxes side by side; `unit` stands beside the title of the axis."""
        self._boxes, self._marked = list(boxes), [None] * len(boxes)
        self.spreads = [spread(box.values) for box in boxes]
        self.getPlotItem().setLabel("left", f"{self._title} ({unit})" if unit else self._title)
        self._draw()

    def mark(self, marked: Sequence[int | None]) -> None:
        """Mark one grain of each box, or none of it."""
        self._marked = list(marked)
        self._draw()

    def set_theme(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self._text = text
        self.setBackground(QColor(background))
        for name in ("left", "bottom"):
            self.getAxis(name).setPen(QColor(text))
            self.getAxis(name).setTextPen(QColor(text))
        self._draw()

    def points(self, box: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the points of a box are drawn, x and y, one a grain; NaN for a grain without a value."""
        values = self._boxes[box].values
        values = np.empty(0) if values is None else values
        aside = (np.arange(len(values)) * GOLDEN) % 1.0 - 0.5  # spread evenly, and the same every time
        return np.where(np.isfinite(values), box + 0.8 * WIDTH * aside, np.nan), values

    def _draw(self) -> None:
        plot = self.getPlotItem()
        plot.clear()
        self.getAxis("bottom").setTicks([[(i, box.name) for i, box in enumerate(self._boxes)]])
        for i, (box, found) in enumerate(zip(self._boxes, self.spreads, strict=True)):
            if found is None:
                self._write(i, "not\nmeasured" if box.values is None else "no\nvalue")
            else:
                self._draw_box(i, box, found)
        plot.setXRange(-0.6, max(1, len(self._boxes)) - 0.4, padding=0)
        plot.enableAutoRange(axis="y")
        if not any(self.spreads):
            plot.setYRange(0, 1)
        self.getAxis("left").setStyle(showValues=any(self.spreads))

    def _draw_box(self, i: int, box: Box, found: Spread) -> None:
        plot, colour = self.getPlotItem(), QColor(box.colour)
        faint = QColor(colour)
        faint.setAlpha(70)
        pen = pg.mkPen(QColor(self._text), width=1.2)
        plot.addItem(
            pg.BarGraphItem(x=[i], y0=[found.first], y1=[found.third], width=WIDTH, brush=faint, pen=pg.mkPen(colour))
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
                pg.ScatterPlotItem([x[marked]], [y[marked]], size=MARKED, brush=MARK, pen=pg.mkPen("black", width=1.5))
            )

    def _write(self, i: int, text: str) -> None:
        item = pg.TextItem(text, color=QColor(self._text), anchor=(0.5, 0.5))
        item.setPos(i, np.mean([s.median for s in self.spreads if s is not None] or [0.5]))
        self.addItem(item)


def spread(values: np.ndarray | None) -> Spread | None:
    """Quartiles, whiskers and mean of some numbers; None where there is no number."""
    numbers = np.empty(0) if values is None else values[np.isfinite(values)]
    if not len(numbers):
        return None
    first, median, third = (float(v) for v in np.percentile(numbers, [25, 50, 75]))
    reach = WHISKER * (third - first)
    inside = numbers[(numbers >= first - reach) & (numbers <= third + reach)]
    return Spread(float(inside.min()), first, median, third, float(inside.max()), float(numbers.mean()))
