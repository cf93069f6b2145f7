"""The probe position as two numbers, and the button that picks it on the scan."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSpinBox, QWidget


class ProbeLine(QWidget):
    """Shows a probe position, and signals when the user wants another.

    Attributes
    ----------
    row, column : QSpinBox
    pick : QPushButton
        While it is down, a press on the scan chooses the position.
    """

    moved = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.row, self.column = QSpinBox(), QSpinBox()
        self._quiet = False
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        for name, box, what in (("scan y", self.row, "row"), ("x", self.column, "column")):
            box.setToolTip(f"{what} of the probe position whose pattern is shown [px]")
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_value)
            label = QLabel(name)
            label.setBuddy(box)
            line.addWidget(label)
            line.addWidget(box, 1)
        self.pick = QPushButton("Pick")
        self.pick.setCheckable(True)
        self.pick.setToolTip("while it is down, a press anywhere on the scan shows the pattern there; a cross marks it")
        line.addWidget(self.pick)

    @property
    def position(self) -> tuple[int, int]:
        """Row and column."""
        return self.row.value(), self.column.value()

    def span(self, rows: int, columns: int) -> None:
        """Bound the position by the scan's shape."""
        self._quiet = True
        self.row.setMaximum(rows - 1)
        self.column.setMaximum(columns - 1)
        self._quiet = False

    def show_position(self, row: int, column: int) -> None:
        """Show a position without signalling it."""
        self._quiet = True
        self.row.setValue(row)
        self.column.setValue(column)
        self._quiet = False

    def _on_value(self, _: int) -> None:
        if not self._quiet:
            self.moved.emit(*self.position)
