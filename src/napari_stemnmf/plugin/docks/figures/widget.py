"""Figures: any figure of the catalogue, drawn from the scans that are open, seen in the dock, and written for print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_stemnmf.plugin.session import FEATURE_NAMES
from napari_stemnmf.plugin.sources import FILES, AnalysisSources

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

    from napari_stemnmf.plugin.docks.figures.model import Drawn, Order

ORDER = ("rv", "aa", "bd")
"""Representations in the order of the paper's figures."""
FIRST = "sizes"
"""The figure that the dock begins with: it needs no truth."""
SAVED_AS = "PDF and PNG (*.pdf *.png)"


class FiguresWidget(QWidget):
    """A figure, what it is drawn from, its preview, and Save.

    Attributes
    ----------
    figure : QComboBox
        Which figure; its data are the names of the catalogue.
    material : MaterialTable
        Analyses to tick, and their truth.
    feature : QComboBox
        Representation, for a figure of one.
    view : FigureView
    status : QLabel
        What the figure shows, and what is missing.
    redraw, save, add_file : QPushButton
    drawn : Drawn or None
        What is seen.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_stemnmf.figures.catalogue import CATALOGUE
        from napari_stemnmf.plugin.docks.figures import model as drawing
        from napari_stemnmf.plugin.docks.figures.figure_view import FigureView
        from napari_stemnmf.plugin.docks.figures.material_table import MaterialTable
        from napari_stemnmf.plugin.jobs.preview import Latest

        super().__init__()
        self._viewer = viewer
        self._number = 0
        self._asked: Order | None = None
        self.drawn: Drawn | None = None
        self.figure, self.feature = QComboBox(), QComboBox()
        for name, entry in CATALOGUE.items():
            self.figure.addItem(name.replace("-", " "), name)
            self.figure.setItemData(self.figure.count() - 1, entry.title, Qt.ItemDataRole.ToolTipRole)
        self.figure.setCurrentIndex(list(CATALOGUE).index(FIRST))
        self.material = MaterialTable(viewer)
        self.view = FigureView()
        self.about, self.status = QLabel(), QLabel()
        self.add_file, self.redraw, self.save = (QPushButton(t) for t in ("Add file…", "Redraw", "Save…"))
        self._lay_out()
        self._sources = AnalysisSources(viewer, self)
        self._drawer, self._writer = Latest(drawing.draw, self), Latest(drawing.save, self)
        self.figure.currentIndexChanged.connect(self._refresh)
        self.feature.activated.connect(self._ask)
        self.material.changed.connect(self._refresh)
        self._sources.changed.connect(self._on_sources)
        self.add_file.clicked.connect(self._on_add)
        self.redraw.clicked.connect(self._on_redraw)
        self.save.clicked.connect(self._on_save)
        self._drawer.done.connect(self._on_drawn)
        self._writer.done.connect(self._on_written)
        viewer.events.theme.connect(self._on_theme)
        self.destroyed.connect(lambda: self._disconnect())  # a method of what is destroyed would not be called
        self._on_theme()
        self._on_sources()

    def choose(self, name: str) -> None:
        """Draw a figure of the catalogue."""
        self.figure.setCurrentIndex(self.figure.findData(name))

    def add_files(self, *paths: str) -> None:
        """Take analysis files to draw from, without layers in the viewer."""
        self._sources.add(paths)

    def save_as(self, stem: Path) -> None:
        """Write what is seen, as PDF and PNG."""
        from napari_stemnmf.plugin.docks.figures.model import SaveOrder

        if self.drawn is not None and self.drawn.figure is not None:
            self._writer.ask(SaveOrder(self.drawn.figure, stem))

    # ---- what the user does

    def _on_add(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Analyses to draw", "", FILES)
        self.add_files(*paths)

    def _on_redraw(self) -> None:
        self._asked = None
        self._refresh()

    def _on_save(self) -> None:
        proposed = f"{self.figure.currentData()}.pdf"
        path, _ = QFileDialog.getSaveFileName(self, "Save the figure as PDF and PNG", proposed, SAVED_AS)
        if path:
            chosen = Path(path)
            self.save_as(chosen.with_suffix("") if chosen.suffix.lower() in (".pdf", ".png") else chosen)

    def _on_theme(self, event: Any = None) -> None:
        from napari.utils.theme import get_theme

        self.view.set_theme(get_theme(self._viewer.theme).background.as_hex())

    # ---- what happens around

    def _on_sources(self) -> None:
        self.material.show_sessions(self._sources.named())
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        """Offer what the chosen figure takes, and have it drawn."""
        from napari_stemnmf.figures.catalogue import CATALOGUE

        entry = CATALOGUE[self.figure.currentData()]
        self.about.setText(entry.title[0].upper() + entry.title[1:] + ".")
        self.material.allow(entry.analyses == "several")
        self._form.setRowVisible(self.feature, entry.needs_feature)
        offered = [f for f in ORDER if any(_has(session.analysis, f) for _, session in self.material.ticked())]
        if offered != [self.feature.itemData(i) for i in range(self.feature.count())]:
            before = self.feature.currentData()
            self.feature.clear()
            for feature in offered:
                self.feature.addItem(FEATURE_NAMES[feature], feature)
            self.feature.setCurrentIndex(max(0, self.feature.findData(before)))
        self._ask()

    def _ask(self, *_: Any) -> None:
        """Have the figure drawn if it is another than the one that is seen or being drawn."""
        order, lacks = self._order()
        if order is None:
            self._number += 1  # what is being drawn is no longer wanted
            self._asked = None
            self._show(None, lacks)
        elif self._asked is None or not _same(order, self._asked):
            self._asked = order
            self._show(None, "Drawing…")
            self._drawer.ask(order)

    def _order(self) -> tuple[Order | None, str]:
        """What is to be drawn, or what it lacks."""
        from napari_stemnmf.figures.catalogue import CATALOGUE
        from napari_stemnmf.plugin.docks.figures.model import Order

        name = self.figure.currentData()
        entry, ticked = CATALOGUE[name], self.material.ticked()
        if self._sources.reading:
            return None, "Reading " + ", ".join(path.name for path in self._sources.reading) + "…"
        if not ticked:
            return None, "There is no analysis yet: open a scan and run the steps, open an analysis, or add its file."
        found = [(each, session, self.material.truth(session)) for each, session in ticked]
        without = [each for each, _, truth in found if truth is None]
        if entry.needs_truth and without:
            return None, f"The figure needs the true grains of {', '.join(without)}: choose them beside the analysis."
        if entry.needs_feature and not self.feature.count():
            return None, f"{ticked[0][0]} holds no components or grains yet; run Cluster and Refine."
        self._number += 1
        return Order(
            self._number,
            name,
            {each: session.analysis for each, session, _ in found if session.analysis is not None},
            {each: truth if isinstance(truth, Path) else truth.data for each, _, truth in found if truth is not None},
            {each: session.dataset for each, session, _ in found if session.dataset is not None},
            self.feature.currentData() if entry.needs_feature else "",
        ), ""

    def _on_drawn(self, drawn: Drawn) -> None:
        from napari.utils.notifications import show_error

        if self._asked is None or drawn.number != self._asked.number:
            return
        self._show(drawn if drawn.figure is not None else None, drawn.error)
        if drawn.error:
            show_error(drawn.error)

    def _on_written(self, written: tuple[list[Path], str]) -> None:
        from napari.utils.notifications import show_error, show_info

        paths, error = written
        if error:
            show_error(error)
        else:
            show_info(f"Wrote {' and '.join(path.name for path in paths)} to {paths[0].parent}.")

    def _show(self, drawn: Drawn | None, status: str) -> None:
        self.drawn = drawn
        self.view.show_png(b"" if drawn is None else drawn.png)
        self.status.setText(status)
        self.status.setVisible(bool(status))
        self.save.setEnabled(drawn is not None)
        self.redraw.setEnabled(drawn is not None or bool(self._asked))

    def _disconnect(self) -> None:
        """The dock was closed: stop listening."""
        self._viewer.events.theme.disconnect(self._on_theme)
        self._drawer.close()
        self._writer.close()
        self._sources.close()

    def _lay_out(self) -> None:
        self.figure.setToolTip("which figure")
        self.feature.setToolTip("the representation that the figure is of")
        self.add_file.setToolTip("draw an analysis that is not open in the viewer (.stemnmf.h5)")
        self.redraw.setToolTip("draw anew: true grains that were painted meanwhile are taken as they are now")
        self.save.setToolTip("write NAME.pdf and NAME.png, at a journal's width; the text stays text")
        for label in (self.about, self.status):
            label.setWordWrap(True)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self._form = QFormLayout()
        self._form.addRow("figure", self.figure)
        self._form.addRow(self.about)
        self._form.addRow(self.material)
        self._form.addRow("feature", self.feature)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_file)
        buttons.addStretch(1)
        buttons.addWidget(self.redraw)
        buttons.addWidget(self.save)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        column = QVBoxLayout(self)
        column.addLayout(self._form)
        column.addWidget(self.view, 1)
        column.addWidget(self.status)
        column.addLayout(buttons)


def _has(analysis: Any, feature: str) -> bool:
    return analysis is not None and (feature in analysis.models or feature in analysis.grains)


def _same(one: Order, other: Order) -> bool:
    """Whether two orders are for the same figure of the very same things."""
    if (one.name, one.feature) != (other.name, other.feature):
        return False
    for name in ("analyses", "truths", "datasets"):
        here, there = getattr(one, name), getattr(other, name)
        if list(here) != list(there) or any(here[key] is not there[key] for key in here):
            return False
    return True
