"""Keeps a viewer tidy while scans come and go: one scan at a time, the 4-D layer apart, a scale bar, first images.

One for each viewer, made by the reader or the first dock. It holds no viewer, and ends with it.
"""

from __future__ import annotations

import importlib
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_stemnmf.plugin.layers import display, in_view
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.session import Session, sessions_of

if TYPE_CHECKING:
    from napari_stemnmf.plugin.jobs.first_look import FirstLook

TIDY = QEvent.Type(QEvent.registerEventType())
"""Comes before the window draws: napari tells of units that do not fit together when it draws them."""
SOON = 1
"""Priority of that event: before what the window posts."""
FIRST_NEEDED = (
    "dask.array",
    "scipy.ndimage",
    "h5py",
    "napari_stemnmf.reading.hdf5",
    "napari_stemnmf.reading.npy",
    "napari_stemnmf.streaming.first_images",
    "napari_stemnmf.disks.central_disk",
    "napari_stemnmf.preprocessing.oddities",
)
"""Modules that opening a scan imports."""
START = ("napari-stemnmf", "STEM-NMF")
"""The dock that comes with the first scan where none of ours is open."""


class Keeper(QObject):
    """What a viewer's scans share; `keeper_of` gives it.

    Attributes
    ----------
    scans_changed : Signal
        A scan came or went.
    """

    scans_changed = Signal()

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._end = weakref.finalize(viewer, _let_go, self)
        self._end.atexit = False
        self._docks: weakref.WeakSet[QWidget] = weakref.WeakSet()
        self._known: list[weakref.ref[Session]] = []
        self._due = False
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        self._on_layers()

    @property
    def viewer(self) -> Any:
        """The viewer; None once it is gone."""
        return self._viewer()

    def join(self, dock: QWidget) -> None:
        """A dock of ours is open: the 4-D layers are kept apart from now on, and docks lie in tabs."""
        self._docks.add(dock)
        dock.destroyed.connect(self._docks_changed)
        QTimer.singleShot(0, lambda: put_into_tabs(dock))
        self._on_layers()

    def _docks_changed(self, *_: Any) -> None:
        self._docks = weakref.WeakSet(dock for dock in self._docks if _is_alive(dock))

    @property
    def has_docks(self) -> bool:
        """Whether one of our docks is open."""
        return any(_is_alive(dock) for dock in self._docks)

    @property
    def keeps_apart(self) -> bool:
        """Whether 4-D layers are kept apart: one of our docks is open, or opens with the first scan."""
        return self.has_docks or (self._is_seen() and preferences().start_page)

    # ---- what happens to layers

    def _on_layers(self, event: Any = None) -> None:
        if not self._due:
            self._due = True
            QCoreApplication.postEvent(self, QEvent(TIDY), SOON)

    def event(self, event: QEvent | None) -> bool:
        """Called by Qt; ours comes once for all the layers that came or went in one go."""
        if event is not None and event.type() == TIDY:
            self._due = False
            if self.viewer is not None:
                self._tidy(self.viewer)
            return True
        return bool(super().event(event))

    def _tidy(self, viewer: Any) -> None:
        there = sessions_of(viewer.layers)
        known = [session for ref in self._known if (session := ref()) is not None]
        new = [session for session in there if session not in known]
        gone = [session for session in known if session not in there]
        self._known = [weakref.ref(session) for session in there]
        for session in gone:
            _stop(session)
            if session.canvas.first_look is not None:
                session.canvas.first_look.deleteLater()
                session.canvas.first_look = None
        if new and not known:
            viewer.canvas.overlays.scale_bar.visible = True
            if self.keeps_apart and not self.has_docks:
                QTimer.singleShot(0, self._open_start)
        if self.keeps_apart:
            for session in there:
                display.remove_patterns(viewer, session)
        for session in new:
            self._look(viewer, session)
        if new:
            in_view.show_scan(viewer, new[-1])
            image = display.find(viewer, new[-1], "virtual_image")
            if image is not None and len(there) == 1:
                viewer.fit_to_view()
        if new or gone:
            self.scans_changed.emit()

    def _open_start(self) -> None:
        if self.viewer is not None and not self.has_docks:
            self.viewer.window.add_plugin_dock_widget(*START)

    def _is_seen(self) -> bool:
        """Whether there is a window that somebody sees."""
        windows = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow) and w.isVisible()]
        return bool(windows) and hasattr(self.viewer, "window")

    # ---- the first images

    def _look(self, viewer: Any, session: Session) -> None:
        """Have the first images of a scan made, unless a survey has them all."""
        from napari_stemnmf.plugin.jobs.first_look import FirstLook

        image = display.find(viewer, session, "virtual_image")
        if session.dataset is None or image is None or _surveyed(session) or session.canvas.first_look is not None:
            return
        look = FirstLook(session.dataset, np.asarray(image.data), self)
        session.canvas.first_look = look
        scan = weakref.ref(session)
        look.changed.connect(lambda: self._on_look(scan))
        session.changed.connect(self._on_session)
        look.start()

    def _on_look(self, scan: weakref.ref[Session]) -> None:
        session, viewer = scan(), self.viewer
        if session is None or viewer is None or _surveyed(session):
            return
        look: FirstLook = session.canvas.first_look
        image = display.find(viewer, session, "virtual_image")
        if image is None or look.images is None or not image.name.endswith(layers.PREVIEW):
            return
        data, meta, kind = layers.virtual_image(session, look.images.total, preview=not look.images.whole)
        display.put(viewer, data, meta, kind)
        if not look.images.whole:
            image.name = meta["name"]

    def _on_session(self) -> None:
        """A survey has the whole of what a first look shows."""
        for ref in self._known:
            session = ref()
            if session is not None and _surveyed(session):
                _stop(session)


