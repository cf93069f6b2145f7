"""Who writes to which file: among the scans of this process, and, told by locks, among processes. No Qt."""

from __future__ import annotations

import atexit
import threading
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.locks import Lock, take


class Writers:
    """Which `Saver` writes to which file. One for the whole process, so that two of its scans do not write to one file.

    Other processes are told by a lock beside each file that was saved, until its scan is closed or saved elsewhere.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.of: WeakValueDictionary[Path, Any] = WeakValueDictionary()
        self.locks: dict[Path, Lock] = {}
        atexit.register(self.let_go, all_of_them=True)

    def hold(self, path: Path) -> None:
        """Have the lock of a file; `AnalysisError` if another process has it."""
        with self.lock:
            self.let_go()
            if path not in self.locks:
                self.locks[path] = take(path, "napari")

    def is_free(self, path: Path) -> bool:
        """Whether no other process writes to a file, or is about to."""
        try:
            self.hold(path)
        except AnalysisError as error:
            return isinstance(error.__cause__, OSError)  # where nothing can be written, saving tells why
        return True

    def let_go(self, all_of_them: bool = False) -> None:
        """Release the locks of files that no scan is saved to any more."""
        with self.lock:
            for path in [path for path in self.locks if all_of_them or path not in self.of]:
                lock = self.locks.pop(path, None)
                if lock is not None:
                    lock.release()

    @classmethod
    @cache
    def of_the_process(cls) -> Writers:
        """The one of this process."""
        return cls()
