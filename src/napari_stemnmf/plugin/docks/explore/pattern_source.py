"""Reads the patterns that a dock shows, in a thread: the newest request wins, the one before stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_stemnmf.control import Control
from napari_stemnmf.plugin.jobs.preview import Latest
from napari_stemnmf.plugin.patterns.patterns_shown import PatternReader, PatternRequest, Shown

if TYPE_CHECKING:
    import numpy as np

    from napari_stemnmf.plugin.docks.explore.model import Explored
    from napari_stemnmf.plugin.session import Session


class PatternSource(QObject):
    """Makes what an `Explored` wants to see; `shown` carries it as a `Shown`."""

    shown = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._latest = Latest(PatternReader())
        self._latest.done.connect(self._on_done)
        self._number = 0
        self._control: Control | None = None

    @property
    def busy(self) -> bool:
        """Whether a pattern is still to come."""
        return self._latest.busy

    def ask(self, session: Session, found: Explored, region: np.ndarray | None) -> None:
        """Have the pattern shown that is wanted now."""
        self.stop()
        survey = session.analysis.survey if session.analysis is not None else None
        self._control = Control(stage="The pattern")
        request = PatternRequest(
            found.scan(session), survey, found.picture, session.position, region, self._number, self._control
        )
        self._latest.ask(request)

    def say(self, note: str) -> None:
        """Show a sentence in place of a pattern."""
        self.stop()
        self._latest.ask(PatternRequest(None, None, "", (0, 0), None, -1, Control()))  # lets go of what was read
        self.shown.emit(Shown(self._number, note=note))

    def stop(self) -> None:
        """Drop what is still to come."""
        self._number += 1
        if self._control is not None:
            self._control.cancel()

    def close(self) -> None:
        """The dock was closed."""
        self.stop()
        self._latest.close()

    def _on_done(self, shown: Any) -> None:
        if shown.number == self._number and (shown.image is not None or shown.note):
            self.shown.emit(shown)
