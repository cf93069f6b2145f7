"""Import grains: labels or masks of any tool, of a layer or a file, in the place of a scan's grains or beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, FileEdit

from napari_stemnmf.control import Control
from napari_stemnmf.errors import AnalysisError, StemNMFError
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.session import Session, session_of
from napari_stemnmf.plugin.widgets import show_error

if TYPE_CHECKING:
    from napari_stemnmf.grains.editing import Edit

FILE = "a file"
"""The choice that is no layer."""
FILES = "Labels, masks and annotations (*.tif *.tiff *.npy *.npz *.h5 *.hdf5 *.json *.geojson);;All files (*)"


class ImportWidget(StepWidget):
    """Takes grains that were drawn elsewhere; in Review they can then be looked at, undone, and measured.

    Attributes
    ----------
    source : ComboBox
        A labels layer, or a file.
    file : FileEdit
        That file, or FILE::NAME; an OME-Zarr is a folder, whose path is written.
    more : CheckBox
        Whether the grains that there are stay.
    """

    step: ClassVar[str] = "import_grains"
    run_text: ClassVar[str] = "Import"

    def _head(self) -> list[Any]:
        self.source = ComboBox(name="source", label="from", choices=self._sources)
        self.source.tooltip = "a labels layer: an image of labels, or a stack with one plane a grain; or a file"
        self.file = FileEdit(name="file", label="file", mode=FileDialogMode.EXISTING_FILE, filter=FILES)
        self.file.tooltip = "TIFF, npy, HDF5, Zarr, an OME-Zarr folder, COCO or GeoJSON; FILE::NAME for one of several"
        self.more = CheckBox(name="more", text="keep the grains that there are", value=False)
        self.more.tooltip = "add to them, with new ids; else those that come in take their place, by their own ids"
        self.source.changed.connect(self._on_source)
        return [self.source, self.file]

    def _add_forms(self) -> None:
        self.form_area.append(self.more)
        self.run.tooltip = "one edit, which Review can undo; what it changes is to be measured again"
        self._on_source()

    # ---- what the user does

    def _start(self, step: str) -> None:
        from napari_stemnmf.plugin.jobs.tasks import Task

        session, feature, more = self._session, str(self.feature.value), bool(self.more.value)
        if session is None or session.running is not None or session.result("refine", feature) is None:
            return
        given = self._given()
        shape = session.result("refine", feature).scan_shape

        def work(control: Control) -> Edit:
            return _edit_of(given, shape, more)

        def take(viewer: Any, session: Session, edit: Edit) -> None:
            _make(session, feature, edit)

        Task(self._viewer, session, "Import", work, take).start()

    def _given(self) -> tuple[Any, str]:
        """The labels and the layer's name, or the path of a file."""
        layer = self.source.value
        if layer is not None and layer != FILE:
            return np.array(layer.data), f"The layer {layer.name}"
        return str(self.file.line_edit.value).strip(), ""

    def _on_source(self, *_: Any) -> None:
        self.file.visible = self.source.value in (None, FILE)

    # ---- what happens around

    def _sources(self, _: Any = None) -> list[tuple[str, Any]]:
        """Labels layers that are no results, and the file."""
        layers = [layer for layer in self._viewer.layers if _is_drawn(layer)]
        return [*((layer.name, layer) for layer in layers), (FILE, FILE)]

    def _on_layers(self, event: Any = None) -> None:
        self.source.reset_choices()
        self._on_source()
        super()._on_layers(event)

    def reset_choices(self, *args: Any) -> None:
        """Called by napari when layers change."""
        super().reset_choices(*args)
        self.source.reset_choices()

    def _status_text(self, session: Session | None, feature: str) -> str:
        if session is None:
            return super()._status_text(session, feature)
        found = session.result("refine", feature)
        if found is None:
            return f"There are no grains of {feature.upper()} yet; run the steps first."
        return "\n".join(line for line in (f"{len(found)} grains of {feature.upper()}.", session.note) if line)

    def _can_run(self, session: Session) -> bool:
        return session.running is None and session.result("refine", str(self.feature.value)) is not None


def _is_drawn(layer: Any) -> bool:
    return type(layer).__name__ == "Labels" and layer.ndim in (2, 3) and session_of(layer) is None


def _edit_of(given: tuple[Any, str], shape: tuple[int, int], more: bool) -> Edit:
    """The edit by which grains come in from a layer or a file."""
    from napari_stemnmf.grains.editing import import_of
    from napari_stemnmf.reading.given_grains import grains_in, load_grains

    what, name = given
    if isinstance(what, str):
        if not what or what == ".":
            raise AnalysisError("Choose a file with grains, or a labels layer.")
        found = load_grains(Path(what) if "::" not in what else what, shape)
    else:
        found = grains_in(what, shape, name)
    return import_of(found.parts, shape[1], more=more)


def _make(session: Session, feature: str, edit: Edit) -> None:
    from napari.utils.notifications import show_info

    before = len(session.result("refine", feature))
    try:
        session.edit(feature, edit)
    except StemNMFError as error:
        show_error(error)
        return
    after = len(session.result("refine", feature))
    session.note = f"{after} grains of {feature.upper()} now; there were {before}. Measure them, or undo it in Review."
    show_info(session.note)
