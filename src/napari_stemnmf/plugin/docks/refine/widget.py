"""Refine: spatially distinct grains from component maps, shown live as the settings move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from magicgui.widgets import CheckBox, Container, SpinBox
from qtpy.QtWidgets import QWidget

from napari_stemnmf.plugin.docks.refine.likely import LikelihoodPlot
from napari_stemnmf.plugin.docks.refine.model import Live, Request, preview
from napari_stemnmf.plugin.docks.refine.plots import WeightsPlot
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.places import on_scan
from napari_stemnmf.plugin.plain_plot import theme_colours
from napari_stemnmf.plugin.saving.confirm import may_replace
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import Visibility, column, wrapping_label
from napari_stemnmf.representation_settings import OutlineSettings, RefinementSettings

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

SLIDERS = {"threshold_scale": 3.0, "min_size": 200.0}
"""Settings that are edited with a slider, and how far it reaches."""
COMPONENT_TOOLTIP = "component whose weights are shown; moves the slider of the component maps as well"
GROUP_TOOLTIP = "moves the slider of the maps of the groups of spots"
OUTLINE = 1
"""Width of the preview's outlines, in probe positions."""


class RefineWidget(StepWidget):
    """Thresholds each component map and cuts it into grains, which may overlap.

    Attributes
    ----------
    weights : WeightsPlot
        Histogram of the shown component, and its threshold.
    likely : LikelihoodPlot
        In its place for groups of spots: how likely they are, and the least that a grain needs.
    component : SpinBox
        The component whose weights are shown.
    live, filled : CheckBox
        Whether the grains that the settings would give are drawn, and whether filled or as outlines.
    summary : QLabel
        Their numbers in words.
    plane : SpinBox
        The grain whose whole mask is shown, what others cover included.
    """

    step: ClassVar[str] = "refine"
    run_text: ClassVar[str] = "Refine"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.weights, self.likely = WeightsPlot(), LikelihoodPlot()
        self._preview = Preview(preview, every=True)  # the picture follows a slider
        self._request: Request | None = None
        self._last: Live | None = None
        self._drawn: tuple[Session, str] | None = None
        self._hidden = False
        self._preview.ready.connect(self._on_live)
        self._preview.failed.connect(self._on_failed)
        super().__init__(viewer)
        self._visibility = Visibility(self.native, self._on_visible)
        self.weights.scaled.connect(lambda scale: self._on_setting("{feature}.refinement", "threshold_scale", scale))
        self.likely.chosen.connect(lambda least: self._on_setting("{feature}.refinement", "min_confidence", least))
        self.component.changed.connect(self._on_view)
        self.live.changed.connect(self._on_view)
        self.filled.changed.connect(self._on_view)
        viewer.events.theme.connect(self._on_theme)
        self._on_theme()

    def _foot(self) -> list[Any]:
        self.plane = SpinBox(name="plane", label="show grain", min=0, max=0)
        self.plane.tooltip = "shows the whole mask of one grain in the grain stack; 0 shows all grains again"
        self.plane.changed.connect(self._on_plane)
        self._view = Container(name="view", widgets=[self.plane])
        self._view.margins = (0, 0, 0, 0)
        return [self._view]

    def _add_forms(self) -> None:
        for kind in (RefinementSettings, OutlineSettings):
            self.forms.add("{feature}.refinement", "Grains", SLIDERS, kind)

    def _style(self) -> None:
        """Weights and numbers above, settings below, and the user draws the line between them."""
        super()._style()
        self.component = SpinBox(name="component", label="component", min=0, max=0)
        self.component.tooltip = COMPONENT_TOOLTIP
        self.live = CheckBox(name="live", text="live", value=True)
        self.live.tooltip = "draw the grains that the settings give now, before Refine is pressed"
        self.filled = CheckBox(name="filled", text="filled", value=False)
        self.filled.tooltip = "draw them filled, not as outlines"
        self._row: Container[Any] = Container(widgets=[self.component, self.live, self.filled], layout="horizontal")
        self._row.margins = (0, 0, 0, 0)
        self.summary = wrapping_label("what the settings give now, before Refine is pressed")
        upper = QWidget()
        self.likely.hide()
        plots = QWidget()
        column(self.weights, self.likely, parent=plots)
        column(plots, self._row.native, self.summary, parent=upper, stretch=plots).setSpacing(2)
        self._put_above(upper, 2, 3)

    # ---- what the user does

    def _on_run(self) -> None:
        """Refine; where that replaces what was edited by hand, ask first."""
        session = self._session
        if session is None:
            return
        again = [feature for feature in self.features() if session.state(self.step, feature) != "done"]
        if may_replace(session, again, self.native):
            super()._on_run()

    def _on_plane(self, label: int) -> None:
        if self._session is None:
            return
        feature = str(self.feature.value)
        grains = self._session.result("refine", feature)
        rows = np.flatnonzero(grains.ids == label) if grains is not None else np.empty(0)
        display.show_plane(self._viewer, self._session, f"stack/{feature}", int(rows[0]) if len(rows) else -1)
        for role, visible in ((f"stack/{feature}", len(rows) > 0), (f"grains/{feature}", not len(rows))):
            layer = display.find(self._viewer, self._session, role)
            if layer is not None:
                layer.visible = visible
                layer.selected_label = max(1, label)

    def _on_view(self) -> None:
        """Another component, or another way to draw."""
        if self._session is None:
            return
        display.show_plane(self._viewer, self._session, f"maps/{self.feature.value}", self.component.value)
        self._ask(self._session)
        self._draw()

    # ---- what happens around

    @property
    def _refining(self) -> bool:
        """Whether the preview is becoming the result."""
        running = self._session.running if self._session is not None else None
        return getattr(running, "step", "") == self.step

    def _on_layers(self, event: Any = None) -> None:
        """A user who removes the preview's layer switches the preview off."""
        if self._drawn is not None and self._layer() is None:
            self._drawn = None
            self.live.value = False
        super()._on_layers(event)

    def _show_session(self, session: Session | None) -> None:
        feature = str(self.feature.value)
        grains = session.result("refine", feature) if session is not None else None
        model = session.result("cluster", feature) if session is not None else None
        self._view.enabled, self._row.enabled = grains is not None, model is not None
        with self.plane.changed.blocked(), self.component.changed.blocked():
            self.plane.max = int(grains.ids.max(initial=0)) if grains is not None else 0
            self.component.max = max(0, model.k - 1) if model is not None else 0
        self._ask(session)
        self._draw()

    def _ask(self, session: Session | None) -> None:
        """Have the grains found that the settings give now, if the dock is visible and there are maps."""
        feature = str(self.feature.value)
        model = session.result("cluster", feature) if session is not None else None
        if session is None or model is None:
            self._drop()
            note = f"There are no maps of {feature.upper()} yet; run Cluster." if session is not None else ""
            self._show_plot(of_nmf=True)
            self.weights.show_weights(None, note)
            self.summary.setText("")
            return
        features = session.result("featurize", feature)
        settings, found = session.recipe.chain(feature).refinement, session.analysis
        of_scan = (None,) * 4 if found is None else (found.left_out, found.peaks, found.calibration, features)
        request = Request(model, settings, int(self.component.value), *of_scan)
        self._show_plot(request.of_nmf)
        before = self._request
        same_model = before is not None and before.model is model
        if self.native.isVisible() and not (same_model and before == request):
            if not same_model:
                self._drop()
            self._request = request
            self._preview.ask(request)

    def _show_plot(self, of_nmf: bool) -> None:
        """The histogram of a component's weights, or how likely groups of spots are."""
        self.weights.setVisible(of_nmf)
        self.likely.setVisible(not of_nmf)
        self.component.label = "component" if of_nmf else "group"
        self.component.tooltip = COMPONENT_TOOLTIP if of_nmf else GROUP_TOOLTIP

    def _drop(self) -> None:
        """Forget the preview, and what is still to come of it."""
        self._preview.drop()
        self._request = self._last = None

    def _on_failed(self, error: str) -> None:
        self._last = None
        self._hide()
        self.summary.setText(error)

    def _on_live(self, live: Live) -> None:
        self._last = live
        if live.histogram is not None:
            self.weights.show_weights(live.histogram)
        elif not live.request.of_nmf:
            self.likely.show_likelihoods(live.likely, getattr(live.request.settings, "min_confidence", 0.0))
        self._draw()

    def _draw(self) -> None:
        """Show the grains that the settings give, unless they are the result already, and their numbers."""
        session, feature, live = self._session, str(self.feature.value), self._last
        done = session is not None and session.state(self.step, feature) == "done"
        if live is not None:
            self.summary.setText(f"{'' if done else 'Live: '}{live.summary()}")
        show = session is not None and self.live.value and self.native.isVisible() and not self._refining
        if self._drawn is not None and (not show or self._drawn != (session, feature)):
            self._erase()
        if session is None or not show or live is None:
            return
        if done or live.labels is None:
            self._hide()
        else:
            self._put(session, feature, live.labels)

    def _put(self, session: Session, feature: str, labels: np.ndarray) -> None:
        role = f"preview/{feature}"
        layer = display.find(self._viewer, session, role)
        if layer is None:
            selected = set(self._viewer.layers.selection)
            meta = on_scan(session, f"{feature.upper()} preview", role)
            layer = self._viewer.add_labels(labels, opacity=0.9, **meta)
            self._viewer.layers.selection = selected
            self._drawn = (session, feature)
            self._hidden = False
        elif layer.data is not labels:
            layer.data = labels
        contour = 0 if self.filled.value else OUTLINE
        if layer.contour != contour:  # setting it redraws, the same or not
            layer.contour = contour
        if self._hidden:
            layer.visible, self._hidden = True, False

    def _hide(self) -> None:
        """Hide the preview while it equals the result: removing the layer and adding it again would be slow."""
        layer = self._layer()
        if layer is not None and layer.visible:
            layer.visible, self._hidden = False, True

    def _layer(self) -> Any:
        """The layer of the preview, if there is one."""
        return None if self._drawn is None else display.find(self._viewer, self._drawn[0], f"preview/{self._drawn[1]}")

    def _erase(self) -> None:
        """Remove the preview's layer."""
        layer, self._drawn = self._layer(), None
        if layer is not None:
            self._viewer.layers.remove(layer)

    def _on_visible(self, visible: bool) -> None:
        if visible:
            self._ask(self._session)
            self._draw()
        else:
            self._erase()

    def _on_theme(self, event: Any = None) -> None:
        for plot in (self.weights, self.likely):
            plot.set_theme(*theme_colours(self._viewer))

    def _disconnect(self, *args: Any) -> None:
        super()._disconnect(*args)
        self._viewer.events.theme.disconnect(self._on_theme)
        self._drop()
        self._preview.close()
