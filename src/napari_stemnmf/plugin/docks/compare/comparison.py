"""Linked views of grains side by side, their box plots, and the rows of the chosen grains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSplitter,
    QTableWidgetItem,
    QWidget,
)

from napari_stemnmf.plugin.docks.compare.model import (
    MEASURES,
    Compared,
    Frame,
    common_frames,
    elided,
    grain_row,
    short_names,
    text,
)
from napari_stemnmf.plugin.docks.compare.plots import Box, BoxPlot, GrainsView, link
from napari_stemnmf.plugin.widgets import Table, column, row

ABOVE, BELOW = 300, 230
"""Heights of views and plots at first, and their shares of what there is, in pixels of the screen."""
OPACITY = 65
"""Of the grains' colours, in percent."""
NAME = 20
"""Letters of a scan's name before its row."""
PROMPT = "click a grain or a point"
IOU_MEANING = "intersection over union with the grain that was clicked"


class Comparison(QWidget):
    """Columns of grains and what was measured of them.

    Parameters
    ----------
    heads : sequence of QWidget
        What stands above each column; as many columns as heads.

    Attributes
    ----------
    views : list of GrainsView
    plots : list of BoxPlot
        One a measure, with a box for each column that is shown.
    rows : GrainRows
        The marked grain of each column.
    shown : list of Compared or None
        What the columns show.
    marked : list of int or None
        The marked grain of each column.
    """

    chosen = Signal(int, object)

    def __init__(self, heads: Sequence[QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        count = len(heads)
        self.shown: list[Compared | None] = [None] * count
        self.marked: list[int | None] = [None] * count
        self.calibrated = False
        self._whole = QRectF()
        self._fitted = True  # all is shown, until the user zooms
        self._last: tuple[int, int, int] | None = None
        self.views = [GrainsView() for _ in heads]
        self.plots = [BoxPlot(measure.title, measure.meaning) for measure in MEASURES]
        self.rows = GrainRows()
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self._strips = [QFrame() for _ in heads]
        self._arrange(heads)
        link(self.views)
        for i, view in enumerate(self.views):
            view.clicked.connect(lambda y, x, i=i: self._on_click(i, y, x))
            view.reset.connect(self.show_all)
            view.moved.connect(self._on_moved)
            view.resized.connect(self._on_resized)
            view.setVisible(False)
        for plot in self.plots:
            plot.clicked.connect(lambda box, grain: self.mark(self._columns()[box], grain))
        self.opacity.valueChanged.connect(self._on_opacity)
        self.opacity.setValue(OPACITY)
        self.show_columns(self.shown)

    def show_columns(self, shown: Sequence[Compared | None]) -> None:
        """Show new grains; the visible part stays while the scans are the same."""
        self.shown, self.marked, self._last = list(shown), [None] * len(shown), None
        columns = self._columns()
        there = [each for each in shown if each is not None]
        self.calibrated, frames = common_frames(there)
        places = dict(zip(columns, frames, strict=True))
        whole = QRectF()
        for i, (each, view) in enumerate(zip(shown, self.views, strict=True)):
            view.show_grains(each, places.get(i, Frame(0.0, 0.0, 1.0, 1.0)), "nm" if self.calibrated else "px")
            view.setVisible(each is not None)
            self._grid.setColumnStretch(i, int(each is not None))
            self._strips[i].setStyleSheet(f"background: {'transparent' if each is None else each.colour};")
            if each is not None:
                whole = whole.united(QRectF(*places[i].rectangle(each.labels.shape)))
        names = short_names(there)
        for plot, measure in zip(self.plots, MEASURES, strict=True):
            values = [each.values(measure, self.calibrated) for each in there]
            boxes = [Box(name, each.colour, found) for name, each, found in zip(names, there, values, strict=True)]
            plot.show_boxes(boxes, measure.unit if self.calibrated else measure.pixel_unit)
        self.rows.show_rows([(each, None, None) for each in there], self.calibrated)
        for part in (self._below, self.rows):
            part.setVisible(bool(there))
        if whole != self._whole:
            self._whole = whole
            self.show_all()

    def show_all(self) -> None:
        """Show all of every scan, in all views as large."""
        self._fitted = True
        visible = [view for view in self.views if not view.isHidden()]
        for view in visible:
            view.show_part(self._whole)
        cameras = [view.camera for view in visible]
        for view in visible:
            view.follow(max(cameras, key=lambda camera: camera.pixel))

    def mark(self, column: int, grain: int | None) -> None:
        """Mark a grain everywhere, and in the other columns of the same scan the one that it overlaps most."""
        clicked = self.shown[column]
        if clicked is None:
            return
        ratios: list[float | None] = [None] * len(self.shown)
        self.marked = [None] * len(self.shown)
        self.marked[column] = grain
        for i, other in enumerate(self.shown):
            if i != column and grain is not None and other is not None and other.same_scan(clicked):
                found = other.counterpart(clicked.grains.mask(grain))
                if found is not None:
                    self.marked[i], ratios[i] = found
        for view, each in zip(self.views, self.marked, strict=True):
            view.mark(each)
        columns = self._columns()
        for plot in self.plots:
            plot.mark([self.marked[i] for i in columns])
        rows = [(each, self.marked[i], ratios[i]) for i, each in enumerate(self.shown) if each is not None]
        self.rows.show_rows(rows, self.calibrated)
        self.chosen.emit(column, grain)

    def set_theme(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        for part in (*self.views, *self.plots):
            part.set_theme(background, text)

    def _columns(self) -> list[int]:
        """The columns that show something."""
        return [i for i, each in enumerate(self.shown) if each is not None]

    def _on_click(self, column: int, row: int, scan_column: int) -> None:
        """Mark the dominant grain; clicks on the same place go on to those below."""
        shown = self.shown[column]
        grains = [] if shown is None else shown.grains_at(row, scan_column)
        marked, again = self.marked[column], self._last == (column, row, scan_column)
        self._last = (column, row, scan_column)
        following = grains.index(marked) + 1 if again and marked in grains else 0
        self.mark(column, grains[following % len(grains)] if grains else None)

    def _on_moved(self, _: Any) -> None:
        self._fitted = False

    def _on_resized(self) -> None:
        if self._fitted:
            self.show_all()

    def _on_opacity(self, percent: int) -> None:
        for view in self.views:
            view.show_colours(percent / 100)

    def _arrange(self, heads: Sequence[QWidget]) -> None:
        """Heads, views and plots above one another; the user draws the line between views and plots."""
        above, below = QWidget(), QWidget()
        self._below = below
        grid = self._grid = QGridLayout(above)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for i, (head, strip, view) in enumerate(zip(heads, self._strips, self.views, strict=True)):
            strip.setFixedHeight(4)
            grid.addWidget(head, 0, i)
            grid.addWidget(strip, 1, i)
            grid.addWidget(view, 2, i)
        grid.setRowStretch(2, 1)
        above.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        row(*self.plots, parent=below).setSpacing(2)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("how much the grains' colours cover the image [%]")
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.setChildrenCollapsible(False)
        for i, (part, height) in enumerate(((above, ABOVE), (below, BELOW))):
            splitter.addWidget(part)
            splitter.setStretchFactor(i, height)
        splitter.setSizes([ABOVE, BELOW])
        shade = row(QLabel("colours"), self.opacity)
        column(splitter, shade, self.rows, parent=self, stretch=splitter)


class GrainRows(Table):
    """A row for each column of the comparison: the grain that is marked there, with all that was measured of it."""

    def __init__(self) -> None:
        super().__init__("the marked grains; the table goes on to the right")
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)

    def show_rows(self, rows: Sequence[tuple[Compared, int | None, float | None]], calibrated: bool) -> None:
        """Show the grain (row of its table, or None) of each, and how well it matches the one that was clicked."""
        found = [grain_row(*row, calibrated) for row in rows]
        names = list(dict.fromkeys(name for each in found for name in each))
        self.setRowCount(len(rows))
        self.setColumnCount(max(1, len(names)))
        self.setHorizontalHeaderLabels(names or [PROMPT])
        self.setVerticalHeaderLabels(
            [f"{elided(compared.name, NAME)} {compared.feature.upper()}" for compared, *_ in rows]
        )
        for i, each in enumerate(found):
            for j, name in enumerate(names):
                item = QTableWidgetItem(text(each.get(name)))
                item.setToolTip(IOU_MEANING if name == "IoU" else "")
                self.setItem(i, j, item)
        self.resizeColumnsToContents()
        self.resizeRowsToContents()
        self._fit_height()

    def _fit_height(self) -> None:
        """As high as its rows, its header and the bar below them."""
        header, lines, bar = self.horizontalHeader(), self.verticalHeader(), self.horizontalScrollBar()
        if header is not None and lines is not None and bar is not None:
            self.setFixedHeight(
                header.sizeHint().height() + lines.length() + bar.sizeHint().height() + 2 * self.frameWidth()
            )
