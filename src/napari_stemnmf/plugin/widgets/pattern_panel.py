"""The pattern of the Calibrate step with what is chosen for it: picture, scale, position, overlays."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_stemnmf.plugin.overlays import OVERLAYS
from napari_stemnmf.plugin.preview import PICTURES, SCALES, Picture, scaled
from napari_stemnmf.plugin.readings import of_point, of_preview

BOXES_A_ROW = 4
EMPTY = "\n"
"""What the readout shows in place of its two lines, so that nothing moves."""
SWATCH = 10
"""Side of the colour beside an overlay's name, in pixels of the screen."""


class PatternPanel(QWidget):
    """Shows a `Picture`, and signals when another is wanted.

    Attributes
    ----------
    picture, scale : QComboBox
    row, column : QSpinBox
        The probe position whose pattern can be shown.
    pick : QPushButton
        While it is down, clicks on the scan choose the position.
    boxes : dict of QCheckBox
        By the names of `overlays.OVERLAYS`.
    view : PatternView
    """

    wanted = Signal()
    clicked = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        from napari_stemnmf.plugin.pattern_view import PatternView

        self.view = PatternView()
        self.view.setToolTip(
            "wheel: zoom; drag: move; double click: the whole detector; the line below tells counts and radius"
        )
        self._shown = Picture()
        self._drawn: tuple[Any, str] = (None, "")
        self._step, self._unit = 1.0, "px"
        self._choosing = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(self._choices())
        column.addWidget(self.view, 1)
        self.readout = QLabel(EMPTY)
        self.readout.setWordWrap(True)
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        column.addWidget(self.readout)
        column.addLayout(self._positions())
        column.addLayout(self._overlays())
        self.view.hovered.connect(self._on_hover)
        self.view.clicked.connect(self.clicked)

    @property
    def position(self) -> tuple[int, int]:
        """Row and column of the chosen probe position."""
        return self.row.value(), self.column.value()

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
        """Show the pattern at a probe position."""

        def change() -> None:
            self.row.setValue(row)
            self.column.setValue(column)

        self._quietly(change)
        self.choose("position")
        self.wanted.emit()

    def span(self, rows: int, columns: int) -> None:
        """Bound the probe position by the scan's shape; a new shape begins in its middle."""
        if (self.row.maximum(), self.column.maximum()) == (rows - 1, columns - 1):
            return

        def change() -> None:
            for box, size in ((self.row, rows), (self.column, columns)):
                box.setMaximum(size - 1)
                box.setValue(size // 2)

        self._quietly(change)

    def calibrate(self, step: float, unit: str) -> None:
        """Take the size of a detector pixel, for the readout."""
        self._step, self._unit = step, unit

    def show_picture(self, picture: Picture) -> None:
        """Show what was found."""
        self._shown = picture
        self._show_image()
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

    def _show_image(self) -> None:
        picture, scale = self._shown, str(self.scale.currentText())
        self.view.show_message(picture.note if picture.image is None else "")
        if picture.image is not None and (picture.image is self._drawn[0] and scale == self._drawn[1]):
            return  # only the overlays are new
        self._drawn = (picture.image, scale)
        image = None if picture.image is None else scaled(picture.image, scale)
        self.view.show_image(image, picture.image)

    def _choices(self) -> QHBoxLayout:
        self.picture, self.scale = QComboBox(), QComboBox()
        for name, title in PICTURES.items():
            self.picture.addItem(title, name)
        self.picture.setToolTip(
            "what to show: mean or maximum over the scan, one pattern, or the map of all Bragg disks as found and "
            "with descan and ellipse taken out"
        )
        self.scale.addItems(SCALES)
        self.scale.setToolTip("how counts are turned into brightness")
        self.picture.currentIndexChanged.connect(self._on_wanted)
        self.scale.currentIndexChanged.connect(self._show_image)
        line = QHBoxLayout()
        line.addWidget(self.picture, 1)
        line.addWidget(self.scale)
        return line

    def _positions(self) -> QHBoxLayout:
        self.row, self.column = QSpinBox(), QSpinBox()
        line = QHBoxLayout()
        for name, box, what in (("scan y", self.row, "row"), ("x", self.column, "column")):
            box.setToolTip(f"{what} of the probe position whose pattern is shown [px]")
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_position)
            label = QLabel(name)
            label.setBuddy(box)
            line.addWidget(label)
            line.addWidget(box, 1)
        self.pick = QPushButton("Pick")
        self.pick.setCheckable(True)
        self.pick.setToolTip("while it is down, a click on the scan shows the pattern there; a cross marks it")
        line.addWidget(self.pick)
        return line

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

    def _on_position(self, *_: Any) -> None:
        if not self._choosing:
            self.choose("position")
            self.wanted.emit()

    def _on_hover(self, point: tuple[float, float, float] | None) -> None:
        picture = self._shown
        if point is None:
            disks = picture.disks
            note = picture.note if picture.image is not None else ""
            self.readout.setText(of_preview(disks[2], disks[3], picture.seconds) if disks else note + EMPTY)
            return
        q_y, q_x, value = point
        self.readout.setText(of_point(q_y, q_x, value, picture.radius(q_y, q_x), self._step, self._unit))
