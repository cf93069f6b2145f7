"""The weights of one component map as a histogram, with the threshold as a line to drag."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_stemnmf.plugin.docks.refine.model import Histogram, scale_at
from napari_stemnmf.plugin.plain_plot import MAIN, SECOND, PlainPlot, faint

TOOLTIP = (
    "How many probe positions have which weight in the component that is shown (logarithmic). "
    "Drag the line to move the thresholds of all components by the same factor."
)


class WeightsPlot(PlainPlot):
    """Histogram and threshold.

    Attributes
    ----------
    line : pyqtgraph.InfiniteLine or None
        The threshold.
    """

    scaled = Signal(float)
    least = (110, 96)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("count", "", TOOLTIP, parent)
        self.line: pg.InfiniteLine | None = None
        self._bars: pg.PlotDataItem | None = None
        self._shown: Histogram | None = None
        self._note = ""
        self._dragged = False

    def show_weights(self, histogram: Histogram | None, note: str = "") -> None:
        """Draw a histogram; without one, the note."""
        self._shown, self._note = histogram, note
        if histogram is None or self._bars is None:
            self.redraw()
        else:
            self._update(histogram)

    def redraw(self) -> None:
        """Draw what was given last."""
        self._bars = self.line = None
        self._dragged = False
        if self._shown is None:
            self.write(self._note)
            return
        plot = self.getPlotItem()
        plot.clear()
        self._values(True)
        plot.setLogMode(False, False)
        self.getAxis("left").setTicks([[(np.log10(1 + n), f"{n}") for n in (0, 10, 100, 1000, 10_000, 100_000)]])
        self._bars = plot.plot(
            [0, 1], [0], stepMode="center", fillLevel=0, brush=faint(self.text, 110), pen=pg.mkPen(faint(self.text))
        )
        self.line = pg.InfiniteLine(
            0.0, movable=True, pen=pg.mkPen(MAIN, width=2), hoverPen=pg.mkPen(MAIN, width=4), label="",
            labelOpts={"position": 0.85, "color": QColor(MAIN), "anchors": [(0.0, 0.5), (1.0, 0.5)]},
        )  # fmt: skip
        self.addItem(self.line)
        self.line.sigDragged.connect(self._on_dragged)
        self.line.sigPositionChangeFinished.connect(self._on_dropped)
        self._update(self._shown)

    def _update(self, histogram: Histogram) -> None:
        if self._bars is None or self.line is None:
            return
        height = np.log10(1.0 + histogram.counts)
        self._bars.setData(histogram.edges, height)
        plot = self.getPlotItem()
        plot.setXRange(0, max(float(histogram.edges[-1]), 1e-12), padding=0.02)
        plot.setYRange(0, max(1.0, float(height.max(initial=0.0))), padding=0.02)
        self.line.setVisible(bool(np.isfinite(histogram.threshold)))
        self.line.setPen(pg.mkPen(SECOND if histogram.noise else MAIN, width=2))
        if not self._dragged and np.isfinite(histogram.threshold):
            self.line.setValue(histogram.threshold)
            name = "noise, left out" if histogram.noise else f"cut at weight {histogram.threshold:.3g}"
            self.line.label.setFormat(f"{name} (× {histogram.scale:.3g})")

    def _on_dragged(self) -> None:
        if self.line is None or self._shown is None:
            return
        scale = scale_at(self._shown, float(self.line.value()))
        if scale is not None:
            self._dragged = True
            self.line.label.setFormat(f"cut at weight {self.line.value():.3g} (× {scale:.3g})")
            self.scaled.emit(scale)

    def _on_dropped(self) -> None:
        self._dragged = False
        if self._shown is not None:
            self._update(self._shown)
