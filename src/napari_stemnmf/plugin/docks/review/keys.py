"""The keys of the Review dock, alike on the canvas and in the dock; they hold while the dock is seen.

On the canvas napari asks the selected layer first, then the viewer: no letter here is one of a Labels layer's own.
Undo, redo and Escape are, and so are bound on the layers of grains themselves, in place of napari's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

KEYS = {
    "next": "N",
    "previous": "Shift-N",
    "next doubtful": "D",
    "previous doubtful": "Shift-D",
    "accept": "A",
    "reject": "R",
    "undecide": "U",
    "merge": "J",
    "split line": "S",
    "paint": "G",
    "erase": "K",
    "comment": "T",
    "delete": "Delete",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
    "cancel": "Escape",
}
"""By what it does, each key as napari names it: J joins, S splits, G grows, K cuts away, T is for text."""
ON_LAYERS = ("undo", "redo", "cancel")
"""What is bound on the layers of grains as well."""


def in_words(name: str) -> str:
    """The key of an action, for a tool tip."""
    return KEYS[name].replace("Control", "Ctrl").replace("-", "+") if name in KEYS else ""


class Keys:
    """Binds the keys on the canvas and in a dock.

    Parameters
    ----------
    viewer : napari viewer
    dock : QWidget
    act : callable
        Called with the name of what is to be done.
    """

    def __init__(self, viewer: ViewerModel, dock: QWidget, act: Callable[[str], None]) -> None:
        self._viewer, self._act = viewer, act
        self._before: dict[str, Any] | None = None
        self._layers: list[Layer] = []
        for name in KEYS:
            shortcut = QShortcut(QKeySequence(in_words(name)), dock)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda name=name: act(name))

    def listen(self, on: bool) -> None:
        """Take the keys on the canvas, or give them back to those who had them before."""
        if on and self._before is None:
            self._before = {name: self._bind(self._viewer, name) for name in KEYS}
        elif not on and self._before is not None:
            for name, before in self._before.items():
                self._viewer.bind_key(KEYS[name], before, overwrite=True)
            self._before = None
            self.hold([])

    def hold(self, layers: Iterable[Layer]) -> None:
        """Bind undo, redo and Escape on these layers, and on no others."""
        wanted = list(layers) if self._before is not None else []
        for layer in self._layers:
            if layer not in wanted:
                for name in ON_LAYERS:
                    layer.bind_key(KEYS[name], None)
        for layer in wanted:
            if layer not in self._layers:
                for name in ON_LAYERS:
                    self._bind(layer, name)
        self._layers = wanted

    def _bind(self, target: Any, name: str) -> Any:
        def press(_: Any) -> None:
            self._act(name)

        return target.bind_key(KEYS[name], press, overwrite=True)
