"""The analysis of a session is saved after each step and edit, in a thread. No Qt: the thread outlives the window.

One `Saver` for each session: the newest state wins, a burst of edits is written once, and two never write at a time.
An earlier analysis beside the scan is looked for, offered, and not written to unless it was opened.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from psygnal import Signal

from napari_stemnmf.errors import AnalysisError, StemNMFError
from napari_stemnmf.files.locks import is_held
from napari_stemnmf.files.writing import FILE_SUFFIX
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.saving.writers import Writers
from napari_stemnmf.texts import NOT_WRITTEN, why

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis, Input
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.plugin.session import Session

logger = logging.getLogger(__name__)
SOON, LATER = 0.5, 3.0
"""Seconds that a save waits for more to come: after a result or an edit, and where only settings have changed."""
SAVE_AS = "press Save as…"


class _Request(NamedTuple):
    """What is to be saved, and where; no path for the place that the saver has or finds."""

    analysis: Analysis
    path: Path | None = None


class Saver:
    """Keeps the file of a session's analysis up to date.

    Attributes
    ----------
    happened : Signal
        Something that `line` tells of has changed; emitted from any thread.
    earlier : Path or None
        An analysis of the same data that lies beside the scan and was not opened.
    saved_at : datetime or None
    error : str
        Why the last save failed; empty if it did not.
    tell : callable or None
        Called with each new error, from the thread that saves: the line may not be in sight.
    """

    happened = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._writers = Writers.of_the_process()
        weakref.finalize(self, self._writers.let_go)
        self._seen = (session.analysis, session.recipe)
        self._condition = threading.Condition()
        self._request: _Request | None = None
        self._due = 0.0
        self._busy = False
        self._opened = 0
        self._left_as: tuple[int, int] | None = None  # time and size of the file when it was written or read last
        self.earlier: Path | None = None
        self.saved_at: datetime | None = None
        self.error = ""
        self.tell: Callable[[str], Any] | None = None
        session.changed.connect(self._on_changed)
        if session.path is not None:
            session.path = session.path.absolute()
            self._take(session.path)
            self.saved_at = _written_at(session.path)
        elif session.analysis is None and session.dataset is not None:
            threading.Thread(target=self._look_for_earlier, name="napari-stemnmf earlier", daemon=True).start()

    # ---- what the user asks for

    def save_as(self, path: Path) -> None:
        """Save to that file now, and from then on."""
        if self._session.analysis is not None:
            self._seen = (self._session.analysis, self._session.recipe)
            self._ask(_Request(self._snapshot(self._session.analysis), path.absolute()), 0.0)

    def save_now(self) -> None:
        """Save what was changed since the last time, without waiting for more."""
        self._on_changed()
        with self._condition:
            self._due = 0.0
            self._condition.notify_all()

    def opened(self, path: Path) -> None:
        """The analysis of that file was opened: it is the session's from now on, and what was to be saved is not."""
        with self._condition:
            self._request = None
            self._opened += 1
        self._seen = (self._session.analysis, self._session.recipe)
        self._session.path = path.absolute()
        self._take(self._session.path)
        self.saved_at, self.error, self.earlier = _written_at(path), "", None
        self.happened.emit()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until everything is saved; False if it takes longer than so many seconds."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._busy, seconds)

    @property
    def waiting(self) -> bool:
        """Whether something is being saved, or is about to be."""
        return self._busy

    @property
    def behind(self) -> bool:
        """Whether something has changed that was not saved, and is not about to be."""
        return not self._busy and (self._session.analysis, self._session.recipe) != self._seen

    def line(self) -> str:
        """Where the analysis is saved, or why it is not, as one sentence."""
        session = self._session
        at = f"{self.saved_at:%H:%M:%S}" if self.saved_at is not None else ""
        if self.saved_at is not None and self.saved_at.date() != datetime.now().date():
            at = f"{self.saved_at:%d %B %Y, %H:%M}"
        if self.error:
            return f"Not saved: {self.error}"
        if self._busy:
            return f"Saving{f' to {session.path.name}' if session.path is not None else ''}…"
        if session.path is not None:
            off = "" if preferences().autosave else " Saving by itself is switched off in the preferences."
            return f"Saved to {session.path.name}, {at}.{off}" if at else f"Saved to {session.path.name}.{off}"
        if not preferences().autosave:
            return f"Not saved: saving by itself is switched off in the preferences; {SAVE_AS}"
        scan = self._scan()
        if scan is None:
            return f"Not saved: this scan has no file to be saved beside; {SAVE_AS}"
        return "Results are saved beside the scan as soon as there are some."

    # ---- when

    def _on_changed(self) -> None:
        session = self._session
        analysis, seen = session.analysis, self._seen
        if analysis is None or (analysis is seen[0] and session.recipe == seen[1]) or not preferences().autosave:
            return
        if session.path is None and self._scan() is None:
            self.happened.emit()  # nowhere to go before the user says where
            return
        only_settings = analysis is seen[0]
        self._seen = (analysis, session.recipe)
        self._ask(_Request(self._snapshot(analysis)), LATER if only_settings else SOON)

    def _snapshot(self, analysis: Analysis) -> Analysis:
        return replace(analysis, recipe=self._session.recipe, view=self._session.view)

    def _ask(self, request: _Request, delay: float) -> None:
        with self._condition:
            if request.path is None and self._request is not None and self._request.path is not None:
                request = request._replace(path=self._request.path)
            due = time.monotonic() + delay
            self._due = min(due, self._due) if self._request is not None else due
            self._request = request
            if self._busy:
                self._condition.notify_all()
                return
            self._busy = True
        threading.Thread(target=self._run, name="napari-stemnmf save").start()  # no daemon: the program waits for it
        self.happened.emit()

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._request is not None and (left := self._due - time.monotonic()) > 0:
                    self._condition.wait(left)
                request, self._request, opened = self._request, None, self._opened
                if request is None:
                    self._busy = False
                    self._condition.notify_all()
                    break
            self._save(request, opened)
            request = None
        self.happened.emit()

    # ---- where

    def _scan(self) -> Path | None:
        dataset, analysis = self._session.dataset, self._session.analysis
        source = dataset.source if dataset is not None else analysis.input.source if analysis is not None else ""
        return scan_file(source)

    def _look_for_earlier(self) -> None:
        dataset = self._session.dataset
        scan = scan_file(dataset.source) if dataset is not None else None
        try:
            if scan is None or dataset is None or not any(scan.parent.glob("*.stemnmf.h5")):
                return
            found = earlier(scan, dataset)
        except (OSError, StemNMFError):
            logger.info("Earlier analyses of %s were not looked for.", scan, exc_info=True)
            return
        if found is not None and self._session.path is None:
            self.earlier = found
            self.happened.emit()

    def _take(self, path: Path) -> None:
        """Be the one that writes to a file; who did so before finds another place."""
        with self._writers.lock:
            self._writers.of[path] = self
        self._left_as = _stamp(path)

    def _target(self) -> Path:
        """The session's file, or, where it has none or somebody else writes to it, a free place beside the scan."""
        path, scan = self._session.path, self._scan()
        with self._writers.lock:
            mine = path is not None and self._writers.of.get(path) is self
            same = mine and path is not None and _stamp(path) in (None, self._left_as) and self._writers.is_free(path)
            if path is not None and (same or scan is None):
                return path

            if scan is None:
                raise ValueError("A save was asked for, and the scan has no place.")
            path = free_place(scan, frozenset(self._writers.of))
            self._writers.of[path] = self
            return path

    def _save(self, request: _Request, opened: int) -> None:
        before = self.error
        try:
            if request.path is not None:
                self._take(request.path)
            path = request.path or self._target()
            self._writers.hold(path)
            request.analysis.save(path)
            if opened != self._opened:
                return  # another analysis is the session's by now, in its own file
            self._session.path, self._left_as = path, _stamp(path)
            self.saved_at, self.error = datetime.now(), ""
            if self.earlier == path:
                self.earlier = None
        except (OSError, StemNMFError) as error:
            self.error = _sentence(error)
        except Exception as error:
            logger.exception("The analysis of %s was not saved.", self._session.name)
            self.error = f"{why(error, NOT_WRITTEN)}; {SAVE_AS}"
        if self.error and self.error != before and self.tell is not None:
            self.tell(f"The analysis of {self._session.name} was not saved: {self.error}")


