"""Score: the grains of every feature against a truth, as numbers, and grain by grain on the canvas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from magicgui.types import FileDialogMode
from magicgui.widgets import ComboBox, FileEdit, PushButton
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QSizePolicy, QTabWidget, QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.figures.style import KIND_COLOURS, KIND_NAMES
from napari_stemnmf.grains.scoring import TN
from napari_stemnmf.plugin.docks.score.model import Row, Scored, score_all
from napari_stemnmf.plugin.docks.score.tables import GrainTable, ScoreTable
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers.places import LayerTuple, on_scan
from napari_stemnmf.plugin.session import SCORE, Session, session_of
from napari_stemnmf.plugin.sources import own_truth
from napari_stemnmf.plugin.widgets import column, fill_with_forms, show_error, wrapping_label
from napari_stemnmf.recipe import FEATURES

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer  # importing napari at run time would bring numba to a scan of the manifest

TABLE_WIDTH = 290
"""Smallest width of the tables, in pixels: five columns and a scroll bar."""
MATCH = "match"
"""Role of the layer that shows a grain and its match."""
FILE = "a file"
"""The choice of truth that is no layer."""
MASK_FILES = "Masks (*.h5 *.hdf5 *.hspy *.zarr *.npy *.npz *.tif *.tiff);;All files (*)"


class ScoreWidget(StepWidget):
    """Compares the grains of all features with a truth.

    Attributes
    ----------
    truth : ComboBox
        A layer with true grains, or a file.
    file : FileEdit
        That file, or FILE::NAME.
    scores : ScoreTable
        All numbers, a column for each feature.
    grains : GrainTable
        Every grain of the chosen column with its best match.
    tables : QTabWidget
        Holds the two.
    save : PushButton
        Writes the tables as CSV files.
    """

    step: ClassVar[str] = SCORE
    run_text: ClassVar[str] = "Score"

    def _head(self) -> list[Any]:
        self._shown = ""  # name of the subject whose grains are listed
        self._listed: tuple[Scored | None, str] | None = None
        self._offered = ""  # the truth in the scan's own file
        self._offered_for: tuple[Session | None, bool] = (None, False)
        self.truth = ComboBox(name="truth", label="truth", choices=self._truths)
        self.truth.tooltip = (
            "the true grains: a label image, a stack with one plane a grain (they may overlap), or a file of either"
        )
        self.file = FileEdit(name="file", label="file", mode=FileDialogMode.EXISTING_FILE, filter=MASK_FILES)
        self.file.tooltip = "a file that holds masks; where it holds several, FILE::NAME names one"
        self.truth.changed.connect(self._on_truth)
        return [self.truth, self.file]

    def _buttons(self) -> list[Any]:
        self.save = PushButton(name="save", text="Save tables…")
        self.save.tooltip = "scores.csv, distributions.csv (every grain) and pairs.csv (one to one), into a folder"
        self.save.clicked.connect(self._on_save)
        return [self.save]

    def _add_forms(self) -> None:
        self.scores, self.grains, self.tables = ScoreTable(), GrainTable(), QTabWidget()
        legend = wrapping_label("what a click on a row shows on the canvas; blue is the true grain")
        legend.setTextFormat(Qt.TextFormat.RichText)  # the words are ours, none of a file's
        legend.setText(
            "&nbsp; ".join(f"<span style='color:{KIND_COLOURS[k]}'>■</span> {KIND_NAMES[k]}" for k in KIND_NAMES)
        )
        page = QWidget()
        column(self.grains, legend, parent=page, stretch=self.grains)
        self.tables.addTab(self.scores, "Scores")
        self.tables.addTab(page, "Grains")
        self.tables.setTabToolTip(0, "every number of every feature; a click on a column lists its grains")
        self.tables.setTabToolTip(1, "a click on a row shows the grain: blue the true grain, orange what is false")
        self.tables.setMinimumWidth(TABLE_WIDTH)
        self.tables.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.form_area.native.layout().addWidget(self.tables)
        self.scores.chosen.connect(self._on_subject)
        self.grains.chosen.connect(self._on_grain)

    def _style(self) -> None:
        super()._style()
        fill_with_forms(self._scroll)
        self._scroll.setMinimumWidth(TABLE_WIDTH)

    # ---- what the user does

    def _start(self, step: str) -> None:
        from napari_stemnmf.plugin.jobs.tasks import Task

        session = self._session
        if session is None or session.running is not None or session.analysis is None:
            return
        request = self._request()
        if request is not None:
            given = (*request, session.analysis.grains, self._layers(session))
            Task(self._viewer, session, "Score", lambda control: score_all(*given, control), _take).start()

    def _request(self) -> tuple[str, Callable[[], np.ndarray]] | None:
        """Name of the truth, and what gives its masks in the thread; None, and a notification, if none is chosen."""
        from napari_stemnmf.reading.masks import as_masks, load_masks

        layer = self.truth.value
        if layer is not None and layer != FILE:
            data, name = layer.data, f"The layer {layer.name}"
            return layer.name, lambda: as_masks(np.asarray(data), name)
        path = self._path()
        if not path:
            show_error("Choose a file with the true grains, or a layer.")
            return None
        return Path(path).name, lambda: load_masks(path)

    def _path(self) -> str:
        """The text in the field of the file."""
        return str(self.file.line_edit.value).strip()

    def _layers(self, session: Session) -> dict[str, np.ndarray]:
        """Labels of the layers of grains by role; copies of images, which the user may go on to paint."""
        found = {}
        for role in (f"{kind}/{feature}" for feature in FEATURES for kind in ("grains", "stack")):
            layer = display.find(self._viewer, session, role)
            if layer is not None:
                found[role] = layer.data.copy() if layer.ndim == 2 else layer.data
        return found

    def _on_subject(self, index: int) -> None:
        """List the grains of the column that was clicked."""
        scored = self._session.scored if self._session is not None else None
        if scored is not None and 0 <= index < len(scored.subjects):
            subject = scored.subjects[index]
            self.feature.value = subject.feature
            self._list_grains(scored, subject.name)
            self.tables.setCurrentIndex(1)

    def _on_grain(self, row: Row) -> None:
        """Show the grain of the row that was clicked."""
        session = self._session
        scored = session.scored if session is not None else None
        index = -1 if scored is None else scored.index(self._shown)
        if session is not None and scored is not None and index >= 0:
            show_match(self._viewer, session, scored.match(index, row))
            if row.found >= 0:
                display.show_plane(self._viewer, session, f"stack/{scored.subjects[index].feature}", row.found)

    def _on_save(self) -> None:
        folder = QFileDialog.getExistingDirectory(self.native, "Folder for the tables of scores")
        if folder:
            self.save_to(folder)

    def save_to(self, folder: str | Path) -> None:
        """Write the tables of the chosen scan into a folder."""
        from napari_stemnmf.export.tables import write_scores

        session = self._session
        if session is None or session.scored is None:
            return
        try:
            write_scores(session.scored.by_name(session.name), folder)
        except StemNMFError as error:
            show_error(error)

    def _on_truth(self, *_: Any) -> None:
        self.file.visible = self.truth.value in (None, FILE)

    # ---- what happens around

    def _truths(self, _: Any = None) -> list[tuple[str, Any]]:
        """Layers that may hold true grains, none of them results, and the file."""
        return [*((layer.name, layer) for layer in self._viewer.layers if _can_be_truth(layer)), (FILE, FILE)]

    def _on_layers(self, event: Any = None) -> None:
        chosen, layers = self.truth.value, [value for _, value in self._truths() if value != FILE]
        self.truth.reset_choices()
        if chosen in (None, FILE) and layers and self._path() in ("", self._offered):
            self.truth.value = layers[0]
        self._on_truth()
        super()._on_layers(event)
        self._on_changed()

    def reset_choices(self, *args: Any) -> None:
        """Called by napari when layers change."""
        self.truth.reset_choices()
        super().reset_choices(*args)

    def _offer(self, session: Session | None) -> None:
        """Name the truth in the scan's own file, as simulated scans have it, unless the user named a file."""
        offered_for = (session, session is not None and session.analysis is not None)
        if offered_for == self._offered_for or self._path() not in ("", self._offered):
            return
        own = own_truth(session.analysis) if session is not None and session.analysis is not None else []
        self._offered, self._offered_for = str(own[0]) if own else "", offered_for
        self.file.line_edit.value = self._offered

    def _show_session(self, session: Session | None) -> None:
        self._offer(session)
        scored = session.scored if session is not None else None
        shown = (scored, str(self.feature.value))
        if shown != self._listed:
            self._listed = shown
            self.scores.show_scores(scored)
            self._list_grains(scored, str(self.feature.value).upper())
        self.save.enabled = scored is not None

    def _list_grains(self, scored: Scored | None, name: str) -> None:
        """List the grains of a subject."""
        self._shown = name
        index = -1 if scored is None else scored.index(name)
        if scored is not None and index >= 0:
            self.grains.show_rows(scored.rows(index), scored.subjects[index].grains.ids)
        else:
            self.grains.show_rows([])
        self.tables.setTabText(1, f"Grains of {name}" if index >= 0 else "Grains")


