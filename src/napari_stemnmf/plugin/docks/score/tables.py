"""The two tables of Score: all numbers of all features, and every grain with its best match."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QSizePolicy

from napari_stemnmf.grains.scoring import MEANINGS
from napari_stemnmf.plugin.docks.score.model import Row, Scored
from napari_stemnmf.plugin.widgets import NumberItem, Table

NARROWEST = 48
"""Smallest width of a column, in pixels of the screen."""
COLUMNS = {
    "grain": "number of the found grain, its label in the grains layer",
    "match": "number of its best match, the true grain that holds most of its weight, counted from 1",
    "TPR_G": "share of the best match that is in the found grain",
    "FPR_G": "share of the scan outside the best match that is in the found grain",
    "IoU": "intersection over union of the two",
}
"""Columns of the table of grains, and their meaning."""
MISSED = "a true grain that is the best match of no found grain"


class ScoreTable(Table):
    """A row for each number, a column for each subject; `chosen` carries the column that was clicked."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__("a click on a column lists its grains")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.cellClicked.connect(lambda row, column: self.chosen.emit(column))
        header = self.horizontalHeader()
        if header is not None:
            header.sectionClicked.connect(self.chosen.emit)

    def show_scores(self, scored: Scored | None) -> None:
        """Show all numbers, or none."""
        subjects = () if scored is None else scored.subjects
        self.setColumnCount(len(subjects))
        self.setRowCount(len(MEANINGS) if subjects else 0)
        self.setHorizontalHeaderLabels([subject.name.replace(" ", "\n") for subject in subjects])
        self.setVerticalHeaderLabels(list(MEANINGS) if subjects else [])
        for column, scores in enumerate(() if scored is None else scored.scores):
            for row, (name, value) in enumerate(scores.as_dict().items()):
                self.setItem(row, column, NumberItem(value, MEANINGS[name]))
        for row, meaning in enumerate(MEANINGS.values() if subjects else ()):
            title = self.verticalHeaderItem(row)
            if title is not None:
                title.setToolTip(meaning)
        self.share_width(NARROWEST)


class GrainTable(Table):
    """A row for each found grain, and for each true one that matches none; `chosen` carries the row."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__("a click on a row shows the grain and its match; a click on a title sorts", COLUMNS)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.currentCellChanged.connect(self._on_current)
        self.share_width(NARROWEST)

    def show_rows(self, rows: Sequence[Row], ids: Sequence[int] | np.ndarray = ()) -> None:
        """Show these rows, found grains by their ids; a click on a column's title sorts them."""
        with QSignalBlocker(self):
            self.setSortingEnabled(False)
            self.setRowCount(len(rows))
            for i, row in enumerate(rows):
                grain = int(ids[row.found]) if row.found >= 0 else None
                cells = (grain, row.true + 1 if row.true >= 0 else None, row.TPR, row.FPR, row.iou)
                for column, (value, meaning) in enumerate(zip(cells, COLUMNS.values(), strict=True)):
                    item = NumberItem(value, MISSED if row.found < 0 else meaning)
                    item.setData(Qt.ItemDataRole.UserRole + 1, row)
                    self.setItem(i, column, item)
            self.setCurrentCell(-1, -1)
            self.clearSelection()
            self.setSortingEnabled(True)
            self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)  # type: ignore[union-attr]

    def _on_current(self, row: int, *_: int) -> None:
        item = self.item(row, 0)
        if item is not None:
            self.chosen.emit(item.data(Qt.ItemDataRole.UserRole + 1))
