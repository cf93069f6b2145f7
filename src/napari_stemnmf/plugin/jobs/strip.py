"""A strip with what runs for the scans that are not looked at, each with its bar and Cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QProgressBar, QPushButton, QWidget

from napari_stemnmf.plugin.jobs.waiting import running_beside
from napari_stemnmf.plugin.keeper import keeper_of
from napari_stemnmf.plugin.session import Session, sessions_of
from napari_stemnmf.plugin.widgets import button, column, row

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

EVERY_MS = 200
"""How often the bars move."""


class Line(QWidget):
    """One scan's run."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.bar = QProgressBar()
        self.bar.setMaximum(1000)
        self.bar.setTextVisible(True)
        self.cancel: QPushButton = button("Cancel", "stop and keep what was found so far", lambda: _cancel(session))
        row(self.bar, self.cancel, parent=self, stretch=self.bar)
        self.show_state(session)

    def show_state(self, session: Session) -> None:
        """As the scan's run is now."""
        running = session.running
        if running is None:
            return
        done = running.progress.fraction if running.progress is not None else 0.0
        line = f"{session.canvas.tag}: {running.line()}"
        self.bar.setValue(round(1000 * done))
        self.bar.setToolTip(line)
        self.bar.setFormat(self.bar.fontMetrics().elidedText(line, Qt.TextElideMode.ElideRight, self.bar.width() - 8))


class JobStrip(QWidget):
    """The runs of all scans but one, whose own page shows its run; nothing where there are none.

    Attributes
    ----------
    lines : dict of Line
        By scan.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._shown: Session | None = None
        self._followed: list[Session] = []
        self.lines: dict[Session, Line] = {}
        self._column = column(parent=self)
        self._column.setContentsMargins(8, 0, 8, 0)
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self._move)
        keeper = keeper_of(viewer)
        if keeper is not None:
            keeper.scans_changed.connect(self._follow)
        self.destroyed.connect(lambda: self._leave())
        self._follow()

    def leave_out(self, session: Session | None) -> None:
        """Another scan is looked at."""
        self._shown = session
        self._refresh()

    def _follow(self) -> None:
        self._leave()
        self._followed = sessions_of(self._viewer.layers)
        for session in self._followed:
            session.changed.connect(self._refresh)
        self._refresh()

    def _leave(self) -> None:
        for session in self._followed:
            session.changed.disconnect(self._refresh, missing_ok=True)
        self._followed = []

    def _refresh(self) -> None:
        busy: list[Any] = running_beside(self._viewer, self._shown)
        for session in [session for session in self.lines if session not in busy]:
            self.lines.pop(session).deleteLater()
        for session in busy:
            if session not in self.lines:
                self.lines[session] = Line(session)
                self._column.addWidget(self.lines[session])
        self.setVisible(bool(busy))
        if busy:
            self._timer.start()
        else:
            self._timer.stop()
        self._move()

    def _move(self) -> None:
        for session, line in self.lines.items():
            line.show_state(session)


def _cancel(session: Session) -> None:
    if session.running is not None:
        session.running.cancel()
