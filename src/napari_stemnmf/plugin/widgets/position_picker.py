"""A probe position chosen by a click on the scan, and a cross that marks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from napari_stemnmf.plugin import display, layers
from napari_stemnmf.plugin.places import scan_position
from napari_stemnmf.plugin.session import Session

ROLE = "position"


class PositionPicker:
    """Listens to clicks on the canvas while it is active.

    Parameters
    ----------
    viewer : napari viewer
    chosen : callable
        Called with row and column of the probe position that was clicked.
    """

    def __init__(self, viewer: Any, chosen: Callable[[int, int], None]) -> None:
        self._viewer = viewer
        self._chosen = chosen
        self._session: Session | None = None

    def set_active(self, active: bool, session: Session | None, position: tuple[int, int]) -> None:
        """Begin or stop to listen for a scan."""
        callbacks = self._viewer.mouse_drag_callbacks
        if self._on_press in callbacks:
            callbacks.remove(self._on_press)
        if self._session is not None:
            cross = display.find(self._viewer, self._session, ROLE)
            if cross is not None:
                self._viewer.layers.remove(cross)
        self._session = session if active else None
        if self._session is not None:
            callbacks.append(self._on_press)
            before = self._viewer.layers.selection.active
            data, meta, _ = layers.position_cross(self._session, position)
            self._viewer.add_points(data, **meta)
            if before is not None:
                self._viewer.layers.selection.active = before

    def move(self, position: tuple[int, int]) -> None:
        """Put the cross elsewhere."""
        cross = display.find(self._viewer, self._session, ROLE) if self._session is not None else None
        if cross is not None:
            cross.data = [position]

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        yield
        while event.type == "mouse_move":
            if _moved(event):
                return
            yield
        session = self._session
        if session is None or viewer.dims.ndisplay != 2:
            return
        found = scan_position(session, event.position[-2:])
        if found is not None:
            self._chosen(*found)


def _moved(event: Any) -> bool:
    """Whether the mouse was dragged: then it moves the canvas."""
    return bool(getattr(event, "delta", None) is not None and max(map(abs, event.delta)) > 0)
