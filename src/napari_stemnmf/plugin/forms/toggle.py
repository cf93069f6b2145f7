"""A button that puts one layer of the chosen scan into the viewer and takes it out again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import PushButton

from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.result_layers import LayerTuple
from napari_stemnmf.plugin.session import Session


class LayerToggle(PushButton):
    """Shows or puts away the layer of a role.

    Parameters
    ----------
    viewer : napari viewer
    name, what : str
        Name of the button, and what it shows, for its text.
    make : callable
        From the session to the layer's data; an empty list where there is none yet.
    tooltip : str
    """

    def __init__(
        self, viewer: Any, name: str, what: str, make: Callable[[Session], list[LayerTuple]], tooltip: str
    ) -> None:
        super().__init__(name=name, text=f"Show {what}")
        self.tooltip = tooltip
        self._viewer, self._what, self._make = viewer, what, make
        self._session: Session | None = None
        self._role = ""
        self.clicked.connect(self._on_click)

    def show_state(self, session: Session | None, role: str, possible: bool) -> None:
        """Stand for the layer of that role of a session, or for none."""
        self._session, self._role = session, role
        shown = session is not None and display.find(self._viewer, session, role) is not None
        self.text = f"Put {self._what} away" if shown else f"Show {self._what}"
        self.enabled = session is not None and (shown or possible)

    def _on_click(self) -> None:
        session = self._session
        if session is not None:
            display.toggle(self._viewer, session, self._role, lambda: self._make(session))
            self.show_state(session, self._role, True)
