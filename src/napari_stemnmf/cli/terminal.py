"""What all commands share about the terminal: progress on stderr, and Ctrl-C as a request to stop."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from napari_stemnmf.control import Progress
from napari_stemnmf.texts import shown, shown_lines

LEAST_SECONDS, LEAST_SHARE = 2.0, 0.02
"""Time, and share of a stage, that must have passed before the rest is estimated."""
CLEAR = "\r\x1b[K"
"""Empties the line of a terminal."""


class Careful(io.TextIOBase):
    """A stream that writes to another what terminals do not obey; what that cannot encode becomes an escape.

    A stream that cannot be written to any more does not end the work that tells of itself: what is written later is
    thrown away, and `error` is why.

    Attributes
    ----------
    stream : file or None
        None where a program has no such stream.
    error : Exception or None
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        plain = _encodable(shown_lines(text), self.encoding)
        self._try(lambda: self.stream.write(plain))
        return len(text)

    def steer(self, codes: str) -> None:
        """Write what a terminal is to obey."""
        self._try(lambda: self.stream.write(codes))

    def flush(self) -> None:
        self._try(lambda: self.stream.flush())

    def fileno(self) -> int:
        return int(self.stream.fileno())

    def isatty(self) -> bool:
        with contextlib.suppress(ValueError):  # closed
            return self.stream is not None and bool(self.stream.isatty())
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return str(getattr(self.stream, "encoding", None) or "utf-8")

    def _try(self, act: Callable[[], object]) -> None:
        if self.stream is None or self.error is not None:
            return
        try:
            act()
        except (OSError, ValueError) as error:  # full, gone, or closed
            self.error = error
            with contextlib.suppress(OSError, ValueError):  # Python would fail with it at its end
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.stream.fileno())
                os.close(nowhere)


def _encodable(text: str, encoding: str) -> str:
    """A text with what an encoding cannot hold as escapes, which strings of TOML and JSON know as well."""
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return "".join(map(partial(_letter, encoding=encoding), text))


def _letter(letter: str, encoding: str) -> str:
    try:
        letter.encode(encoding)
        return letter
    except UnicodeEncodeError:
        number = ord(letter)
        return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


@contextlib.contextmanager
def careful_output() -> Iterator[Careful]:
    """Within its block names of files and datasets cannot steer the terminal, nor fail at its encoding."""
    out = Careful(sys.stdout)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(Careful(sys.stderr)):
        yield out


def _steer(codes: str) -> None:
    if isinstance(sys.stderr, Careful):
        sys.stderr.steer(codes)
    else:
        print(codes, end="", file=sys.stderr)


class Reporter:
    """Progress on stderr: one line that is rewritten on a terminal, one line a stage elsewhere.

    Within its block, Ctrl-C (and a polite kill) sets `cancel` in place of ending the process.
    """

    def __init__(self) -> None:
        self.cancel = threading.Event()
        self._former: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._stage = ""
        self._since = self._shown = self._begun = 0.0
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Reporter:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, lambda *_: self.cancel.set())
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._end_stage()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            now = time.monotonic()
            if progress.stage != self._stage:
                self._end_stage()
                self._stage, self._since, self._shown, self._begun = progress.stage, now, 0.0, progress.fraction
            if self._live and (now - self._shown > 0.1 or progress.fraction == 1.0):
                self._shown = now
                left = self._left(progress, now)
                line = shown(f"{progress.stage} {progress.fraction:4.0%}{left} {progress.message}")[:100]
                _steer(CLEAR)
                print(line, end="", file=sys.stderr, flush=True)

    def _left(self, progress: Progress, now: float) -> str:
        """What is left of the stage, if it goes on as since it was first told of; "" where that is not known."""
        spent, done = now - self._since, progress.fraction - self._begun
        if spent < LEAST_SECONDS or done < LEAST_SHARE:
            return ""
        minutes, seconds = divmod(round(spent * (1.0 - progress.fraction) / done), 60)
        return f", {minutes // 60}:{minutes % 60:02}:{seconds:02} left"

    def _end_stage(self) -> None:
        if self._stage:
            if self._live:
                _steer(CLEAR)
            print(f"{self._stage}: {time.monotonic() - self._since:.1f} s", file=sys.stderr, flush=True)
            self._stage = ""
