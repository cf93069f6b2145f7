"""A pyqtgraph plot without buttons and menus, in the colours of the window's theme: the base of the docks' plots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import QSize
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSizePolicy, QWidget

MAIN, SECOND, RUNNING = "#2f8fef", "#e0752d", "#d9a400"
"""Colours for the chosen, the suggested and the running, which stand out of dark and light themes."""
BOTTOM = 44
"""Height of the lower axis with its title, in pixels of the screen: pyqtgraph's own cuts the title off."""
FAINT = 90
"""Opacity (of 255) of what lies behind."""


class PlainPlot(pg.PlotWidget):
    """A plot with fixed limits, without zoom and menu.

    Parameters
    ----------
    left, bottom : str
        Titles of the axes, with their units; none below where that is empty.
    tooltip : str
    """

    least, size_hint = (110, 64), (190, 150)
    """Smallest and preferred width and height, in pixels of the screen."""

    def __init__(self, left: str, bottom: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = "#808080"
        plot = self.getPlotItem()
        plot.hideButtons()
        plot.setMenuEnabled(False)
        plot.setMouseEnabled(x=False, y=False)
        plot.setLabels(left=left, **({"bottom": bottom} if bottom else {}))
        for name in ("left", "bottom"):
            self.getAxis(name).enableAutoSIPrefix(False)
        if bottom:
            self.getAxis("bottom").setHeight(BOTTOM)
        self.setToolTip(tooltip)
        self.setMinimumSize(*self.least)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFrameShape(self.Shape.NoFrame)

    def sizeHint(self) -> QSize:
        """The preferred size."""
        return QSize(*self.size_hint)

    def set_theme(self, background: str, text: str) -> None:
        """Take the colours of the window's theme."""
        self.text = text
        self.setBackground(QColor(background))
        for name in ("left", "bottom"):
            self.getAxis(name).setPen(QColor(text))
            self.getAxis(name).setTextPen(QColor(text))
        self.redraw()

    def redraw(self) -> None:
        """Draw again, in the colours as they are now."""

    def write(self, message: str) -> None:
        """Put a sentence in the place of a drawing."""
        plot = self.getPlotItem()
        plot.clear()
        plot.setLogMode(False, False)
        item = pg.TextItem(message, color=QColor(self.text), anchor=(0.5, 0.5))
        item.setTextWidth(260)
        item.setPos(0.5, 0.5)
        self.addItem(item)
        plot.setXRange(0, 1)
        plot.setYRange(0, 1)
        self._values(False)

    def _values(self, shown: bool) -> None:
        for name in ("left", "bottom"):
            self.getAxis(name).setStyle(showValues=shown)


def faint(colour: str, opacity: int = FAINT) -> QColor:
    """A colour that lets through what lies behind."""
    made = QColor(colour)
    made.setAlpha(opacity)
    return made


def theme_colours(viewer: Any) -> tuple[str, str]:
    """Colours of canvas and text in the theme of a viewer's window."""
    from napari.utils.theme import get_theme

    theme = get_theme(viewer.theme)
    return theme.canvas.as_hex(), theme.text.as_hex()


def follow_theme(viewer: Any, widget: QWidget, set_colours: Callable[[str, str], None]) -> None:
    """Give the theme's colours to `set_colours`, now and whenever they change, until the widget is destroyed."""

    def show(event: Any = None) -> None:
        set_colours(*theme_colours(viewer))

    viewer.events.theme.connect(show)
    widget.destroyed.connect(lambda: viewer.events.theme.disconnect(show))
    show()
