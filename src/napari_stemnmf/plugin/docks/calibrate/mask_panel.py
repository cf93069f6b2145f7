"""From a drawn shape, or a file, to the mask of the detector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.layers.places import masked_by
from napari_stemnmf.plugin.session import ROLE_KEY, SESSION_KEY, Session

if TYPE_CHECKING:
    from napari.layers import Layer

MASK_FILES = "Masks (*.npy *.npz *.tif *.tiff *.png *.h5 *.hdf5);;All files (*)"
PATTERN, SHAPES = "mean pattern", "mask shapes"
"""Roles of the layers that a mask is drawn on and with."""


class MaskPanel(QWidget):
    """Draw, use, load and clear the mask of the chosen scan.

    Attributes
    ----------
    layer : QComboBox
        The Shapes or Labels layer whose inside is masked.
    draw, use, load, clear : QPushButton
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._session: Session | None = None
        self.layer = QComboBox()
        self.layer.setToolTip("the Shapes or Labels layer whose inside is masked; draw it on the mean or 4-D patterns")
        self.draw, self.use, self.load, self.clear = (
            QPushButton(text) for text in ("Draw mask", "Use as mask", "Load mask…", "Clear mask")
        )
        self.draw.setToolTip("shows the mean pattern on the canvas, with a Shapes layer to draw on; again: back")
        self.use.setToolTip("leave the detector pixels out whose centres lie inside what was drawn")
        self.load.setToolTip("a file with a mask of the file's detector, true where pixels are kept")
        self.clear.setToolTip("use neither a drawn mask nor one from a file")
        self.about = QLabel()
        self.about.setWordWrap(True)
        first, grid = QHBoxLayout(), QGridLayout(self)
        label = QLabel("layer")
        label.setBuddy(self.layer)
        first.addWidget(label)
        first.addWidget(self.layer, 1)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addLayout(first, 0, 0, 1, 2)
        for i, button in enumerate((self.draw, self.use, self.load, self.clear)):
            grid.addWidget(button, 1 + i // 2, i % 2)
        grid.addWidget(self.about, 3, 0, 1, 2)
        self.draw.clicked.connect(self._on_draw)
        self.use.clicked.connect(self._on_use)
        self.load.clicked.connect(self._on_load)
        self.clear.clicked.connect(self._on_clear)

    def show_state(self, session: Session | None) -> None:
        """Stand for a scan, or for none."""
        self._session = session
        chosen = self._chosen()
        self.layer.clear()
        for layer in self._viewer.layers:
            if _can_mask(layer):
                self.layer.addItem(layer.name, layer)
        names = [self.layer.itemData(i) for i in range(self.layer.count())]
        if chosen in names:
            self.layer.setCurrentIndex(names.index(chosen))
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

    def _chosen(self) -> Layer | None:
        return self.layer.currentData()

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
            if shapes is None:
                shapes = session.put_away.pop(SHAPES, None)
                if shapes is not None:
                    self._viewer.add_layer(shapes)
                else:
                    _, meta, _ = layers.mask_shapes(session)
                    shapes = self._viewer.add_shapes(None, **meta)
            self._viewer.layers.selection.active = shapes
            shapes.mode = "add_polygon"
            self.show_state(session)
            self.layer.setCurrentIndex(self.layer.findData(shapes))
        self.show_state(session)

    def _on_use(self) -> None:
        session, layer = self._session, self._chosen()
        if session is None or session.dataset is None or layer is None:
            return
        try:
            session.set_mask(masked_by(layer, session.dataset.axes[2:], self._viewer.dims.point))
        except StemNMFError as error:
            _say(error)

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
    ours = layer.metadata.get(SESSION_KEY) is not None and layer.metadata.get(ROLE_KEY) != SHAPES
    return kind in ("Shapes", "Labels") and not ours


def _say(error: StemNMFError) -> None:
    from napari.utils.notifications import show_error

    show_error(str(error))
