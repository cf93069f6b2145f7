"""Measure: size, shape, pattern and dissimilarity of every grain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import Container, PushButton
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_stemnmf.plugin.docks.measure import model
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import LayerToggle, facts

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest
    import numpy as np

    from napari_stemnmf.analysis import Analysis


class MeasureWidget(StepWidget):
    """Fills the features of the grains' layer, which napari's features table shows.

    Attributes
    ----------
    about : QLabel
        How many grains Run would measure: all, or those that edits have changed.
    found : QLabel
        What was measured, in short.
    table : PushButton
        Opens the table of the chosen scan's grains.
    patterns : LayerToggle
        Shows the mean patterns of the grains.
    """

    step: ClassVar[str] = "measure"
    run_text: ClassVar[str] = "Measure"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._preview = Preview(model.grains_to_measure)
        self._request: tuple[Analysis | None, str] = (None, "")
        self._changed: np.ndarray | None = None  # the grains of that request that are to be measured
        super().__init__(viewer)
        self._preview.ready.connect(self._on_preview)
        self._refresh()

    def _add_forms(self) -> None:
        self.about, self.found, columns = QLabel(), QLabel(), QLabel(facts(list(model.COLUMNS.items())))
        for label in (self.about, self.found, columns):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.add_section("To measure", self.about, expanded=True, tooltip="only what is new or was edited is read")
        self.add_section("Measured", self.found, expanded=True, tooltip="what the table says of all grains together")
        self.add_section("Columns of the table", columns, tooltip="what is measured of every grain; nothing to set")

    def _foot(self) -> list[Any]:
        self.table = PushButton(name="table", text="Show table")
        self.table.tooltip = "napari's features table, with a row for every grain"
        self.table.clicked.connect(lambda: display.show_table(self._viewer, self._session, str(self.feature.value)))
        self.patterns = LayerToggle(
            self._viewer,
            "patterns",
            "grain patterns",
            lambda session: layers.grain_patterns(session, str(self.feature.value)),
            "the mean pattern of each grain, one plane a grain, on the detector's axes",
        )
        return [Container(name="views", widgets=[self.table, self.patterns], layout="horizontal", labels=False)]

    def _show_session(self, session: Session | None) -> None:
        feature = str(self.feature.value)
        grains, table = (None if session is None else session.result(step, feature) for step in ("refine", "measure"))
        self._ask(session, feature, grains)
        self.about.setText(model.plan(grains, table, self._changed))
        self.found.setText("Nothing yet." if table is None else facts(model.findings(table)))
        self.patterns.show_state(session, f"grain patterns/{feature}", table is not None)
        self.table.enabled = grains is not None

    def _ask(self, session: Session | None, feature: str, grains: Any) -> None:
        """Have the grains found that are to be measured, unless they are known."""
        analysis = session.analysis if session is not None and grains is not None else None
        if analysis is not self._request[0] or feature != self._request[1]:
            self._preview.drop()
            self._request, self._changed = (analysis, feature), None
            if analysis is not None:
                self._preview.ask((analysis, feature))

    def _on_preview(self, changed: np.ndarray) -> None:
        self._changed = changed
        self._refresh()

    def _known(self) -> dict[str, Any]:
        return {} if self._changed is None else {"measured_again": {str(self.feature.value): self._changed}}

    def _disconnect(self, *args: Any) -> None:
        super()._disconnect(*args)
        self._preview.close()
