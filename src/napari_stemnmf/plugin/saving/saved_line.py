"""One line on where the analysis is saved, and the buttons that go with it: Save as, Open earlier, Find scan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.result_layers import all_layers, shown_first
from napari_stemnmf.plugin.saving import autosave
from napari_stemnmf.plugin.saving.autosave import place, scan_file
from napari_stemnmf.plugin.saving.confirm import may_discard
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import button, column, row, show_error, wrapping_label
from napari_stemnmf.plugin.wording import unmarked
from napari_stemnmf.texts import shown

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

    from napari_stemnmf.analysis import Analysis, Input
    from napari_stemnmf.dataset import Dataset

WAIT_MS = 50
"""How often a save that has begun is asked whether it is done."""
NOTHING_YET = "Nothing to save yet."
FILES = "STEM-NMF analysis (*.stemnmf.h5)"


class SavedLine(QWidget):
    """Says where a session is saved, when, and what went wrong.

    Attributes
    ----------
    message : QLabel
    save_as, open_earlier, find_scan : QPushButton
        The last two are seen only where there is something to open or to find.
    """

    _happened = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._session: Session | None = None
        self._reading = False
        self._pieces: Iterator[None] = iter(())
        self._loader, self._finder = Preview(_load, self), Preview(_find, self)
        self.message = wrapping_label()
        self.save_as = button(
            "Save as…",
            "save the analysis to a file of your choice, now and from then on (.stemnmf.h5)",
            self._on_save_as,
        )
        self.open_earlier = button(
            "Open earlier analysis",
            "go on from it: its settings, results and review; from then on it is kept up to date",
            self.open_earlier_analysis,
        )
        self.find_scan = button(
            "Find scan…",
            "name the place where the file of the scan is now; it is checked that it is the same",
            self._on_find_scan,
        )
        buttons = column(self.open_earlier, self.find_scan, self.save_as)
        buttons.setSpacing(2)
        line = row(self.message, buttons, parent=self, stretch=self.message)
        line.setContentsMargins(8, 0, 8, 4)
        self._happened.connect(self._refresh)  # from the thread that saves into that of the window
        self._loader.ready.connect(self._on_loaded)
        self._finder.ready.connect(self._on_found)
        for reader in (self._loader, self._finder):
            reader.failed.connect(self._on_failed)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._save_now)
        self.destroyed.connect(lambda: self._disconnect())
        self._refresh()

    def show_session(self, session: Session | None) -> None:
        """Speak of another session, or of none."""
        if session is not self._session:
            self._disconnect()
            self._session = session
            if session is not None:
                session.changed.connect(self._refresh)
                autosave.saver_of(session).happened.connect(self._pass_on)
        self._refresh()

    def save_to(self, path: str | Path) -> None:
        """Save the session to that file now, and from then on."""
        if self._session is not None:
            autosave.saver_of(self._session).save_as(Path(path))

    def open_earlier_analysis(self) -> None:
        """Go on from the analysis that lies beside the scan."""
        session = self._session
        if session is None or session.saver is None or session.saver.earlier is None:
            return
        if may_discard(session, self):
            session.saver.save_now()
            self._reading = True
            self._refresh()
            self._loader.ask((session, session.saver.earlier))

    def look_at(self, path: str | Path) -> None:
        """Take the scan in that file as the one that the results are of, if it is."""
        if self._session is not None:
            self._reading = True
            self._refresh()
            self._finder.ask((self._session, Path(path)))

    # ---- what the user does

    def _on_save_as(self) -> None:
        session = self._session
        if session is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Save the analysis", str(_suggestion(session)), FILES)
        if path:
            self.save_to(path if path.lower().endswith(".h5") else f"{path}.stemnmf.h5")

    def _on_find_scan(self) -> None:
        analysis = self._session.analysis if self._session is not None else None
        scan = scan_file(analysis.input.source) if analysis is not None else None
        path, _ = QFileDialog.getOpenFileName(self, "Find the scan", "" if scan is None else str(scan))
        if path:
            self.look_at(path)

    # ---- what happens around

    def _pass_on(self) -> None:
        self._happened.emit()

    def _save_now(self) -> None:
        if self._session is not None and self._session.saver is not None:
            self._session.saver.save_now()

    def _on_loaded(self, loaded: tuple[Session, Path, Analysis]) -> None:
        session, path, analysis = loaded
        if session.saver is not None and session.saver.waiting:  # what was found before goes to its own file first
            QTimer.singleShot(WAIT_MS, lambda: self._on_loaded(loaded))
            return
        self._reading = False
        session.go_on_from(analysis, path)
        self._pieces = _showing_all(self._viewer, session)
        self._show_piece()
        self._refresh()

    def _show_piece(self) -> None:
        """Show one layer; the window may act before the next."""
        if next(self._pieces, self) is not self:
            QTimer.singleShot(0, self._show_piece)

    def _on_found(self, found: tuple[Session, Dataset, Input]) -> None:
        session, dataset, record = found
        self._reading = False
        try:
            session.set_dataset(dataset, record)
        except StemNMFError as error:
            show_error(str(error))
        self._refresh()

    def _on_failed(self, error: str) -> None:
        self._reading = False
        show_error(error)
        self._refresh()

    def _refresh(self) -> None:
        session = self._session
        saver = session.saver if session is not None else None
        analysis = session.analysis if session is not None else None
        lost = analysis is not None and session is not None and session.dataset is None
        lines = [] if saver is None else [saver.line()]
        if analysis is None and lines and autosave.SAVE_AS in lines[0]:  # that button is grey yet
            lines = [NOTHING_YET]
        if saver is not None and saver.earlier is not None:
            lines.append(f"There is an earlier analysis of this scan: {saver.earlier.name}.")
        if lost and analysis is not None:
            lines.append(
                f"{_scan_of(analysis)} is not available: what is found can be reviewed, patterns cannot be read."
            )
        self.message.setText("\n".join(map(shown, lines)))
        self.message.setToolTip("" if session is None or session.path is None else unmarked(session.path))
        self.save_as.setEnabled(analysis is not None)
        self.open_earlier.setVisible(saver is not None and saver.earlier is not None)
        free = session is not None and session.running is None and not self._reading
        self.open_earlier.setEnabled(free)
        self.find_scan.setVisible(lost)
        self.find_scan.setEnabled(free)
        self.setVisible(session is not None)

    def _disconnect(self) -> None:
        """Stop listening; what waits is saved."""
        session = self._session
        if session is None:
            return
        self._session = None
        session.changed.disconnect(self._refresh, missing_ok=True)
        if session.saver is not None:
            session.saver.happened.disconnect(self._pass_on, missing_ok=True)  # this line may be gone already
            session.saver.save_now()


def _scan_of(analysis: Analysis) -> str:
    scan = scan_file(analysis.input.source)
    return "The scan" if scan is None else f"The scan {scan.name}"


def _suggestion(session: Session) -> Path:
    if session.path is not None:
        return session.path
    source = session.dataset.source if session.dataset is not None else ""
    scan = scan_file(source)
    return place(scan if scan is not None else Path.home() / session.name)


def _showing_all(viewer: napari.viewer.Viewer, session: Session) -> Iterator[None]:
    """Show everything that the analysis of a session holds, a layer at a time."""
    display.remove_patterns(viewer, session)
    session.canvas.feature = shown_first(session)
    for data, meta, kind in all_layers(session):
        yield
        display.put(viewer, data, meta, kind)


def _load(request: tuple[Session, Path]) -> tuple[Session, Path, Analysis]:
    from napari_stemnmf.analysis import Analysis

    return *request, Analysis.load(request[1])


def _find(request: tuple[Session, Path]) -> tuple[Session, Dataset, Input]:
    """Open a scan as the one before was opened."""
    from napari_stemnmf.analysis import Input
    from napari_stemnmf.reading.finding import open_as_before

    session, path = request
    if session.analysis is None:
        raise StemNMFError("There are no results that a scan could be found for.")
    known = session.analysis.input
    dataset = open_as_before(known, path)
    return session, dataset, Input.of(dataset, known)
