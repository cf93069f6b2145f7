"""Work in threads: one task at a time for each scan, with progress and cancel.

A task belongs to the session it was started for. Its result goes there, whatever is selected when it arrives; if the
scan has left the viewer, or the viewer is closed, the task is stopped and its result dropped. Errors of the package
become one sentence in a napari notification.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from napari.qt.threading import FunctionWorker, create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import QCoreApplication, QObject, QTimer

from napari_stemnmf.control import Control, Progress, Running
from napari_stemnmf.errors import Cancelled, StemNMFError
from napari_stemnmf.memory import keep_little
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.session import Session, sessions_of
from napari_stemnmf.plugin.wording import in_window

if TYPE_CHECKING:
    from napari.components import ViewerModel

LEAST_SECONDS, LEAST_SHARE = 2.0, 0.02
"""Time, and share of a stage, that must have passed before the rest is estimated."""


class _Returned(NamedTuple):
    """What came of a function: its result, or why there is none."""

    result: Any = None
    error: str = ""
    note: str = ""


class _Call:
    """Calls a function once, in the thread; an error of ours becomes a sentence, a cancel a note."""

    def __init__(self, title: str, function: Callable[[Control], Any], control: Control) -> None:
        self._title = title
        self._given: tuple[Callable[[Control], Any], Control] | None = function, control

    def __call__(self) -> _Returned:
        if self._given is None:
            raise RuntimeError("A task runs once.")
        (function, control), self._given = self._given, None
        try:  # napari keeps every worker until its window closes: let it not keep the function's data as well
            return _Returned(function(control))
        except Cancelled as stop:
            return _Returned(note=str(stop))
        except StemNMFError as error:
            return _Returned(error=str(error))

    def __repr__(self) -> str:
        return f"napari-stemnmf: {self._title}"


class _Worker(FunctionWorker):
    """A worker whose quit (napari calls it when the window closes) stops the task."""

    task: Task | None = None

    def quit(self) -> None:
        if self.task is not None:
            self.task.abandon()


class Task(Running):
    """A function that is running in a thread, for one session.

    Parameters
    ----------
    viewer : napari viewer
        If the last layer of the scan leaves it, the task stops.
    session : Session
    title : str
        What is running, for the progress bar.
    work : callable
        Called in the thread with a `Control`. An error of ours becomes a notification and the session's note.
    take : callable
        Called in the main thread as ``take(viewer, session, result)``. If it returns an iterator, the task goes on with
        that, one piece in each turn of the event loop, and ends with its end.

    Attributes
    ----------
    news : list
        The details of all reports so far, in order; grows from other threads.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        title: str,
        work: Callable[[Control], Any],
        take: Callable[[Any, Session, Any], Iterator[None] | None],
    ) -> None:
        super().__init__(title)
        self._viewer: ViewerModel | None = viewer
        self._session: Session | None = session
        self._take = take
        self._pieces: Iterator[None] = iter(())
        self._showing = self._ended = False
        self._control = Control(self._on_progress)
        self._wanted = True
        self.news: list[Any] = []
        self._begun = self._stage_begun = time.monotonic()
        call = _Call(title, work, self._control)
        keep_little()
        self._worker: Any = create_worker(call, _worker_class=_Worker, _start_thread=False)
        self._worker.task = self

    def start(self) -> Task:
        """Begin; the session shows the task as running until it has ended."""
        self._priority = GuiPriority.of_the_application() if preferences().gui_priority else None
        if self._priority is not None:
            self._priority.begin()
        self._worker.returned.connect(self._on_returned)
        self._worker.finished.connect(self._on_finished)
        if self._viewer is not None and self._session is not None:
            self._viewer.layers.events.removed.connect(self._on_layer_removed)
            self._session.start(self)
        self._worker.start()
        return self

    def cancel(self) -> None:
        """Stop at the next block, cycle or iteration and keep what there is."""
        self._control.cancel()

    def abandon(self) -> None:
        """Stop, and drop the result."""
        self._wanted = False
        self._control.cancel()

    @property
    def remaining(self) -> float | None:
        """Seconds that the stage will still take if it goes on as it went; None where that cannot be told yet."""
        spent, done = time.monotonic() - self._stage_begun, self.progress.fraction if self.progress is not None else 0.0
        if spent < LEAST_SECONDS or done < LEAST_SHARE:
            return None
        return spent * (1.0 - done) / done

    def line(self) -> str:
        """Stage, message, time that has passed, and what is left of the stage, for the progress bar."""
        left = self.remaining
        rest = "" if left is None else f", ~{clock(left)} left"
        return f"{super().line()} ({clock(time.monotonic() - self._begun)}{rest})"

    def _on_progress(self, progress: Progress) -> None:
        if self.progress is None or self.progress.stage != progress.stage:
            self._stage_begun = time.monotonic()
        if progress.detail is not None:
            self.news.append(progress.detail)
        self.progress = progress  # from any thread; one assignment, read by the widgets' timers

    def _on_layer_removed(self, event: Any = None) -> None:
        if self._viewer is not None and self._session not in sessions_of(self._viewer.layers):
            self.abandon()

    def _on_returned(self, returned: _Returned) -> None:
        if not self._wanted or self._viewer is None or self._session is None:
            return
        if returned.error:
            show_error(in_window(returned.error))
        if returned.error or returned.note:
            self._session.note = returned.error or returned.note
        else:
            self._show_pieces(self._take(self._viewer, self._session, returned.result) or iter(()))

    def _show_pieces(self, pieces: Iterator[None]) -> None:
        """Show what was found, one piece in each turn of the event loop."""
        self._pieces = chain(self._pieces, pieces)
        if not self._showing:
            self._showing = True
            QTimer.singleShot(0, self._show_next)

    def _show_next(self) -> None:
        more = False
        try:
            more = self._wanted and next(self._pieces, self) is not self
        finally:  # the task ends even where showing has failed
            self._showing = more
            if more:
                QTimer.singleShot(0, self._show_next)
            elif self._ended:
                self._end()

    def _on_finished(self) -> None:
        self._ended = True
        if not self._showing:
            self._end()

    def _end(self) -> None:
        if self._viewer is not None:
            self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        session, self._session, self._viewer = self._session, None, None
        self._worker.task = None  # napari keeps every worker, and with it what the task found
        if self._priority is not None:
            self._priority.end()
        if session is not None:
            session.finish()


def clock(seconds: float) -> str:
    """Seconds as "0:07", "12:30" or "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


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
