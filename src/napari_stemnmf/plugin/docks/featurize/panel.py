"""The preview of Featurize: a pattern with what is taken of it, and a profile whose bounds can be dragged."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QSplitter, QWidget

from napari_stemnmf.plugin.docks.featurize.model import FeaturePicture
from napari_stemnmf.plugin.docks.featurize.plots import DRAWN, ProfileView
from napari_stemnmf.plugin.patterns.pattern_view import PatternView
from napari_stemnmf.plugin.patterns.scan_patterns import SCALES, point_reading, scaled
from napari_stemnmf.plugin.widgets import button, chooser, column, wrapping_label

SHOWN = {"aa": "maximum", "rv": "position", "bd": "calibrated map"}
"""The most informative picture of each representation."""
PATTERNS = {"mean": "mean", "maximum": "maximum", "position": "at position", "calibrated map": "disk map"}
"""What can be shown, and its name in the window."""
PATTERN_SHARE = 0.58
"""Of the height, at first; the user moves the line between pattern and profile."""
LEAST = 110
"""Least width and height of the pattern, in pixels of the screen."""
BOX_WIDTH = 76
"""Of what stands beside the chooser of the picture, at most, in pixels of the screen."""
TOOLTIPS = {
    "aa": "cells of the angular average over the pattern; below, drag a bound of the rings",
    "rv": "first and last radius of the radial variance; below, drag either",
    "bd": "Bragg disks in use (green) and left out (red), or their map with its bins; below, drag the radii",
}


class FeaturePanel(QWidget):
    """Shows a `FeaturePicture`; signals when another is `wanted`, and when the probe is `moved` (row, column).

    `sample` asks for a preview from a coarse sample, where there is no survey.
    """

    wanted = Signal()
    moved = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.view, self.profile = PatternView(), ProfileView()
        self.view.setMinimumSize(LEAST, LEAST)
        self._lines = {name: pg.PlotCurveItem(connect="finite") for name in DRAWN}
        for name, item in self._lines.items():
            colour, width = DRAWN[name]
            item.setPen(pg.mkPen(colour, width=width))
            self.view.add(item)
        self._shown = FeaturePicture()
        self._drawn: tuple[Any, str] = (None, "")
        self._step, self._unit = 1.0, "px"
        self._own_choice = False
        self.readout = wrapping_label()
        self.legend = QLabel()
        self.legend.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        tooltip = "reads at most 144 patterns from all over the scan, and shows what Featurize would take"
        self.sample = button("Preview from a sample of the scan", tooltip)
        self.sample.setVisible(False)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(self.view)
        self.splitter.addWidget(self.profile)
        self.splitter.setChildrenCollapsible(False)
        parts = (self._choices(), self.splitter, self.legend, self.readout, self.sample)
        column(*parts, parent=self, stretch=self.splitter).setSpacing(3)
        self.profile.hide()
        self.view.hovered.connect(self._on_hover)

    @property
    def chosen(self) -> str:
        """Which picture is chosen."""
        return str(self.picture.currentData())

    @property
    def shown(self) -> FeaturePicture:
        """What is shown now."""
        return self._shown

    def show_feature(self, feature: str) -> None:
        """Choose the most informative picture of a representation, unless the user has chosen one."""
        tooltip = TOOLTIPS[feature]
        self.view.setToolTip(f"{tooltip}. Wheel: zoom; drag: move; double click: the whole detector")
        self.profile.setToolTip(f"what the radii [px] are chosen by: {tooltip.partition('below, ')[2]}; wheel: zoom")
        if not self._own_choice:
            with QSignalBlocker(self.picture):
                self.picture.setCurrentIndex(list(PATTERNS).index(SHOWN[feature]))

    def show_position(self, scan_shape: tuple[int, int], position: tuple[int, int]) -> None:
        """Show the probe's position within the scan's shape, without signalling it."""
        for box, size, value in zip((self.row, self.column), scan_shape, position, strict=True):
            with QSignalBlocker(box):
                box.setMaximum(max(0, size - 1))
                box.setValue(value)

    def calibrate(self, step: float, unit: str) -> None:
        """Take the size of a detector pixel, for the readout."""
        self._step, self._unit = step, unit

    def show_picture(self, picture: FeaturePicture) -> None:
        """Show what was found."""
        self._shown = picture
        self._show_image()
        self.view.show_mask(picture.mask if picture.image is not None else None)
        for name, item in self._lines.items():
            points = picture.lines.get(name)
            item.setData(*(([], []) if points is None else (points[:, 1], points[:, 0])))
        self.profile.show_picture(picture)
        self.legend.setText(self.profile.legend(picture) if picture.curves else "")
        if picture.image is not None and self.profile.isHidden():
            whole = sum(self.splitter.sizes())
            self.profile.show()
            self.splitter.setSizes([round(PATTERN_SHARE * whole), round((1 - PATTERN_SHARE) * whole)])
        self.profile.setVisible(picture.image is not None)
        self._on_hover(None)

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self.view.set_colours(background, text)
        self.profile.set_theme(background, text)
        self.show_picture(self._shown)

    def _show_image(self) -> None:
        picture, scale = self._shown, str(self.scale.currentText())
        self.view.show_message(picture.note if picture.image is None else "")
        if picture.image is not None and picture.image is self._drawn[0] and scale == self._drawn[1]:
            return  # only the lines are new
        self._drawn = (picture.image, scale)
        image = None if picture.image is None else scaled(picture.image, scale)
        self.view.show_image(image, picture.image)

    def _choices(self) -> QHBoxLayout:
        self.scale = QComboBox()
        self.picture = chooser(
            PATTERNS,
            "the pattern to draw on: mean or maximum over the scan, the one at the probe position, or the map of all "
            "Bragg disks with descan and ellipse taken out",
        )
        self.scale.addItems(SCALES)
        self.scale.setMaximumWidth(BOX_WIDTH)
        self.scale.setToolTip("how counts are turned into brightness")
        self.row, self.column = QSpinBox(), QSpinBox()
        line = QHBoxLayout()
        line.addWidget(self.picture, 1)
        line.addWidget(self.scale)
        for prefix, box, what in (("y ", self.row, "row"), ("x ", self.column, "column")):
            box.setPrefix(prefix)
            box.setMaximumWidth(BOX_WIDTH)
            box.setKeyboardTracking(False)
            box.setToolTip(f"{what} of the probe position [px]; all docks look at the same one")
            box.valueChanged.connect(lambda _: self.moved.emit(self.row.value(), self.column.value()))
            line.addWidget(box)
        self.picture.currentIndexChanged.connect(self._on_picture)
        self.scale.currentIndexChanged.connect(self._show_image)
        return line

    def _on_picture(self, *_: Any) -> None:
        self._own_choice = True
        self.wanted.emit()

    def _on_hover(self, point: tuple[float, float, float] | None) -> None:
        picture = self._shown
        if point is None:
            note = picture.note if picture.image is not None else ""
            self.readout.setText("\n".join(part for part in (picture.summary, note) if part))
            return
        q_y, q_x, value = point
        lines = point_reading(q_y, q_x, value, picture.radius(q_y, q_x), self._step, self._unit).splitlines()
        self.readout.setText("\n".join([*lines, ""]) if picture.summary and picture.note else ";  ".join(lines))
