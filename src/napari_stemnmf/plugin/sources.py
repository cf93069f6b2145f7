"""The analyses that a dock may choose from: of the scans that are open in the viewer, and of files added to the dock.

Files are read in a thread, in the order in which they were added.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.jobs.preview import Latest
from napari_stemnmf.plugin.session import Session, named, session_of, sessions_of

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

FILES = "Analyses (*.stemnmf.h5 *.h5);;All files (*)"
"""Filter of the file dialog."""


class Sources(QObject):
    """Sessions of a viewer and of files; `changed` when one comes, goes, or has new results.

    Attributes
    ----------
    reading : tuple of Path
        Files that are being read.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._files: list[Session] = []
        self._followed: list[Session] = []
        self.reading: tuple[Path, ...] = ()
        self._reader = Latest(_read, self)
        self._reader.done.connect(self._on_read)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        self._follow()

    def sessions(self) -> list[Session]:
        """All there are, those of the viewer first."""
        return [*sessions_of(self._viewer.layers), *self._files]

    def named(self) -> list[tuple[str, Session]]:
        """As `sessions`, each with a name that no other has."""
        return named(self.sessions())

    @property
    def active(self) -> Session | None:
        """That of the selected layer."""
        return session_of(self._viewer.layers.selection.active)

    def add(self, paths: Sequence[str | Path]) -> None:
        """Read analysis files; what cannot be read is said in a notification."""
        self.reading = (*self.reading, *map(Path, paths))
        if self.reading:
            self._reader.ask(self.reading)
        self.changed.emit()

    def close(self) -> None:
        """Stop listening, drop what is being read."""
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        self._viewer.layers.events.removed.disconnect(self._on_layers)
        self._reader.close()
        self._files = []
        for session in self._followed:
            session.changed.disconnect(self._on_results)
        self._followed = []

    def _on_layers(self, event: Any = None) -> None:
        self._follow()
        self.changed.emit()

    def _on_results(self) -> None:
        self.changed.emit()

    def _follow(self) -> None:
        """Hear of new results of all sessions, and of those only."""
        now = self.sessions()
        for session in now:
            if session not in self._followed:
                session.changed.connect(self._on_results)
        for session in self._followed:
            if session not in now:
                session.changed.disconnect(self._on_results)
        self._followed = now

    def _on_read(self, found: list[tuple[Path, Session | str]]) -> None:
        from napari.utils.notifications import show_error

        done = [path for path, _ in found]
        self.reading = tuple(path for path in self.reading if path not in done)
        for _, session in found:
            if isinstance(session, str):
                show_error(session)
            else:
                self._files.append(session)
        if self.reading:  # added meanwhile
            self._reader.ask(self.reading)
        self._on_layers()


def _read(paths: Sequence[Path]) -> list[tuple[Path, Session | str]]:
    """A session for each file, or a sentence on why there is none."""
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.reading.finding import find_scan

    found: list[tuple[Path, Session | str]] = []
    for path in paths:
        try:
            analysis = Analysis.load(path)
            found.append((path, Session(find_scan(analysis.input, path.parent), analysis)))
        except StemNMFError as error:
            found.append((path, str(error)))
    return found
