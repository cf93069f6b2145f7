"""What became of the tracks of a scan: how many are in groups, why others are in none, and how large the groups are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSplitter, QTableWidgetItem, QWidget

from napari_stemnmf.plugin.docks.cluster.model import fates
from napari_stemnmf.plugin.plain_plot import MAIN, PlainPlot
from napari_stemnmf.plugin.widgets import NumberItem, Table, column, wrapping_label

if TYPE_CHECKING:
    from napari_stemnmf.clustering.grouping import Groups

COLUMNS = {"tracks": "number of tracks", "became of them": "whether tracks are in a group, or why not"}
NARROW = 56
"""Width of the numbers' column, in pixels of the screen."""
LEAST = 86
"""Smallest height of the table: three lines."""
MOST = 24
"""Spots of a group that have a bar of their own; larger groups are in the last one."""


class SizesPlot(PlainPlot):
    """How many groups have how many spots."""

    least, size_hint = (110, 96), (190, 120)

    def __init__(self) -> None:
        super().__init__("groups", "spots of a group", "how many groups of spots have two spots, three, and so on")
        self._sizes: np.ndarray | None = None
        self._note = ""

    def show_sizes(self, sizes: np.ndarray | None, note: str = "") -> None:
        """Draw the sizes of groups; without any, the note."""
        self._sizes, self._note = sizes, note
        self.redraw()

    def redraw(self) -> None:
        """Draw what was given last."""
        if self._sizes is None or not len(self._sizes):
            self.write(self._note)
            return
        plot = self.getPlotItem()
        plot.clear()
        self._values(True)
        counts = np.bincount(np.minimum(self._sizes, MOST))
        plot.addItem(pg.BarGraphItem(x=np.arange(len(counts)), height=counts, width=0.8, brush=MAIN, pen=None))
        plot.setXRange(0.5, max(6, len(counts)), padding=0)
        plot.setYRange(0, counts.max(), padding=0.05)


class GroupsPanel(QWidget):
    """Groups of tracks in numbers.

    Attributes
    ----------
    summary : QLabel
    sizes : SizesPlot
    table : Table
        What became of the tracks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.summary, self.sizes = wrapping_label(), SizesPlot()
        self.table = Table("what became of the tracks of spots", COLUMNS, row_height=20)
        self.table.setMinimumHeight(LEAST)
        self.table.setColumnWidth(0, NARROW)
        header = self.table.horizontalHeader()
        if header is not None:
            header.setStretchLastSection(True)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.sizes)
        splitter.addWidget(self.table)
        splitter.setStretchFactor(0, 2)
        splitter.setStretchFactor(1, 3)
        column(self.summary, splitter, parent=self, stretch=splitter)
        self._shown: Groups | None = None
        self.show_groups(None)

    def show_groups(self, groups: Groups | None) -> None:
        """Show these groups, or that there are none yet."""
        if groups is not None and groups is self._shown:
            return
        self._shown = groups
        note = "The groups of spots show here once Cluster has run." if groups is None else "No groups of spots."
        self.summary.setText("" if groups is None else f"{groups}.")
        self.sizes.show_sizes(None if groups is None else groups.sizes, note)
        self.table.setVisible(groups is not None)
        lines = [] if groups is None else fates(groups)
        self.table.setRowCount(len(lines))
        for i, (count, words) in enumerate(lines):
            self.table.setItem(i, 0, NumberItem(count, COLUMNS["tracks"]))
            self.table.setItem(i, 1, QTableWidgetItem(words))

    def set_theme(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self.sizes.set_theme(background, text)
