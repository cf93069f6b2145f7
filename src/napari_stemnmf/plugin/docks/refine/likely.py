"""How likely groups of spots are right, as a histogram, with the least that a grain needs as a line to drag."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtGui import QColor

from napari_stemnmf.plugin.plain_plot import MAIN, PlainPlot, faint

TOOLTIP = (
    "How many groups of spots are how likely to be a grain with the right outline. "
    "Drag the line: what is less likely is left out (min confidence)."
)
BINS = 20
STEP = 0.05


class LikelihoodPlot(PlainPlot):
    """Histogram of the likelihoods of groups; `chosen` carries the least one, when its line is dragged.

    Attributes
    ----------
    line : pyqtgraph.InfiniteLine or None
        The least likelihood that is kept.
    """

    chosen = Signal(float)
    least = (110, 96)

    def __init__(self) -> None:
        super().__init__("groups", "", TOOLTIP)
        self.line: pg.InfiniteLine | None = None
        self._likely, self._least = np.empty(0), 0.0

    def show_likelihoods(self, likely: np.ndarray, least: float) -> None:
        """Draw how likely each group is, and the least that is kept."""
        if self.line is None or not np.array_equal(likely, self._likely):
            self._likely, self._least = likely, least
            self.redraw()
        elif least != self._least:
            self._least = least
            self.line.setValue(least)
            self._name()

    def redraw(self) -> None:
        """Draw what was given last."""
        self.line = None
        if not len(self._likely):
            self.write("There are no groups of spots.")
            return
        plot = self.getPlotItem()
        plot.clear()
        self._values(True)
        counts, edges = np.histogram(self._likely, BINS, (0.0, 1.0))
        middle, width = (edges[:-1] + edges[1:]) / 2, 0.9 / BINS
        plot.addItem(pg.BarGraphItem(x=middle, height=counts, width=width, brush=faint(self.text, 110), pen=None))
        self.line = pg.InfiniteLine(
            self._least, movable=True, bounds=(0.0, 1.0), pen=pg.mkPen(MAIN, width=2),
            hoverPen=pg.mkPen(MAIN, width=4), label="",
            labelOpts={"position": 0.85, "color": QColor(MAIN), "anchors": [(0.0, 0.5), (1.0, 0.5)]},
        )  # fmt: skip
        self.addItem(self.line)
        self.line.sigPositionChanged.connect(self._name)
        self.line.sigPositionChangeFinished.connect(self._on_dropped)
        self._name()
        plot.setXRange(0, 1, padding=0.02)
        plot.setYRange(0, max(1, counts.max()), padding=0.05)

    def _name(self, *_: object) -> None:
        if self.line is not None:
            self.line.label.setFormat(f"kept from {_rounded(self.line.value()):.2f}")

    def _on_dropped(self) -> None:
        if self.line is not None:
            self.chosen.emit(_rounded(self.line.value()))


def _rounded(value: float) -> float:
    return float(round(round(value / STEP) * STEP, 2))
