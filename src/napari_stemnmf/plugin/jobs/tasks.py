"""Work in threads: one task at a time for each scan, with progress and cancel; a step of the pipeline is a `Job`.

A task belongs to the session it was started for. Its result goes there, whatever is selected when it arrives, and is
joined with what the user did meanwhile; if the scan has left the viewer, or the viewer is closed, the task is stopped
and its result dropped. A mask that was drawn meanwhile stays, and makes the result stale. Errors of ours become one
sentence in a napari notification.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from napari.qt.threading import FunctionWorker, create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer

from napari_stemnmf.control import Control, Progress
from napari_stemnmf.errors import Cancelled, StemNMFError
from napari_stemnmf.plugin.jobs.gui_priority import Courtesy
from napari_stemnmf.plugin.jobs.merged import merged
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.session import STEPS, Running, Session, sessions_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_stemnmf.analysis import Analysis

logger = logging.getLogger(__name__)
_running: set[Task] = set()
_courtesy = Courtesy()
_CALIBRATION = ("take_survey", "find_disks", "calibrate")
FUNCTIONS = {"survey": ("take_survey",), "calibrate": _CALIBRATION, "featurize": (*_CALIBRATION, "featurize")}
"""The functions of `pipeline` that a step runs, where it is more than its namesake: each keeps what it has found."""
READERS = (*_CALIBRATION, "featurize", "measure")
"""Those that read the scan, and may do so on a dask scheduler's workers."""
TITLES = {"survey": "First look"}
LEAST_SECONDS, LEAST_SHARE = 2.0, 0.02
"""Time, and share of a stage, that must have passed before the rest is estimated."""


class Outcome:
    """What a job came to: results (perhaps partial) and a sentence, or an error to show."""

    def __init__(self, analysis: Analysis | None, note: str = "", error: str = "") -> None:
        self.analysis = analysis
        self.note = note
        self.error = error


class Work:
    """The function that a job runs in the thread: one step, for some features."""

    def __init__(self, session: Session, step: str, features: tuple[str, ...]) -> None:
        self._given: Any = (session.dataset, session.recipe, session.analysis, session.mask)
        self._step, self._features = step, features
        self._preferences = preferences()

    def __call__(self, control: Control) -> Outcome:
        """Run the step; errors of the package come back as an outcome, others are raised."""
        from napari_stemnmf import pipeline

        dataset, recipe, analysis, mask = self._given
        try:
            if dataset is not None:
                analysis = pipeline.start(dataset, recipe, analysis)
                analysis = analysis if mask is None else pipeline.with_mask(analysis, mask)
            elif analysis is not None:
                analysis = pipeline.with_recipe(analysis, recipe)
            for name in FUNCTIONS.get(self._step, (self._step,)):
                options: dict[str, Any] = {} if name in _CALIBRATION else {"features": self._features}
                options["workers"] = self._preferences.workers(dataset)
                if name in READERS:
                    options["executor"] = self._preferences.executor()
                analysis = getattr(pipeline, name)(analysis, dataset, control=control, **options)
        except Cancelled as stop:
            return Outcome(stop.analysis if stop.analysis is not None else analysis, str(stop))
        except StemNMFError as error:
            return Outcome(analysis, error=str(error))
        return Outcome(analysis)


class _Returned(NamedTuple):
    """What came of a function: its result, or why there is none."""

    result: Any = None
    error: str = ""
    note: str = ""


class _Call:
    """Calls a function once, in the thread; an error of ours becomes a sentence, a cancel a note."""

    def __init__(self, title: str, function: Callable[[Control], Any], control: Control) -> None:
        self._title, self._control = title, control
        self._function: Callable[[Control], Any] | None = function

    def __call__(self) -> _Returned:
        function, self._function = self._function, None
        if function is None:
            raise RuntimeError("A task runs once.")
        try:  # napari keeps every worker until its window closes: let it not keep the function's data as well
            return _Returned(function(self._control))
        except Cancelled as stop:
            return _Returned(note=str(stop))
        except StemNMFError as error:
            return _Returned(error=str(error))

    def __repr__(self) -> str:
        return f"napari-stemnmf: {self._title}"


