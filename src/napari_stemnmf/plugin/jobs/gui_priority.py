"""While threads compute, the event loop comes first: a preference, as it changes settings of the whole process.

Threads of Python share one lock. Who wants it waits until its holder gives it up, by default for 5 ms, and painting a
plot gives it up and wants it back some hundred times. And garbage is collected in whatever thread happens to allocate:
a full collection looks through all that napari holds, which takes a quarter of a second in which no thread runs, and
what Qt has drawn with must not be deleted but in the window's own thread. So meanwhile what was there before is not
looked through, and the rest is collected by a timer of the event loop. They are as before when nothing runs any
more.
"""

from __future__ import annotations

import gc
import sys
from contextlib import ExitStack

from qtpy.QtCore import QCoreApplication, QObject, QTimer

SWITCH_SECONDS = 0.0005
"""How long the event loop waits for the lock."""
TIDY_MS = 200
"""How often garbage is looked for."""


class GuiPriority(QObject):
    """Counts who is running: the first changes the settings, the last restores them. For the window's own thread."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._running = 0
        self._restore = ExitStack()

    @classmethod
    def of_the_application(cls) -> GuiPriority:
        """The one that the application owns, as the settings are the application's."""
        application = QCoreApplication.instance()
        found = application.findChild(cls) if application is not None else None
        return cls(application) if found is None else found

    def begin(self) -> None:
        """One more is running."""
        self._running += 1
        if self._running > 1:
            return
        self._restore.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_SECONDS)
        self._restore.callback(gc.unfreeze)
        gc.freeze()
        if gc.isenabled():
            self._restore.callback(gc.enable)
            gc.disable()
            timer = QTimer()
            timer.timeout.connect(tidy)
            timer.start(TIDY_MS)
            self._restore.callback(timer.stop)

    def end(self) -> None:
        """One has ended."""
        self._running -= 1
        if self._running == 0:
            self._restore.close()


def tidy() -> None:
    """Collect garbage as Python would by itself: the oldest generation whose count is over its threshold."""
    for generation, (count, most) in reversed(list(enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True)))):
        if 0 < most < count:
            gc.collect(generation)
            return
