"""The two tables of Score: all numbers of all features, and every grain with its best match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem, QWidget

from napari_stemnmf.grains.score_table import MEANINGS
from napari_stemnmf.plugin.docks.score.model import Row, Scored

NONE = "–"
ROW_HEIGHT = 21
COLUMNS = {
    "grain": "number of the found grain, its label in the grains layer",
    "match": "number of its best match, the true grain that holds most of its weight, counted from 1",
    "TPR_G": "share of the best match that is in the found grain",
    "FPR_G": "share of the scan outside the best match that is in the found grain",
    "IoU": "intersection over union of the two",
}
"""Columns of the table of grains, and their meaning."""
MISSED = "a true grain that is the best match of no found grain"


class Table(QTableWidget):
    """A table to read: rows are chosen, nothing is edited."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        lines = self.verticalHeader()
        if lines is not None:
            lines.setDefaultSectionSize(ROW_HEIGHT)

    def stretch_columns(self) -> None:
        """Let the columns share the width, or scroll where they would become too narrow."""
        header = self.horizontalHeader()
        if header is not None:
            self.resizeColumnsToContents()
            header.setMinimumSectionSize(48)
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)


class ScoreTable(Table):
    """A row for each number, a column for each subject; `chosen` carries the column that was clicked."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip("a click on a column lists its grains")
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
                self.setItem(row, column, _item(value, MEANINGS[name]))
        for row, meaning in enumerate(MEANINGS.values() if subjects else ()):
            title = self.verticalHeaderItem(row)
            if title is not None:
                title.setToolTip(meaning)
        self.stretch_columns()


class GrainTable(Table):
    """A row for each found grain, and for each true one that matches none; `chosen` carries the row."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setToolTip("a click on a row shows the grain and its match; a click on a title sorts")
        self.setColumnCount(len(COLUMNS))
        lines = self.verticalHeader()
        if lines is not None:
            lines.hide()
        self.currentCellChanged.connect(self._on_current)
        for column, (name, meaning) in enumerate(COLUMNS.items()):
            title = QTableWidgetItem(name)
            title.setToolTip(meaning)
            self.setHorizontalHeaderItem(column, title)
        self.stretch_columns()

    def show_rows(self, rows: Sequence[Row], ids: Sequence[int] | np.ndarray = ()) -> None:
        """Show these rows, found grains by their ids; a click on a column's title sorts them."""
        with QSignalBlocker(self):
            self.setSortingEnabled(False)
            self.setRowCount(len(rows))
            for i, row in enumerate(rows):
                grain = int(ids[row.found]) if row.found >= 0 else None
                cells = (grain, row.true + 1 if row.true >= 0 else None, row.TPR, row.FPR, row.iou)
                for column, (value, meaning) in enumerate(zip(cells, COLUMNS.values(), strict=True)):
                    item = _item(value, MISSED if row.found < 0 else meaning)
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


class _Item(QTableWidgetItem):
    """A cell that sorts by its number; what has none comes last."""

    def __lt__(self, other: QTableWidgetItem) -> bool:
        mine, its = (item.data(Qt.ItemDataRole.UserRole) for item in (self, other))
        return bool((float("inf") if mine is None else mine) < (float("inf") if its is None else its))


def _item(value: Any, meaning: str) -> QTableWidgetItem:
    known = value is not None and value == value
    item = _Item(NONE if not known else str(value) if isinstance(value, int) else f"{value:.3f}")
    item.setData(Qt.ItemDataRole.UserRole, value if known else None)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setToolTip(meaning)
    return item
