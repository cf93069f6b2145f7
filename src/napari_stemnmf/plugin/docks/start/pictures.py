"""The first images of a scan, small and side by side; a press on one brings it onto the canvas."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QSizePolicy, QToolButton, QWidget

from napari_stemnmf.plugin.patterns.scan_patterns import limits, scaled
from napari_stemnmf.plugin.widgets import column, row, wrapping_label

SIDE = 112
"""Of a picture, in pixels of the screen."""
PICTURES = {
    "virtual_image": ("sum", "all counts of each pattern; press to see it on the canvas"),
    "dark_field": (
        "dark field",
        "the counts beside the direct beam, which is found by itself; press to see it",
    ),
    "maximum": (
        "brightest pattern",
        "the brightest value of each pixel over the scan; press to look into patterns",
    ),
}
"""Title and meaning of each picture."""


class Pictures(QWidget):
    """The pictures and a line below them; `wanted` names the one that was pressed."""

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.buttons = {name: self._button(name, *words) for name, words in PICTURES.items()}
        self.line = wrapping_label()
        column(row(*self.buttons.values()), self.line, parent=self).setSpacing(2)

    def show_picture(self, name: str, values: np.ndarray | None) -> None:
        """Show the values of a picture, or that there are none yet."""
        button = self.buttons[name]
        button.setEnabled(values is not None)
        if values is None:
            button.setIcon(QIcon())
            return
        image = scaled(values, "log") if name == "maximum" else np.asarray(values, np.float32)
        button.setIcon(QIcon(_pixmap(image, "inferno" if name == "maximum" else "gray")))

    def _button(self, name: str, title: str, meaning: str) -> QToolButton:
        button = QToolButton()
        button.setText(title)
        button.setToolTip(meaning)
        button.setIconSize(QSize(SIDE, SIDE))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.clicked.connect(lambda: self.wanted.emit(name))
        return button


def _pixmap(image: np.ndarray, colours: str) -> QPixmap:
    """An image between the percentiles that limit it, as large as a picture is."""
    step = [max(1, size // (2 * SIDE)) for size in image.shape]
    image = image[:: step[0], :: step[1]]
    seen = image[np.isfinite(image)]
    low, high = limits(seen) if seen.size else (0.0, 1.0)
    part = np.nan_to_num(np.clip((image - low) / (high - low), 0.0, 1.0))
    rgb = np.ascontiguousarray(_table(colours)[np.rint(255 * part).astype(int)])
    rows, columns = part.shape
    made = QImage(rgb.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    kind = Qt.TransformationMode
    mode = kind.FastTransformation if max(rows, columns) < SIDE else kind.SmoothTransformation
    return QPixmap.fromImage(made.copy()).scaled(SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio, mode)


@cache
def _table(colours: str) -> np.ndarray:
    """(256, 3) uint8."""
    from napari.utils.colormaps import ensure_colormap

    made: Any = ensure_colormap(colours)
    return np.asarray(255 * made.map(np.linspace(0, 1, 256))[:, :3], np.uint8)
