"""Cluster: iterative NMF of a feature matrix."""

from __future__ import annotations

from typing import Any, ClassVar

from magicgui.widgets import Container, SpinBox

from napari_stemnmf.plugin import display
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets.step import StepWidget


class ClusterWidget(StepWidget):
    """Component maps from one representation.

    Attributes
    ----------
    plane : SpinBox
        The component whose map is shown.
    """

    step: ClassVar[str] = "cluster"
    run_text: ClassVar[str] = "Cluster"

    def _foot(self) -> list[Any]:
        self.plane = SpinBox(name="plane", label="show component", min=0, max=0)
        self.plane.tooltip = "moves the slider of the component maps"
        self.plane.changed.connect(self._on_plane)
        self._view = Container(name="view", widgets=[self.plane])
        self._view.margins = (0, 0, 0, 0)
        return [self._view]

    def _add_forms(self) -> None:
        self.add_form("{feature}.scaling", "Scaling")
        self.add_form("{feature}.clustering", "Iterative NMF")

    def _on_plane(self, plane: int) -> None:
        if not self._refreshing and self._session is not None:
            display.show_plane(self._viewer, self._session, f"maps/{self.feature.value}", plane)

    def _show_session(self, session: Session | None) -> None:
        model = session.result("cluster", str(self.feature.value)) if session is not None else None
        self._view.enabled = model is not None
        self.plane.max = max(0, model.k - 1) if model is not None else 0
