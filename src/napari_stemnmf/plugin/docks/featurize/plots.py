"""A profile over radius in Qt, with bounds that can be dragged: those of AA's rings, or the first and last radius.

Shows a `FeaturePicture` and signals new bounds, without reference to a scan. pyqtgraph, as `pattern_view`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor

from napari_stemnmf.plugin.docks.featurize.model import FeaturePicture
from napari_stemnmf.plugin.plain_plot import PlainPlot, faint

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
SIZE = (320, 130)
"""Width and height that the view asks for, in pixels of the screen."""
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

    least = (0, 80)

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

    def sizeHint(self) -> QSize:
        """Wide as a dock, and lower than the pattern above it."""
        return QSize(*SIZE)

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
