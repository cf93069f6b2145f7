"""The grains in a table that sorts and where several may be chosen, and how many are decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSignalBlocker,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QProgressBar,
    QSizePolicy,
    QTableView,
    QWidget,
)

from napari_stemnmf.plugin.docks.review.model import only_confidence, progress

if TYPE_CHECKING:
    import pandas as pd

PERCENT = ("confidence", "overlap_fraction")
ROW_HEIGHT = 20
LEAST = 66
"""Smallest height of the table, in pixels of the screen."""
MARKS = {"accepted": "✓", "rejected": "✗"}
COLUMNS = {
    "grain": ("grain_id", "number of the grain, its label in the layers; it keeps it whatever is edited"),
    "": ("verdict", "✓ accepted, ✗ rejected"),
    "likely": ("confidence", "how likely the grain is right; empty where that is not known, as of what was drawn"),
    "why not": ("reason", "what speaks against the grain"),
    "size": ("positions", "probe positions of the grain"),
    "class": ("class", "what you say it is"),
    "doubt": ("doubt", "0 to 1: how doubtful it is among the grains, by what is chosen under the table"),
    "spread": ("dissimilarity", "how unlike one another its patterns are; empty until it is measured"),
    "stable": ("stability", "how well the other random starts find it: mean overlap (IoU) with the best match"),
    "shared": ("overlap_fraction", "share of its positions that other grains cover as well"),
}
"""Titles of the columns: the column of the data, and its meaning."""
AT_FIRST = ("grain_id", "verdict", "confidence", "reason", "positions")
"""Columns that are shown at first, where they hold something; the others are a right click on the titles away."""
WIDTHS = {"grain_id": 44, "verdict": 20, "confidence": 48, "positions": 50, "class": 64}
"""Of columns, in pixels of the screen; what is not named shares what is left."""


class DecidedBar(QProgressBar):
    """How many grains are decided."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumWidth(150)

    def show_decisions(self, verdicts: pd.DataFrame | None, count: int) -> None:
        """Show the verdicts of so many grains, as `Review.verdicts` gives them."""
        decided, text = progress(verdicts, count)
        self.setRange(0, max(1, count))
        self.setValue(decided)
        self.setFormat(text.partition(":")[0])
        self.setToolTip(f"{text}; kept with the analysis")


