"""The parts of Calibrate: the pattern with its overlays, and the mask of the detector, drawn or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QGridLayout, QLabel, QWidget

from napari_stemnmf.plugin.docks.calibrate.model import PICTURES, CalibratePicture
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.layers.places import masked_by
from napari_stemnmf.plugin.patterns.pattern_display import EMPTY, PatternDisplay
from napari_stemnmf.plugin.patterns.probe import ProbeLine
from napari_stemnmf.plugin.patterns.scan_patterns import OVERLAYS, point_reading
from napari_stemnmf.plugin.session import ROLE_KEY, SESSION_KEY, Session
from napari_stemnmf.plugin.widgets import button, chooser, column, report, row

if TYPE_CHECKING:
    from napari.layers import Layer

BOXES_A_ROW = 4
SWATCH = 10
"""Side of the colour beside an overlay's name, in pixels of the screen."""
MASK_FILES = "Masks (*.npy *.npz *.tif *.tiff *.png *.h5 *.hdf5);;All files (*)"
PATTERN, SHAPES = "mean pattern", "mask shapes"
"""Roles of the layers that a mask is drawn on and with."""


class PatternPanel(QWidget):
    """Shows a `CalibratePicture`, and signals when another is wanted or a point is clicked (q_y, q_x).

    `boxes` tick the overlays, by the names of `overlays.OVERLAYS`.
    """

    wanted = Signal()
    clicked = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.display = PatternDisplay()
        self.view, self.scale, self.readout = self.display.view, self.display.scale, self.display.readout
        self.probe = ProbeLine()
        self.row, self.column, self.pick = self.probe.row, self.probe.column, self.probe.pick
        self.shown = CalibratePicture()
        self._step, self._unit = 1.0, "px"
        self.picture = chooser(
            PICTURES,
            "what to show: mean or maximum over the scan, one pattern, or the map of all Bragg disks as found and "
            "with descan and ellipse taken out",
        )
        self.picture.currentIndexChanged.connect(lambda _: self.wanted.emit())
        column(self.picture, self.display, self.probe, self._overlays(), parent=self, stretch=self.display).setSpacing(
            3
        )
        self.view.hovered.connect(self._on_hover)
        self.view.clicked.connect(self.clicked)
        self.probe.moved.connect(self.choose_position)
        self.view.stepped.connect(self._on_stepped)

    @property
    def chosen(self) -> str:
        """Which of `PICTURES` is chosen."""
        return str(self.picture.currentData())

    def choose(self, picture: str) -> None:
        """Choose a picture without signalling that it is wanted."""
        with QSignalBlocker(self.picture):
            self.picture.setCurrentIndex(list(PICTURES).index(picture))

    def choose_position(self, row: int, column: int) -> None:
        """Show the pattern at a probe position, and signal that it is wanted."""
        self.probe.show_position(row, column)
        self.choose("position")
        self.wanted.emit()

    def calibrate(self, step: float, unit: str) -> None:
        """Take the size of a detector pixel, for the readout."""
        self._step, self._unit = step, unit

    def show_picture(self, picture: CalibratePicture) -> None:
        """Show what was found."""
        self.shown = picture
        self.display.show_pattern(picture.image, picture.note)
        self.view.show_mask(picture.mask if picture.image is not None else None)
        for name in OVERLAYS:
            if name != "mask":
                self.view.show_lines(name, picture.lines.get(name))
        self._on_hover(None)

    def hideEvent(self, event: Any) -> None:
        """Hidden (another tab, a closed dock), clicks on the scan choose nothing."""
        if not event.spontaneous():
            self.pick.setChecked(False)
        super().hideEvent(event)

    def _overlays(self) -> QGridLayout:
        self.boxes = {}
        grid = QGridLayout()
        grid.setSpacing(2)
        for i, (name, overlay) in enumerate(OVERLAYS.items()):
            swatch = QPixmap(SWATCH, SWATCH)
            swatch.fill(QColor(overlay.colour))
            box = QCheckBox(overlay.title)
            box.setIcon(QIcon(swatch))
            box.setToolTip(overlay.meaning)
            box.setChecked(overlay.shown)
            self.view.show_overlay(name, overlay.shown)
            box.toggled.connect(lambda on, name=name: self.view.show_overlay(name, on))
            grid.addWidget(box, i // BOXES_A_ROW, i % BOXES_A_ROW)
            self.boxes[name] = box
        return grid

    def _on_stepped(self, rows: int, columns: int) -> None:
        row, column = self.probe.position
        self.row.setValue(row + rows)
        self.column.setValue(column + columns)

    def _on_hover(self, point: tuple[float, float, float] | None) -> None:
        picture = self.shown
        if point is None:
            note = picture.note if picture.image is not None else ""
            self.readout.setText(picture.summary() or note + EMPTY)
            return
        q_y, q_x, value = point
        self.readout.setText(point_reading(q_y, q_x, value, picture.radius(q_y, q_x), self._step, self._unit))


class MaskPanel(QWidget):
    """Draw, use, load and clear the mask of the chosen scan; `layer` is the one whose inside is masked."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._session: Session | None = None
        self.layer = QComboBox()
        self.layer.setToolTip("the Shapes or Labels layer whose inside is masked; draw it on the mean or 4-D patterns")
        drawn = "shows the mean pattern on the canvas, with a Shapes layer to draw on; again: back"
        used = "leave the detector pixels out whose centres lie inside what was drawn"
        loaded = "a file with a mask of the file's detector, true where pixels are kept"
        self.draw = button("Draw mask", drawn, self._on_draw)
        self.use = button("Use as mask", used, self._on_use)
        self.load = button("Load mask…", loaded, self._on_load)
        self.clear = button("Clear mask", "use neither a drawn mask nor one from a file", self._on_clear)
        self.about = QLabel()
        self.about.setWordWrap(True)
        grid, label = QGridLayout(self), QLabel("layer")
        label.setBuddy(self.layer)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addLayout(row(label, self.layer, stretch=self.layer), 0, 0, 1, 2)
        for i, each in enumerate((self.draw, self.use, self.load, self.clear)):
            grid.addWidget(each, 1 + i // 2, i % 2)
        grid.addWidget(self.about, 3, 0, 1, 2)

    def show_state(self, session: Session | None) -> None:
        """Show the mask of a scan, or of none."""
        self._session = session
        chosen = self.layer.currentData()
        self.layer.clear()
        for layer in self._viewer.layers:
            if _can_mask(layer):
                self.layer.addItem(layer.name, layer)
        self.layer.setCurrentIndex(max(0, self.layer.findData(chosen)))
        surveyed = session is not None and session.analysis is not None and session.analysis.survey is not None
        drawing = session is not None and display.find(self._viewer, session, PATTERN) is not None
        self.draw.setText("Back to the scan" if drawing else "Draw mask")
        self.draw.setEnabled(surveyed or drawing)
        self.use.setEnabled(self.layer.count() > 0 and session is not None and session.dataset is not None)
        file = session.recipe.beam_stop.mask if session is not None else None
        drawn = session.mask if session is not None else None
        self.clear.setEnabled(drawn is not None or file is not None)
        parts = [] if drawn is None else [f"Drawn: {1 - drawn.mean():.1%} of the file's detector is masked."]
        parts += [] if file is None else [f"From a file: {file}"]
        self.about.setText("\n".join(parts))
        self.about.setVisible(bool(parts))

    def _on_draw(self) -> None:
        session = self._session
        if session is None:
            return
        display.toggle(self._viewer, session, PATTERN, lambda: layers.mean_pattern(session))
        shapes = display.find(self._viewer, session, SHAPES)
        if display.find(self._viewer, session, PATTERN) is None:
            if shapes is not None:
                display.remove(self._viewer, session, shapes)
        else:
            if shapes is None and SHAPES in session.canvas.set_aside:
                shapes = self._viewer.add_layer(display.bring_back(session, SHAPES))
            elif shapes is None:
                shapes = self._viewer.add_shapes(None, **layers.mask_shapes(session)[1])
            self._viewer.layers.selection.active = shapes
            shapes.mode = "add_polygon"
            self.show_state(session)
            self.layer.setCurrentIndex(self.layer.findData(shapes))
        self.show_state(session)

    def _on_use(self) -> None:
        session, layer = self._session, self.layer.currentData()
        if session is not None and session.dataset is not None and layer is not None:
            axes = session.dataset.axes[2:]
            report(lambda: session.set_mask(masked_by(layer, axes, self._viewer.dims.point)))

    def _on_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Mask of the detector", "", MASK_FILES)
        if path:
            self.load_file(path)

    def load_file(self, path: str) -> None:
        """Take the mask from a file, in the recipe."""
        if self._session is not None:
            self._session.set_recipe(self._session.recipe.replaced({"beam_stop.mask": path}))

    def _on_clear(self) -> None:
        if self._session is not None:
            self._session.set_recipe(self._session.recipe.replaced({"beam_stop.mask": None}))
            self._session.set_mask(None)


def _can_mask(layer: Layer) -> bool:
    """A Shapes or Labels layer that is not one of the results on the scan."""
    kind = type(layer).__name__
    is_result = layer.metadata.get(SESSION_KEY) is not None and layer.metadata.get(ROLE_KEY) != SHAPES
    return kind in ("Shapes", "Labels") and not is_result