def watch(session: Session) -> Session:
    """Have a session saved from now on."""
    saver_of(session)
    return session


def saver_of(session: Session) -> Saver:
    """The saver of a session, which is watched from now on; the session keeps it."""
    if session.saver is None:
        session.saver = Saver(session)
    return session.saver


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _written_at(path: Path) -> datetime | None:
    stamp = _stamp(path)
    return None if stamp is None else datetime.fromtimestamp(stamp[0] / 1e9)


def _sentence(error: Exception) -> str:
    """Why a save failed, and what to do; the system's own words where it has some."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, OSError) and cause.errno:
        where = Path(os.fspath(cause.filename)).parent if cause.filename else ""
        return f"{os.strerror(cause.errno).lower()}{f' ({where})' if where else ''}; {SAVE_AS}"
    return f"{str(error).rstrip('.')}; {SAVE_AS}"


def scan_file(source: str) -> Path | None:
    """The file of a dataset's source, "FILE" or "FILE::name"; None for a scan without one."""
    file = source.partition("::")[0]
    return Path(file).absolute() if file else None


def place(scan: Path, number: int = 1) -> Path:
    """Where the analysis of a scan is kept; the others of the same name are numbered from 2."""
    return scan.parent / f"{scan.name.removesuffix(scan.suffix)}{f'-{number}' if number > 1 else ''}{FILE_SUFFIX}"


def free_place(scan: Path, taken: set[Path] | frozenset[Path] = frozenset()) -> Path:
    """The first place beside a scan that holds nothing and is not among those that others have taken."""
    places = (place(scan, number) for number in count(1))
    return next(each for each in places if each not in taken and not each.exists() and not is_held(each))


def earlier(scan: Path, dataset: Dataset) -> Path | None:
    """The analysis beside a scan that is of the same data; the newest of several; None if there is none."""
    stem, end = place(scan).name.removesuffix(FILE_SUFFIX), FILE_SUFFIX
    named = [
        each
        for each in scan.parent.glob(f"*{end}")
        if (rest := each.name.removesuffix(end)) == stem
        or (rest.startswith(f"{stem}-") and rest[len(stem) + 1 :].isdecimal())
    ]
    for each in sorted(named, key=lambda each: each.stat().st_mtime_ns, reverse=True):
        record = record_of(each)
        if record is not None and dataset.look(record)[0] == record.fingerprint:
            return each
    return None


def record_of(path: Path) -> Input | None:
    """Which data an analysis file is of; None for another file. Reads no results."""
    from napari_stemnmf.analysis import Input  # not above: places are asked for while a scan is opened
    from napari_stemnmf.files import storage
    from napari_stemnmf.files.analysis_file import opened

    try:
        with opened(path) as file:
            record: Input = storage.read(file, "input", Input)
            return record
    except AnalysisError:
        return None


def fingerprint_of(path: Path) -> str:
    """The fingerprint of the data that an analysis file is of; empty for another file."""
    record = record_of(path)
    return "" if record is None else record.fingerprint
