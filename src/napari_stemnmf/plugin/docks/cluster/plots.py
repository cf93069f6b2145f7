"""The scree before a run; components and error of the seeds while they run, and a table to choose another seed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSplitter, QTableWidgetItem, QWidget

from napari_stemnmf.plugin.docks.cluster.model import RUNNING as IS_RUNNING
from napari_stemnmf.plugin.docks.cluster.model import Trace, summary
from napari_stemnmf.plugin.plain_plot import FAINT, MAIN, RUNNING, SECOND, PlainPlot, faint
from napari_stemnmf.plugin.widgets import Table, button, column, row, wrapping_label

if TYPE_CHECKING:
    from napari_stemnmf.clustering.scree import Scree

SCREE_TOOLTIP = (
    "Share of the variance [%] that each principal component explains. Orange: how many stand out of the noise. "
    "Blue: components that the seeds start from; drag it, or set 'components' below."
)
MARGIN = 1.1
"""Length of the axis, as a multiple of the farthest line's position."""
SMALLEST = 1e-4
"""Smallest share [%] that is drawn."""
COLUMNS = dict.fromkeys(("seed", "k", "error", "status"), "")
FAINTEST = 40
"""Opacity of the lines of hundreds of seeds."""
LATER_MS = 40
"""Delay of the second plot after the first, in ms."""
POINT = 7


