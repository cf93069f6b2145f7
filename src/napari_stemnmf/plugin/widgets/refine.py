"""Refine: spatially distinct grains from component maps."""

from __future__ import annotations

from typing import Any, ClassVar

from magicgui.widgets import Container, SpinBox

from napari_stemnmf.plugin import display
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets.step import StepWidget


class RefineWidget(StepWidget):
    """Thresholds each component map and cuts it into grains, which may overlap.

    Attributes
    ----------
    plane : SpinBox
        The grain whose whole mask is shown, what others cover included.
    """

    step: ClassVar[str] = "refine"
    run_text: ClassVar[str] = "Refine"

    def _foot(self) -> list[Any]:
        self.plane = SpinBox(name="plane", label="show grain", min=0, max=0)
        self.plane.tooltip = "shows the whole mask of one grain in the grain stack; 0 shows all grains again"
        self.plane.changed.connect(self._on_plane)
        self._view = Container(name="view", widgets=[self.plane])
        self._view.margins = (0, 0, 0, 0)
        return [self._view]

    def _add_forms(self) -> None:
        self.add_form("{feature}.separation", "Grains")

    def _on_plane(self, label: int) -> None:
        if self._refreshing or self._session is None:
            return
        feature = self.feature.value
        display.show_plane(self._viewer, self._session, f"stack/{feature}", label - 1)
        for role, visible in ((f"stack/{feature}", label > 0), (f"grains/{feature}", label == 0)):
            layer = display.find(self._viewer, self._session, role)
            if layer is not None:
                layer.visible = visible
                layer.selected_label = max(1, label)

    def _show_session(self, session: Session | None) -> None:
        grains = session.result("refine", str(self.feature.value)) if session is not None else None
        self._view.enabled = grains is not None
        self.plane.max = len(grains) if grains is not None else 0
