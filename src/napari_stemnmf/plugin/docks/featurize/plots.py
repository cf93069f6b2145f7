"""A profile over radius in Qt, with bounds that can be dragged: those of AA's rings, or the first and last radius.

Shows a `FeaturePicture` and signals new bounds, without reference to a scan. pyqtgraph, as `pattern_view`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QSplitter, QWidget

from napari_stemnmf.plugin.docks.featurize.model import FeaturePicture
from napari_stemnmf.plugin.patterns.pattern_view import PatternView
from napari_stemnmf.plugin.patterns.scan_patterns import SCALES, point_reading, scaled
from napari_stemnmf.plugin.plain_plot import PlainPlot, faint
from napari_stemnmf.plugin.widgets import button, chooser, column, wrapping_label

DRAWN = {
    "centre": ("#00d5ff", 1.4),
    "cells": ("#b9c4ff90", 0.8),
    "bins": ("#b9c4ff38", 0.5),
    "rings": ("#8f9dff", 1.4),
    "bounds": ("#e8bd00", 1.4),
    "left out": ("#ff6b6b", 1.0),
    "disks": ("#57f287", 1.4),
}
"""What can be drawn over the pattern: colour and width of its lines."""
WEAK = 110
"""Opacity, of 255, of curves to compare with."""
STEP = 0.25
"""Bounds are set to multiples of so many pixels of the detector."""
GRIP = 5
"""Half width, in pixels of the screen, of what can be gripped of a bound: pyqtgraph's own is narrower than a finger."""


class ProfileView(PlainPlot):
    """Curves over radius [px], the peaks of rings, and bounds to drag: `bounds` for the rings of AA, else `region`.

    `rings_moved` carries all radii, `span_moved` first and last radius, None for that which was not dragged.
    """

    rings_moved = Signal(object)
    span_moved = Signal(object, object)

    least, size_hint = (0, 80), (320, 130)

    def __init__(self) -> None:
        super().__init__("", "", "")
        self._plot = self.getPlotItem()
        self._plot.setMouseEnabled(x=True, y=False)
        self._plot.getAxis("left").setWidth(46)
        self._curves: list[Any] = []
        self._peaks = pg.ScatterPlotItem(symbol="t", size=9, pen=None, brush=DRAWN["disks"][0])
        self._plot.addItem(self._peaks)
        self.bounds: list[Any] = []
        self.region = pg.LinearRegionItem(
            brush=faint(DRAWN["bounds"][0], 28), pen=pg.mkPen(DRAWN["bounds"][0], width=2)
        )
        self.region.setVisible(False)
        self.region.sigRegionChangeFinished.connect(self._on_region)
        self._plot.addItem(self.region)
        self._shown: FeaturePicture | None = None

    def show_picture(self, picture: FeaturePicture) -> None:
        """Show the curves and bounds of a picture."""
        self._show_curves(picture)
        self._show_bounds(picture)
        self._shown = picture

    def redraw(self) -> None:
        """Draw again, in the colours of the theme as they are now."""
        if self._shown is not None:
            self.show_picture(self._shown)

    def _show_curves(self, picture: FeaturePicture) -> None:
        for curve in self._curves:
            self._plot.removeItem(curve)
        self._curves = []
        logarithmic = picture.feature == "aa"
        values = [
            _logarithm(curve.value) if logarithmic else np.asarray(curve.value, np.float64) for curve in picture.curves
        ]
        tops = [
            np.nanmax(value, initial=0.0) for curve, value in zip(picture.curves, values, strict=True) if curve.strong
        ]
        power = 0 if logarithmic else _power(max(tops, default=0.0))
        drawn = [(curve, value / 10.0**power) for curve, value in zip(picture.curves, values, strict=True)]
        for curve, value in sorted(drawn, key=lambda one: one[0].strong):
            colour = self._colour(curve.strong)
            item = self._plot.plot(
                curve.radius, value, pen=pg.mkPen(colour, width=2 if curve.strong else 1.2), connect="finite",
            )  # fmt: skip
            self._curves.append(item)
        peaks = picture.peaks
        self._peaks.setData(peaks[:, 0], _logarithm(peaks[:, 1]) if len(peaks) else [])
        self._plot.setLabel("left", f"{picture.axis} / 10{_raised(power)}" if power else picture.axis)
        before = self._shown
        if before is None or before.feature != picture.feature or not before.curves:
            furthest = max((float(curve.radius[-1]) for curve in picture.curves if len(curve.radius)), default=1.0)
            self._plot.setXRange(0.0, furthest, padding=0.02)
        if picture.curves:
            strong = np.concatenate(
                [scaled for curve, scaled in drawn if curve.strong or logarithmic] or [scaled for _, scaled in drawn]
            )
            low, high = float(np.nanmin(strong)), float(np.nanmax(strong))
            self._plot.setYRange(low, high if high > low else low + 1.0, padding=0.1)

    def _colour(self, strong: bool) -> QColor:
        return QColor(DRAWN["centre"][0]) if strong else faint(self.text, WEAK)

    def legend(self, picture: FeaturePicture) -> str:
        """The axis and the title of each curve, to be shown beside the plot, where it covers no curve."""
        parts = ["radius [px]"]
        for curve in picture.curves:
            parts.append(f"<span style='color: {self._colour(curve.strong).name()}'>━</span> {curve.title}")
        if len(picture.peaks):
            parts.append(f"<span style='color: {DRAWN['disks'][0]}'>▼</span> ring")
        return "&nbsp; ".join(parts)

    def _show_bounds(self, picture: FeaturePicture) -> None:
        while len(self.bounds) > len(picture.rings):
            self._plot.removeItem(self.bounds.pop())
        while len(self.bounds) < len(picture.rings):
            line = pg.InfiniteLine(movable=True, pen=pg.mkPen(DRAWN["rings"][0], width=2), hoverPen=self.text)
            line.setCursor(Qt.CursorShape.SplitHCursor)
            line.addMarker("v", 1.0, 2 * GRIP)
            line.sigPositionChangeFinished.connect(self._on_bounds)
            self._plot.addItem(line)
            self.bounds.append(line)
        for line, radius in zip(self.bounds, picture.rings, strict=True):
            with QSignalBlocker(line):
                line.setPos(radius)
        self.region.setVisible(picture.span is not None)
        if picture.span is not None:
            with QSignalBlocker(self.region):
                self.region.setRegion(picture.span)

    def _on_bounds(self, *_: Any) -> None:
        radii = sorted({_rounded(line.value()) for line in self.bounds})
        if len(radii) >= 2:
            self.rings_moved.emit(tuple(radii))

    def _on_region(self, *_: Any) -> None:
        span = None if self._shown is None else self._shown.span
        if span is None:
            return
        moved = [
            None if abs(a - b) < STEP / 2 else _rounded(a) for a, b in zip(self.region.getRegion(), span, strict=True)
        ]
        if moved != [None, None]:
            self.span_moved.emit(*moved)


