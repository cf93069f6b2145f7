"""The grains of one scan and feature on napari's canvas: outlined, and picked by a click. No Qt.

The outline of the selected grain is a Labels layer of its own, so that painting on it does not change the grains that
it overlaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.grain_layers import CONTOUR, OUTLINE, Planes, grain_layers, outline, outline_layer
from napari_stemnmf.plugin.layers.places import scan_position
from napari_stemnmf.plugin.session import ROLE_KEY, Session, session_of

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_stemnmf.grains.grains import Grains

KINDS = ("grains", "stack", OUTLINE)
"""Roles of the layers whose labels are grains."""
DRAWN = "split"
"""Role of the layer that a split is drawn on."""
MOST_MOVED = 3
"""Pixels of the screen that the mouse may move in a click."""


class GrainCanvas:
    """Outlines the selected grain, and calls back for clicks and strokes on the canvas.

    Parameters
    ----------
    viewer : napari viewer
    picked : callable
        Called with row and column of a position that was clicked, and whether Ctrl was held.
    labelled : callable
        Called with the id that another way of napari has selected, its features table or its picker.
    painted : callable
        Called with the mask (scan_y, scan_x) that a stroke on the outline has left.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        picked: Callable[[int, int, bool], None],
        labelled: Callable[[int], None],
        painted: Callable[[np.ndarray], None],
    ) -> None:
        self._viewer = viewer
        self._picked, self._labelled, self._painted = picked, labelled, painted
        self._session: Session | None = None
        self._feature = ""
        self._listening = False
        self._linked: list[Layer] = []
        self._grains: Grains | None = None  # what the layers show

    def follow(self, session: Session | None, feature: str) -> None:
        """Show the grains of a scan and feature, and of no other."""
        if not self.shows(session, feature):
            self.hide()
            self._session, self._feature, self._grains = session, feature, None
        self._link()

    def shows(self, session: Session | None, feature: str) -> bool:
        """Whether these are the scan and feature whose grains are shown."""
        return session is self._session and feature == self._feature

    def listen(self, on: bool) -> None:
        """Begin or stop to react to clicks and strokes."""
        callbacks = self._viewer.mouse_drag_callbacks
        if on and self._on_press not in callbacks:
            callbacks.append(self._on_press)
        elif not on and self._on_press in callbacks:
            callbacks.remove(self._on_press)
        self._listening = on
        self._link()

    def layer(self, kind: str) -> Layer | None:
        """The layer of a kind, if it is in the viewer."""
        if self._session is None:
            return None
        return display.find(self._viewer, self._session, kind if kind == DRAWN else f"{kind}/{self._feature}")

    # ---- what is shown

    def show(self, grain_id: int, others: Sequence[int] = ()) -> None:
        """Outline a grain (0 for none), select its label, and move the canvas there if it cannot be seen.

        Those `others` that are selected with it are outlined too, under it.
        """
        session = self._session
        if session is None or session.result("refine", self._feature) is None:
            return
        grains: Grains = session.result("refine", self._feature)
        layer = self.layer(OUTLINE)
        if layer is None and not grain_id:
            return
        with self._no_reports():
            if layer is None:
                layer = self.add_outline(grain_id)
            else:
                self._redraw(layer, outline(grains, grain_id, others))
                make_visible(layer)
            for kind in KINDS:
                found = self.layer(kind)
                if found is not None and grain_id:
                    found.selected_label = grain_id
            stack = self.layer("stack")
            rows = np.flatnonzero(grains.ids == grain_id)
            if stack is not None and stack.visible and len(rows):
                display.show_plane(self._viewer, session, f"stack/{self._feature}", int(rows[0]))
        if len(rows) and layer is not None:
            self._bring_into_view(layer, *grains.places(int(rows[0])))

    def hide(self) -> None:
        """Hide the outline."""
        layer = self.layer(OUTLINE)
        if layer is not None:
            layer.mode = "pan_zoom"
            layer.visible = False

    def update(self, features: pd.DataFrame) -> None:
        """Show the grains as they are after an edit, with their features."""
        session = self._session
        grains = session.result("refine", self._feature) if session is not None else None
        if session is None or grains is None:
            return
        with self._no_reports():
            if grains is not self._grains:
                for data, meta, _ in grain_layers(session, self._feature, features):
                    layer = display.find(self._viewer, session, meta["metadata"][ROLE_KEY])
                    if layer is not None:
                        self._redraw(layer, data)
                self._grains = grains
            for labels in map(self.layer, ("grains", "stack")):
                if labels is not None and not features.equals(labels.features):
                    labels.features = features

    def activate(self) -> None:
        """Select the layer of the grains: napari's features table then is theirs, and so are its keys."""
        layer, active = self.layer("grains"), self._viewer.layers.selection.active
        if layer is not None and active not in [self.layer(kind) for kind in KINDS]:
            self._viewer.layers.selection.active = layer

    def bring_forward(self) -> None:
        """Show the labels of these grains in place of those of the scan's other features."""
        own = self.layer("grains")
        for layer in self._viewer.layers:
            role = str(layer.metadata.get(ROLE_KEY, ""))
            if own is not None and session_of(layer) is self._session and role.startswith("grains/"):
                layer.visible = layer is own

    def add_outline(self, grain_id: int) -> Layer:
        """Add the layer of the outline, without selecting it."""
        session = self._session
        if session is None:
            raise ValueError("Without a scan there is no grain to outline.")
        active = self._viewer.layers.selection.active
        data, meta, _ = outline_layer(session, self._feature, grain_id)
        layer = self._viewer.add_labels(data, **meta)
        layer.contour = CONTOUR
        if active is not None:
            self._viewer.layers.selection.active = active
        self._link()
        return layer

    # ---- what happens

    def _link(self) -> None:
        """Listen to the present layers, and to no others."""
        present = [self.layer(kind) for kind in KINDS] if self._listening else []
        for layer in self._linked:
            if layer not in present:
                layer.events.selected_label.disconnect(self._on_label)
                layer.events.paint.disconnect(self._on_paint)
        for layer in present:
            if layer is not None and layer not in self._linked:
                layer.events.selected_label.connect(self._on_label)
                layer.events.paint.connect(self._on_paint)
        self._linked = [layer for layer in present if layer is not None]

    @contextmanager
    def _no_reports(self) -> Iterator[None]:
        """Meanwhile labels that layers select are not reported: this object selects them."""
        with ExitStack() as blocked:
            for layer in self._linked:
                blocked.enter_context(layer.events.selected_label.blocker(self._on_label))
            yield

    def _on_label(self, event: Any) -> None:
        if event.source is not self.layer(OUTLINE):
            self._labelled(int(event.source.selected_label))

    def _on_paint(self, event: Any) -> None:
        layer = self.layer(OUTLINE)
        if layer is not None and event.source is layer:
            self._painted(np.asarray(layer.data) != 0)

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        start = np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        active = viewer.layers.selection.active
        drawing = active is not None and str(active.mode) != "pan_zoom"
        moved = np.abs(np.array(event.pos) - start).max() > MOST_MOVED
        if self._session is None or drawing or moved or event.button != 1 or viewer.dims.ndisplay != 2:
            return
        found = scan_position(self._session, event.position[-2:])
        if found is not None:
            self._picked(*found, "Control" in event.modifiers)

    @staticmethod
    def _redraw(layer: Any, data: Any) -> None:
        """Show new values, in the same array if possible: napari then keeps its table, undo and extent."""
        if isinstance(data, Planes) or np.shape(layer.data) != data.shape or layer.data.dtype != data.dtype:
            layer.data = data
        elif not np.array_equal(layer.data, data):
            layer.data[...] = data
            layer.refresh(extent=False)

    def _bring_into_view(self, layer: Layer, rows: np.ndarray, columns: np.ndarray) -> None:
        low, high = (rows.min(), columns.min()), (rows.max(), columns.max())
        camera = self._viewer.scene.camera
        middle = np.mean([layer.data_to_world(corner) for corner in (low, high)], axis=0)[-2:]
        away = np.abs(middle - np.array(camera.center)[-2:])
        if (away > np.array(self._viewer.canvas.size) / camera.zoom / 2).any():
            display.move_to(self._viewer, layer, low, high)


def make_visible(layer: Layer) -> None:
    """Show a layer, if it is hidden: setting it again would draw it again."""
    if not layer.visible:
        layer.visible = True
