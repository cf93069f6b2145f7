"""A pattern with its controls: scale, colours, contrast, readout and copies. Shared by the docks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFileDialog, QMenu, QSizePolicy, QWidget

from napari_stemnmf.plugin.patterns.scan_patterns import SCALES, limits, scaled
from napari_stemnmf.plugin.widgets import button, column, row, wrapping_label

EMPTY = "\n"
"""What the readout shows in place of its two lines, so that nothing moves."""
NARROW = 66
"""Least width of a control, in pixels of the screen."""
LOW, HIGH = 0.5, 99.8
"""Percentiles of the contrast at first."""


class PatternDisplay(QWidget):
    """Shows one pattern; `low` and `high` are percentiles of the scaled counts, shown darkest and brightest.

    `image` are the counts, (q_y, q_x); `readout` has two lines; `saved` carries the path of a saved array.
    """

    saved = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        from napari_stemnmf.plugin.patterns.pattern_view import COLOURMAPS, PatternView
        from napari_stemnmf.plugin.preferences import preferences

        self.view = PatternView()
        self.view.setToolTip(
            "wheel: zoom; drag: move; double click: the whole detector; arrow keys: the probe; the line below tells "
            "counts and radius"
        )
        self.image: np.ndarray | None = None
        self._drawn: tuple[Any, ...] = ()
        preferred = preferences()
        self.scale, self.colours = QComboBox(), QComboBox()
        self.scale.addItems(SCALES)
        self.scale.setToolTip("how counts are turned into brightness")
        self.colours.addItems(COLOURMAPS)
        self.colours.setToolTip("colour map, all of them perceptually uniform")
        for box, value in ((self.scale, preferred.scaling), (self.colours, preferred.colormap)):
            box.setCurrentIndex(max(0, box.findText(value)))
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.setMinimumWidth(NARROW)
        self.low, self.high = _percentile(LOW), _percentile(HIGH)
        self.low.setToolTip("percentile of the brightness that is shown darkest [%]")
        self.high.setToolTip("percentile of the brightness that is shown brightest [%]")
        self.readout = wrapping_label()
        self.readout.setText(EMPTY)
        self._lay_out()
        for box in (self.scale, self.colours):
            box.currentIndexChanged.connect(self._draw)
        for spin in (self.low, self.high):
            spin.valueChanged.connect(self._draw)
        self._draw()

    def show_pattern(self, image: np.ndarray | None, note: str = "") -> None:
        """Show a pattern, or in its place a note why there is none."""
        self.image = image
        self.copy.setEnabled(image is not None)
        self.view.show_message(note if image is None else "")
        self._draw()

    def copy_picture(self) -> None:
        """Copy the view, with what is drawn over the pattern, to the clipboard."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setPixmap(self.view.grab())

    def copy_values(self) -> None:
        """Copy the counts to the clipboard, as text for a spreadsheet."""
        clipboard = QGuiApplication.clipboard()
        if self.image is not None and clipboard is not None:
            lines = ("\t".join(f"{value:.7g}" for value in line) for line in self.image.tolist())
            clipboard.setText("\n".join(lines))

    def save_array(self, path: str | Path = "") -> None:
        """Save the counts to a NumPy file; a dialog asks for its name if none is given."""
        from napari_stemnmf.files.writing import result_file

        if self.image is None:
            return
        chosen = str(path) or QFileDialog.getSaveFileName(self, "Save the pattern", "pattern.npy", "NumPy (*.npy)")[0]
        if chosen:
            target = Path(chosen).with_suffix(".npy")
            with result_file(target) as half:
                np.save(half, self.image)
            self.saved.emit(target)

    def _draw(self, *_: Any) -> None:
        look = (self.image, self.scale.currentText(), self.low.value(), self.high.value())
        self.view.show_colourmap(self.colours.currentText())
        if self._drawn and look[0] is self._drawn[0] and look[1:] == self._drawn[1:]:
            return  # only the overlays are new
        self._drawn = look
        if self.image is None:
            self.view.show_image(None, None)
            return
        image = scaled(self.image, self.scale.currentText())
        low, high = sorted((self.low.value(), self.high.value()))
        self.view.show_image(image, self.image, limits(image, low, high))

    def _lay_out(self) -> None:
        self.copy = button("Copy", "take the pattern with you: as a picture, as numbers, as a NumPy file")
        menu = QMenu(self.copy)
        menu.addAction("Copy picture", self.copy_picture)
        menu.addAction("Copy values", self.copy_values)
        menu.addAction("Save array…", lambda: self.save_array())
        self.copy.setMenu(menu)
        look = row(self.scale, self.colours, self.low, self.high, self.copy)
        look.setSpacing(3)
        look.setStretch(0, 1)
        look.setStretch(1, 2)
        column(look, self.view, self.readout, parent=self, stretch=self.view).setSpacing(3)


def _percentile(value: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0.0, 100.0)
    box.setDecimals(1)
    box.setSingleStep(0.5)
    box.setSuffix(" %")
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    box.setStyleSheet("QDoubleSpinBox { min-width: 44px; max-width: 44px; padding: 1px 4px; margin: 0px; }")
    box.setValue(value)
    return box
