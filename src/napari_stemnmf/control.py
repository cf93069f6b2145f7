"""Progress and cancelling of long work.

Every stage takes one `Control`. The command line, napari or Python makes it; the stages only call `report` and `check`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from napari_stemnmf.errors import Cancelled

PACE_OVER, PACE_SECONDS = 32, 0.5
"""Reports that a rate is taken over, and seconds that they span at least."""


@dataclass(frozen=True)
class Progress:
    """One report: `done` of `total` steps of `stage`, and a line for the user.

    `detail` may hold more than the line, for displays that use it: a `SeedProgress` while clustering.
    """

    stage: str
    done: float
    total: float
    message: str = ""
    detail: Any = None

    @property
    def fraction(self) -> float:
        """Share of the stage that is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 1.0


class Control:
    """Carries progress out of a stage and the request to cancel into it; safe to share between threads.

    Parameters
    ----------
    on_progress : callable, optional
        Called with a `Progress`, from whichever thread reports.
    cancel : threading.Event, optional
        Set it to stop the work at the next block, cycle or iteration.
    stage : str
        Name of the stage that reports are made for.
    """

    def __init__(
        self,
        on_progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        stage: str = "",
    ) -> None:
        self._on_progress = on_progress
        self._cancel = cancel if cancel is not None else threading.Event()
        self.stage = stage

    def for_stage(self, stage: str) -> Control:
        """The same control, reporting under another stage's name."""
        return Control(self._on_progress, self._cancel, stage)

    def part(self, index: int, parts: int) -> Control:
        """The same control for one of several equal parts of a stage, counted from 0: its reports fill that part."""
        whole = self._on_progress
        if whole is None:
            return self

        def forward(progress: Progress) -> None:
            done, total = index * progress.total + progress.done, parts * progress.total
            whole(replace(progress, done=done, total=total))

        return Control(forward, self._cancel, self.stage)

    def report(self, done: float, total: float, message: str = "", detail: Any = None) -> None:
        """Report how far the stage is."""
        if self._on_progress is not None:
            self._on_progress(Progress(self.stage, done, total, message, detail))

    @property
    def cancelled(self) -> bool:
        """Whether the user asked to stop."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._cancel.set()

    def check(self) -> None:
        """Raise `Cancelled` if the user asked to stop."""
        if self._cancel.is_set():
            raise Cancelled(f"{self.stage or 'The work'} was cancelled.")


class Pace:
    """How fast work goes just now: over the last reports, so that what was done before a run went on does not count."""

    def __init__(self) -> None:
        self._reports: deque[tuple[float, float]] = deque([(time.monotonic(), 0.0)], PACE_OVER)

    def rate(self, done: float) -> float:
        """Steps a second, with so many done now; 0 where that cannot be told yet."""
        now = time.monotonic()
        self._reports.append((now, done))
        (since, before), spent = self._reports[0], now - self._reports[0][0]
        return (done - before) / spent if since < now and spent > PACE_SECONDS else 0.0


class Running:
    """What is known of a step that is running; its thread writes `progress`, widgets read it."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.part = ""  # "2/5" where it is a part of a longer run
        self.progress: Progress | None = None

    def cancel(self) -> None:
        """Ask it to stop and keep what it has."""
        raise NotImplementedError

    def line(self) -> str:
        """Stage and message for the progress bar."""
        stage = self.title if self.progress is None else self.progress.stage or self.title
        message = "starting" if self.progress is None else self.progress.message
        return f"{self.part} {stage}{f': {message}' if message else ''}".lstrip()
