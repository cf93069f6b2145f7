"""The patterns of one grain, one of them large: its mean, it alone, less a neighbour's, and that of a position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QButtonGroup, QComboBox, QDialog, QLabel, QVBoxLayout, QWidget

from napari_stemnmf.dataset import Axis
from napari_stemnmf.plugin.docks.review.model import Pictures, merge_offer, scale_bar
from napari_stemnmf.plugin.patterns.pattern_view import PatternView
from napari_stemnmf.plugin.patterns.scan_patterns import SCALES, scaled
from napari_stemnmf.plugin.widgets import button, column, row

SMALLEST, PREFERRED, LARGE = 110, (340, 200), (760, 800)
"""Height of the pattern at least, size that it would like, and that of its own window, in pixels of the screen."""
SIGNED = pg.ColorMap(None, [(33, 102, 172), (247, 247, 247), (178, 24, 43)])
"""Blue where the neighbour is brighter, red where the grain is."""
SELECT = "select a grain, on the canvas or in the list"
CLICK = "click a position on the canvas"
KINDS = {
    "mean": ("mean", "mean pattern of the grain's positions, weighted, counts"),
    "alone": ("alone", "the same over the positions that no other grain covers, counts"),
    "difference": ("difference", "the grain (red) minus the most similar one (blue), of the same sum"),
    "position": ("position", "the pattern of the position that was clicked last, read from the scan"),
}
"""The patterns that can be shown: what their buttons say, and what they are."""


class LargeView(PatternView):
    """A pattern with a scale bar; a signed one is blue, white and red."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumSize(SMALLEST, SMALLEST)
        self._axis: Axis | None = None
        self._bar = pg.ScaleBar(1, width=4, brush=pg.mkBrush("w"), pen=pg.mkPen("k"), suffix="")
        self._bar.setParentItem(self.getPlotItem().getViewBox())
        self._bar.anchor((1, 1), (1, 1), offset=(-14, -14))
        self._bar.hide()
        self.getPlotItem().getViewBox().sigRangeChanged.connect(lambda *_: self.scale_anew())

    def sizeHint(self) -> QSize:
        """Large beside what else a dock holds."""
        return QSize(*PREFERRED)

    def set_axis(self, axis: Axis | None) -> None:
        """Show lengths on this axis of the detector; None for no scale bar."""
        self._axis = axis
        self.scale_anew()

    def show_signed(self, image: np.ndarray | None, values: np.ndarray | None) -> None:
        """As `show_image`, with 0 in the middle of the colours."""
        most = 1.0 if image is None else float(np.percentile(np.abs(image), 99.8)) or 1.0
        self.show_image(image, values, (-most, most))

    def set_colour_map(self, colours: pg.ColorMap, dark: bool = True) -> None:
        """Show the counts in these colours; whether the ground of the pattern is dark."""
        self._image.setColorMap(colours)
        ink = "w" if dark else "k"
        self._bar.bar.setBrush(pg.mkBrush(ink))
        self._bar.text.setColor(ink)

    def scale_anew(self) -> None:
        """Give the scale bar a round length, a quarter of what is seen."""
        if not hasattr(self, "_bar"):
            return
        self._bar.setVisible(self._axis is not None and self._values is not None)
        if self._axis is None:
            return
        seen = self.getPlotItem().getViewBox().viewRect().width()
        pixels, text = scale_bar(self._axis, min(float(seen), float(self._shape[-1])))
        self._bar.size = pixels
        self._bar.text.setText(text)
        self._bar.updateBar()


