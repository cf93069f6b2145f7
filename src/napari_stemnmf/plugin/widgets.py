"""Small parts of docks: layouts without margins, buttons, choosers, labels, tables, and whether a widget is visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from magicgui.widgets import PushButton
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
    QScrollArea,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.result_layers import LayerTuple
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.wording import in_window, unmarked

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
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setToolTip(tooltip)
    return label


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names and sentences below each other, in the markup of labels."""
    cells = (
        f"<tr><td style='padding-right: 8px'><b>{escape(name)}</b></td><td>{escape(text)}</td></tr>"
        for name, text in rows
    )
    return f"<table>{''.join(cells)}</table>"


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


def show_error(message: object) -> None:
    """Show a sentence as a notification of napari."""
    from napari.utils import notifications

    notifications.show_error(in_window(message))


def show_info(message: str) -> None:
    """Tell of something that was done, as a notification of napari."""
    from napari.utils import notifications

    notifications.show_info(in_window(message))


def show_warning(message: str) -> None:
    """Show what speaks against something that was done, as a notification of napari."""
    from napari.utils import notifications

    notifications.show_warning(in_window(message))


def chooser(titles: Mapping[str, str], tooltip: str) -> QComboBox:
    """A choice among named titles; the data of each entry is its name."""
    made = QComboBox()
    for name, title in titles.items():
        made.addItem(title, name)
    made.setToolTip(tooltip)
    return made


def report(act: Callable[[], object], done: str = "") -> None:
    """Do something, and notify the user in one sentence that it is done, or why not."""
    from napari.utils.notifications import show_info

    try:
        act()
    except StemNMFError as error:
        show_error(error)
    else:
        if done:
            show_info(unmarked(done))


def fill_with_forms(scroll: QScrollArea) -> None:
    """Give the forms of a step, which hold its tables, the space that is left empty below them."""
    inner = scroll.widget()
    layout = inner.layout() if inner is not None else None
    if isinstance(layout, QVBoxLayout):
        layout.setStretch(0, 1)
        layout.setStretch(1, 0)


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


CLOSED, OPEN = "▸", "▾"


class Section(QWidget):
    """A heading, and below it a widget that a click (or Space) on the heading shows and hides.

    Attributes
    ----------
    button : QPushButton
        The heading.
    body : QWidget
    """

    def __init__(self, title: str, body: QWidget, *, expanded: bool = False, tooltip: str = "") -> None:
        super().__init__()
        self._title = title
        self.body = body
        self.button = QPushButton()
        self.button.setFlat(True)
        self.button.setToolTip(tooltip)
        self.button.setStyleSheet("QPushButton { text-align: left; font-weight: bold; padding: 3px 4px; }")
        self.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.button.clicked.connect(lambda: self.expand(not self._expanded))
        column(self.button, body, parent=self).setSpacing(2)
        self.expand(expanded)

    @property
    def expanded(self) -> bool:
        """Whether the body shows."""
        return self._expanded

    def expand(self, expanded: bool = True) -> None:
        """Open or close it."""
        self._expanded = expanded
        self.body.setVisible(expanded)
        self.button.setText(f"{OPEN if expanded else CLOSED}  {self._title}")


class LayerToggle(PushButton):
    """Shows or puts away the layer of a role.

    Parameters
    ----------
    viewer : napari viewer
    name, what : str
        Name of the button, and what it shows, for its text.
    make : callable
        From the session to the layer's data; an empty list where there is none yet.
    tooltip : str
    """

    def __init__(
        self, viewer: Any, name: str, what: str, make: Callable[[Session], list[LayerTuple]], tooltip: str
    ) -> None:
        super().__init__(name=name, text=f"Show {what}")
        self.tooltip = tooltip
        self._viewer, self._what, self._make = viewer, what, make
        self._session: Session | None = None
        self._role = ""
        self.clicked.connect(self._on_click)

    def show_state(self, session: Session | None, role: str, possible: bool) -> None:
        """Stand for the layer of that role of a session, or for none."""
        self._session, self._role = session, role
        shown = session is not None and display.find(self._viewer, session, role) is not None
        self.text = f"Put {self._what} away" if shown else f"Show {self._what}"
        self.enabled = session is not None and (shown or possible)

    def _on_click(self) -> None:
        session = self._session
        if session is not None:
            display.toggle(self._viewer, session, self._role, lambda: self._make(session))
            self.show_state(session, self._role, True)
