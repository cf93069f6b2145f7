"""The pattern of the Calibrate step with what is chosen for it: picture, scale, position, overlays."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QVBoxLayout,
    QWidget,
)

from napari_stemnmf.plugin.patterns.overlays import OVERLAYS
from napari_stemnmf.plugin.patterns.pattern_display import EMPTY, PatternDisplay
from napari_stemnmf.plugin.patterns.preview import PICTURES, Picture
from napari_stemnmf.plugin.patterns.probe_line import ProbeLine
from napari_stemnmf.plugin.patterns.readings import of_point, of_preview

BOXES_A_ROW = 4
SWATCH = 10
"""Side of the colour beside an overlay's name, in pixels of the screen."""


class PatternPanel(QWidget):
    """Shows a `Picture`, and signals when another is wanted.

    Attributes
    ----------
    picture : QComboBox
    display : PatternDisplay
        The pattern itself, with its `view`, `scale` and `readout`.
    probe : ProbeLine
        The probe position whose pattern can be shown, with `row`, `column` and `pick`.
    boxes : dict of QCheckBox
        By the names of `overlays.OVERLAYS`.
    view : PatternView
    """

    wanted = Signal()
    clicked = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.display = PatternDisplay()
        self.view, self.scale, self.readout = self.display.view, self.display.scale, self.display.readout
        self.probe = ProbeLine()
        self.row, self.column, self.pick = self.probe.row, self.probe.column, self.probe.pick
        self._shown = Picture()
        self._step, self._unit = 1.0, "px"
        self._choosing = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        self._choices()
        column.addWidget(self.picture)
        column.addWidget(self.display, 1)
        column.addWidget(self.probe)
        column.addLayout(self._overlays())
        self.view.hovered.connect(self._on_hover)
        self.view.clicked.connect(self.clicked)
        self.probe.moved.connect(self.choose_position)
        self.view.stepped.connect(self._on_stepped)

    @property
    def position(self) -> tuple[int, int]:
        """Row and column of the chosen probe position."""
        return self.probe.position

    @property
    def chosen(self) -> str:
        """Which of `PICTURES` is chosen."""
        return str(self.picture.currentData())

    @property
    def shown(self) -> Picture:
        """What is shown now."""
        return self._shown

    def choose(self, picture: str) -> None:
        """Choose a picture without signalling that it is wanted."""
        self._quietly(lambda: self.picture.setCurrentIndex(list(PICTURES).index(picture)))

    def choose_position(self, row: int, column: int) -> None:
        """Show the pattern at a probe position, and signal that it is wanted."""
        self.show_position(row, column)
        self.choose("position")
        self.wanted.emit()

    def show_position(self, row: int, column: int) -> None:
        """Show where the probe is without signalling it."""
        self.probe.show_position(row, column)

    def span(self, rows: int, columns: int) -> None:
        """Bound the probe position by the scan's shape."""
        self.probe.span(rows, columns)

    def calibrate(self, step: float, unit: str) -> None:
        """Take the size of a detector pixel, for the readout."""
        self._step, self._unit = step, unit

    def show_picture(self, picture: Picture) -> None:
        """Show what was found."""
        self._shown = picture
        self.display.show_pattern(picture.image, picture.note)
        self.view.show_mask(picture.mask if picture.image is not None else None)
        for name in OVERLAYS:
            if name != "mask":
                self.view.show_lines(name, picture.lines.get(name))
        self._on_hover(None)

    def hideEvent(self, event: Any) -> None:
        """Out of sight (another tab, a closed dock), clicks on the scan choose nothing."""
        if not event.spontaneous():
            self.pick.setChecked(False)
        super().hideEvent(event)

    def _choices(self) -> None:
        self.picture = QComboBox()
        for name, title in PICTURES.items():
            self.picture.addItem(title, name)
        self.picture.setToolTip(
            "what to show: mean or maximum over the scan, one pattern, or the map of all Bragg disks as found and "
            "with descan and ellipse taken out"
        )
        self.picture.currentIndexChanged.connect(self._on_wanted)

    def _overlays(self) -> QGridLayout:
        self.boxes = {}
        grid = QGridLayout()
        grid.setSpacing(2)
        for i, (name, overlay) in enumerate(OVERLAYS.items()):
            swatch = QPixmap(SWATCH, SWATCH)
            swatch.fill(QColor(overlay.colour))
            box = QCheckBox(overlay.title)
            box.setIcon(QIcon(swatch))
            box.setToolTip(overlay.meaning)
            box.setChecked(overlay.shown)
            self.view.show_overlay(name, overlay.shown)
            box.toggled.connect(lambda on, name=name: self.view.show_overlay(name, on))
            grid.addWidget(box, i // BOXES_A_ROW, i % BOXES_A_ROW)
            self.boxes[name] = box
        return grid

    def _quietly(self, change: Any) -> None:
        self._choosing = True
        try:
            change()
        finally:
            self._choosing = False

    def _on_wanted(self, *_: Any) -> None:
        if not self._choosing:
            self.wanted.emit()

    def _on_stepped(self, rows: int, columns: int) -> None:
        row, column = self.position
        self.row.setValue(row + rows)
        self.column.setValue(column + columns)

    def _on_hover(self, point: tuple[float, float, float] | None) -> None:
        picture = self._shown
        if point is None:
            disks = picture.disks
            note = picture.note if picture.image is not None else ""
            self.readout.setText(of_preview(disks[2], disks[3], picture.seconds) if disks else note + EMPTY)
            return
        q_y, q_x, value = point
        self.readout.setText(of_point(q_y, q_x, value, picture.radius(q_y, q_x), self._step, self._unit))
