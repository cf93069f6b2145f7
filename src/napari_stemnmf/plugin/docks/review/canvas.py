"""The grains of one scan and feature on napari's canvas: coloured, outlined, numbered, and picked by a click. No Qt.

What a brush paints on is a Labels layer of its own, so that painting on it does not change the grains that it overlaps;
it is there while a brush is in use. The outline is one pixel of the screen wide at any zoom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.docks.review.lines import Lines
from napari_stemnmf.plugin.layers import camera, display
from napari_stemnmf.plugin.layers.grain_layers import (
    BRUSH,
    MARKS,
    NUMBERS,
    OUTLINE,
    brush_layer,
    features_of,
    grain_layers,
    left_over,
    numbered,
    numbers_layer,
    outline,
    outline_layer,
)
from napari_stemnmf.plugin.layers.grain_outlines import number_places
from napari_stemnmf.plugin.layers.grain_view import recolour, redraw, show_grains
from napari_stemnmf.plugin.layers.places import scan_position
from napari_stemnmf.plugin.layers.result_layers import unexplained
from napari_stemnmf.plugin.session import ROLE_KEY, Session, session_of

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_stemnmf.grains.grains import Grains

KINDS = ("grains", "stack", BRUSH)
"""Roles of the layers whose labels are grains."""
DRAWN = "split"
"""Role of the layer that a split is drawn on."""
MOST_MOVED = 3
"""Pixels of the screen that the mouse may move in a click."""
UNEXPLAINED = "unexplained"


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
        Called with the mask (scan_y, scan_x) that a stroke of a brush has left.

    Attributes
    ----------
    colouring : str
        What the colours of the grains tell, one of `grain_colours.COLOURINGS`.
    numbers : bool
        Whether the ids stand on the grains.
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
        self._features: pd.DataFrame | None = None
        self._grains: Grains | None = None  # what the layers show
        self._numbered: Grains | None = None
        self._lines = Lines()
        self._adding = False
        self._selected: tuple[int, tuple[int, ...]] = (0, ())
        self.colouring, self.numbers = "neighbours", False

    def follow(self, session: Session | None, feature: str) -> None:
        """Show the grains of a scan and feature, and of no other."""
        if not self.shows(session, feature):
            self.hide()
            self._session, self._feature = session, feature
            self._features = self._grains = self._numbered = None
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
        zoomed = self._viewer.scene.camera.events.zoom
        if on and not self._listening:
            zoomed.connect(self._on_zoom)
        elif not on and self._listening:
            zoomed.disconnect(self._on_zoom)
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
        row, self._selected = grains.row_of(grain_id), (grain_id, tuple(others))
        if grain_id:
            self._bring_back()
        with self._no_reports():
            self._draw_outlines(grains, grain_id, others)
            brush = self.layer(BRUSH)
            if brush is not None:
                redraw(brush, outline(grains, grain_id))
            for kind in KINDS:
                found = self.layer(kind)
                if found is not None and grain_id:
                    found.selected_label = grain_id
            stack = self.layer("stack")
            if stack is not None and stack.visible and row >= 0:
                display.show_plane(self._viewer, session, f"stack/{self._feature}", row)
        flat = self.layer("grains")
        if row >= 0 and flat is not None:
            camera.bring_into_view(self._viewer, flat, *grains.places(row))

    def show_again(self) -> None:
        """Draw the outlines that were not drawn while a brush was in use."""
        if self._session is not None and self._grains is not None and self._selected[0]:
            self._draw_outlines(self._grains, *self._selected)

    def hide(self) -> None:
        """Hide the outline, the numbers and what is not explained."""
        for kind in (OUTLINE, NUMBERS, UNEXPLAINED):
            layer = self.layer(kind)
            if layer is not None:
                layer.visible = False

    def update(self, features: pd.DataFrame) -> None:
        """Show the grains as they are after an edit, with their features."""
        session = self._session
        grains = session.result("refine", self._feature) if session is not None else None
        if session is None or grains is None:
            return
        self._features = features
        with self._no_reports():
            show_grains(self._viewer, session, self._feature, features, self.colouring)
        self._grains = grains
        self._number()

    def colour_by(self, name: str) -> None:
        """Have the colours tell something else."""
        self.colouring = name
        if self._session is not None and self._features is not None:
            recolour(self._viewer, self._session, self._feature, self._features, name)

    def show_numbers(self, on: bool) -> None:
        """Write the ids on the grains, or do not."""
        self.numbers = on
        self._number()

    def show_unexplained(self, on: bool) -> bool:
        """Show the map of what no grain explains, over the grains; whether there is one."""
        layer, session = self.layer(UNEXPLAINED), self._session
        if layer is None and on and session is not None:
            for data, meta, _ in unexplained(session, self._feature):
                over = meta | {"colormap": left_over()}  # what is explained lets the grains through
                layer = self._without_selecting(partial(self._viewer.add_image, data, **over))
        if layer is not None:
            layer.visible = on
            self._raise(layer)
        return layer is not None

    def _number(self) -> None:
        layer, session = self.layer(NUMBERS), self._session
        if session is None or self._grains is None or not self.numbers:
            if layer is not None:
                layer.visible = False
            return
        if layer is None:
            data, meta, _ = numbers_layer(session, self._feature)
            layer = self._without_selecting(lambda: self._viewer.add_points(data, **meta))
        elif self._numbered is not self._grains:
            layer.data = number_places(self._grains)
            layer.text = numbered(self._grains)
        self._numbered = self._grains
        make_visible(layer)
        self._raise(layer)

    def _draw_outlines(self, grains: Grains, grain_id: int, others: Sequence[int]) -> None:
        """Lines around the selected grains, each on its halo; that of `grain_id` on top."""
        layer = self.layer(OUTLINE)
        ids = [*(i for i in others if i), *([grain_id] if grain_id else [])]
        if layer is None:
            if not ids or self._session is None:
                return
            data, meta, _ = outline_layer(self._session, self._feature)
            layer = self._without_selecting(lambda: self._viewer.add_shapes(data, **meta))
        if self.layer(BRUSH) is not None:
            if layer.visible:
                layer.visible = False  # what is painted is seen as a whole
            return
        make_visible(layer)
        self._raise(layer)
        self._lines.draw(layer, grains, ids, float(self._viewer.scene.camera.zoom))

    def _on_zoom(self, event: Any = None) -> None:
        layer = self.layer(OUTLINE)
        if layer is not None:
            self._lines.rezoom(layer, float(self._viewer.scene.camera.zoom))

    def _raise(self, layer: Layer) -> None:
        """Put a layer above the grains, which may have come after it."""
        layers = self._viewer.layers
        below = [found for found in (self.layer("grains"), self.layer(MARKS)) if found is not None]
        if any(layers.index(found) > layers.index(layer) for found in below):
            layers.move(layers.index(layer), len(layers))

    def _bring_back(self) -> None:
        """Add the labels of the grains again, if somebody has removed them."""
        session = self._session
        if session is None or not self._listening or self._adding or self.layer("grains") is not None:
            return
        self._adding = True  # a layer that comes has the dock look again
        try:
            for data, meta, kind in grain_layers(session, self._feature, self._features):
                display.put(self._viewer, data, meta, kind)
            recolour(self._viewer, session, self._feature, features_of(session, self._feature), self.colouring)
        finally:
            self._adding = False
        self._link()

    def _without_selecting(self, add: Callable[[], Layer]) -> Layer:
        """Add a layer, and leave selected what was."""
        active = self._viewer.layers.selection.active
        layer = add()
        if active is not None:
            self._viewer.layers.selection.active = active
        return layer

    def activate(self) -> None:
        """Select the layer of the grains: napari's features table then is theirs, and so are its keys."""
        layer, active = self.layer("grains"), self._viewer.layers.selection.active
        if layer is not None and active not in [self.layer(kind) for kind in KINDS]:
            self._viewer.layers.selection.active = layer

    def bring_forward(self) -> None:
        """Show the labels of these grains in place of those of the scan's other features."""
        own = self.layer("grains")
        for layer in self._viewer.layers:
            kind, _, feature = str(layer.metadata.get(ROLE_KEY, "")).partition("/")
            if own is not None and session_of(layer) is self._session and kind in ("grains", MARKS):
                layer.visible = feature == self._feature

    def add_brush(self, grain_id: int) -> Layer:
        """Add the layer that brushes paint a grain on."""
        if self._session is None:
            raise ValueError("Without a scan there is no grain to paint.")
        data, meta, _ = brush_layer(self._session, self._feature, grain_id)
        layer = self._viewer.add_labels(data, **meta)
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
        if event.source is not self.layer(BRUSH):
            self._labelled(int(event.source.selected_label))

    def _on_paint(self, event: Any) -> None:
        layer = self.layer(BRUSH)
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


def make_visible(layer: Layer) -> None:
    """Show a layer, if it is hidden: setting it again would draw it again."""
    if not layer.visible:
        layer.visible = True
