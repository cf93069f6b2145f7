"""Whether a widget is visible: in a dock that is open, on the step or tab that is shown."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget


class Visibility(QObject):
    """Reports when a widget is shown and when it is hidden; in a minimised window it counts as visible.

    Parameters
    ----------
    watched : QWidget
    changed : callable
        Called with whether it is visible, whenever that changes.

    Attributes
    ----------
    visible : bool
    """

    def __init__(self, watched: QWidget, changed: Callable[[bool], None]) -> None:
        super().__init__(watched)
        self.visible = watched.isVisible()
        self._changed = changed
        watched.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Called by Qt for every event of the widget."""
        if event is not None and event.type() in (QEvent.Type.Show, QEvent.Type.Hide) and not event.spontaneous():
            visible = event.type() == QEvent.Type.Show
            if visible != self.visible:
                self.visible = visible
                self._changed(visible)
        return False
