"""Small parts of docks: layouts without margins, buttons, choosers, labels, tables, and whether a widget is visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QBoxLayout,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

NO_VALUE = "–"


def row(*parts: QWidget | QLayout, parent: QWidget | None = None, stretch: QWidget | None = None) -> QHBoxLayout:
    """Widgets and layouts side by side; the one named by `stretch` takes the space that is left."""
    return _filled(QHBoxLayout(), parts, parent, stretch)


def column(*parts: QWidget | QLayout, parent: QWidget | None = None, stretch: QWidget | None = None) -> QVBoxLayout:
    """Widgets and layouts below each other; the one named by `stretch` takes the space that is left."""
    return _filled(QVBoxLayout(), parts, parent, stretch)


def _filled(layout: Any, parts: tuple[QWidget | QLayout, ...], parent: QWidget | None, stretch: QWidget | None) -> Any:
    box: QBoxLayout = layout
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(4)
    for part in parts:
        if isinstance(part, QWidget):
            box.addWidget(part, int(part is stretch))
        else:
            box.addLayout(part)
    if parent is not None:
        parent.setLayout(box)
    return box


def wrapping_label(tooltip: str = "") -> QLabel:
    """A text that wraps, and does not widen its dock."""
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setToolTip(tooltip)
    return label


def button(
    text: str, tooltip: str, pressed: Callable[[], object] | None = None, *, checkable: bool = False
) -> QPushButton:
    """A button with what it does; `pressed` is called without arguments on each click."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    made.setCheckable(checkable)
    if pressed is not None:
        made.clicked.connect(lambda *_: pressed())
    return made


def chooser(titles: Mapping[str, str], tooltip: str) -> QComboBox:
    """A choice among named titles; the data of each entry is its name."""
    made = QComboBox()
    for name, title in titles.items():
        made.addItem(title, name)
    made.setToolTip(tooltip)
    return made


class Table(QTableWidget):
    """A table to read: one row or cell is chosen, nothing is edited.

    Parameters
    ----------
    tooltip : str
    columns : mapping of str, optional
        Titles of the columns and their meaning. Rows are chosen as a whole then, and have no titles.
    row_height : int
        In pixels of the screen.
    """

    def __init__(self, tooltip: str, columns: Mapping[str, str] | None = None, row_height: int = 21) -> None:
        super().__init__()
        self.setToolTip(tooltip)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        lines = self.verticalHeader()
        if lines is not None:
            lines.setDefaultSectionSize(row_height)
            lines.setVisible(not columns)
        if columns:
            self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
            self.setColumnCount(len(columns))
            for i, (name, meaning) in enumerate(columns.items()):
                title = QTableWidgetItem(name)
                title.setToolTip(meaning)
                self.setHorizontalHeaderItem(i, title)

    def share_width(self, least: int = 0) -> None:
        """Let the columns share the width; they become no narrower than their contents and `least`, if that is set."""
        header = self.horizontalHeader()
        if header is not None:
            if least:
                self.resizeColumnsToContents()
                header.setMinimumSectionSize(least)
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)


class NumberItem(QTableWidgetItem):
    """A cell of a table that sorts by its number; cells without a number come last."""

    def __init__(self, value: float | None, tooltip: str) -> None:
        known = value is not None and value == value
        super().__init__(NO_VALUE if not known else str(value) if isinstance(value, int) else f"{value:.3f}")
        self.setData(Qt.ItemDataRole.UserRole, value if known else None)
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setToolTip(tooltip)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        mine, its = (item.data(Qt.ItemDataRole.UserRole) for item in (self, other))
        return bool((float("inf") if mine is None else mine) < (float("inf") if its is None else its))


class Visibility(QObject):
    """Reports when a widget is shown and when it is hidden; in a minimised window it counts as visible.

    Parameters
    ----------
    watched : QWidget
    changed : callable
        Called with whether it is visible, whenever that changes.

    Attributes
    ----------
    visible : bool
    """

    def __init__(self, watched: QWidget, changed: Callable[[bool], None]) -> None:
        super().__init__(watched)
        self.visible = watched.isVisible()
        self._changed = changed
        watched.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Called by Qt for every event of the widget."""
        if event is not None and event.type() in (QEvent.Type.Show, QEvent.Type.Hide) and not event.spontaneous():
            visible = event.type() == QEvent.Type.Show
            if visible != self.visible:
                self.visible = visible
                self._changed(visible)
        return False
