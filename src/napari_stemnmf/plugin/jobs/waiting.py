"""A run that waits until those of other scans have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QTimer

from napari_stemnmf.control import Running
from napari_stemnmf.plugin.session import Session, sessions_of


class Waiting(Running):
    """Stands for a run until its turn: its scan shows it as running, and it can be cancelled.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        The scan that waits; if it leaves the viewer, so does the run.
    title : str
        What is to run.
    behind : sequence of Session
        Scans that something runs for, or waits for; all of these come first.
    begin : callable
        Starts the run.
    """

    def __init__(
        self, viewer: Any, session: Session, title: str, behind: Sequence[Session], begin: Callable[[], object]
    ) -> None:
        super().__init__(title)
        self._viewer, self._session, self._begin = viewer, session, begin
        self._behind = list(behind)

    def start(self) -> Waiting:
        """Begin to wait."""
        for other in self._behind:
            other.changed.connect(self._look_soon)
        self._viewer.layers.events.removed.connect(self._look_soon)
        self._session.start(self)
        self._look_soon()
        return self

    def cancel(self) -> None:
        """Wait no more, and do not run."""
        self._end()
        self._session.finish(f"{self.title} was taken out of the queue.")

    def abandon(self) -> None:
        """As `cancel`."""
        self.cancel()

    def line(self) -> str:
        """What is waited for."""
        names = [other.canvas.tag for other in self._behind if other.running is not None]
        return f"{self.title}: waits for {' and '.join(names)}" if names else self.title

    def _look_soon(self, *_: Any) -> None:
        """After what is going on: one that waited itself is about to run."""
        QTimer.singleShot(0, self._look)

    def _look(self) -> None:
        if self._session.running is not self:
            return
        there = sessions_of(self._viewer.layers)
        if self._session not in there:
            self.cancel()
        elif not any(other.running is not None for other in self._behind if other in there):
            self._end()
            self._session.finish()
            self._begin()

    def _end(self) -> None:
        for other in self._behind:
            other.changed.disconnect(self._look_soon, missing_ok=True)
        self._viewer.layers.events.removed.disconnect(self._look_soon)
        self._behind = []


def running_beside(viewer: Any, session: Session | None) -> list[Session]:
    """The other scans of a viewer that something runs for."""
    return [other for other in sessions_of(viewer.layers) if other is not session and other.running is not None]