def _take(viewer: Any, session: Session, scored: Scored) -> None:
    """Take over new scores, and empty the layer that shows a match of the former ones."""
    session.set_scored(scored)
    layer = display.find(viewer, session, MATCH)
    if layer is not None:
        layer.data = np.zeros_like(layer.data)


def show_match(viewer: ViewerModel, session: Session, kinds: np.ndarray) -> None:
    """Show how a found grain and a true one match at each position, and move there.

    When it is first shown, other labels of the scan, and those of no scan, are hidden.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        The scan of the grains.
    kinds : ndarray of int8, (scan_y, scan_x)
        As of `score_table.confusion`.
    """
    labels = [layer for layer in viewer.layers if layer.visible and type(layer).__name__ == "Labels"]
    others = [layer for layer in labels if session_of(layer) in (session, None)]
    if display.put(viewer, *_match_layer(session, kinds)):
        for layer in others:
            layer.visible = False
    shown = display.find(viewer, session, MATCH)
    if shown is not None:
        shown.visible = True
        rows, columns = np.nonzero(kinds)
        if len(rows):
            display.move_to(viewer, shown, (rows.min(), columns.min()), (rows.max(), columns.max()))


def _match_layer(session: Session, kinds: np.ndarray) -> LayerTuple:
    """The Labels layer: blue where the true grain is, dark where it was found, and orange where nothing true is."""
    import pandas as pd
    from napari.utils.colormaps import DirectLabelColormap

    colours: dict[Any, str] = {None: "transparent", TN: "transparent", **KIND_COLOURS}
    style = {
        "features": pd.DataFrame({"index": [TN, *KIND_NAMES], "kind": ["", *KIND_NAMES.values()]}),
        "colormap": DirectLabelColormap(color_dict=colours),
        "opacity": 0.85,
    }
    return kinds, on_scan(session, "match", MATCH) | style, "labels"


def _can_be_truth(layer: Layer) -> bool:
    """A Labels or Image layer of a label image or of a stack, and no result."""
    if type(layer).__name__ not in ("Labels", "Image") or session_of(layer) is not None:
        return False
    return layer.ndim in (2, 3) and not layer.multiscale and not getattr(layer, "rgb", False)