def warm_up() -> threading.Thread:
    """Load, in a thread, what the first scan of a process would wait for: the user is still choosing its file."""

    def load() -> None:
        import pint

        for module in FIRST_NEEDED:
            importlib.import_module(module)
        pint.get_application_registry().parse_units("nanometer")

    thread = threading.Thread(target=load, name="napari-stemnmf warm-up", daemon=True)
    thread.start()
    return thread


def keeper_of(viewer: Any) -> Keeper | None:
    """The keeper of a viewer, made if there is none yet; None where there is no application with windows."""
    application = QApplication.instance()
    if application is None:
        return None
    for found in application.findChildren(Keeper):
        if found.viewer is viewer:
            return found
    return Keeper(viewer, application)


def put_into_tabs(dock: QWidget) -> None:
    """Put the dock that a widget is in into tabs with the others of ours on its side, and in front of them."""
    from qtpy.QtWidgets import QDockWidget

    if not _is_alive(dock):
        return
    mine: Any = dock.parentWidget()
    while mine is not None and not isinstance(mine, QDockWidget):
        mine = mine.parentWidget()
    window = mine.parentWidget() if mine is not None else None
    if mine is None or not isinstance(window, QMainWindow) or mine.isFloating():
        return
    area = window.dockWidgetArea(mine)
    ours = [
        other
        for other in window.findChildren(QDockWidget)
        if other is not mine and "(napari-stemnmf)" in other.windowTitle() and not other.isHidden()
        and not other.isFloating() and window.dockWidgetArea(other) == area
    ]  # fmt: skip
    if ours and mine not in window.tabifiedDockWidgets(ours[0]):
        window.tabifyDockWidget(ours[-1], mine)
        mine.show()
        mine.raise_()


def _surveyed(session: Session) -> bool:
    return session.analysis is not None and session.analysis.survey is not None


def _stop(session: Session) -> None:
    if session.canvas.first_look is not None:
        session.canvas.first_look.stop()


def _let_go(keeper: Keeper) -> None:
    if _is_alive(keeper):
        keeper.deleteLater()


def _is_alive(thing: QObject) -> bool:
    """Whether Qt has not deleted it."""
    try:
        thing.objectName()
    except RuntimeError:
        return False
    return True
