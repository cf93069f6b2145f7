"""Many scans run in a thread: what is to be done, what came of it, and which is to be reviewed next. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemnmf.errors import Cancelled

if TYPE_CHECKING:
    from napari_stemnmf.control import Progress
    from napari_stemnmf.export.batch import Outcome
    from napari_stemnmf.recipe import Recipe

WAITS, STOPPED = "waits", "stopped; Run goes on from there"


@dataclass
class Batch:
    """The scans of a batch, each with a folder.

    Attributes
    ----------
    files, folders : list of Path
    outcomes : dict of Path to Outcome
        Of the files that are done.
    cancel : threading.Event
    progress : Progress or None
        Of the file that is being worked on.
    now : Path or None
        That file.
    """

    files: list[Path]
    folders: list[Path]
    outcomes: dict[Path, Outcome] = field(default_factory=dict)
    cancel: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    now: Path | None = None

    @classmethod
    def of(cls, paths: Sequence[Path], out: Path) -> Batch:
        """The scans among files and in folders; a `ReadError` where there are none."""
        from napari_stemnmf.export.batch import folders, scans_in

        files = scans_in(paths)
        return cls(files, folders(files, out))

    def run(self, recipe: Recipe, out: Path, workers: int | None) -> Iterator[Outcome]:
        """Run what is not done yet, one after the other, and write the tables after each; for a thread."""
        from napari_stemnmf.export.batch import run_one, write_batch
        from napari_stemnmf.files.writing import make_folder

        make_folder(out)
        try:
            for file, folder in zip(self.files, self.folders, strict=True):
                if file in self.outcomes and not self.outcomes[file].error:
                    continue
                self.now, self.progress = file, None
                how = {"workers": workers, "progress": self._on_progress, "cancel": self.cancel}
                found = run_one(file, folder, recipe, **how)  # type: ignore[arg-type]
                self.outcomes[file] = found
                write_batch([self.outcomes[each] for each in self.files if each in self.outcomes], out)
                yield found
        except Cancelled:
            return
        finally:
            self.now = None

    def _on_progress(self, progress: Progress) -> None:
        self.progress = progress

    def state(self, file: Path) -> str:
        """What is said of a file."""
        if file == self.now:
            return "is running"
        done = self.outcomes.get(file)
        return done.line() if done is not None else STOPPED if self.cancel.is_set() else WAITS

    def line(self) -> str:
        """How far the batch is."""
        done = len(self.outcomes)
        if self.now is None:
            return f"{done} of {len(self.files)} scans are done"
        stage = f": {self.progress.stage}" if self.progress is not None and self.progress.stage else ""
        return f"{done + 1} of {len(self.files)}, {self.now.name}{stage}"

    def fraction(self) -> float:
        """From 0 to 1."""
        part = self.progress.fraction if self.progress is not None and self.now is not None else 0.0
        return min(1.0, (len(self.outcomes) + part) / max(1, len(self.files)))

    def to_review(self) -> list[Path]:
        """The files with grains that need a look, those with most of them first."""
        from napari_stemnmf.export.batch import needs_look

        looks = {
            file: sum(int(needs_look(table).sum()) for table in outcome.tables.values())
            for file, outcome in self.outcomes.items()
        }
        return sorted((file for file, count in looks.items() if count), key=lambda file: -looks[file])

    def analysis_of(self, file: Path) -> Path:
        """The analysis of a file that is done."""
        from napari_stemnmf.export.batch import ANALYSIS_NAME

        return self.folders[self.files.index(file)] / ANALYSIS_NAME
