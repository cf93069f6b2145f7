"""What all commands share about the terminal: progress on stderr, and Ctrl-C as a request to stop."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Any

from napari_stemnmf.control import Progress


class Reporter:
    """Progress on stderr: one line that is rewritten on a terminal, one line a stage elsewhere.

    Within its block, Ctrl-C (and a polite kill) sets `cancel` in place of ending the process.
    """

    def __init__(self) -> None:
        self.cancel = threading.Event()
        self._former: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._stage = ""
        self._since = self._shown = 0.0
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
                self._stage, self._since, self._shown = progress.stage, now, 0.0
            if self._live and (now - self._shown > 0.1 or progress.fraction == 1.0):
                self._shown = now
                line = f"{progress.stage} {progress.fraction:4.0%} {progress.message}"
                print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)

    def _end_stage(self) -> None:
        if self._stage:
            start = "\r\x1b[K" if self._live else ""
            print(f"{start}{self._stage}: {time.monotonic() - self._since:.1f} s", file=sys.stderr, flush=True)
            self._stage = ""