def _logarithm(values: np.ndarray) -> np.ndarray:
    """For the eye: decades; NaN where there is nothing."""
    values = np.asarray(values, np.float64)
    return np.log10(np.where(values > 0, values, np.nan))


def _power(largest: float) -> int:
    """The power of ten, a multiple of three, that large values are divided by."""
    return 3 * int(np.log10(largest) // 3) if np.isfinite(largest) and largest >= 1e4 else 0


def _raised(power: int) -> str:
    return "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(digit)] for digit in str(power))


def _rounded(radius: float) -> float:
    return max(0.0, round(float(radius) / STEP) * STEP)


SHOWN = {"vdf": "maximum", "aa": "maximum", "rv": "position", "bd": "calibrated map"}
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
    "vdf": "spots that are followed through the scan (green), at one position also disks that are not (red); "
    "below, the heights of both over radius",
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
            self.view.addItem(item)
        self.shown = FeaturePicture()
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

    def show_feature(self, feature: str) -> None:
        """Choose the most informative picture of a representation, unless the user has chosen one."""
        tooltip = TOOLTIPS.get(feature, "")
        self.view.setToolTip(f"{tooltip}. Wheel: zoom; drag: move; double click: the whole detector")
        below = tooltip.partition("below, ")[2]
        chosen = "what the radii [px] are chosen by: " if below.startswith("drag") else ""
        self.profile.setToolTip(f"{chosen}{below}; wheel: zoom")
        if not self._own_choice:
            with QSignalBlocker(self.picture):
                self.picture.setCurrentIndex(list(PATTERNS).index(SHOWN.get(feature, "position")))

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
        self.shown = picture
        self._show_image()
        self.view.show_mask(picture.mask if picture.image is not None else None)
        for name, item in self._lines.items():
            points = picture.lines.get(name)
            item.setData(*(([], []) if points is None else (points[:, 1], points[:, 0])))
        self.profile.show_picture(picture)
        self.legend.setText(self.profile.legend(picture) if picture.curves else "")
        profile = picture.image is not None and bool(picture.curves or picture.span)
        if profile and self.profile.isHidden():
            whole = sum(self.splitter.sizes())
            self.profile.show()
            self.splitter.setSizes([round(PATTERN_SHARE * whole), round((1 - PATTERN_SHARE) * whole)])
        self.profile.setVisible(profile)
        self._on_hover(None)

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self.view.set_colours(background, text)
        self.profile.set_theme(background, text)
        self.show_picture(self.shown)

    def _show_image(self) -> None:
        picture, scale = self.shown, str(self.scale.currentText())
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
        picture = self.shown
        if point is None:
            note = picture.note if picture.image is not None else ""
            self.readout.setText("\n".join(part for part in (picture.summary, note) if part))
            return
        q_y, q_x, value = point
        lines = point_reading(q_y, q_x, value, picture.radius(q_y, q_x), self._step, self._unit).splitlines()
        self.readout.setText("\n".join([*lines, ""]) if picture.summary and picture.note else ";  ".join(lines))
