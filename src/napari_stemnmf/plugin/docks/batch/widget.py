"""Batch: scans of files and folders go through *Find grains* one after the other, and are reviewed in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QProgressBar, QTableWidgetItem, QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.batch.model import Batch
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.saving.confirm import unsaved
from napari_stemnmf.plugin.saving.guard import watch_over
from napari_stemnmf.plugin.session import Session, session_of
from napari_stemnmf.plugin.widgets import Table, button, column, row, show_error, wrapping_label
from napari_stemnmf.plugin.wording import unmarked

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

REFRESH_MS = 200
COLUMNS = {
    "scan": "the file; a double click opens its grains for review, once they are found",
    "found": "what came of it",
}


class BatchWidget(QWidget):
    """Files, where their results go, Run, and what came of each.

    Attributes
    ----------
    files : Table
    batch : Batch or None
    out : Path or None
        The folder of the results.
    run, cancel, review : QPushButton
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._worker: Any = None
        self._opened: Session | None = None
        self._reviewed: list[Path] = []
        self.batch: Batch | None = None
        self.out: Path | None = None
        self._paths: list[Path] = []
        self.add_files = button("Add files…", "scans to find the grains of, one after the other", self._on_files)
        self.add_folder = button("Add folder…", "all scans of a folder", self._on_folder)
        self.clear = button("Clear", "begin with an empty list; results stay where they are", self._on_clear)
        self.files = Table("the scans, in the order in which they are run", COLUMNS)
        self.files.share_width()
        self.files.cellDoubleClicked.connect(lambda at, _: self.open_for_review(at))
        self.place = wrapping_label("a folder for each scan, and the tables scans.csv, grains.csv and to-review.csv")
        self.choose = button("Results to…", "the folder for the results", self._on_out)
        self.about = wrapping_label()
        self.run = button("Find grains of all", "one scan after the other, in the background", self.start)
        self.cancel = button("Cancel", "stop; what is done stays, and the next run goes on from there", self.stop)
        self.review = button(
            "Review next", "open the next scan with grains that need a look, most of them first", self._on_review
        )
        self.bar = QProgressBar()
        parts = (
            row(self.add_files, self.add_folder, self.clear),
            self.files,
            row(self.place, self.choose, stretch=self.place),
            self.about,
            row(self.run, self.cancel, self.review),
            self.bar,
        )
        column(*parts, parent=self, stretch=self.files).setContentsMargins(8, 8, 8, 8)
        self._timer = QTimer(self)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._refresh)
        watch_over(viewer, self)
        self.destroyed.connect(lambda: self._stop_quietly())
        self._refresh()

    # ---- what the user does

    def add(self, paths: Sequence[str | Path]) -> None:
        """Put scans, and those of folders, on the list."""
        wanted = [*self._paths, *map(Path, paths)]
        out = self.out if self.out is not None else _suggestion(wanted[0])
        try:
            batch = Batch.of(wanted, out)
        except (StemNMFError, OSError) as error:
            show_error(error)
            return
        if self.batch is not None:
            batch.outcomes = {file: each for file, each in self.batch.outcomes.items() if file in batch.files}
        self._paths, self.out, self.batch = wanted, out, batch
        self._refresh()

    def set_out(self, folder: str | Path) -> None:
        """Have the results written to a folder."""
        self.out = Path(folder)
        if self._paths:
            self.batch = Batch.of(self._paths, self.out)
        self._refresh()

    def start(self) -> None:
        """Run what is not done."""
        from napari.qt.threading import create_worker

        if self.batch is None or self.out is None or self._worker is not None:
            return
        self.batch.cancel.clear()
        run = self.batch.run(self._recipe(), self.out, preferences().threads or None)

        def batch_of_scans() -> Any:
            yield from run

        self._worker = create_worker(batch_of_scans, _start_thread=False)
        self._worker.errored.connect(lambda error: show_error(error))
        self._worker.finished.connect(self._on_finished)
        self._worker.start()
        self._timer.start()
        self._refresh()

    def stop(self) -> None:
        """Stop at the next block; what is done stays."""
        if self.batch is not None:
            self.batch.cancel.set()
        self._refresh()

    def open_for_review(self, at: int) -> None:
        """Open the grains of the scan in a row, with Review beside them; one of this list that was open is closed."""
        if self.batch is None or not 0 <= at < len(self.batch.files):
            return
        file = self.batch.files[at]
        done = self.batch.outcomes.get(file)
        if done is None or done.error:
            return
        self._close_the_last()
        before = set(self._viewer.layers)
        self._viewer.open(str(self.batch.analysis_of(file)), plugin="napari-stemnmf")
        new = [layer for layer in self._viewer.layers if layer not in before]
        self._opened = next((session for layer in new if (session := session_of(layer)) is not None), None)
        self._reviewed.append(file)
        if new:
            self._viewer.layers.selection.active = new[-1]
            self._viewer.fit_to_view()
            self._viewer.window.add_plugin_dock_widget("napari-stemnmf", "Review")
        self._refresh()

    def _on_review(self) -> None:
        left = [] if self.batch is None else [f for f in self.batch.to_review() if f not in self._reviewed]
        if left and self.batch is not None:
            self.open_for_review(self.batch.files.index(left[0]))

    def _close_the_last(self) -> None:
        """Close the scan that was opened before for review, if all of it is saved."""
        session, self._opened = self._opened, None
        if session is not None and not unsaved(session):
            for layer in [each for each in self._viewer.layers if session_of(each) is session]:
                self._viewer.layers.remove(layer)

    def _on_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Scans")
        if paths:
            self.add(paths)

    def _on_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "A folder of scans")
        if path:
            self.add([path])

    def _on_out(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder for the results")
        if path:
            self.set_out(path)

    def _on_clear(self) -> None:
        self.batch, self._paths, self._reviewed = None, [], []
        self._refresh()

    # ---- what happens

    def _recipe(self) -> Any:
        """The settings of the scan that is selected, else the default ones."""
        from napari_stemnmf.recipe import Recipe

        session = session_of(self._viewer.layers.selection.active)
        return session.recipe if session is not None else Recipe.preset("default")

    def _on_finished(self) -> None:
        self._worker = None
        self._timer.stop()
        self._refresh()

    def _stop_quietly(self) -> None:
        if self.batch is not None:
            self.batch.cancel.set()

    def _refresh(self) -> None:
        batch, running = self.batch, self._worker is not None
        files = [] if batch is None else batch.files
        self.files.setRowCount(len(files))
        for at, file in enumerate(files):
            texts = (file.name, batch.state(file) if batch is not None else "")
            for place, text in enumerate(texts):
                item = self.files.item(at, place)
                if item is None:
                    item = QTableWidgetItem()
                    self.files.setItem(at, place, item)
                if item.text() != unmarked(text):
                    item.setText(unmarked(text))
                    item.setToolTip(unmarked(str(file) if not place else text))
        self.place.setText("" if self.out is None else f"Results go to {unmarked(self.out)}")
        active = session_of(self._viewer.layers.selection.active)
        whose = f"those of {unmarked(active.name)}" if active is not None else "the default ones"
        self.about.setText("" if not files else f"{batch.line() if batch is not None else ''}. Settings: {whose}.")
        left = [] if batch is None or running else [f for f in batch.to_review() if f not in self._reviewed]
        self.review.setText(f"Review next ({len(left)})" if left else "Review next")
        self.review.setEnabled(bool(left))
        undone = batch is not None and any(f not in batch.outcomes or batch.outcomes[f].error for f in files)
        self.run.setEnabled(undone and not running)
        self.cancel.setEnabled(running and batch is not None and not batch.cancel.is_set())
        for each in (self.add_files, self.add_folder, self.clear, self.choose):
            each.setEnabled(not running)
        self.bar.setVisible(running)
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * batch.fraction()) if batch is not None else 0)
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)


def _suggestion(first: Path) -> Path:
    """Beside the scans."""
    return (first if first.is_dir() else first.parent) / "grains of all scans"
