"""A region of the scan, drawn on the canvas as a rectangle or a polygon."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_stemnmf.plugin.layers import display, places
from napari_stemnmf.plugin.layers.places import inside_of
from napari_stemnmf.plugin.session import Session

ROLE = "region"
LOOK = {"face_color": "#00d5ff30", "edge_color": "#00d5ff"}
EDGE = 0.006
"""Width of the outline, as a share of the scan."""


class RegionPanel(QWidget):
    """Looks after the Shapes layer of a session's region; `begun` and `changed` tell that it is drawn.

    Parameters
    ----------
    viewer : napari viewer

    Attributes
    ----------
    rectangle, polygon, clear : QPushButton
    """

    begun = Signal()
    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._session: Session | None = None
        self._layer: Any = None
        self.rectangle, self.polygon, self.clear = (QPushButton(t) for t in ("Rectangle", "Polygon", "Clear"))
        self.rectangle.setToolTip("drag a rectangle on the scan: its mean pattern shows, and follows as you move it")
        self.polygon.setToolTip("click corners on the scan, double-click the last: its mean pattern shows")
        self.clear.setToolTip("take the region away")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        for button in (self.rectangle, self.polygon, self.clear):
            line.addWidget(button)
        self.rectangle.clicked.connect(lambda: self.draw("rectangle"))
        self.polygon.clicked.connect(lambda: self.draw("polygon"))
        self.clear.clicked.connect(self.remove)

    def follow(self, session: Session | None) -> None:
        """Listen to the region of another session, or of none."""
        self._session = session
        self._listen(display.find(self._viewer, session, ROLE) if session is not None else None)

    def draw(self, kind: str) -> None:
        """Have the user draw a "rectangle" or a "polygon" in place of the region that there is."""
        session = self._session
        if session is None:
            return
        layer = display.find(self._viewer, session, ROLE)
        if layer is None:
            look = LOOK | {"edge_width": EDGE * max(session.scan_shape)}
            layer = self._viewer.add_shapes(None, ndim=2, **places.on_scan(session, "region", ROLE) | look)
        self._listen(layer)
        layer.data = []
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = f"add_{kind}"
        self.begun.emit()

    def remove(self) -> None:
        """Take the region away."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._listen(None)
        self.changed.emit()

    def rest(self) -> None:
        """Give the mouse back to the canvas."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.mode = "pan_zoom"

    def inside(self) -> np.ndarray | None:
        """(scan_y, scan_x) True inside the region; None where nothing is drawn."""
        if self._session is None or self._layer is None or not len(self._layer.data):
            return None
        return inside_of(self._layer, places.axes_of(self._session)[:2])

    def _listen(self, layer: Any) -> None:
        if layer is self._layer:
            return
        if self._layer is not None:
            self._layer.events.data.disconnect(self._on_data)
            self._layer.events.set_data.disconnect(self._on_drag)
            if self._layer not in self._viewer.layers:
                self._layer.metadata = {}  # napari's buttons keep a layer that has left; let that not keep the scan
        self._layer = layer
        if layer is not None:
            layer.events.data.connect(self._on_data)
            layer.events.set_data.connect(self._on_drag)

    def _on_data(self, event: Any) -> None:
        if str(getattr(event.action, "value", event.action)) == "added" and self._layer.mode.startswith("add_"):
            self._layer.mode = "select"  # what was drawn can be dragged at once
        self.changed.emit()

    def _on_drag(self, event: Any = None) -> None:
        """While a shape is dragged, napari tells only that it is drawn anew."""
        if self._layer.mode in ("select", "direct"):
            self.changed.emit()