class _Worker(FunctionWorker):
    """A worker whose quit (napari calls it when the window closes) stops the task."""

    task: Task

    def quit(self) -> None:
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
        self._control = Control(self._on_progress)
        self._wanted = True
        self.news: list[Any] = []
        self._begun = self._stage_begun = time.monotonic()
        call = _Call(title, work, self._control)
        self._worker: Any = create_worker(call, _worker_class=_Worker, _start_thread=False)
        self._worker.task = self

    def start(self) -> Task:
        """Begin; the session shows the task as running until it has ended."""
        _running.add(self)
        _courtesy.begin()
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
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun

    @property
    def remaining(self) -> float | None:
        """Seconds that the stage will still take if it goes on as it went; None where that cannot be told yet."""
        spent, done = time.monotonic() - self._stage_begun, self.progress.fraction if self.progress is not None else 0.0
        if spent < LEAST_SECONDS or done < LEAST_SHARE:
            return None
        return spent * (1.0 - done) / done

    def timing(self) -> str:
        """Time that has passed, and what is left of the stage: "0:12, ~0:40 left"."""
        left = self.remaining
        return clock(self.elapsed) + ("" if left is None else f", ~{clock(left)} left")

    def line(self) -> str:
        """Stage, message and time for the progress bar."""
        return f"{super().line()} ({self.timing()})"

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
            show_error(returned.error)
        if returned.error or returned.note:
            self._session.note = returned.error or returned.note
        else:
            self._pieces = self._take(self._viewer, self._session, returned.result) or self._pieces

    def _on_finished(self) -> None:
        """Show what was found, piece by piece; then the task has ended, even where showing it failed."""
        more = False
        try:
            more = self._wanted and next(self._pieces, self) is not self
        finally:
            if more:
                QTimer.singleShot(0, self._on_finished)
            else:
                self._end()

    def _end(self) -> None:
        if self._viewer is not None:
            self._viewer.layers.events.removed.disconnect(self._on_layer_removed)
        session, self._session, self._viewer = self._session, None, None
        _running.discard(self)
        _courtesy.end()
        if session is not None:
            session.finish()


class Job(Task):
    """One step of the pipeline.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
    step : str
        One of `session.STEPS`, or "survey".
    features : tuple of str
        None for survey and calibration, which are one for all.
    show : callable
        Called in the main thread as ``show(viewer, session, step, feature)`` for each feature with a new result, or
        once with "" if the step has no features; what it returns is gone through piece by piece.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        step: str,
        features: tuple[str, ...],
        show: Callable[[Any, Session, str, str], Iterator[None]],
    ) -> None:
        names = "" if step == "featurize" or not features else " " + ", ".join(name.upper() for name in features)
        title = f"{TITLES.get(step, step.capitalize())}{names}"
        super().__init__(viewer, session, title, Work(session, step, features), self._take_outcome)
        self._given = session.analysis
        self.step, self.features = step, features
        self._show = show

    def _take_outcome(self, viewer: Any, session: Session, outcome: Outcome) -> Iterator[None]:
        before = session.analysis
        if outcome.analysis is not None:
            session.set_analysis(merged(self._given, before, outcome.analysis), outcome.note)
        self._given = None
        session.note = outcome.note or outcome.error
        if outcome.error:
            show_error(outcome.error)
        new = [
            feature
            for feature in self.features or ("",)
            if _result(session.analysis, self.step, feature) is not _result(before, self.step, feature)
        ]
        return chain.from_iterable(self._show(viewer, session, self.step, feature) for feature in new)


def clock(seconds: float) -> str:
    """Seconds as "0:07", "12:30" or "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def running() -> list[Task]:
    """The tasks that have not ended, those that were abandoned included."""
    return list(_running)


def _result(analysis: Analysis | None, step: str, feature: str) -> Any:
    if analysis is None:
        return None
    return getattr(analysis, STEPS[step]).get(feature) if feature else analysis.survey