class ScreePlot(PlainPlot):
    """The scree, the suggested number of components, and the number to start from, which can be dragged.

    Attributes
    ----------
    line : pyqtgraph.InfiniteLine or None
        Where the seeds start.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("explained [%]", "component", SCREE_TOOLTIP, parent)
        self.line: pg.InfiniteLine | None = None
        self._scree: Scree | None = None
        self._start = 0
        self._note = ""

    def show_scree(self, scree: Scree | None, start: int = 0, note: str = "") -> None:
        """Draw a scree and the number to start from; without one, the note."""
        if (scree, start, note) != (self._scree, self._start, self._note) or self.line is None:
            self._scree, self._start, self._note = scree, start, note
            self.redraw()

    def redraw(self) -> None:
        """Draw what was given last."""
        self.line = None
        if self._scree is None:
            self.write(self._note)
            return
        plot = self.getPlotItem()
        plot.clear()
        self._values(True)
        plot.setLogMode(False, True)
        share = np.maximum(100.0 * self._scree.ratio, SMALLEST)
        number = np.arange(1, len(share) + 1)
        plot.plot(number, share, pen=pg.mkPen(faint(self.text), width=1.2))
        out = number <= self._scree.suggested
        for part, colour in ((out, SECOND), (~out, self.text)):
            plot.plot(number[part], share[part], pen=None, symbol="o", symbolSize=4, symbolPen=None, symbolBrush=colour)
        last = MARGIN * max(len(share), self._start)
        self._mark(self._scree.suggested, f"suggested {self._scree.suggested}", SECOND, last, 0.92)
        self.line = self._mark(self._start, f"start {self._start}", MAIN, last, 0.72, movable=True)
        self.line.sigPositionChanged.connect(self._on_moved)
        self.line.sigPositionChangeFinished.connect(self._on_moved_to)
        plot.setXRange(0, last, padding=0)
        plot.enableAutoRange(axis="y")

    def _mark(
        self, at: int, text: str, colour: str, last: float, height: float, movable: bool = False
    ) -> pg.InfiniteLine:
        style = Qt.PenStyle.SolidLine if movable else Qt.PenStyle.DashLine
        right = at > 0.6 * last
        line = pg.InfiniteLine(
            at, movable=movable, pen=pg.mkPen(colour, width=2 if movable else 1.5, style=style), label=text,
            hoverPen=pg.mkPen(colour, width=4), bounds=(2, None) if movable else None,
            labelOpts={"position": height, "color": QColor(colour), "anchors": [(1.0 if right else 0.0, 0.5)] * 2},
        )  # fmt: skip
        self.addItem(line)
        return line

    def _on_moved(self) -> None:
        if self.line is not None:
            self.line.label.setFormat(f"start {round(self.line.value())}")

    def _on_moved_to(self) -> None:
        if self.line is not None:
            self.chosen.emit(max(2, round(self.line.value())))


class TracePlot(PlainPlot):
    """A line for each seed; ended ones have a point at their end, which can be clicked."""

    clicked = Signal(int)

    def __init__(self, left: str, bottom: str, tooltip: str, against_k: bool) -> None:
        super().__init__(left, bottom, tooltip)
        self._against_k = against_k
        self._traces: list[Trace] = []
        self._chosen: int | None = None

    def show_traces(self, traces: list[Trace], chosen: int | None) -> None:
        """Draw seeds; the chosen one stands out."""
        self._traces, self._chosen = traces, chosen
        self.redraw()

    def redraw(self) -> None:
        """Draw what was given last."""
        plot = self.getPlotItem()
        plot.clear()
        self._values(bool(self._traces))
        ended = [trace for trace in self._traces if trace.status != IS_RUNNING and len(self._line(trace)[0])]
        gap = (np.array([np.nan]), np.array([np.nan]))  # one curve for all that have ended: there may be hundreds
        parts = [part for trace in ended for part in (self._line(trace), gap)]
        if parts:
            x, y = (np.concatenate(each) for each in zip(*parts, strict=True))
            opacity = FAINT if len(ended) <= 50 else FAINTEST
            plot.plot(x, y, connect="finite", pen=pg.mkPen(faint(self.text, opacity), width=1))
        for trace in self._traces:
            running, chosen = trace.status == IS_RUNNING, trace.seed == self._chosen
            if running or chosen:
                x, y = self._line(trace)
                colour = QColor(MAIN if chosen else RUNNING)
                symbol = {"symbol": "o", "symbolSize": 3, "symbolPen": None, "symbolBrush": colour} if running else {}
                plot.plot(x, y, pen=pg.mkPen(colour, width=2), **symbol)
        points = pg.ScatterPlotItem(size=POINT, pen=None, hoverable=True, hoverSize=POINT + 4)
        if ended:
            ends = np.array([[part[-1] for part in self._line(trace)] for trace in ended])
            colours = [pg.mkBrush(MAIN if trace.seed == self._chosen else self.text) for trace in ended]
            points.setData(ends[:, 0], ends[:, 1], data=[trace.seed for trace in ended], brush=colours)
        points.sigClicked.connect(lambda _, spots, event: self.clicked.emit(int(spots[0].data())))
        plot.addItem(points)
        plot.enableAutoRange()

    def _line(self, trace: Trace) -> tuple[np.ndarray, np.ndarray]:
        ks, errors = np.array(trace.ks, float), np.array(trace.errors, float)
        if not self._against_k:
            return np.arange(1, len(ks) + 1), ks
        if trace.status != IS_RUNNING and trace.k and np.isfinite(trace.error):
            return np.append(ks, trace.k), np.append(errors, trace.error)
        return ks, errors


class SeedPlots(QWidget):
    """Plots and table of the seeds.

    Attributes
    ----------
    by_cycle, by_k : TracePlot
        Components against cycle, and error against components.
    table : Table
    use : QPushButton
        Makes the selected seed the model.
    summary : QLabel
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.by_cycle = TracePlot(
            "k", "cycle", "components of each seed, cycle by cycle of merging and refitting", False
        )
        self.by_k = TracePlot("error", "k", "‖V − WH‖ / ‖V‖ of each seed against its components; click an end", True)
        self.table = Table(
            "components k and error ‖V − WH‖ / ‖V‖ of each seed; Enter or a double click uses the selected one",
            COLUMNS,
            row_height=20,
        )
        self.table.share_width()
        self.table.setMinimumHeight(44)
        self.use = button(
            "Use this seed",
            "make the model of the selected seed the one in use, if it is of these settings; Refine is stale then",
            self._on_use,
        )
        self.summary = wrapping_label()
        self._traces: list[Trace] = []
        self._chosen: int | None = None
        self._shown: tuple = ()
        self._free = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(LATER_MS)
        self._later.timeout.connect(lambda: self._draw_in(self.by_k))
        plots, choice = QWidget(), QWidget()
        row(self.by_cycle, self.by_k, parent=plots)
        column(row(self.summary, self.use, stretch=self.summary), self.table, parent=choice, stretch=self.table)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(plots)
        splitter.addWidget(choice)
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 2)
        column(splitter, parent=self)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.table.itemActivated.connect(lambda _: self._on_use())
        for plot in (self.by_cycle, self.by_k):
            plot.clicked.connect(self.select)

    def show_seeds(self, traces: list[Trace], of: int, chosen: int | None, free: bool) -> None:
        """Show `of` seeds as far as they are, the `chosen` one in use; another may be chosen if that is `free` now."""
        self._free = free
        shown = ([(t.seed, len(t.ks), t.status) for t in traces], of, chosen)
        if shown != self._shown:
            self._shown, self._traces, self._chosen = shown, traces, chosen
            self.by_cycle.getPlotItem().setLabels(bottom=traces[0].step if traces else "cycle")
            self.summary.setText(summary(traces, of, chosen) or "No seeds yet; they show here as they run.")
            self._fill()
            self._draw()
        self._offer()

    def set_theme(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        for plot in (self.by_cycle, self.by_k):
            plot.set_theme(background, text)

    def select(self, seed: int) -> None:
        """Select a seed in the table."""
        rows = [i for i, trace in enumerate(self._traces) if trace.seed == seed]
        if rows:
            self.table.selectRow(rows[0])

    @property
    def selected(self) -> Trace | None:
        """The seed that is selected in the table."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        selected = next(iter(rows), len(self._traces))
        return self._traces[selected] if selected < len(self._traces) else None

    def _fill(self) -> None:
        kept = self.selected
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self._traces))
            for i, trace in enumerate(self._traces):
                error = f"{trace.error:.4f}" if np.isfinite(trace.error) else "–"
                status = "in use" if trace.seed == self._chosen else trace.status
                for j, text in enumerate((str(trace.seed), str(trace.k), error, status)):
                    item = self.table.item(i, j)
                    if item is None:
                        item = QTableWidgetItem()
                        item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                        self.table.setItem(i, j, item)
                    if item.text() != text:
                        item.setText(text)
            self.table.clearSelection()
        if kept is not None:
            self.select(kept.seed)

    def _draw(self) -> None:
        """Draw one plot now and the other a little later: beside threads that compute, painting takes its time."""
        self._draw_in(self.by_cycle)
        self._later.start()

    def _draw_in(self, plot: TracePlot) -> None:
        plot.show_traces(self._traces, self.selected.seed if self.selected is not None else self._chosen)

    def _offer(self) -> None:
        trace = self.selected
        other = trace is not None and trace.k > 0 and trace.seed != self._chosen and trace.status != IS_RUNNING
        self.use.setEnabled(self._free and other)
        self.use.setText(f"Use seed {trace.seed}" if trace is not None and other else "Use this seed")

    def _on_selected(self) -> None:
        self._draw()
        self._offer()

    def _on_use(self) -> None:
        if self.use.isEnabled() and self.selected is not None:
            self.chosen.emit(self.selected.seed)
