"""The actions of the Review dock: its buttons, and its keys, on the canvas and in the dock.

Each calls one function with the name of the action. On the canvas napari asks the selected layer for a key first, then
the viewer: no letter here is one of a Labels layer's own. Undo, redo and Escape are, and so are bound on the layers of
grains themselves, in place of napari's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QShortcut,
    QSizePolicy,
    QStackedWidget,
    QWidget,
)

from napari_stemnmf.plugin.docks.review.model import ORDERS
from napari_stemnmf.plugin.widgets import row

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

KEYS = {
    "next": "N",
    "previous": "Shift-N",
    "next doubtful": "D",
    "previous doubtful": "Shift-D",
    "accept": "A",
    "reject": "R",
    "undecide": "U",
    "merge": "J",
    "split line": "S",
    "paint": "G",
    "erase": "K",
    "comment": "T",
    "delete": "Delete",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
    "cancel": "Escape",
}
"""By what it does, each key as napari names it: J joins, S splits, G grows, K cuts away, T is for text."""
ON_LAYERS = ("undo", "redo", "cancel")
"""What is bound on the layers of grains as well."""
GO = {
    "previous": ("◀", "the grain in the row above"),
    "next": ("▶", "the grain in the row below"),
    "next doubtful": ("Next doubtful", "the next grain, in the order of doubt, that is not decided yet; Shift: back"),
}
DECIDE = {
    "accept": ("✓ Accept", "the selected grains are right"),
    "reject": ("✗ Reject", "the selected grains are none"),
    "undecide": ("? Undecided", "take the decision on the selected grains back"),
}
SPLIT = {
    "split line": ("by a line", "draw a line across the grain with the mouse held down"),
    "split region": ("by a region", "draw around a part of the grain with the mouse held down"),
    "split seeds": ("by seeds", "click one point in each part; a watershed finds the borders"),
}
EDIT = {
    "merge": ("Merge", "make one grain of the selected ones; it keeps the id of the one that was selected first"),
    "delete": ("Delete", "the selected grains are no more; undo brings them back"),
    "new": ("New", "paint a new grain on the canvas"),
    "paint": ("Paint", "add to the selected grain with the brush; other grains stay as they are"),
    "erase": ("Erase", "take from the selected grain with the brush; other grains stay as they are"),
    "undo": ("Undo", "take the last decision or edit back"),
    "redo": ("Redo", "make it again"),
}
PROMPTS = {
    "split line": "Draw a line across grain {grain}.",
    "split region": "Draw around a part of grain {grain}.",
    "split seeds": "Click a point in each part of grain {grain}.",
    "paint": "Paint on the canvas to add to grain {grain}.",
    "erase": "Paint on the canvas to take from grain {grain}.",
    "new": "Paint a new grain on the canvas.",
}
"""Instructions while a tool is in use."""
TIGHT = "padding: 3px 4px;"


def key_text(name: str) -> str:
    """The key of an action, for a tool tip."""
    return KEYS[name].replace("Control", "Ctrl").replace("-", "+") if name in KEYS else ""


class GoButtons(QWidget):
    """Next, previous, next doubtful, the order of doubt, and the scale of the pictures below."""

    def __init__(self, act: Callable[[str], None], scale: QWidget) -> None:
        super().__init__()
        self.buttons = {name: _button(name, *about, act) for name, about in GO.items()}
        self.order = QComboBox()
        self.order.addItems(list(ORDERS))
        orders = "\n".join(f"{name}: {about}" for name, about in ORDERS.items())
        self.order.setToolTip(f"what makes a grain doubtful, 0 to 1\n{orders}")
        label = QLabel("by")
        label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        label.setBuddy(self.order)
        layout = row(*self.buttons.values(), label, self.order, scale, parent=self)
        for part in (label, self.order, scale):
            layout.setStretchFactor(part, 1)


class DecideButtons(QWidget):
    """Verdict, class and comment of the selected grains; `annotated` carries "class" or "comment", and the text."""

    annotated = Signal(str, str)

    def __init__(self, act: Callable[[str], None]) -> None:
        super().__init__()
        self.buttons = {name: _button(name, *about, act) for name, about in DECIDE.items()}
        self.kind, self.comment = QComboBox(), QLineEdit()
        self.written = QLineEdit()
        self.written.setPlaceholderText("class")
        self.kind.setEditable(True)
        self.kind.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.kind.setToolTip("what the selected grains are: choose a class, or write a new one and press Enter")
        self.kind.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.kind.setLineEdit(self.written)
        self.comment.setToolTip(f"on the selected grains; press Enter to keep it (key {key_text('comment')} goes here)")
        self.comment.setPlaceholderText("comment")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for column, button in enumerate(self.buttons.values()):
            grid.addWidget(button, 0, 2 * column, 1, 2)
        grid.addWidget(self.kind, 1, 0, 1, 2)
        grid.addWidget(self.comment, 1, 2, 1, 4)
        self.kind.activated.connect(lambda _: self.annotated.emit("class", self.kind.currentText()))
        self.written.editingFinished.connect(lambda: self.annotated.emit("class", self.kind.currentText()))
        self.comment.editingFinished.connect(lambda: self.annotated.emit("comment", self.comment.text()))

    def show_annotation(self, kinds: Iterable[str], kind: str, comment: str) -> None:
        """Show the class and comment of a grain, and the classes to choose from."""
        if not self.written.hasFocus():
            with QSignalBlocker(self.kind):
                self.kind.clear()
                self.kind.addItems(["", *kinds])
                self.kind.setCurrentText(kind)
        if not self.comment.hasFocus():
            self.comment.setText(comment)


class EditButtons(QStackedWidget):
    """Buttons that change grains; while something is drawn, an instruction instead.

    Attributes
    ----------
    buttons : dict of QPushButton
    split : QPushButton
        With a menu of the ways to split.
    ways : dict of QAction
        Those ways.
    prompt : QLabel
    done, cancel : QPushButton
        Shown while something is drawn.
    """

    def __init__(self, act: Callable[[str], None]) -> None:
        super().__init__()
        self.buttons = {name: _button(name, *about, act) for name, about in EDIT.items()}
        self.split = QPushButton("Split")
        self.split.setToolTip(f"part the selected grain by what you draw (key {key_text('split line')}: by a line)")
        self.split.setStyleSheet(f"QPushButton {{ {TIGHT} }}")
        menu = QMenu(self.split)
        menu.setToolTipsVisible(True)
        self.ways = {name: QAction(text, menu) for name, (text, _) in SPLIT.items()}
        for name, action in self.ways.items():
            action.setToolTip(SPLIT[name][1])
            action.triggered.connect(lambda _=False, name=name: act(name))
            menu.addAction(action)
        self.split.setMenu(menu)
        page = QWidget()
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        rows = (("merge", "split", "delete", "new"), ("paint", "erase", "undo", "redo"))
        for i, names in enumerate(rows):
            for j, name in enumerate(names):
                grid.addWidget(self.buttons.get(name, self.split), i, j)
                grid.setColumnStretch(j, 1)
        self.prompt = QLabel()
        self.prompt.setWordWrap(True)
        self.done = _button("done", "Split", "part the grain along what was drawn (key S)", act)
        self.cancel = _button("cancel", "Cancel", "leave the grain as it is", act)
        prompted = QWidget()
        row(self.prompt, self.done, self.cancel, parent=prompted, stretch=self.prompt)
        self.addWidget(page)
        self.addWidget(prompted)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def show_tool(self, tool: str, grain: int) -> None:
        """Show the instruction for a tool; "" shows the buttons."""
        self.setCurrentIndex(1 if tool else 0)
        if tool:
            self.prompt.setText(PROMPTS[tool].format(grain=grain))
            splitting = tool.startswith("split")
            self.done.setVisible(splitting)
            self.cancel.setText("Cancel" if splitting else "Done")


class Keys:
    """Binds the keys on the canvas and in a dock; `act` is called with the name of the action."""

    def __init__(self, viewer: ViewerModel, dock: QWidget, act: Callable[[str], None]) -> None:
        self._viewer, self._act = viewer, act
        self._before: dict[str, Any] | None = None
        self._layers: list[Layer] = []
        for name in KEYS:
            shortcut = QShortcut(QKeySequence(key_text(name)), dock)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda name=name: act(name))

    def listen(self, on: bool) -> None:
        """Bind the keys on the canvas, or restore what was bound before."""
        if on and self._before is None:
            self._before = {name: self._bind(self._viewer, name) for name in KEYS}
        elif not on and self._before is not None:
            for name, before in self._before.items():
                self._viewer.bind_key(KEYS[name], before, overwrite=True)
            self._before = None
            self.hold([])

    def hold(self, layers: Iterable[Layer]) -> None:
        """Bind undo, redo and Escape on these layers, and on no others."""
        present = list(layers) if self._before is not None else []
        for layer in self._layers:
            if layer not in present:
                for name in ON_LAYERS:
                    layer.bind_key(KEYS[name], None)
        for layer in present:
            if layer not in self._layers:
                for name in ON_LAYERS:
                    self._bind(layer, name)
        self._layers = present

    def _bind(self, target: Any, name: str) -> Any:
        def press(_: Any) -> None:
            self._act(name)

        return target.bind_key(KEYS[name], press, overwrite=True)


def _button(name: str, text: str, about: str, act: Callable[[str], None]) -> QPushButton:
    button = QPushButton(text)
    key = key_text(name)
    button.setToolTip(f"{about} (key {key})" if key else about)
    button.setStyleSheet(f"QPushButton {{ {TIGHT} }}")
    button.clicked.connect(lambda: act(name))
    return button
