"""The grains in a small table that sorts, and where several may be chosen: what is decided, what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableView, QWidget

if TYPE_CHECKING:
    import pandas as pd

ROW_HEIGHT = 20
LEAST = 88
"""Least height of the table, in pixels of the screen."""
MARKS = {"accepted": "✓", "rejected": "✗"}
COLUMNS = {
    "grain": ("grain_id", "id of the grain, its label in the layers; it keeps it whatever is edited"),
    "": ("verdict", "✓ accepted, ✗ rejected"),
    "class": ("class", "what you say it is"),
    "pos.": ("positions", "probe positions of the grain"),
    "doubt": ("doubt", "0 to 1: how doubtful it is among the grains, by what is chosen under the table"),
    "dissim": ("dissimilarity", "how unlike one another its patterns are; empty until it is measured"),
    "stable": ("stability", "mean overlap (IoU) with the best match in the other seeds; empty with a single seed"),
    "shared": ("overlap_fraction", "share of its positions that other grains cover as well"),
}
"""Titles of the columns: the column of the data, and what it says."""


class GrainModel(QAbstractTableModel):
    """The table's data."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.ids: list[int] = []
        self._cells: list[list[Any]] = []
        self._stale: set[int] = set()

    def show_grains(self, table: pd.DataFrame | None) -> None:
        """Take a row for each grain, indexed by id, with the columns of `COLUMNS` that are known and ``stale``."""
        self.beginResetModel()
        self.ids = [] if table is None else [int(i) for i in table.index]
        columns = [_column(table, name) for name, _ in COLUMNS.values()] if table is not None else []
        self._cells = [list(row) for row in zip(*columns, strict=True)]
        self._stale = set() if table is None or "stale" not in table else set(table.index[table["stale"]])
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Grains."""
        return len(self.ids)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Columns."""
        return len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, sorting value, alignment or tool tip of a cell."""
        value = self._cells[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(value)
        if role == Qt.ItemDataRole.UserRole:
            return float("inf") if isinstance(value, float) and np.isnan(value) else value
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            changed = "changed since it was measured\n" if self.ids[index.row()] in self._stale else ""
            return changed + list(COLUMNS.values())[index.column()][1]
        if role == Qt.ItemDataRole.FontRole and self.ids[index.row()] in self._stale:
            from qtpy.QtGui import QFont

            font = QFont()
            font.setItalic(True)
            return font
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles and what they say."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return list(COLUMNS)[section]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return list(COLUMNS.values())[section][1]
        return None


class GrainList(QTableView):
    """The table; `chosen` tells the ids of the rows that the user has selected, the one touched last at the end."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip("a click on a row selects the grain, with Ctrl several; a click on a title sorts")
        self._grains = GrainModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._grains)
        self._sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(LEAST)
        self.setWordWrap(False)
        lines, header = self.verticalHeader(), self.horizontalHeader()
        if lines is not None and header is not None:
            lines.hide()
            lines.setDefaultSectionSize(ROW_HEIGHT)
            header.setMinimumSectionSize(20)
            header.setStyleSheet("QHeaderView::section { padding: 1px; font-weight: normal; }")
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            mark = list(COLUMNS).index("")
            header.setSectionResizeMode(mark, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(mark, 22)
        self._telling = True
        self._picked = self.selectionModel() or QItemSelectionModel(self._sorted)
        self._picked.selectionChanged.connect(self._on_selected)

    def sizeHint(self) -> QSize:
        """A few rows: it takes what room there is, and asks for no more where a dock scrolls."""
        return QSize(320, LEAST)

    def resizeEvent(self, event: Any) -> None:
        """The selected grain stays in sight where its numbers take room from the table."""
        super().resizeEvent(event)
        if self._picked.isSelected(self.currentIndex()):
            self.scrollTo(self.currentIndex())

    @property
    def order(self) -> list[int]:
        """Ids of the grains as the rows show them."""
        rows = range(self._sorted.rowCount())
        return [self._grains.ids[self._sorted.mapToSource(self._sorted.index(row, 0)).row()] for row in rows]

    def show_grains(self, table: pd.DataFrame | None) -> None:
        """Show these grains, in the order that the user has chosen; none is selected."""
        self._telling = False
        self._grains.show_grains(table)
        self._telling = True

    def select(self, ids: Sequence[int]) -> None:
        """Select the rows of these grains, without telling so, and show the last."""
        wanted = QItemSelection()
        last = QModelIndex()
        for grain in ids:
            if grain in self._grains.ids:
                last = self._sorted.mapFromSource(self._grains.index(self._grains.ids.index(grain), 0))
                wanted.select(last, last)
        flags = QItemSelectionModel.SelectionFlag
        self._telling = False
        self._picked.select(wanted, flags.ClearAndSelect | flags.Rows)
        if last.isValid():
            self._picked.setCurrentIndex(last, flags.NoUpdate)
            self.scrollTo(last)
        self._telling = True

    def _on_selected(self, *_: Any) -> None:
        if not self._telling:
            return
        rows = {index.row() for index in self._picked.selectedRows()}
        current = self.currentIndex().row()
        order = self.order
        self.chosen.emit([order[row] for row in sorted(rows - {current})] + [order[current]] * (current in rows))


def _column(table: pd.DataFrame, name: str) -> list[Any]:
    if name == "grain_id":
        return [int(i) for i in table.index]
    if name not in table:
        return [float("nan")] * len(table)
    if name == "verdict":
        return [MARKS.get(value, "") for value in table[name]]
    return list(table[name].tolist())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.2f}"
    return str(value)
