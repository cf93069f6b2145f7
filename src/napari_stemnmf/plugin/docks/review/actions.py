"""The buttons of the Review dock. Each calls one function with the name of the action, as its key does (`keys`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QWidget,
)

from napari_stemnmf.plugin.docks.review.keys import key_text
from napari_stemnmf.plugin.docks.review.model import ORDERS
from napari_stemnmf.plugin.layers.grain_colours import COLOURINGS
from napari_stemnmf.plugin.widgets import row

GO = {
    "previous": ("◀", "the grain in the row above"),
    "next": ("▶", "the grain in the row below"),
    "next doubtful": ("Next doubtful", "the next grain, in the order of doubt, that is not decided yet; Shift: back"),
}
DECIDE = {
    "accept": ("✓ Accept", "the selected grains are right"),
    "accept next": ("✓ ▸", "accept, and go on to the next grain that is not decided"),
    "reject": ("✗ Reject", "the selected grains are none: they stay out of tables, figures and exports"),
    "reject next": ("✗ ▸", "reject, and go on to the next grain that is not decided"),
    "undecide": ("?", "take the decision on the selected grains back"),
}
SHOW = {
    "numbers": ("numbers", "write each grain's number on it"),
    "unexplained": (
        "not explained",
        "what no grain explains, bright where much of the diffracted intensity is left over; a click there, off all "
        "grains, proposes a new one",
    ),
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
    "propose": "A new grain is proposed here; paint to change it.",
}
"""Instructions while a tool is in use."""
TIGHT = "padding: 3px 4px;"


class GoButtons(QWidget):
    """Next, previous, next doubtful, and the order of doubt."""

    def __init__(self, act: Callable[[str], None]) -> None:
        super().__init__()
        self.buttons = {name: _button(name, *about, act) for name, about in GO.items()}
        self.order = QComboBox()
        self.order.addItems(list(ORDERS))
        orders = "\n".join(f"{name}: {about}" for name, about in ORDERS.items())
        self.order.setToolTip(f"what makes a grain doubtful, 0 to 1\n{orders}")
        label = QLabel("by")
        label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        label.setBuddy(self.order)
        layout = row(*self.buttons.values(), label, self.order, parent=self)
        layout.setStretchFactor(self.order, 1)


class ShowBoxes(QWidget):
    """What the colours on the canvas tell, and what else is drawn there.

    Attributes
    ----------
    colours : QComboBox
    boxes : dict of QCheckBox
        By the names in `SHOW`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.colours = QComboBox()
        self.colours.addItems(list(COLOURINGS))
        self.colours.setToolTip("\n".join(f"{name}: {about}" for name, about in COLOURINGS.items()))
        self.boxes = {name: QCheckBox(text) for name, (text, _) in SHOW.items()}
        for name, box in self.boxes.items():
            box.setToolTip(SHOW[name][1])
        label = QLabel("colours")
        label.setBuddy(self.colours)
        label.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        self.colours.setMinimumWidth(104)
        row(label, self.colours, *self.boxes.values(), parent=self, stretch=self.colours)


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
        self.comment.setToolTip("on the selected grains; it is kept when you press Enter or leave the field")
        self.comment.setPlaceholderText("comment")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        decide = row(*self.buttons.values())
        for name, button in self.buttons.items():
            decide.setStretchFactor(button, 3 if name in ("accept", "reject") else 1)
        grid.addLayout(decide, 0, 0, 1, 3)
        grid.addWidget(self.kind, 1, 0)
        grid.addWidget(self.comment, 1, 1, 1, 2)
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
        self.split.setToolTip("part the selected grain by what you draw")
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
        self.done = _button("done", "Split", "take what was drawn", act)
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
            splitting, proposing = tool.startswith("split"), tool == "propose"
            self.done.setVisible(splitting or proposing)
            self.done.setText("Make it a grain" if proposing else "Split")
            self.cancel.setText("Cancel" if splitting or proposing else "Done")


def name_keys(buttons: dict[str, QPushButton], abouts: dict[str, tuple[str, str]]) -> None:
    """Write the present keys of actions into the tool tips of their buttons."""
    for name, button in buttons.items():
        about, key = abouts[name][1], key_text(name)
        button.setToolTip(f"{about} (key {key})" if key else about)


def _button(name: str, text: str, about: str, act: Callable[[str], None]) -> QPushButton:
    button = QPushButton(text)
    key = key_text(name)
    button.setToolTip(f"{about} (key {key})" if key else about)
    button.setStyleSheet(f"QPushButton {{ {TIGHT} }}")
    button.clicked.connect(lambda: act(name))
    return button
