"""The table of what a figure is drawn from: analyses to tick, and the true grains of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.sources import own_truth, scan_shape, truth_arrays, truth_layers
from napari_stemnmf.plugin.widgets import show_error
from napari_stemnmf.plugin.wording import unmarked

NONE, FILE = "none", "file…"
MOST_ROWS = 4
"""Rows that are seen without scrolling."""


class MaterialTable(QTableWidget):
    """A row an analysis: whether it is drawn, and where its true grains are."""

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__(0, 2)
        self.setToolTip("tick what is drawn, and say where its true grains are")
        self._viewer = viewer
        self._sessions: list[tuple[str, Session]] = []
        self._files: dict[Session, list[Path]] = {}
        self._truths: dict[Session, Any] = {}  # a Labels layer, a Path, or None
        self._ticked: list[Session] = []
        self._single: Session | None = None  # the one, where only one is taken
        self._several = True
        self._items: list[QTableWidgetItem] = []
        self._boxes: list[QComboBox] = []
        self.setHorizontalHeaderLabels(["analysis", "truth"])
        self.setEditTriggers(self.EditTrigger.NoEditTriggers)
        self.setSelectionMode(self.SelectionMode.NoSelection)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        header, numbers = self.horizontalHeader(), self.verticalHeader()
        if header is not None and numbers is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            numbers.setVisible(False)
        self.itemChanged.connect(self._on_item)

    def show_sessions(self, named: Sequence[tuple[str, Session]]) -> None:
        """List the analyses there are; a new one is ticked where several may be."""
        known = [session for _, session in self._sessions]
        self._sessions = [(name, session) for name, session in named if session.analysis is not None]
        there = [session for _, session in self._sessions]
        new = [session for session in there if session not in known]
        for session in new:
            self._files[session] = [] if session.analysis is None else own_truth(session.analysis)
            self._truths[session] = self._files[session][0] if len(self._files[session]) == 1 else None
        for session in known:
            if session not in there:
                del self._files[session], self._truths[session]
        self._ticked = [session for session in there if session in self._ticked or session in new]
        if self._single not in there:
            self._single = next(iter(there), None)
        self._fill()

    def allow(self, several: bool) -> None:
        """Let several analyses be ticked, or one only; what was ticked in either case is remembered."""
        if several != self._several:
            self._several = several
            self._fill()

    def tick(self, session: Session, on: bool = True) -> None:
        """Take an analysis, or leave it out."""
        if self._several:
            self._ticked = [each for _, each in self._sessions if (on if each is session else each in self._ticked)]
        elif on:
            self._single = session
        self._fill()
        self.changed.emit()

    def set_truth(self, session: Session, truth: Any) -> None:
        """Take a Labels layer or an array of a file (path) for the true grains of an analysis; None for none."""
        self._truths[session] = truth
        if isinstance(truth, Path) and truth not in self._files[session]:
            self._files[session].append(truth)
        self._fill()
        self.changed.emit()

    def ticked(self) -> list[tuple[str, Session]]:
        """Names and sessions of what is to be drawn."""
        taken = self._ticked if self._several else [self._single]
        return [(name, session) for name, session in self._sessions if session in taken]

    def truth(self, session: Session) -> Any:
        """A Labels layer, a path, or None."""
        truth = self._truths.get(session)
        return None if truth is not None and truth not in self._choices(session) else truth

    def _choices(self, session: Session) -> list[Any]:
        if session.analysis is None:
            return []
        return [*truth_layers(self._viewer.layers, scan_shape(session.analysis)), *self._files[session]]

    def _fill(self) -> None:
        taken = [session for _, session in self.ticked()]
        with QSignalBlocker(self):
            self._set_rows(len(self._sessions))
            for (name, session), item, box in zip(self._sessions, self._items, self._boxes, strict=True):
                item.setText(name)
                item.setToolTip(unmarked(f"{name}: draw it"))
                item.setCheckState(Qt.CheckState.Checked if session in taken else Qt.CheckState.Unchecked)
                choices, truth = self._choices(session), self.truth(session)
                box.clear()
                box.addItems([NONE, *(choice.name for choice in choices), FILE])
                box.setCurrentIndex(0 if truth is None else 1 + choices.index(truth))
        self._fit_height()

    def _set_rows(self, count: int) -> None:
        """Add or remove rows at the end."""
        self.setRowCount(count)
        del self._items[count:], self._boxes[count:]
        for row in range(len(self._items), count):
            item, box = QTableWidgetItem(), QComboBox()
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setToolTip("true grains: a Labels layer of the scan's shape, or masks in a file")
            box.activated.connect(lambda index, row=row: self._on_truth(row, index))
            self.setItem(row, 0, item)
            self.setCellWidget(row, 1, box)
            self._items.append(item)
            self._boxes.append(box)

    def _on_truth(self, row: int, index: int) -> None:
        session = self._sessions[row][1]
        choices = self._choices(session)
        if index <= len(choices):
            self.set_truth(session, choices[index - 1] if index else None)
            return
        path, _ = QFileDialog.getOpenFileName(self, f"True grains of {session.name}")
        if path:
            self.add_truth_file(session, Path(path))
        else:
            self._fill()

    def add_truth_file(self, session: Session, path: Path) -> None:
        """Offer the arrays of a file that can be true grains, and take the first; an error where there are none."""
        if session.analysis is None:
            return
        try:
            found = truth_arrays(path, scan_shape(session.analysis))
        except StemNMFError as error:
            show_error(error)
            self._fill()
            return
        self._files[session] += [each for each in found if each not in self._files[session]]
        self.set_truth(session, found[0])

    def _on_item(self, item: QTableWidgetItem) -> None:
        self.tick(self._sessions[item.row()][1], item.checkState() == Qt.CheckState.Checked)

    def _fit_height(self) -> None:
        """As high as its rows, up to a few of them."""
        header = self.horizontalHeader()
        rows = sum(self.rowHeight(row) for row in range(min(self.rowCount(), MOST_ROWS)))
        if header is not None:
            self.setFixedHeight(header.sizeHint().height() + max(rows, 1) + 2 * self.frameWidth())
