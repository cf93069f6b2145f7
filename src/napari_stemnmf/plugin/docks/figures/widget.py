"""Figures: any figure of the catalogue, drawn from the open scans, shown in the dock, and written for print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QGraphicsPixmapItem,
    QGraphicsScene,
    QGraphicsView,
    QHBoxLayout,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_stemnmf.plugin.docks.figures.model import Drawn, FigureRequest, draw
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.keeper import keeper_of
from napari_stemnmf.plugin.session import FEATURE_NAMES
from napari_stemnmf.plugin.sources import FILES, AnalysisSources
from napari_stemnmf.plugin.widgets import button, show_error, wrapping_label
from napari_stemnmf.plugin.wording import unmarked
from napari_stemnmf.recipe import IN_FIGURES

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest
    from matplotlib.figure import Figure

FIRST = "sizes"
"""The figure that the dock begins with: it needs no truth."""
SAVED_AS = "PDF and PNG (*.pdf *.png)"
SIZE = (520, 420)
"""Preferred width and height of the view, in pixels of the screen."""
ZOOM_STEP = 1.25
"""Factor of one step of the wheel."""
NEAREST = 4.0
"""Pixels of the screen for one of the picture, at most."""


class FigureView(QGraphicsView):
    """A picture that the wheel zooms and a drag moves; a double click shows all of it again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._paper = QGraphicsScene(self)
        self._picture = QGraphicsPixmapItem()
        self._paper.addItem(self._picture)
        self._picture.setTransformationMode(Qt.TransformationMode.SmoothTransformation)
        self._all = True
        self.setScene(self._paper)
        self.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        self.setDragMode(QGraphicsView.DragMode.ScrollHandDrag)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setMinimumSize(160, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setToolTip("wheel: nearer; drag: move; double click: all of it")

    def sizeHint(self) -> QSize:
        """Wide enough to read a figure."""
        return QSize(*SIZE)

    def show_png(self, png: bytes) -> None:
        """Show a picture; nothing where there are no bytes."""
        pixmap = QPixmap()
        pixmap.loadFromData(png)
        self._picture.setPixmap(pixmap)
        self._paper.setSceneRect(QRectF(pixmap.rect()))
        self.show_all()

    @property
    def pixmap(self) -> QPixmap:
        """What is shown."""
        return self._picture.pixmap()

    def show_all(self) -> None:
        """All of the picture, not larger than it is."""
        self._all = True
        if self.pixmap.isNull():
            return
        self.fitInView(self._picture, Qt.AspectRatioMode.KeepAspectRatio)
        if self.transform().m11() > 1.0:
            self.resetTransform()

    def set_theme(self, background: str) -> None:
        """Take the colour of the window's theme."""
        self.setBackgroundBrush(QColor(background))

    def wheelEvent(self, event: Any) -> None:
        """Zoom about the mouse."""
        factor = ZOOM_STEP if event.angleDelta().y() > 0 else 1 / ZOOM_STEP
        if self.pixmap.isNull() or self.transform().m11() * factor > NEAREST:
            return
        self._all = False
        self.scale(factor, factor)
        if self.transform().m11() * self.pixmap.width() < self.width() / 2:
            self.show_all()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """All of it."""
        self.show_all()

    def resizeEvent(self, event: Any) -> None:
        """All of it stays all of it."""
        super().resizeEvent(event)
        if self._all:
            self.show_all()


class FiguresWidget(QWidget):
    """A figure of the catalogue, what it is drawn from (`material`), its preview (`view`), and Save.

    `drawn` is the figure that is shown, and None while there is none; `status` says what is missing then.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_stemnmf.figures.catalogue import CATALOGUE
        from napari_stemnmf.plugin.docks.figures.material_table import MaterialTable

        super().__init__()
        self._viewer = viewer
        self._asked: FigureRequest | None = None
        self.drawn: Drawn | None = None
        self.figure, self.feature = QComboBox(), QComboBox()
        for name, entry in CATALOGUE.items():
            self.figure.addItem(name.replace("-", " "), name)
            self.figure.setItemData(self.figure.count() - 1, entry.title, Qt.ItemDataRole.ToolTipRole)
        self.figure.setCurrentIndex(list(CATALOGUE).index(FIRST))
        self.material = MaterialTable(viewer)
        self.view = FigureView()
        self.about, self.status = wrapping_label(), wrapping_label()
        self.add_file = button(
            "Add file…", "draw an analysis that is not open in the viewer (.stemnmf.h5)", self._on_add
        )
        tooltip = "draw again: true grains that were painted meanwhile are taken as they are now"
        self.redraw = button("Redraw", tooltip, self._on_redraw)
        tooltip = "write NAME.pdf and NAME.png, at a journal's width; the text stays text"
        self.save = button("Save…", tooltip, self._on_save)
        self._lay_out()
        self._sources = AnalysisSources(viewer, self)
        self._drawer: Preview[FigureRequest, Drawn] = Preview(draw, self)
        self._writer: Preview[tuple[Figure, Path], list[Path]] = Preview(_write, self, every=True)
        self.figure.currentIndexChanged.connect(self._refresh)
        self.feature.activated.connect(self._ask)
        self.material.changed.connect(self._refresh)
        self._sources.changed.connect(self._on_sources)
        self._drawer.ready.connect(lambda drawn: self._show(drawn, ""))
        self._drawer.failed.connect(self._on_failed)
        self._writer.ready.connect(self._on_written)
        self._writer.failed.connect(show_error)
        viewer.events.theme.connect(self._on_theme)
        keeper = keeper_of(viewer)
        if keeper is not None:
            keeper.join(self)
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
        """Write the figure that is shown, as PDF and PNG."""
        if self.drawn is not None:
            self._writer.ask((self.drawn.figure, stem))

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
        offered = [f for f in IN_FIGURES if any(_has(session.analysis, f) for _, session in self.material.ticked())]
        if offered != [self.feature.itemData(i) for i in range(self.feature.count())]:
            before = self.feature.currentData()
            self.feature.clear()
            for feature in offered:
                self.feature.addItem(FEATURE_NAMES[feature], feature)
            self.feature.setCurrentIndex(max(0, self.feature.findData(before)))
        self._ask()

    def _ask(self, *_: Any) -> None:
        """Have the figure drawn if it is another than the one that is shown or being drawn."""
        request, lacks = self._request()
        if request is None:
            self._drawer.drop()
            self._asked = None
            self._show(None, lacks)
        elif not request.is_same(self._asked):
            self._asked = request
            self._show(None, "Drawing…")
            self._drawer.ask(request)

    def _request(self) -> tuple[FigureRequest | None, str]:
        """What is to be drawn, or what it lacks."""
        from napari_stemnmf.export.chosen import chosen
        from napari_stemnmf.figures.catalogue import CATALOGUE

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
        return FigureRequest(
            name,
            {each: chosen(session.analysis) for each, session, _ in found if session.analysis is not None},
            {each: truth if isinstance(truth, Path) else truth.data for each, _, truth in found if truth is not None},
            {each: session.dataset for each, session, _ in found if session.dataset is not None},
            self.feature.currentData() if entry.needs_feature else "",
        ), ""

    def _on_failed(self, message: str) -> None:
        self._show(None, message)
        show_error(message)

    def _on_written(self, paths: list[Path]) -> None:
        from napari.utils.notifications import show_info

        show_info(unmarked(f"Wrote {' and '.join(path.name for path in paths)} to {paths[0].parent}."))

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


def _write(request: tuple[Figure, Path]) -> list[Path]:
    from napari_stemnmf.figures import style

    return style.save(*request)
