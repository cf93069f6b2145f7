"""A function that follows its latest request in a thread of its own: what came in between is skipped.

So a slider may ask for more than the machine can do, and the window never waits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from qtpy.QtCore import QObject, Signal

from napari_stemnmf.errors import Cancelled, StemNMFError
from napari_stemnmf.memory import keep_little

logger = logging.getLogger(__name__)
Request = TypeVar("Request")
Result = TypeVar("Result")


class Preview(QObject, Generic[Request, Result]):
    """Runs ``function(request)``; `ready` brings the result of the latest request into the main thread.

    Results of requests that are no longer the latest are dropped. An error, of the package or unforeseen, becomes a
    sentence in `failed`.

    Parameters
    ----------
    function : callable
        Called in one thread at a time.
    parent : QObject, optional
    every : bool
        Whether results of earlier requests are wanted, too, as they come: for a picture that follows a slider.
    """

    ready = Signal(object)
    failed = Signal(str)
    _answered = Signal(int, object, str)

    def __init__(
        self, function: Callable[[Request], Result], parent: QObject | None = None, *, every: bool = False
    ) -> None:
        super().__init__(parent)
        keep_little()  # of what threads of a window free, which stays open for hours
        self._function = function
        self._every = every
        self._lock = threading.Lock()
        self._waiting: tuple[int, Request] | None = None
        self._number = 0  # of the latest request
        self._oldest = 0  # of the first request whose result is wanted
        self._busy = False
        self._closed = False
        self._answered.connect(self._on_answered)

    def ask(self, request: Request) -> None:
        """Have the function called with this request, instead of one that still waits."""
        with self._lock:
            self._number += 1
            if not self._every:
                self._oldest = self._number
            if self._closed:
                return
            self._waiting = self._number, request
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._run, name="napari-stemnmf preview", daemon=True).start()

    def drop(self) -> None:
        """Forget what was asked so far: no result of it is wanted any more."""
        with self._lock:
            self._waiting, self._oldest = None, self._number + 1

    def close(self) -> None:
        """Drop what waits and what is still to come, for good."""
        self.drop()
        self._closed = True

    @property
    def busy(self) -> bool:
        """Whether a request is waiting or being worked on."""
        with self._lock:
            return self._busy

    def _run(self) -> None:
        while True:
            with self._lock:
                waiting, self._waiting = self._waiting, None
                if waiting is None:
                    self._busy = False
                    return
            number, request = waiting
            result, error = None, ""
            try:
                result = self._function(request)
            except Cancelled:
                number = -1  # dropped: somebody has stopped it
            except StemNMFError as problem:
                error = str(problem)
            except Exception as problem:
                logger.exception("A preview failed.")
                error = f"The preview failed: {type(problem).__name__}: {problem}."
            try:
                if number >= self._oldest:
                    self._answered.emit(number, result, error)
            except RuntimeError:  # the window was closed meanwhile
                logger.debug("A preview was dropped.", exc_info=True)
            waiting = request = result = None  # type: ignore[assignment]  # an idle thread keeps no data

    def _on_answered(self, number: int, result: Any, error: str) -> None:
        if self._closed or number < self._oldest:
            return
        if error:
            self.failed.emit(error)
        else:
            self.ready.emit(result)
