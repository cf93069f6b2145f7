"""While our threads compute, the event loop comes first. No Qt.

Threads of Python share one lock. Who wants it waits until its holder gives it up, by default for 5 ms, and painting a
plot gives it up and wants it back some hundred times. And a full collection of garbage looks through all that napari
holds, which takes a quarter of a second, in which no thread runs. Both are settings of the whole process: they are
changed while something runs, and are as before when nothing does.
"""

from __future__ import annotations

import gc
import sys
from contextlib import ExitStack

SWITCH_SECONDS = 0.0005
"""How long the event loop waits for the lock."""


class Courtesy:
    """Counts who is running: the first changes the settings, the last restores them."""

    def __init__(self) -> None:
        self._running = 0
        self._restore = ExitStack()

    def begin(self) -> None:
        """One more is running."""
        self._running += 1
        if self._running == 1:
            self._restore.callback(sys.setswitchinterval, sys.getswitchinterval())
            self._restore.callback(gc.unfreeze)
            sys.setswitchinterval(SWITCH_SECONDS)
            gc.freeze()  # what is there now is not looked through; what comes is

    def end(self) -> None:
        """One has ended."""
        self._running -= 1
        if self._running == 0:
            self._restore.close()