class GrainModel(QAbstractTableModel):
    """The table's data."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.ids: list[int] = []
        self._cells: list[list[Any]] = []
        self._stale: set[int] = set()

    def show_grains(self, table: pd.DataFrame | None) -> None:
        """Take a row for each grain, indexed by id, with the columns of `COLUMNS` that are known and ``stale``."""
        ids = [] if table is None else [int(i) for i in table.index]
        columns = [_column(table, name) for name, _ in COLUMNS.values()] if table is not None else []
        cells = [list(row) for row in zip(*columns, strict=True)]
        stale = set() if table is None or "stale" not in table else set(table.index[table["stale"]])
        if ids == self.ids:  # the same rows: only what is new is drawn again
            olds = zip(self._cells, cells, strict=True)
            rows = [at for at, (old, new) in enumerate(olds) if repr(old) != repr(new)]
            rows += [at for at, grain in enumerate(ids) if (grain in stale) != (grain in self._stale)]
            self._cells, self._stale = cells, stale
            for row in dict.fromkeys(rows):
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self.ids, self._cells, self._stale = ids, cells, stale
        self.endResetModel()

    def show_noted(self, features: pd.DataFrame) -> None:
        """Take verdicts and classes anew, from features whose row is the id of a grain."""
        for at, (name, _) in enumerate(COLUMNS.values()):
            if name in ("verdict", "class"):
                values = _column(features.iloc[self.ids], name)
                moved = [row for row, value in enumerate(values) if value != self._cells[row][at]]
                for row in moved:
                    self._cells[row][at] = values[row]
                if moved:
                    self.dataChanged.emit(self.index(min(moved), at), self.index(max(moved), at))

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
            return _text(value, percent=list(COLUMNS.values())[index.column()][0] in PERCENT)
        if role == Qt.ItemDataRole.UserRole:
            return float("inf") if isinstance(value, float) and np.isnan(value) else value
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            changed = "changed since it was measured\n" if self.ids[index.row()] in self._stale else ""
            name, about = list(COLUMNS.values())[index.column()]
            return changed + (f"{value}\n" if name == "reason" and value else "") + about
        if role == Qt.ItemDataRole.FontRole and self.ids[index.row()] in self._stale:
            from qtpy.QtGui import QFont

            font = QFont()
            font.setItalic(True)
            return font
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles and their meaning."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return list(COLUMNS)[section]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return list(COLUMNS.values())[section][1]
        return None


class GrainList(QTableView):
    """The table; `chosen` carries the ids of the rows that the user has selected, the current one at the end."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(
            "a click on a row selects the grain, with Ctrl several; a click on a title sorts, a right click chooses "
            "columns"
        )
        self._table: pd.DataFrame | None = None
        self._wanted: dict[str, bool] = {}  # columns that the user has shown or hidden
        self._by_confidence = False  # whether the rows were put into that order, which is done once
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
            for i, (name, _) in enumerate(COLUMNS.values()):
                if name in WIDTHS:
                    header.setSectionResizeMode(i, QHeaderView.ResizeMode.Interactive)
                    header.resizeSection(i, WIDTHS[name])
            header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            header.customContextMenuRequested.connect(lambda at: self.columns_menu().popup(header.mapToGlobal(at)))
        self._picked = self.selectionModel() or QItemSelectionModel(self._sorted)
        self._picked.selectionChanged.connect(self._on_selected)

    def sizeHint(self) -> QSize:
        """A few rows: the table grows where there is space, and needs no more where a dock scrolls."""
        return QSize(320, 2 * LEAST)

    def resizeEvent(self, event: Any) -> None:
        """The selected grain stays visible where its numbers take space from the table."""
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
        with QSignalBlocker(self):
            self._grains.show_grains(table)
        self._table = table
        self._choose_columns()
        if not self._by_confidence and table is not None and not _is_empty(table, "confidence"):
            self._by_confidence = True
            self.sortByColumn(list(COLUMNS).index("likely"), Qt.SortOrder.AscendingOrder)

    def show_noted(self, features: pd.DataFrame) -> None:
        """Show verdicts and classes anew; all else is as it was."""
        self._grains.show_noted(features)
        if self._table is not None and (features["class"] != "").any():
            self._table = self._table.assign(**{"class": features["class"].iloc[self._grains.ids].to_numpy()})
            self._choose_columns()

    def columns_menu(self) -> QMenu:
        """The columns to choose from; a tick is one that is shown."""
        menu = QMenu(self)
        for i, (title, (name, about)) in enumerate(COLUMNS.items()):
            if name in ("grain_id", "verdict"):
                continue
            action = QAction(title, menu)
            action.setCheckable(True)
            action.setChecked(not self.isColumnHidden(i))
            action.setToolTip(about)
            action.toggled.connect(lambda on, name=name: self.show_column(name, on))
            menu.addAction(action)
        menu.setToolTipsVisible(True)
        return menu

    def show_column(self, name: str, on: bool) -> None:
        """Show or hide a column of the data, whatever it holds."""
        self._wanted[name] = on
        self._choose_columns()

    def _choose_columns(self) -> None:
        table = self._table
        for i, (name, _) in enumerate(COLUMNS.values()):
            holds = table is not None and not _is_empty(table, name)
            doubtful = name == "doubt" and table is not None and not only_confidence(table)
            shown = holds and (name in AT_FIRST or name == "class" or doubtful)
            self.setColumnHidden(i, not self._wanted.get(name, shown or name in ("grain_id", "verdict", "positions")))

    def select(self, ids: Sequence[int]) -> None:
        """Select the rows of these grains, without a signal, and show the last."""
        rows = QItemSelection()
        last = QModelIndex()
        for grain in ids:
            if grain in self._grains.ids:
                last = self._sorted.mapFromSource(self._grains.index(self._grains.ids.index(grain), 0))
                rows.select(last, last)
        flags = QItemSelectionModel.SelectionFlag
        with QSignalBlocker(self):
            self._picked.select(rows, flags.ClearAndSelect | flags.Rows)
            if last.isValid():
                self._picked.setCurrentIndex(last, flags.NoUpdate)
                self.scrollTo(last)

    def _on_selected(self, *_: Any) -> None:
        if self.signalsBlocked():
            return
        rows = {index.row() for index in self._picked.selectedRows()}
        current = self.currentIndex().row()
        order = self.order
        self.chosen.emit([order[row] for row in sorted(rows - {current})] + [order[current]] * (current in rows))


def _column(table: pd.DataFrame, name: str) -> list[Any]:
    if name == "grain_id":
        return [int(i) for i in table.index]
    if name not in table:
        return ["" if name in ("reason", "class") else float("nan")] * len(table)
    if name == "verdict":
        return [MARKS.get(value, "") for value in table[name]]
    return list(table[name].tolist())


def _is_empty(table: pd.DataFrame, name: str) -> bool:
    """Whether a column holds nothing for any grain."""
    if name not in table or not len(table):
        return name != "grain_id"
    return not any(value if isinstance(value, str) else value == value for value in table[name])


def _text(value: Any, percent: bool = False) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.0%}" if percent else f"{value:.2f}"
    return str(value)
