"""What a study was made from, and which of its steps are done: ``study.json`` in its folder.

A step has a key, which names what it was made from, and files. It is current while the key is the same and the files
are there; everything else is made again. Leans on `files` for a file that is whole or absent.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_stemnmf import __version__, files
from napari_stemnmf.errors import AnalysisError

NAME = "study.json"
FORMAT = "napari-stemnmf study"


def key_of(*parts: object) -> str:
    """A short hash of what a step is made from; the package's version is part of it."""
    return hashlib.sha256("\n".join(map(repr, (__version__, *parts))).encode()).hexdigest()[:16]


class Manifest:
    """The record of a study in its folder; written after each step.

    Raises
    ------
    AnalysisError
        If the folder holds a ``study.json`` of something else, or a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.record: dict[str, Any] = {"format": FORMAT, "steps": {}}
        if self.path.exists():
            try:
                self.record = json.loads(self.path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise AnalysisError(f"{self.path} cannot be read: {error}; choose another folder.") from error
            if not isinstance(self.record, dict) or self.record.get("format") != FORMAT:
                raise AnalysisError(f"{self.path} is not the record of a study; choose another folder.")

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """By name: key, files, seconds, when it was finished."""
        return self.record["steps"]

    def note(self, **entries: object) -> None:
        """Keep something beside the steps: settings, inputs, versions."""
        self.record.update(entries)
        self._write()

    def is_current(self, name: str, key: str) -> bool:
        """Whether a step was made from the same, and its files are there."""
        step = self.steps.get(name)
        return step is not None and step["key"] == key and all((self.folder / f).is_file() for f in step["files"])

    def step(self, name: str, key: str, make: Callable[[], Sequence[Path]]) -> bool:
        """Do a step unless it is current; `make` returns its files. Says whether it was done."""
        if self.is_current(name, key):
            return False
        began = time.perf_counter()
        files = make()
        self.done(name, key, files, time.perf_counter() - began)
        return True

    def done(self, name: str, key: str, files: Iterable[Path], seconds: float, **more: object) -> None:
        """Keep that a step is done."""
        self.steps[name] = {
            "key": key,
            "files": [path.relative_to(self.folder).as_posix() for path in files],
            "seconds": round(seconds, 2),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **more,
        }
        self._write()

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget steps that the study no longer has."""
        wanted = set(names)
        self.record["steps"] = {name: step for name, step in self.steps.items() if name in wanted}
        self._write()

    def _write(self) -> None:
        try:
            with files.atomic_write(self.path) as part:
                part.write_text(json.dumps(self.record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise AnalysisError(f"{self.path} cannot be written: {error}.") from error
