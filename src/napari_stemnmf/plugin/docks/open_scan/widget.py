"""Open a scan that a mere drop cannot: a stack of patterns without scan shape, or one of several datasets in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import ComboBox, Container, FileEdit, LineEdit, PushButton, SpinBox
from qtpy.QtWidgets import QFileDialog, QLabel, QListWidget, QSizePolicy, QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.open_scan.model import Found, add_to, datasets, open_session, shapes_of
from napari_stemnmf.plugin.forms.form import align_labels
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.keeper import keeper_of
from napari_stemnmf.plugin.widgets import column, show_error
from napari_stemnmf.scan_shape import DROPS

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

FROM_FILE = 0
LIST_HEIGHT = 120
"""Of the list of datasets, in pixels of the screen."""


class OpenScanWidget(Container[Any]):
    """A file or folder, and what it does not say itself.

    Attributes
    ----------
    path : FileEdit
        "FILE::dataset" can be typed, too.
    folder : PushButton
    dataset : LineEdit
        Name of the dataset in the file; empty: the scan that is found in it.
    datasets : QListWidget
        What there is to choose from; a press on a line chooses it.
    rows, columns : SpinBox
        The scan's shape; 0: as the file says.
    shapes : QLabel
        Shapes that fit the stack that is chosen.
    drop : ComboBox
        Which patterns are left out where there are more than positions: the last or the first.
    open_button : PushButton
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._found: list[Found] = []
        self._reader: Preview[Path, list[Found]] = Preview(datasets)
        self.path = FileEdit(name="path", label="file", mode=FileDialogMode.EXISTING_FILE)
        self.path.tooltip = "the file of the scan, or the folder where a format is one; FILE::dataset names a dataset"
        self.path.line_edit.tooltip = self.path.choose_btn.tooltip = self.path.tooltip
        self.folder = PushButton(name="folder", text="Choose a folder…", label="")
        self.folder.tooltip = "for formats that are a folder: Zarr and zspy"
        self.dataset = LineEdit(name="dataset", label="dataset")
        self.dataset.native.setPlaceholderText("found by itself")
        self.dataset.tooltip = "name of the dataset, for a file that holds several scans; choose it in the list"
        self.rows = SpinBox(name="rows", label="scan rows", min=FROM_FILE, max=100_000)
        self.columns = SpinBox(name="columns", label="scan columns", min=FROM_FILE, max=100_000)
        for box in (self.rows, self.columns):
            box.tooltip = "shape of the scan, for a file that is a mere stack of patterns; 0: as the file says"
        self.drop = ComboBox(name="drop", label="drop", choices=DROPS)
        self.drop.tooltip = "patterns that are left out where a recording has more of them than the scan has positions"
        self.open_button = PushButton(name="open_button", text="Open")
        self.open_button.tooltip = "open the scan"
        super().__init__(name="open_scan", labels=True)
        self.extend([self.path, self.folder, self.dataset, self.rows, self.columns, self.drop, self.open_button])
        align_labels(self)
        self.datasets, self.shapes = QListWidget(), QLabel()
        self.datasets.setToolTip("the datasets of the file that can be scans; press on one to choose it")
        self.datasets.setMaximumHeight(LIST_HEIGHT)
        self.shapes.setWordWrap(True)
        below = QWidget()
        column(self.datasets, self.shapes, parent=below).setContentsMargins(8, 0, 8, 0)
        self.native.layout().insertWidget(3, below)
        self.native.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._show([])
        self.path.changed.connect(self._on_path)
        self.folder.clicked.connect(self._on_folder)
        self.dataset.changed.connect(self._on_dataset)
        self.datasets.currentRowChanged.connect(self._on_chosen)
        self.open_button.clicked.connect(self._on_open)
        self._reader.ready.connect(self._show)
        self._reader.failed.connect(lambda _: self._show([]))  # Open says why
        self.native.destroyed.connect(lambda: self._reader.close())
        keeper = keeper_of(viewer)
        if keeper is not None:
            keeper.join(self.native)

    # ---- what the user does

    def _on_path(self, path: Any) -> None:
        self._show([])
        text = str(path).strip()
        if text and text != "." and Path(text.partition("::")[0]).exists():
            self._reader.ask(Path(text))

    def _on_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self.native, "The folder of the scan")
        if folder:
            self.path.value = Path(folder)

    def _on_chosen(self, row: int) -> None:
        if 0 <= row < len(self._found):
            self.dataset.value = self._found[row].name

    def _on_dataset(self, *_: Any) -> None:
        name = self.dataset.value.strip().strip("/")
        chosen = [each for each in self._found if each.name == name or (not name and len(self._found) == 1)]
        self._show_shapes(chosen[0] if chosen else None)

    def _on_open(self) -> None:
        shape = (self.rows.value, self.columns.value)
        given: dict[str, Any] = {"dataset": self.dataset.value.strip() or None}
        if shape != (FROM_FILE, FROM_FILE):
            given["scan_shape"] = shape
        if self.drop.value != DROPS[0]:
            given["drop"] = self.drop.value
        try:
            add_to(self._viewer, open_session(str(self.path.value), given, self._viewer))
        except StemNMFError as error:
            show_error(error)

    # ---- what the file holds

    def _show(self, found: list[Found]) -> None:
        self._found = found
        self.datasets.blockSignals(True)
        self.datasets.clear()
        self.datasets.addItems([each.line() for each in found])
        self.datasets.setCurrentRow(-1)
        self.datasets.blockSignals(False)
        self.datasets.setVisible(bool(found))
        self._on_dataset()

    def _show_shapes(self, found: Found | None) -> None:
        """Ask for the shape of a stack, and say which ones fit."""
        stack = found is not None and found.stack
        if stack and found is not None:
            fitting = ", ".join(f"{rows} × {columns}" for rows, columns in shapes_of(found.shape[0]))
            ask = f"{found.shape[0]} patterns: enter the rows and columns of the scan."
            self.shapes.setText(f"{ask} {f'What fits: {fitting}.' if fitting else ''}".strip())
        self.shapes.setVisible(stack)
