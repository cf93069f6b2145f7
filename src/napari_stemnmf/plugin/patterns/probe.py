"""The probe position: a cross on the canvas that mouse and arrow keys move, and a line with its two numbers.

The position itself is the session's. While the 4-D layer is shown, napari's own sliders are the probe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np
from qtpy.QtCore import QSignalBlocker, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QWidget

from napari_stemnmf.plugin.layers import display, places
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import button

ROLE = "position"
NEAR = 12.0
"""Distance from the cross at which the mouse grips it, in pixels of the canvas."""
LAG_MS = 30
"""The cross follows after so long: napari redraws its canvas, and the pattern should not wait for that."""
KEYS = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}
LARGE_STEP = 10
"""Positions that an arrow key with Shift moves by."""


class ProbeLine(QWidget):
    """Shows a probe position as two numbers, and signals when the user wants another; `pick` chooses on the scan."""

    moved = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self.row, self.column = QSpinBox(), QSpinBox()
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        for name, box, what in (("scan y", self.row, "row"), ("x", self.column, "column")):
            box.setToolTip(f"{what} of the probe position whose pattern is shown [px]")
            box.setKeyboardTracking(False)
            box.valueChanged.connect(lambda _: self.moved.emit(*self.position))
            label = QLabel(name)
            label.setBuddy(box)
            line.addWidget(label)
            line.addWidget(box, 1)
        tooltip = "while it is down, a press anywhere on the scan shows the pattern there; a cross marks it"
        self.pick = button("Pick", tooltip, checkable=True)
        line.addWidget(self.pick)

    @property
    def position(self) -> tuple[int, int]:
        """Row and column."""
        return self.row.value(), self.column.value()

    def set_scan_shape(self, rows: int, columns: int) -> None:
        """Bound the position by the scan's shape, without signalling a change."""
        with QSignalBlocker(self.row), QSignalBlocker(self.column):
            self.row.setMaximum(rows - 1)
            self.column.setMaximum(columns - 1)

    def show_position(self, row: int, column: int) -> None:
        """Show a position without signalling it."""
        with QSignalBlocker(self.row), QSignalBlocker(self.column):
            self.row.setValue(row)
            self.column.setValue(column)


class PositionPicker:
    """Shows and moves the probe of a session on a viewer's canvas while it is active."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._session: Session | None = None
        self._anywhere = False
        self._cross: Any = None
        self._later = QTimer()
        self._later.setSingleShot(True)
        self._later.setInterval(LAG_MS)
        self._later.timeout.connect(self._show_cross)

    def set_active(self, session: Session | None, *, anywhere: bool = False) -> None:
        """Show the probe of a session, or of none; `anywhere`: a press anywhere on the scan moves it there."""
        self._anywhere = anywhere
        if session is self._session:
            return
        self._disconnect()
        self._session = session
        if session is not None:
            self._connect(session)

    def _connect(self, session: Session) -> None:
        viewer = self._viewer
        session.probe_users.add(id(self))
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.dims.events.current_step.connect(self._on_dims)
        session.probe_moved.connect(self._on_moved)
        for key, (rows, columns) in KEYS.items():
            viewer.bind_key(key, _stepper(session, rows, columns), overwrite=True)
            far = _stepper(session, LARGE_STEP * rows, LARGE_STEP * columns)
            viewer.bind_key(f"Shift-{key}", far, overwrite=True)
        if display.find(viewer, session, ROLE) is None:
            before = viewer.layers.selection.active
            data, meta, _ = layers.position_cross(session, session.position)
            viewer.add_points(data, **meta, visible=self._patterns() is None)
            if before is not None:
                viewer.layers.selection.active = before
        self._cross = display.find(viewer, session, ROLE)

    def _disconnect(self) -> None:
        session, viewer = self._session, self._viewer
        if session is None:
            return
        self._later.stop()
        viewer.mouse_drag_callbacks.remove(self._on_press)
        viewer.dims.events.current_step.disconnect(self._on_dims)
        session.probe_moved.disconnect(self._on_moved)
        session.probe_users.discard(id(self))
        if session.probe_users:  # the last to leave removes the cross
            self._cross = None
            return
        for key in KEYS:
            viewer.bind_key(key, None, overwrite=True)
            viewer.bind_key(f"Shift-{key}", None, overwrite=True)
        cross, self._cross = self._cross, None
        if cross is not None:
            if cross in viewer.layers:
                viewer.layers.remove(cross)
            cross.metadata = {}  # napari's buttons keep a removed layer, which must not keep the scan

    # ---- the user moves it

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        session, camera = self._session, viewer.scene.camera
        if session is None or not self._takes(event):
            return
        pans = camera.mouse_pan
        camera.mouse_pan = False  # the drag is the probe's
        try:
            self._move_to(event.position)
            yield
            while event.type == "mouse_move":
                self._move_to(event.position)
                yield
        finally:
            camera.mouse_pan = pans

    def _takes(self, event: Any) -> bool:
        """Whether a press is meant for the probe."""
        viewer, session = self._viewer, self._session
        busy = getattr(viewer.layers.selection.active, "mode", "pan_zoom") not in ("pan_zoom", "select")
        plain = event.button == 1 and not event.modifiers
        if session is None or busy or not plain or viewer.dims.ndisplay != 2 or self._patterns() is not None:
            return False
        if self._anywhere:
            return places.scan_position(session, event.position[-2:]) is not None
        cross = display.find(viewer, session, ROLE)
        if cross is None or not cross.visible:
            return False
        at = np.array(cross.data_to_world(cross.data[0]))[-2:]
        return bool(np.hypot(*(np.array(event.position[-2:]) - at)) * viewer.scene.camera.zoom <= NEAR)

    def _move_to(self, world: Any) -> None:
        if self._session is not None:
            axes = places.axes_of(self._session)[:2]
            row, column = (round((w - a.offset) / a.scale) for w, a in zip(world[-2:], axes, strict=True))
            self._session.move_probe(row, column)

    # ---- and the sliders

    def _patterns(self) -> Any:
        """The 4-D layer, while the canvas shows it."""
        found = display.find(self._viewer, self._session, "patterns") if self._session is not None else None
        return found if found is not None and found.visible else None

    def _on_dims(self, event: Any = None) -> None:
        patterns = self._patterns()
        if patterns is not None and self._session is not None and self._viewer.dims.ndim == patterns.ndim:
            y, x = np.rint(patterns.world_to_data(self._viewer.dims.point)[:2]).astype(int)
            self._session.move_probe(int(y), int(x))

    def _on_moved(self, row: int, column: int) -> None:
        session, patterns = self._session, self._patterns()
        if session is None:
            return
        if not self._later.isActive():
            self._later.start()
        if patterns is not None and self._viewer.dims.ndim == patterns.ndim:
            world = patterns.data_to_world((row, column, 0, 0))
            self._viewer.dims.set_point((0, 1), world[:2])

    def _show_cross(self) -> None:
        session = self._session
        cross = display.find(self._viewer, session, ROLE) if session is not None else None
        if session is not None and cross is not None and tuple(cross.data[0]) != session.position:
            cross.data = [session.position]


def _stepper(session: Session, rows: int, columns: int) -> Callable[[Any], None]:
    """What an arrow key does; it keeps no scan alive."""
    scan = ref(session)

    def step(_: Any) -> None:
        found = scan()
        if found is not None:
            found.move_probe(found.position[0] + rows, found.position[1] + columns)

    return step