class GrainPictures(QWidget):
    """One view of a grain, and the buttons that choose which; the value under the mouse stands above it.

    Attributes
    ----------
    view : LargeView
    kinds : dict of QPushButton
        By the names in `KINDS`.
    title : QLabel
        What is shown; a link in it selects the neighbour.
    offer : QPushButton
        Merges the grain with one that is very like it; seen only where there is one.
    scale : QComboBox
        How the counts are shown.
    out : QPushButton
        Gives the pattern a window of its own, or takes it back.
    """

    neighbour_chosen = Signal(int)
    merge_asked = Signal(int)
    position_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pictures = Pictures()
        self._own: tuple[np.ndarray | None, str] = None, ""
        self._window: QDialog | None = None
        self._ground = "k"
        self.view, self.title, self.scale = LargeView(), QLabel(), QComboBox()
        self.scale.addItems(SCALES)
        self.scale.setToolTip("how counts become brightness")
        self.kinds = {name: button(text, about, checkable=True) for name, (text, about) in KINDS.items()}
        self._group = QButtonGroup(self)
        for each in self.kinds.values():
            each.setStyleSheet("QPushButton { padding: 3px 5px; }")
            self._group.addButton(each)
        self.kinds["mean"].setChecked(True)
        self.out = button("◳", "the pattern in a window of its own, as large as you like; again: back", self.pop_out)
        self.out.setFixedWidth(26)
        self.offer = button("", "the two touch, and their patterns are alike: they may be one crystal", self._on_offer)
        self.offer.setStyleSheet("QPushButton { padding: 2px 6px; }")
        self.title.setStyleSheet("background: rgba(0, 0, 0, 140); color: white; padding: 1px 4px;")
        self.title.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.title.linkActivated.connect(lambda link: self.neighbour_chosen.emit(int(link)))
        self.view.setToolTip("wheel: zoom; drag: move; double click: the whole detector")
        self.view.hovered.connect(self._on_hover)
        self._body = QWidget()
        choose = row(*self.kinds.values(), self.scale, self.out)
        choose.setSpacing(2)
        column(choose, self.view, parent=self._body, stretch=self.view).setSpacing(2)
        on_view = column(parent=self.view)  # over the pattern: the dock is short
        on_view.addWidget(self.title, 0, Qt.AlignmentFlag.AlignLeft)
        on_view.setContentsMargins(4, 2, 4, 4)
        on_view.addStretch(1)
        on_view.addWidget(self.offer, 0, Qt.AlignmentFlag.AlignLeft)
        column(self._body, parent=self)
        self._group.buttonClicked.connect(lambda _: self._on_kind())
        self.scale.currentTextChanged.connect(lambda _: self._draw())
        self._colours = pg.ColorMap(None, [(0, 0, 0), (255, 255, 255)])
        self._draw()

    @property
    def kind(self) -> str:
        """The name of the view that is chosen."""
        return next(name for name, each in self.kinds.items() if each.isChecked())

    def choose(self, kind: str) -> None:
        """Show another view, as a click on its button does."""
        self.kinds[kind].setChecked(True)
        self._on_kind()

    def show_grain(self, pictures: Pictures) -> None:
        """Show the patterns of a grain."""
        self._pictures = pictures
        self._draw()

    def show_position(self, image: np.ndarray | None, text: str) -> None:
        """Take the pattern of a position, or why there is none."""
        self._own = image, text
        if self.kind == "position":
            self._draw()

    def set_axis(self, axis: Axis | None) -> None:
        """The axis of the detector that the scale bar measures."""
        self.view.set_axis(axis)

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self._ground = background
        self.view.set_colours(background, text)
        self._draw()

    def set_colour_map(self, name: str) -> None:
        """Show the patterns in a colour map of napari."""
        from napari.utils.colormaps import ensure_colormap

        self._colours = pg.ColorMap(None, 255 * ensure_colormap(name).map(np.linspace(0, 1, 256)))
        self._draw()

    def pop_out(self) -> None:
        """Give the pattern a window of its own; where it has one, take it back into the dock."""
        if self._window is not None:
            self._window.close()
            return
        window = QDialog(self.window())
        window.setWindowTitle("Pattern of the grain")
        window.resize(*LARGE)
        inside = QVBoxLayout(window)
        inside.addWidget(self._body)
        self._window = window
        window.finished.connect(self._on_closed)
        window.show()

    def close_window(self) -> None:
        """The dock is closed: so is the window of the pattern."""
        if self._window is not None:
            self._window.close()

    def _on_closed(self, _: int = 0) -> None:
        window, self._window = self._window, None
        inside = self.layout()
        if inside is not None:
            inside.addWidget(self._body)
        if window is not None:
            window.deleteLater()

    def _on_kind(self) -> None:
        if self.kind == "position":
            self.position_wanted.emit()
        self._draw()

    def _on_offer(self) -> None:
        self.merge_asked.emit(self._pictures.neighbour)

    def _image(self) -> tuple[np.ndarray | None, str]:
        """What is to be shown, and, where that is nothing, why."""
        if self.kind == "position":
            return self._own[0], self._own[1] or CLICK
        return getattr(self._pictures, self.kind), self._pictures.notes.get(self.kind, SELECT)

    def _draw(self) -> None:
        (image, why), scale = self._image(), self.scale.currentText()
        if self.kind == "difference":
            self.view.set_colour_map(SIGNED, dark=False)
            self.view.show_signed(None if image is None else np.sign(image) * scaled(np.abs(image), scale), image)
        else:
            self.view.set_colour_map(self._colours)
            self.view.show_image(None if image is None else scaled(image, scale), image)
        self.view.show_message(why if image is None else "")
        self.view.setBackground(self._ground if image is None else "#f7f7f7" if self.kind == "difference" else "k")
        self.view.scale_anew()
        offer = merge_offer(self._pictures)
        self.offer.setText(offer)
        self.offer.setVisible(bool(offer))
        self._name()

    def _name(self) -> None:
        shown = self._pictures
        link = f"<a href='{shown.neighbour}' style='color:white'>grain {shown.neighbour}</a>"
        alone = shown.positions_alone
        texts = {
            "mean": "mean pattern",
            "alone": f"of {alone} position{'s' * (alone != 1)} without others" if alone else "",
            "difference": f"less {link}, r {shown.correlation:.2f}" if shown.neighbour else "",
            "position": self._own[1] if self._own[0] is not None else "",
        }
        self.title.setText(texts[self.kind])
        self.title.setVisible(bool(texts[self.kind]))

    def _on_hover(self, found: Any) -> None:
        """Show the value under the mouse in place of the view's name."""
        if found is None:
            self._name()
        else:
            q_y, q_x, value = found
            self.title.setText(f"({round(q_y)}, {round(q_x)}) px: {value:.4g}")
