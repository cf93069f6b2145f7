"""Whether a widget is in sight: in a dock that is open, on the step or tab that is shown."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget


class Sight(QObject):
    """Tells when a widget comes into sight and leaves it; a minimised window counts as in sight.

    Parameters
    ----------
    watched : QWidget
    told : callable
        Called with whether it is seen, whenever that changes.

    Attributes
    ----------
    seen : bool
    """

    def __init__(self, watched: QWidget, told: Callable[[bool], None]) -> None:
        super().__init__(watched)
        self.seen = watched.isVisible()
        self._told = told
        watched.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """As Qt calls it."""
        if event is not None and event.type() in (QEvent.Type.Show, QEvent.Type.Hide) and not event.spontaneous():
            seen = event.type() == QEvent.Type.Show
            if seen != self.seen:
                self.seen = seen
                self._told(seen)
        return False
