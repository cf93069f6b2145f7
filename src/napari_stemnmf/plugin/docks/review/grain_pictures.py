"""The patterns of one grain side by side: its mean, where it lies alone, and unlike its likest neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QWidget

from napari_stemnmf.plugin.docks.review.grain_patterns import Pictures
from napari_stemnmf.plugin.patterns.pattern_view import PatternView
from napari_stemnmf.plugin.patterns.preview import SCALES, scaled

SIZE, LEAST = (128, 96), 84
"""Width and height that a view asks for, and the least of them, in pixels of the screen."""
SIGNED = pg.ColorMap(None, [(33, 102, 172), (247, 247, 247), (178, 24, 43)])
"""Blue where the neighbour is brighter, red where the grain is."""
NAMES = {
    "mean": "mean pattern of the grain's positions, weighted, counts",
    "alone": "the same over the positions that no other grain covers, counts",
    "difference": "the grain (red) minus its likest neighbour (blue), of the same sum; a click on its name selects it",
}


class SmallView(PatternView):
    """A pattern in little room; a signed one is blue, white and red."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumSize(LEAST, LEAST)

    def sizeHint(self) -> QSize:
        """Three of them beside each other in a dock."""
        return QSize(*SIZE)

    def show_signed(self, image: np.ndarray | None, values: np.ndarray | None) -> None:
        """As `show_image`, with 0 in the middle of the colours."""
        most = 1.0 if image is None else float(np.percentile(np.abs(image), 99.8)) or 1.0
        self.show_image(image, values, (-most, most))

    def set_colour_map(self, colours: pg.ColorMap) -> None:
        """Show the counts in these colours."""
        self._image.setColorMap(colours)


class GrainPictures(QWidget):
    """Three views of a grain; what is under the mouse stands above them.

    Attributes
    ----------
    views : dict of SmallView
        By the names in `NAMES`.
    titles : dict of QLabel
    scale : QComboBox
        How the counts are shown; whoever holds this widget finds a place for it.
    """

    neighbour_wanted = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pictures = Pictures()
        self.views = {name: SmallView() for name in NAMES}
        self.titles = {name: QLabel() for name in NAMES}
        self.scale = QComboBox()
        self.scale.addItems(SCALES)
        self.scale.setToolTip("how counts become brightness in the three pictures")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for column, name in enumerate(NAMES):
            self.titles[name].setToolTip(NAMES[name])
            self.titles[name].setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            self.views[name].setToolTip(NAMES[name])
            self.views[name].hovered.connect(lambda found, name=name: self._on_hover(name, found))
            grid.addWidget(self.titles[name], 0, column)
            grid.addWidget(self.views[name], 1, column)
            grid.setColumnStretch(column, 1)
        grid.setRowStretch(1, 1)
        self.views["difference"].set_colour_map(SIGNED)
        self.titles["difference"].setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.titles["difference"].linkActivated.connect(lambda link: self.neighbour_wanted.emit(int(link)))
        self.scale.currentTextChanged.connect(lambda _: self._draw())
        self._draw()

    def show_grain(self, pictures: Pictures) -> None:
        """Show what is known of a grain."""
        self._pictures = pictures
        self._draw()

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self._text = text
        for view in self.views.values():
            view.set_colours(background, text)
        self._draw()

    def set_colour_map(self, name: str) -> None:
        """Show the patterns in a colour map that napari knows."""
        from napari.utils.colormaps import ensure_colormap

        found = pg.ColorMap(None, 255 * ensure_colormap(name).map(np.linspace(0, 1, 256)))
        for view in ("mean", "alone"):
            self.views[view].set_colour_map(found)

    _text = "#ffffff"

    def _draw(self) -> None:
        shown, scale = self._pictures, self.scale.currentText()
        images = {"mean": shown.mean, "alone": shown.alone, "difference": shown.difference}
        for name, image in images.items():
            view = self.views[name]
            if name == "difference":
                view.show_signed(None if image is None else np.sign(image) * scaled(np.abs(image), scale), image)
            else:
                view.show_image(None if image is None else scaled(image, scale), image)
            view.show_message(shown.notes.get(name, "") if image is None else "")
        self._name_views()

    def _name_views(self) -> None:
        shown = self._pictures
        neighbour = f"– <a href='{shown.neighbour}' style='color:{self._text}'>grain {shown.neighbour}</a>"
        self.titles["mean"].setText("mean")
        self.titles["alone"].setText("alone" + (f", {shown.positions_alone} pos." if shown.positions_alone else ""))
        self.titles["difference"].setText(
            f"{neighbour}, r {shown.correlation:.2f}" if shown.neighbour else "– neighbour"
        )

    def _on_hover(self, name: str, found: Any) -> None:
        """What is under the mouse, in place of the view's name."""
        self._name_views()
        if found is not None:
            q_y, q_x, value = found
            self.titles[name].setText(f"({round(q_y)}, {round(q_x)}) px: {value:.4g}")
