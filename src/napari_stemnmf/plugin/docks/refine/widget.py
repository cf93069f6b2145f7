"""Refine: spatially distinct grains from component maps, shown live as the settings move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from magicgui.widgets import CheckBox, Container, SpinBox
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.session import Session

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

    from napari_stemnmf.plugin.docks.refine.model import Live, Request

SLIDERS = {"threshold_scale": 3.0, "min_size": 200.0}
"""Settings that are edited with a slider, and how far it reaches."""
OUTLINE = 1
"""Width of the preview's outlines, in probe positions."""


class RefineWidget(StepWidget):
    """Thresholds each component map and cuts it into grains, which may overlap.

    Attributes
    ----------
    weights : WeightsPlot
        Histogram of the shown component, and its threshold.
    component : SpinBox
        The component whose weights are shown.
    live, filled : CheckBox
        Whether the grains that the settings would give are drawn, and whether filled or as outlines.
    told : QLabel
        Their numbers in words.
    plane : SpinBox
        The grain whose whole mask is shown, what others cover included.
    """

    step: ClassVar[str] = "refine"
    run_text: ClassVar[str] = "Refine"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_stemnmf.plugin.docks.refine.model import look
        from napari_stemnmf.plugin.docks.refine.plots import WeightsPlot
        from napari_stemnmf.plugin.jobs.preview import Latest

        self.weights = WeightsPlot()
        self._latest = Latest(look)
        self._asked: Request | None = None
        self._last: Live | None = None
        self._drawn: tuple[Session, str] | None = None
        self._hidden = False
        self._latest.done.connect(self._on_live)
        super().__init__(viewer)
        self._watch = _Seen(self)
        self.weights.scaled.connect(lambda scale: self._on_setting("{feature}.refinement", "threshold_scale", scale))
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
        self.add_form("{feature}.refinement", "Grains", SLIDERS)

    def _style(self) -> None:
        """Weights and numbers above, settings below, and the user draws the line between them."""
        super()._style()
        self.component = SpinBox(name="component", label="component", min=0, max=0)
        self.component.tooltip = "component whose weights are shown; moves the slider of the component maps as well"
        self.live = CheckBox(name="live", text="live", value=True)
        self.live.tooltip = "draw the grains that the settings give now, before Refine is pressed"
        self.filled = CheckBox(name="filled", text="filled", value=False)
        self.filled.tooltip = "draw them filled, not as outlines"
        row: Container[Any] = Container(widgets=[self.component, self.live, self.filled], layout="horizontal")
        row.margins = (0, 0, 0, 0)
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.told.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.told.setToolTip("what the settings give now, before Refine is pressed")
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.weights, 1)
        column.addWidget(row.native)
        column.addWidget(self.told)
        self._row = row
        self._put_above(upper, 2, 3)

    # ---- what the user does

    def _on_run(self) -> None:
        """Refine; where that replaces what was edited by hand, ask first."""
        from napari_stemnmf.plugin.saving.confirm import may_replace

        session = self._session
        if session is None:
            return
        anew = [feature for feature in self.features() if session.state(self.step, feature) != "done"]
        if may_replace(session, anew, self.native):
            super()._on_run()

    def _on_plane(self, label: int) -> None:
        if self._refreshing or self._session is None:
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
        if self._refreshing or self._session is None:
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
        """Who removes the preview wants none."""
        if self._drawn is not None and display.find(self._viewer, self._drawn[0], f"preview/{self._drawn[1]}") is None:
            self._drawn = None
            self.live.value = False
        super()._on_layers(event)

    def _show_session(self, session: Session | None) -> None:
        feature = str(self.feature.value)
        grains = session.result("refine", feature) if session is not None else None
        self._view.enabled = grains is not None
        self.plane.max = int(grains.ids.max(initial=0)) if grains is not None else 0
        model = session.result("cluster", feature) if session is not None else None
        self._row.enabled = model is not None
        self.component.max = max(0, model.k - 1) if model is not None else 0
        self._ask(session)
        self._draw()

    def _ask(self, session: Session | None) -> None:
        """Have the grains found that the settings give now, if the dock is seen and there are maps."""
        from napari_stemnmf.plugin.docks.refine.model import Request

        feature = str(self.feature.value)
        model = session.result("cluster", feature) if session is not None else None
        if session is None or model is None:
            self._asked = self._last = None
            note = f"There are no component maps of {feature.upper()} yet; run Cluster." if session is not None else ""
            self.weights.show_weights(None, note)
            self.told.setText("")
            return
        request = Request(model, session.recipe.chain(feature).refinement, int(self.component.value))
        if self.native.isVisible() and not (self._asked is not None and _same(self._asked, request)):
            self._asked = request
            self._latest.ask(request)

    def _on_live(self, live: Live) -> None:
        if self._asked is None or live.request.model is not self._asked.model:
            return
        self._last = live
        if live.histogram is not None:
            self.weights.show_weights(live.histogram)
        self._draw()

    def _draw(self) -> None:
        """Show the grains that the settings give, unless they are the result already, and their numbers."""
        session, feature, live = self._session, str(self.feature.value), self._last
        done = session is not None and session.state(self.step, feature) == "done"
        if live is not None and self._asked is not None:
            self.told.setText(f"{'' if done else 'Live: '}{live.words()}")
        wanted = session is not None and self.live.value and self.native.isVisible() and not self._refining
        if self._drawn is not None and (not wanted or self._drawn != (session, feature)):
            self._erase()
        if session is None or not wanted or live is None:
            return
        if done or live.labels is None:
            self._hide()
        else:
            self._put(session, feature, live.labels)

    def _put(self, session: Session, feature: str, labels: np.ndarray) -> None:
        from napari_stemnmf.plugin.layers.places import on_scan

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
        if layer.contour != contour:  # setting it draws anew, the same or not
            layer.contour = contour

        if self._hidden:
            layer.visible, self._hidden = True, False

    def _hide(self) -> None:
        """The preview is what Refine has found, for now: taking the layer away and bringing it back would be slow."""
        layer = None if self._drawn is None else display.find(self._viewer, self._drawn[0], f"preview/{self._drawn[1]}")
        if layer is not None and layer.visible:
            layer.visible, self._hidden = False, True

    def _erase(self) -> None:
        """Take the preview away."""
        if self._drawn is not None:
            session, feature = self._drawn
            self._drawn = None
            layer = display.find(self._viewer, session, f"preview/{feature}")
            if layer is not None:
                self._viewer.layers.remove(layer)

    def _on_seen(self, seen: bool) -> None:
        """The dock came into view, or left it."""
        if seen:
            self._ask(self._session)
            self._draw()
        else:
            self._erase()

    def _on_theme(self, event: Any = None) -> None:
        from napari.utils.theme import get_theme

        theme = get_theme(self._viewer.theme)
        self.weights.set_theme(theme.canvas.as_hex(), theme.text.as_hex())

    def _disconnect(self, *args: Any) -> None:
        super()._disconnect(*args)
        self._viewer.events.theme.disconnect(self._on_theme)
        self._latest.close()
        self._asked = self._last = None


class _Seen(QObject):
    """Tells a dock when it comes into view and when it leaves it; a window that is put into the task bar is in view."""

    def __init__(self, dock: RefineWidget) -> None:
        super().__init__(dock.native)
        self._dock = dock
        dock.native.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and not event.spontaneous() and event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
            self._dock._on_seen(event.type() == QEvent.Type.Show)
        return False


def _same(a: Request, b: Request) -> bool:
    return a.model is b.model and a.settings == b.settings and a.component == b.component
