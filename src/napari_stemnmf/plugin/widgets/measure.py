"""Measure: size, shape, pattern and dissimilarity of every grain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import Container, Label, PushButton
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow

from napari_stemnmf.plugin import display, layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets.step import StepWidget
from napari_stemnmf.plugin.widgets.toggle import LayerToggle

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

TABLE = ("napari", "Features table widget")
"""Plugin and name of napari's own table of features."""


class MeasureWidget(StepWidget):
    """Fills the features of the grains' layer, which napari's features table shows.

    Attributes
    ----------
    table : PushButton
        Opens the table of the chosen scan's grains.
    patterns : LayerToggle
        Shows the mean patterns of the grains.
    """

    step: ClassVar[str] = "measure"
    run_text: ClassVar[str] = "Measure"

    def _add_forms(self) -> None:
        about = Label(value="Size, shape, mean pattern and dissimilarity of each grain; nothing to set.")
        about.native.setWordWrap(True)
        self.form_area.append(about)

    def _foot(self) -> list[Any]:
        self.table = PushButton(name="table", text="Show table")
        self.table.tooltip = "napari's features table, with a row for every grain"
        self.table.clicked.connect(self._on_table)
        self.patterns = LayerToggle(
            self._viewer,
            "patterns",
            "grain patterns",
            lambda session: layers.grain_patterns(session, str(self.feature.value)),
            "the mean pattern of each grain, one plane a grain, on the detector's axes",
        )
        return [Container(name="views", widgets=[self.table, self.patterns], layout="horizontal", labels=False)]

    def _on_table(self) -> None:
        if self._session is not None:
            show_table(self._viewer, self._session, str(self.feature.value))

    def _show_session(self, session: Session | None) -> None:
        feature = str(self.feature.value)
        measured = session is not None and session.result("measure", feature) is not None
        self.patterns.show_state(session, f"grain patterns/{feature}", measured)
        self.table.enabled = session is not None and session.result("refine", feature) is not None


def show_table(viewer: napari.viewer.Viewer, session: Session, feature: str) -> None:
    """Select the grains' layer and open napari's features table below the canvas."""
    layer = display.find(viewer, session, f"grains/{feature}")
    if layer is None:
        return
    viewer.layers.selection.active = layer
    dock, _ = viewer.window.add_plugin_dock_widget(*TABLE)
    window = dock.parent()
    if isinstance(window, QMainWindow) and window.dockWidgetArea(dock) != Qt.DockWidgetArea.BottomDockWidgetArea:
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    dock.show()
