"""The keys of the Review dock: shortcuts in napari's list, where they can be changed, that act while Review is seen.

napari's list holds each action with its keys; here they are read from it, and bound on the canvas and in the dock for
as long as the dock is visible, so that plain letters stay free otherwise. On the canvas napari asks the selected layer
for a key first, then the viewer: no letter here is one of a Labels layer's own. Undo, redo and Escape are, and so are
bound on the layers of grains themselves, in place of napari's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

KEYS = {
    "next": ("N", "next grain of the table"),
    "previous": ("Shift-N", "previous grain of the table"),
    "next doubtful": ("D", "next grain that is not decided"),
    "previous doubtful": ("Shift-D", "previous grain that is not decided"),
    "accept next": ("Q", "accept, and go on to the next that is not decided"),
    "reject next": ("W", "reject, and go on to the next that is not decided"),
    "accept": ("A", "accept"),
    "reject": ("R", "reject"),
    "undecide": ("U", "take the decision back"),
    "merge": ("J", "merge the selected grains"),
    "merge offered": ("Shift-J", "merge with the neighbour that is offered"),
    "split line": ("S", "split by a line; again: split along it"),
    "paint": ("G", "paint: let the grain grow"),
    "erase": ("K", "erase: cut from the grain"),
    "comment": ("T", "to the comment"),
    "delete": ("Delete", "delete the selected grains"),
    "undo": ("Control-Z", "undo"),
    "redo": ("Control-Shift-Z", "redo"),
    "cancel": ("Escape", "end the tool that is in use"),
}
"""By what it does, each key at first, as napari names it, and what napari's list says of it.

J joins, S splits, G grows, K cuts away, T is for text.
"""
ON_LAYERS = ("undo", "redo", "cancel")
"""What is bound on the layers of grains as well."""
PREFIX = "napari-stemnmf:review_"


@cache
def review_keys() -> Any:
    """The class that napari's list of shortcuts writes the keys of Review to."""
    from napari.utils.key_bindings import KeymapProvider  # napari brings numba, which a scan of the manifest is not to

    class ReviewKeys(KeymapProvider):
        """Nobody is one: its keys are bound where Review is seen."""

    return ReviewKeys


def register() -> None:
    """Have napari list the actions, with the keys that the user has chosen before or those of `KEYS`."""
    from napari.settings import get_settings
    from napari.utils.action_manager import action_manager

    chosen = get_settings().shortcuts.shortcuts
    listed = {each.__name__ for each in review_keys().class_keymap.values() if callable(each)}
    for name, (key, about) in KEYS.items():
        action = _action(name)
        if action.__name__ in listed:
            continue
        ident = PREFIX + name.replace(" ", "_")
        action_manager.register_action(ident, action, f"STEM-NMF Review: {about}", review_keys())
        for each in chosen.get(ident, [key]):
            action_manager.bind_shortcut(ident, each)


def keys_of(name: str) -> list[str]:
    """The keys of an action now, as napari names them; none where the user has taken them away."""
    wanted = _action(name).__name__
    return [str(key).replace("+", "-") for key, each in review_keys().class_keymap.items() if _name(each) == wanted]


def key_text(name: str) -> str:
    """The keys of an action, for a tool tip."""
    return (
        " or ".join(key.replace("Control", "Ctrl").replace("-", "+") for key in keys_of(name)) if name in KEYS else ""
    )


def _action(name: str) -> Callable[..., None]:
    """What stands for an action in napari's list; the docks that are seen do the work."""

    def act(keys: Any) -> None:
        """Nothing: napari never has an object to call it with."""

    act.__name__ = act.__qualname__ = f"review_{name.replace(' ', '_')}"
    return act


def _name(action: Any) -> str:
    return getattr(action, "__name__", "")


class Keys:
    """Binds the keys on the canvas and in a dock; `act` is called with the name of the action."""

    def __init__(self, viewer: ViewerModel, dock: QWidget, act: Callable[[str], None]) -> None:
        from napari.utils.action_manager import action_manager

        register()
        self._told = action_manager.events.shortcut_changed
        self._viewer, self._dock, self._act = viewer, dock, act
        self._before: list[tuple[str, Any]] | None = None
        self._layers: list[Layer] = []
        self._held: list[tuple[Layer, str]] = []
        self._shortcuts: list[QShortcut] = []
        self.changed: Callable[[], None] = lambda: None
        self._in_dock()
        self._told.connect(self._on_changed)

    def close(self) -> None:
        """Bind nothing any more."""
        self._told.disconnect(self._on_changed)
        self.listen(False)

    def listen(self, on: bool) -> None:
        """Bind the keys on the canvas, or restore what was bound before."""
        if on and self._before is None:
            self._before = [(key, self._bind(self._viewer, key, name)) for name in KEYS for key in keys_of(name)]
        elif not on and self._before is not None:
            for key, before in self._before:
                self._viewer.bind_key(key, before, overwrite=True)
            self._before = None
            self.hold([])

    def hold(self, layers: Iterable[Layer]) -> None:
        """Bind undo, redo and Escape on these layers, and on no others."""
        present = list(layers) if self._before is not None else []
        for layer, key in self._held:
            if layer not in present:
                layer.bind_key(key, None, overwrite=True)
        self._held = [held for held in self._held if held[0] in present]
        for layer in present:
            if layer not in self._layers:
                for name in ON_LAYERS:
                    for key in keys_of(name):
                        self._bind(layer, key, name)
                        self._held.append((layer, key))
        self._layers = present

    def _in_dock(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []
        for name in KEYS:
            for key in keys_of(name):
                shortcut = QShortcut(QKeySequence(key.replace("Control", "Ctrl").replace("-", "+")), self._dock)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(lambda name=name: self._act(name))
                self._shortcuts.append(shortcut)

    def _on_changed(self, event: Any) -> None:
        """The user has changed a key in napari's preferences."""
        if not str(event.name).startswith(PREFIX):
            return
        listens, layers = self._before is not None, self._layers
        self.listen(False)
        self._in_dock()
        self.listen(listens)
        self.hold(layers)
        self.changed()

    def _bind(self, target: Any, key: str, name: str) -> Any:
        def press(_: Any) -> None:
            self._act(name)

        return target.bind_key(key, press, overwrite=True)
