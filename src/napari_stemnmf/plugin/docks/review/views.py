"""The grains in a table that sorts and where several may be chosen, and the patterns of one grain side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
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
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGridLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QTableView,
    QWidget,
)

from napari_stemnmf.plugin.docks.review.model import Pictures, only_confidence, progress
from napari_stemnmf.plugin.patterns.pattern_view import PatternView
from napari_stemnmf.plugin.patterns.scan_patterns import SCALES, scaled

if TYPE_CHECKING:
    import pandas as pd

ROW_HEIGHT = 20
LEAST = 88
"""Smallest height of the table, in pixels of the screen."""
MARKS = {"accepted": "✓", "rejected": "✗"}
COLUMNS = {
    "grain": ("grain_id", "id of the grain, its label in the layers; it keeps it whatever is edited"),
    "": ("verdict", "✓ accepted, ✗ rejected"),
    "class": ("class", "what you say it is"),
    "pos.": ("positions", "probe positions of the grain"),
    "likely": ("confidence", "probability that the grain is right; why not stands among its numbers, below"),
    "doubt": ("doubt", "0 to 1: how doubtful it is among the grains, by what is chosen under the table"),
    "dissim": ("dissimilarity", "how unlike one another its patterns are; empty until it is measured"),
    "stable": ("stability", "mean overlap (IoU) with the best match in the other seeds"),
    "shared": ("overlap_fraction", "share of its positions that other grains cover as well"),
}
"""Titles of the columns: the column of the data, and its meaning."""
OF_SOME = ("confidence", "stability")
"""Columns that are hidden where they are empty: groups of spots have no stability, grains that were drawn neither."""
PICTURE, SMALLEST = (128, 96), 84
"""Preferred width and height of a picture, and the smallest, in pixels of the screen."""
SIGNED = pg.ColorMap(None, [(33, 102, 172), (247, 247, 247), (178, 24, 43)])
"""Blue where the neighbour is brighter, red where the grain is."""
PICTURES = {
    "mean": "mean pattern of the grain's positions, weighted, counts",
    "alone": "the same over the positions that no other grain covers, counts",
    "difference": "the grain (red) minus the most similar one (blue), of the same sum; a click on its name selects it",
}


class DecidedBar(QProgressBar):
    """How many grains are decided."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip("grains that were accepted or rejected; kept with the analysis")

    def show_decisions(self, verdicts: pd.DataFrame | None, count: int) -> None:
        """Show the verdicts of so many grains, as `Review.verdicts` gives them."""
        decided, text = progress(verdicts, count)
        self.setRange(0, max(1, count))
        self.setValue(decided)
        self.setFormat(text)


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
        self._picked = self.selectionModel() or QItemSelectionModel(self._sorted)
        self._picked.selectionChanged.connect(self._on_selected)

    def sizeHint(self) -> QSize:
        """A few rows: the table grows where there is space, and needs no more where a dock scrolls."""
        return QSize(320, LEAST)

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
        for i, (name, _) in enumerate(COLUMNS.values()):
            if name in OF_SOME:
                self.setColumnHidden(i, table is None or name not in table or bool(table[name].isna().all()))
            elif name == "doubt":
                self.setColumnHidden(i, table is None or only_confidence(table))

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


class SmallView(PatternView):
    """A small pattern; a signed one is blue, white and red."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumSize(SMALLEST, SMALLEST)

    def sizeHint(self) -> QSize:
        """Three of them beside each other in a dock."""
        return QSize(*PICTURE)

    def show_signed(self, image: np.ndarray | None, values: np.ndarray | None) -> None:
        """As `show_image`, with 0 in the middle of the colours."""
        most = 1.0 if image is None else float(np.percentile(np.abs(image), 99.8)) or 1.0
        self.show_image(image, values, (-most, most))

    def set_colour_map(self, colours: pg.ColorMap) -> None:
        """Show the counts in these colours."""
        self._image.setColorMap(colours)


class GrainPictures(QWidget):
    """Three views of a grain; the value under the mouse stands above them.

    Attributes
    ----------
    views : dict of SmallView
        By the names in `PICTURES`.
    titles : dict of QLabel
    scale : QComboBox
        How the counts are shown; the dock places it.
    """

    neighbour_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pictures = Pictures()
        self.views = {name: SmallView() for name in PICTURES}
        self.titles = {name: QLabel() for name in PICTURES}
        self.scale = QComboBox()
        self.scale.addItems(SCALES)
        self.scale.setToolTip("how counts become brightness in the three pictures")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for column, name in enumerate(PICTURES):
            self.titles[name].setToolTip(PICTURES[name])
            self.titles[name].setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self.views[name].setToolTip(PICTURES[name])
            self.views[name].hovered.connect(lambda found, name=name: self._on_hover(name, found))
            grid.addWidget(self.titles[name], 0, column)
            grid.addWidget(self.views[name], 1, column)
            grid.setColumnStretch(column, 1)
        grid.setRowStretch(1, 1)
        self.views["difference"].set_colour_map(SIGNED)
        self.titles["difference"].setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.titles["difference"].linkActivated.connect(lambda link: self.neighbour_chosen.emit(int(link)))
        self.scale.currentTextChanged.connect(lambda _: self._draw())
        self._draw()

    def show_grain(self, pictures: Pictures) -> None:
        """Show the patterns of a grain."""
        self._pictures = pictures
        self._draw()

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self._text = text
        for view in self.views.values():
            view.set_colours(background, text)
        self._draw()

    def set_colour_map(self, name: str) -> None:
        """Show the patterns in a colour map of napari."""
        from napari.utils.colormaps import ensure_colormap

        found = pg.ColorMap(None, 255 * ensure_colormap(name).map(np.linspace(0, 1, 256)))
        for view in ("mean", "alone"):
            self.views[view].set_colour_map(found)

    _text = "#ffffff"

    def _draw(self) -> None:
        shown, scale = self._pictures, self.scale.currentText()
        images = {"mean": shown.mean, "alone": shown.alone, "difference": shown.difference}
        for name, image in images.items():
            view = self.views[name]
            if name == "difference":
                view.show_signed(None if image is None else np.sign(image) * scaled(np.abs(image), scale), image)
            else:
                view.show_image(None if image is None else scaled(image, scale), image)
            view.show_message(shown.notes.get(name, "") if image is None else "")
        self._name_views()

    def _name_views(self) -> None:
        shown = self._pictures
        neighbour = f"– <a href='{shown.neighbour}' style='color:{self._text}'>grain {shown.neighbour}</a>"
        self.titles["mean"].setText("mean")
        self.titles["alone"].setText("alone" + (f", {shown.positions_alone} pos." if shown.positions_alone else ""))
        self.titles["difference"].setText(
            f"{neighbour}, r {shown.correlation:.2f}" if shown.neighbour else "– neighbour"
        )

    def _on_hover(self, name: str, found: Any) -> None:
        """Show the value under the mouse in place of the view's name."""
        self._name_views()
        if found is not None:
            q_y, q_x, value = found
            self.titles[name].setText(f"({round(q_y)}, {round(q_x)}) px: {value:.4g}")


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
