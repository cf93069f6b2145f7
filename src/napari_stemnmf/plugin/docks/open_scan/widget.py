"""Open a scan that a mere drop cannot: a stack of patterns without scan shape, or one of several datasets in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import ComboBox, Container, FileEdit, LineEdit, PushButton, SpinBox
from qtpy.QtWidgets import QSizePolicy

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.forms.form import align_labels
from napari_stemnmf.plugin.widgets import show_error
from napari_stemnmf.scan_shape import DROPS

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

FROM_FILE = 0


class OpenScanWidget(Container[Any]):
    """A file, and what it does not say itself.

    Attributes
    ----------
    path : FileEdit
    dataset : LineEdit
        Name of the dataset in the file; empty: the scan that is found in it.
    rows, columns : SpinBox
        The scan's shape; 0: as the file says.
    drop : ComboBox
        Which patterns are left out where there are more than positions: the last or the first.
    open_button : PushButton
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self.path = FileEdit(name="path", label="file", mode=FileDialogMode.EXISTING_FILE)
        self.path.tooltip = "the file of the scan, or the folder where a format is one"
        self.path.line_edit.tooltip = self.path.choose_btn.tooltip = self.path.tooltip
        self.dataset = LineEdit(name="dataset", label="dataset")
        self.dataset.native.setPlaceholderText("found by itself")
        self.dataset.tooltip = "name of the dataset, for a file that holds several scans"
        self.rows = SpinBox(name="rows", label="scan rows", min=FROM_FILE, max=100_000)
        self.columns = SpinBox(name="columns", label="scan columns", min=FROM_FILE, max=100_000)
        for box in (self.rows, self.columns):
            box.tooltip = "shape of the scan, for a file that is a mere stack of patterns; 0: as the file says"
        self.drop = ComboBox(name="drop", label="drop", choices=DROPS)
        self.drop.tooltip = "patterns that are left out where a recording has more of them than the scan has positions"
        self.open_button = PushButton(name="open_button", text="Open")
        self.open_button.tooltip = "open the scan: its virtual image, and the 4-D layer"
        super().__init__(name="open_scan", labels=True)
        self.extend([self.path, self.dataset, self.rows, self.columns, self.drop, self.open_button])
        align_labels(self)
        self.native.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.open_button.clicked.connect(self._on_open)

    def _on_open(self) -> None:
        from napari_stemnmf.plugin.layers.result_layers import scan_layers
        from napari_stemnmf.plugin.saving.autosave import watch
        from napari_stemnmf.plugin.session import Session
        from napari_stemnmf.reading.opening import open as open_scan

        shape = (self.rows.value, self.columns.value)
        given: dict[str, Any] = {"dataset": self.dataset.value.strip() or None}
        if shape != (FROM_FILE, FROM_FILE):
            given["scan_shape"] = shape
        if self.drop.value != DROPS[0]:
            given["drop"] = self.drop.value
        try:
            dataset = open_scan(Path(str(self.path.value)), **given)
            options = {name: value for name, value in given.items() if value is not None}
            made = scan_layers(watch(Session(dataset, options=options)))
        except StemNMFError as error:
            show_error(error)
            return
        for data, meta, kind in made:
            getattr(self._viewer, f"add_{kind}")(data, **meta)
