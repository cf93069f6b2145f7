"""Sees to it that nothing that was painted or found in a viewer is lost without a word; one for each viewer.

Strokes of napari's own tools on a layer of grains become edits, with Review open or not. When the window is closed,
what is in no file is told, and asked about. When the last layer of a scan is removed, a notification offers to bring it
back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.grain_layers import MARKS, features_of
from napari_stemnmf.plugin.layers.grain_planes import Planes
from napari_stemnmf.plugin.layers.grain_view import SHOWN_KEY, show_grains
from napari_stemnmf.plugin.layers.strokes import edits_on_flat, edits_on_stack
from napari_stemnmf.plugin.saving.confirm import may_close, unsaved
from napari_stemnmf.plugin.session import ROLE_KEY, Session, session_of, sessions_of
from napari_stemnmf.plugin.widgets import show_error, show_info

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

KINDS = ("grains", "stack")
"""Layers whose labels are grains."""
KEYS = {"Control-Z": "undo", "Control-Shift-Z": "redo"}
"""Of napari on a Labels layer: here they take edits back."""
TAKEN = "The stroke was taken as an edit of the grains; Ctrl+Z takes it back."
REMOVED = "The results of {} are in no file, and the last of its layers was removed."


class Guard(QObject):
    """Watches the layers of a viewer, and the window that it is in."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self._window: Callable[[], QWidget | None] = lambda: None
        self._linked: list[Any] = []
        self._followed: list[Session] = []
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_removed)
        self._on_layers()

    @property
    def _layers(self) -> list[Any]:
        viewer = self._viewer()
        return [] if viewer is None else list(viewer.layers)

    def watch(self, window: QWidget) -> None:
        """Ask before this window is closed."""
        self._window = ref(window)
        window.removeEventFilter(self)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Called by Qt for every event of the window."""
        if event is None or event.type() != QEvent.Type.Close or not isinstance(watched, QWidget):
            return False
        if not by_user(watched):
            return False
        field = QApplication.focusWidget()
        if field is not None:
            field.clearFocus()  # what is being typed is taken
        if may_close(sessions_of(self._layers), watched):
            return False
        event.ignore()
        return True

    # ---- layers come and go

    def _on_layers(self, event: Any = None) -> None:
        for layer in self._layers:
            kind = str(layer.metadata.get(ROLE_KEY, "")).partition("/")[0]
            if session_of(layer) is None or kind not in (*KINDS, MARKS) or layer in self._linked:
                continue
            for key, how in KEYS.items():
                layer.bind_key(key, _stepper(how), overwrite=True)
            if kind in KINDS:
                layer.events.paint.connect(self._on_paint)
            else:
                layer.editable = False  # it is drawn from the grains
                QTimer.singleShot(0, partial(self._pass_over, layer))
            self._linked.append(layer)
        self._follow()

    def _pass_over(self, marks: Any) -> None:
        """Marks lie on the grains and are selected as they come: select the grains."""
        viewer, session = self._viewer(), session_of(marks)
        if viewer is None or session is None or viewer.layers.selection.active is not marks:
            return
        feature = str(marks.metadata.get(ROLE_KEY, "")).partition("/")[2]
        grains = display.find(viewer, session, f"grains/{feature}")
        if grains is not None:
            viewer.layers.selection.active = grains

    def _follow(self) -> None:
        there = sessions_of(self._layers)
        for session in self._followed:
            if session not in there:
                session.edited.disconnect(self._on_edited)
        for session in there:
            if session not in self._followed:
                session.edited.connect(self._on_edited)
        self._followed = there

    def _on_removed(self, event: Any) -> None:
        layer, viewer = event.value, self._viewer()
        if layer in self._linked:
            self._linked.remove(layer)
            if str(layer.metadata.get(ROLE_KEY, "")).partition("/")[0] in KINDS:
                layer.events.paint.disconnect(self._on_paint)
        session = session_of(layer)
        self._follow()
        window = self._window()
        closing = window is not None and not by_user(window)
        if session is None or viewer is None or closing or session in self._followed or not unsaved(session):
            return

        from napari.utils import notifications

        def bring_back() -> None:
            if layer not in viewer.layers:
                viewer.add_layer(layer)

        told = notifications.Notification(
            REMOVED.format(session.name), notifications.NotificationSeverity.WARNING, [("Bring it back", bring_back)]
        )
        notifications.notification_manager.dispatch(told)

    # ---- somebody edits

    def _on_edited(self, _: str = "") -> None:
        """Review draws the grains at once where it is open; where it is not, they are drawn here."""
        QTimer.singleShot(0, self._catch_up)

    def _catch_up(self) -> None:
        viewer = self._viewer()
        for layer in self._layers:
            session = session_of(layer)
            kind, _, feature = str(layer.metadata.get(ROLE_KEY, "")).partition("/")
            if session is None or kind != "grains" or viewer is None:
                continue
            grains = session.result("refine", feature)
            if grains is not None and layer.metadata.get(SHOWN_KEY) not in (None, grains):
                show_grains(viewer, session, feature, features_of(session, feature))

    def _on_paint(self, event: Any) -> None:
        """A fill tells of itself before it has changed the labels: they are looked at in the next turn."""
        QTimer.singleShot(0, partial(self._take, event.source))

    def _take(self, layer: Any) -> None:
        """Make edits of what was painted on a layer."""
        viewer = self._viewer()
        session = session_of(layer)
        kind, _, feature = str(layer.metadata.get(ROLE_KEY, "")).partition("/")
        grains = session.result("refine", feature) if session is not None else None
        if session is None or grains is None or viewer is None:
            return
        try:
            if kind == "stack":
                edits = edits_on_stack(grains, layer.data) if isinstance(layer.data, Planes) else []
            else:
                edits = edits_on_flat(grains, layer.data)
            if edits:
                session.edit(feature, *edits)
                show_info(TAKEN)
        except StemNMFError as error:
            show_error(error)
        show_grains(viewer, session, feature, features_of(session, feature), again=True)
        stack = display.find(viewer, session, f"stack/{feature}")
        if stack is layer and isinstance(stack.data, Planes) and stack.data.painted:  # what was refused
            stack.data = Planes(session.result("refine", feature))


@cache
def _guards() -> WeakKeyDictionary[Any, Guard]:
    return WeakKeyDictionary()


def guard_of(viewer: napari.viewer.Viewer) -> Guard:
    """The guard of a viewer, made when first asked for."""
    found = _guards().get(viewer)
    if found is None:
        found = _guards()[viewer] = Guard(viewer)
    return found


def watch_over(viewer: napari.viewer.Viewer, dock: QWidget) -> None:
    """Have a viewer guarded, and its window once a dock is in it."""
    guard = guard_of(viewer)

    def watch() -> None:
        parent: Any = dock
        while parent is not None and not isinstance(parent, QMainWindow):
            parent = parent.parent()
        if parent is not None:
            guard.watch(parent)

    timer = QTimer(dock)  # goes with the dock
    timer.setSingleShot(True)
    timer.timeout.connect(watch)
    timer.start(0)


def by_user(window: QWidget) -> bool:
    """Whether a window is closed by whoever sits before it: a script that closes a viewer closes its canvas first."""
    try:
        found = window.findChildren(QWidget) if window.isVisible() else []
    except RuntimeError:  # it is gone already
        return False
    return any(each.isVisible() for each in found if type(each).__name__.startswith("CanvasBackend"))


def _stepper(how: str) -> Callable[[Any], None]:
    def step(layer: Any) -> None:
        session, feature = session_of(layer), str(layer.metadata[ROLE_KEY]).partition("/")[2]
        if session is not None:
            (session.undo if how == "undo" else session.redo)(feature)

    return step
