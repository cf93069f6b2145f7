"""Hands and eyes for the tests of the Review dock: clicks and keys on the canvas, and what must agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from napari.utils.colormaps.standardize_color import transform_color
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.plugin.docks.review.widget import ReviewWidget
from napari_stemnmf.plugin.layers.grain_layers import BESIDE, COLOUR, GONE
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.streaming.virtual_detectors import inside_polygon

SHAPE = (40, 48)
PLACES = {
    1: (4, 14, 4, 16),
    2: (8, 18, 12, 24),  # overlaps 1
    3: (24, 34, 4, 14),
    4: (24, 34, 14, 26),  # touches 3
    5: (6, 16, 32, 42),
    6: (26, 36, 32, 42),
}
CTRL, SHIFT, NONE = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.NoModifier,
)


def grains() -> Grains:
    masks = np.zeros((len(PLACES), *SHAPE), bool)
    for mask, (top, bottom, left, right) in zip(masks, PLACES.values(), strict=True):
        mask[top:bottom, left:right] = True
    weights = masks * np.linspace(1.0, 0.9, len(PLACES))[:, None, None]
    return Grains.from_masks(masks, weights, component=[0, 1, 2, 2, 3, 4])


def scan(found: Grains) -> Dataset:
    """Patterns with one bright pixel for each grain; 3 and 4 are alike."""
    data = np.random.default_rng(0).poisson(2.0, (*SHAPE, 12, 12)).astype(np.float32)
    for spot, mask in zip((2, 3, 4, 4, 7, 8), found.masks, strict=True):
        data[..., spot, 3:6] += 40 * mask[..., None]
    return Dataset.from_array(data, scan_step=0.5, q_step=0.1, name="film")


class Canvas:
    """Mouse and keys on the canvas, at positions of the scan."""

    def __init__(self, viewer: Any, dock: ReviewWidget) -> None:
        self._viewer = viewer
        window = dock.native.window()
        (self._widget,) = [
            each for each in window.findChildren(QWidget) if type(each).__name__.startswith("CanvasBackend")
        ]

    def _at(self, row: float, column: float) -> QPoint:
        camera = self._viewer.scene.camera
        world = 0.5 * np.array([row, column])
        y, x = np.array(self._viewer.canvas.size) / 2 + (world - np.array(camera.center)[-2:]) * camera.zoom
        return QPoint(round(x), round(y))

    def click(self, row: float, column: float, modifier: Any = NONE) -> None:
        QTest.mouseMove(self._widget, self._at(row, column))
        QTest.mouseClick(self._widget, Qt.MouseButton.LeftButton, modifier, self._at(row, column))

    def drag(self, *places: Sequence[float]) -> None:
        """With the button held down, by way of all places."""
        path = [self._at(*place) for place in places]
        QTest.mouseMove(self._widget, path[0])
        QTest.mousePress(self._widget, Qt.MouseButton.LeftButton, NONE, path[0])
        for start, end in pairwise(path):
            for share in np.linspace(0, 1, 5)[1:]:
                self._move(start + (end - start) * float(share))
        QTest.mouseRelease(self._widget, Qt.MouseButton.LeftButton, NONE, path[-1])

    def _move(self, place: QPoint) -> None:
        """With the button held, which QTest.mouseMove does not do; napari takes no more than one in 10 ms."""
        spot, button = QPointF(place), Qt.MouseButton.LeftButton
        whole = QPointF(self._widget.mapToGlobal(place))
        event = QMouseEvent(QEvent.Type.MouseMove, spot, whole, Qt.MouseButton.NoButton, button, NONE)
        QApplication.sendEvent(self._widget, event)
        QTest.qWait(15)

    def key(self, key: Any, modifier: Any = NONE) -> None:
        press(self._widget, key, modifier)


def press(widget: QWidget, key: Any, modifier: Any = NONE) -> None:
    """A key, with the focus where the user has it."""
    widget.setFocus()
    QTest.keyClick(widget, key, modifier)


def outlined(session: Session, layer: Callable[[str], Any], colour: str) -> np.ndarray:
    """The positions inside the lines of a colour."""
    shapes = layer("AA outline")
    colours = transform_color(colour)[0]
    lines = [
        data for data, each in zip(shapes.data, shapes.edge_color, strict=True) if np.allclose(each, colours, atol=1e-3)
    ]
    y, x = (np.arange(size, dtype=float) for size in SHAPE)
    return np.logical_or.reduce([inside_polygon(line, y, x) for line in lines] or [np.zeros(SHAPE, bool)])


def agree(dock: ReviewWidget, layer: Callable[[str], Any], grain: int) -> None:
    """Selection, table, outline, labels and napari's features say the same of a grain."""
    session = dock.session
    assert session is not None
    found = session.analysis.grains["aa"]
    assert session.selected["aa"] == grain
    assert dock.chosen[-1] == grain
    assert np.array_equal(outlined(session, layer, COLOUR), found.masks[found.ids == grain][0])
    others = found.masks[np.isin(found.ids, dock.chosen[:-1])].any(axis=0)
    assert np.array_equal(outlined(session, layer, BESIDE), others)
    labels = layer("AA grains")
    assert labels.selected_label == grain
    assert np.array_equal(labels.data, found.labels)
    assert set(np.unique(labels.data)) - {0} <= set(found.ids.tolist())
    assert np.array_equal(np.asarray(layer("AA grain stack").data), found.stack)
    features = labels.features
    assert features.index.tolist() == list(range(len(features)))
    assert features["grain_id"][grain] == grain
    assert (features["verdict"] == GONE).sum() == len(features) - 1 - len(found)
    chosen = {index.data() for index in dock.grains.selectionModel().selectedRows()}
    assert chosen == {str(i) for i in dock.chosen}
    assert sorted(dock.grains.order) == found.ids.tolist()
    assert dock.numbers.text().startswith(f"Grain {grain}")
