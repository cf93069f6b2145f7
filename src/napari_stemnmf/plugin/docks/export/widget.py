"""Export: what is ticked of all formats that can be written, into one folder, in a thread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, FileEdit

from napari_stemnmf.control import Control
from napari_stemnmf.export.formats import FORMATS
from napari_stemnmf.files.writing import plain_name
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.session import Session

if TYPE_CHECKING:
    from napari_stemnmf.export.results import Exported

GRAINS = {"all but rejected": "kept", "accepted only": "accepted", "all": "all"}
"""Choices of grains, as the form names them."""


class ExportWidget(StepWidget):
    """Writes what is ticked.

    Attributes
    ----------
    folder : FileEdit
    grains : ComboBox
        Which grains are written.
    ticks : dict of CheckBox
        By the names of `export.formats.FORMATS`.
    """

    step: ClassVar[str] = "export"
    run_text: ClassVar[str] = "Export"

    def _head(self) -> list[Any]:
        self._offered: tuple[Session | None, str] = (None, "")
        self.folder = FileEdit(name="folder", label="folder", mode=FileDialogMode.EXISTING_DIRECTORY)
        self.folder.tooltip = "where the files go; the folder is made if need be"
        self.grains = ComboBox(name="grains", label="grains", choices=list(GRAINS), value="all but rejected")
        self.grains.tooltip = "which grains, by the review; the analysis file and the script hold all"
        return [self.folder, self.grains]

    def _add_forms(self) -> None:
        self.feature.visible = False
        self.run.tooltip = "write what is ticked; files of the same names are replaced"
        self.ticks = {}
        for row in FORMATS:
            box = self.ticks[row.name] = CheckBox(name=row.name.replace("-", "_"), text=row.title, value=row.ticked)
            box.tooltip = row.about
            box.enabled = not row.waits
            if not row.hand_off:
                self.form_area.append(box)
        others = [self.ticks[row.name].native for row in FORMATS if row.hand_off]
        tooltip = "disks, patterns, orientations and masks, as other programs open them"
        self.add_section("for other programs", *others, tooltip=tooltip)

    def features(self) -> tuple[str, ...]:
        """None: all there are."""
        return ()

    # ---- what the user does

    def _start(self, step: str) -> None:
        session, folder = self._session, self._folder()
        if session is None or session.running is not None or session.analysis is None:
            return
        from napari_stemnmf.export.results import export
        from napari_stemnmf.plugin.jobs import tasks as jobs

        to, grains = [name for name, box in self.ticks.items() if box.value], GRAINS[self.grains.value]
        analysis, dataset, options = session.analysis, session.dataset, dict(session.options)

        def work(control: Control) -> Exported:
            how: Any = {"dataset": dataset, "options": options, "control": control}
            return export(analysis, folder, to, grains=grains, **how)

        jobs.Task(self._viewer, session, "Export", work, _take).start()

    def _folder(self) -> Path:
        return Path(str(self.folder.line_edit.value).strip()).expanduser()

    # ---- what happens around

    def _status_text(self, session: Session | None, feature: str) -> str:
        if session is None:
            return super()._status_text(session, feature)
        if session.analysis is None or not session.analysis.grains:
            return "There are no grains yet; run the steps first. The recipe can be exported from Run recipe."
        count = ", ".join(f"{name.upper()} {len(found)}" for name, found in session.analysis.grains.items())
        return "\n".join(line for line in (f"Grains: {count}.", session.note) if line)

    def _can_run(self, session: Session) -> bool:
        return session.running is None and session.analysis is not None and bool(session.analysis.grains)

    def _show_session(self, session: Session | None) -> None:
        """Offer a folder beside the scan, unless the user has named one."""
        written = str(self.folder.line_edit.value).strip()
        if session is not self._offered[0] and written in ("", ".", self._offered[1]):
            offer = "" if session is None else str(_suggestion(session))
            self.folder.line_edit.value = offer
            self._offered = (session, offer)


def _suggestion(session: Session) -> Path:
    from napari_stemnmf.plugin.saving.autosave import scan_file

    source = session.dataset.source if session.dataset is not None else ""
    beside = session.path or scan_file(source)
    name = plain_name(session.name)
    return (Path.home() if beside is None else beside.parent) / f"{name}-results"


def _take(viewer: Any, session: Session, exported: Exported) -> None:
    from napari.utils.notifications import show_error, show_info

    from napari_stemnmf.plugin.wording import in_window, unmarked

    if exported.written:
        session.note = f"Wrote {len(exported.written)} files to {exported.written[0].parent}."
        show_info(unmarked(f"{session.note[:-1]}: {', '.join(path.name for path in exported.written)}."))
    for sentence in exported.left_out:
        show_error(in_window(sentence))
    if exported.left_out:
        session.note = " ".join([*([session.note] if exported.written else []), *exported.left_out])
