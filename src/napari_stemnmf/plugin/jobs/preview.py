"""One function in a thread of its own, always for the newest request: what came in between is skipped.

So a slider may ask for more than the machine can do, and the window never waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

logger = logging.getLogger(__name__)


class Latest(QObject):
    """Runs ``function(request)``; `done` carries its result into the main thread.

    Parameters
    ----------
    function : callable
        Called in one thread at a time.
    parent : QObject, optional
    """

    done = Signal(object)

    def __init__(self, function: Callable[[Any], Any], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._function = function
        self._lock = threading.Lock()
        self._request: Any = None
        self._busy = False
        self._closed = False

    def ask(self, request: Any) -> None:
        """Have the function called with this request, instead of one that still waits."""
        with self._lock:
            self._request = request
            if self._busy or self._closed:
                return
            self._busy = True
        threading.Thread(target=self._run, name="napari-stemnmf preview", daemon=True).start()

    def close(self) -> None:
        """Drop what waits and what is still to come."""
        with self._lock:
            self._closed, self._request = True, None

    @property
    def busy(self) -> bool:
        """Whether a request is waiting or being worked on."""
        with self._lock:
            return self._busy

    def _run(self) -> None:
        while True:
            with self._lock:
                request, self._request = self._request, None
                if request is None:
                    self._busy = False
                    return
            try:
                result = self._function(request)
                if not self._closed:
                    self.done.emit(result)
            except RuntimeError:  # the window was closed meanwhile
                logger.debug("A preview was dropped.", exc_info=True)
            except Exception:
                logger.exception("The preview failed.")
            request = result = None  # an idle thread keeps no data
