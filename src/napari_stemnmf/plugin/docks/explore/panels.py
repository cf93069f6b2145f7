"""The parts of Explore: the virtual detectors and what is made of them, and a region drawn on the scan."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QAction, QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QWidget,
)

from napari_stemnmf.plugin.docks.explore.detectors import numbers
from napari_stemnmf.plugin.docks.explore.virtual_images import MODES, legend
from napari_stemnmf.plugin.layers import display, places
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import button, chooser, column, row, wrapping_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stemnmf.dataset import Axis
    from napari_stemnmf.plugin.docks.explore.model import Explored
    from napari_stemnmf.streaming.virtual_detectors import Detector

SWATCH = 12
"""Side of a detector's colour in the list, in pixels of the screen."""
WHEEL = 40
"""Diameter of the colour wheel, in pixels of the screen."""
ROWS = 4
"""Detectors that the list shows without scrolling, at most."""
NEW = {
    "point": "one pixel",
    "disk": "all pixels up to a radius",
    "annulus": "pixels between two radii",
    "sector": "the part of an annulus between two angles",
    "rectangle": "a box",
    "polygon": "click corners on the pattern; a double click or Enter closes it, Escape gives up",
    "mask": "the pixels that the selected Shapes or Labels layer covers",
}
"""Kinds of detectors that can be added, and how."""
REGION = "region"
REGION_STYLE = {"face_color": "#00d5ff30", "edge_color": "#00d5ff"}
EDGE = 0.006
"""Width of the outline, as a share of the scan."""


class DetectorPanel(QWidget):
    """Shows the detectors of an `Explored`, and signals what the user does.

    `boxes` are the numbers of the chosen detector by their names; `about` describes the image on the canvas.
    """

    wanted = Signal(str)
    typed = Signal(str, float)

    def __init__(self) -> None:
        super().__init__()
        self._explored: Explored | None = None
        self._kind = ""
        self.boxes: dict[str, QDoubleSpinBox] = {}
        self._make_buttons()
        self.detectors = _List()
        self.detectors.deleted.connect(self._on_delete)
        self.detectors.setToolTip("the virtual detectors; click to choose one, Delete removes it")
        self.detectors.setIconSize(QSize(SWATCH, SWATCH))
        self._numbers = QWidget()
        self._grid = QGridLayout(self._numbers)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        self.centred = QCheckBox("centred on the beam")
        self.centred.setToolTip(
            "keep the detector's centre on the direct beam: Calibrate's, else as a few patterns show it"
        )
        self.mode = chooser(MODES, "what is made of the counts under the detector, at each probe position")
        self.mode.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.exact = QCheckBox("exact at rest")
        self.exact.setToolTip("read the whole scan for the image when the detector has rested for a moment")
        self.about, self.wheel = wrapping_label(), QLabel()
        self._lay_out()
        self.detectors.currentRowChanged.connect(self._on_row)
        self.centred.toggled.connect(self._on_centred)
        self.exact.toggled.connect(lambda on: self._set(exact=on))
        self.mode.currentIndexChanged.connect(lambda _: self._set(mode=self.mode.currentData()))

    def show_explored(self, found: Explored | None, axes: Sequence[Axis] = ()) -> None:
        """Show the detectors of a scan, or of none."""
        self._explored = found
        self._show_list(found, axes)
        current = found.current if found is not None else None
        for part in (self._numbers, self.centred, self.exact, self.mode, self._mode_label):
            part.setVisible(current is not None)
        self.keep.setEnabled(current is not None)
        self.remove.setEnabled(current is not None)
        self.rgb.setEnabled(found is not None and len(found.detectors) > 1)
        for widget in (self.add, self.bright, self.dark):
            widget.setEnabled(found is not None)
        if found is None or current is None:
            return
        with QSignalBlocker(self.centred), QSignalBlocker(self.exact), QSignalBlocker(self.mode):
            self.centred.setChecked(current.centred)
            self.exact.setChecked(found.exact)
            self.mode.setCurrentIndex(self.mode.findData(found.mode))
        if current.detector.kind != self._kind:
            self._show_numbers(current.detector)
        for name, box in self.boxes.items():
            if not box.hasFocus() or abs(box.value() - getattr(current.detector, name)) > 0.006:
                with QSignalBlocker(box):
                    box.setValue(getattr(current.detector, name))
            box.setEnabled(not (current.centred and name in ("q_y", "q_x")))

    def show_wheel(self, top: float, unit: str) -> None:
        """Show the colour wheel, whose rim stands for a magnitude; none at 0."""
        self.wheel.setVisible(top > 0)
        self.wheel.setToolTip(f"hue: direction as on the pattern; full brightness: {top:.3g} {unit} or more")

    def _show_list(self, found: Explored | None, axes: Sequence[Axis]) -> None:
        placed = found.detectors if found is not None else ()
        with QSignalBlocker(self.detectors):
            while self.detectors.count() > len(placed):
                self.detectors.takeItem(self.detectors.count() - 1)
            for i, each in enumerate(placed):
                item = self.detectors.item(i)
                if item is None:
                    item = QListWidgetItem()
                    self.detectors.addItem(item)
                item.setText(each.detector.describe(axes))
                if item.data(Qt.ItemDataRole.UserRole) != each.colour:
                    swatch = QPixmap(SWATCH, SWATCH)
                    swatch.fill(QColor(each.colour))
                    icon = QIcon(swatch)
                    icon.addPixmap(swatch, QIcon.Mode.Selected)  # which Qt would tint
                    item.setIcon(icon)
                    item.setData(Qt.ItemDataRole.UserRole, each.colour)
            if found is not None and self.detectors.currentRow() != found.chosen:
                self.detectors.setCurrentRow(found.chosen)
        self.detectors.setVisible(bool(placed))
        height = max(self.detectors.sizeHintForRow(0), SWATCH) * min(ROWS, max(1, len(placed)))
        self.detectors.setFixedHeight(height + 2 * self.detectors.frameWidth() + 2)

    def _show_numbers(self, detector: Detector) -> None:
        """Boxes for the numbers of a kind of detector."""
        self._kind = detector.kind
        for old in self._numbers.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            self._grid.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.boxes = {}
        for i, number in enumerate(numbers(detector)):
            box = QDoubleSpinBox()
            box.setRange(number.low, number.high)
            box.setDecimals(1)
            box.setSuffix(f" {number.unit}")
            box.setSingleStep(5.0 if number.unit == "°" else 1.0)
            box.setKeyboardTracking(False)
            box.setCorrectionMode(QAbstractSpinBox.CorrectionMode.CorrectToNearestValue)
            box.setMinimumWidth(60)
            box.setToolTip(f"{number.meaning} [{number.unit}]")
            box.valueChanged.connect(lambda value, name=number.name: self.typed.emit(name, value))
            label = QLabel(number.label)
            label.setBuddy(box)
            self._grid.addWidget(label, i // 2, 2 * (i % 2))
            self._grid.addWidget(box, i // 2, 2 * (i % 2) + 1)
            self.boxes[number.name] = box
        self._grid.setColumnStretch(1, 1)
        self._grid.setColumnStretch(3, 1)

    def _on_row(self, row: int) -> None:
        if self._explored is not None and row >= 0:
            self._explored.choose(row)

    def _on_centred(self, on: bool) -> None:
        if self._explored is not None and self._explored.current is not None:
            self._explored.change(self._explored.chosen, centred=on)

    def _on_delete(self) -> None:
        if self._explored is not None and self._explored.current is not None:
            self._explored.remove(self._explored.chosen)

    def _set(self, **values: object) -> None:
        if self._explored is not None:
            self._explored.set(**values)

    def _make_buttons(self) -> None:
        self.add = button("Add", "add a virtual detector: drag it, or its handles, on the pattern, or type its numbers")
        menu = QMenu(self.add)
        menu.setToolTipsVisible(True)
        for kind, how in NEW.items():
            action = QAction(kind.capitalize(), menu)
            action.setToolTip(how)
            action.triggered.connect(lambda _=False, kind=kind: self.wanted.emit(kind))
            menu.addAction(action)
        self.add.setMenu(menu)
        self.remove = button("Remove", "take the chosen detector away (Delete, in the list)", self._on_delete)
        tooltip = "annular dark field: a ring around the direct beam, out to the edge of the detector"
        self.dark = button("ADF", tooltip, partial(self.wanted.emit, "dark"))
        self.bright = button("BF", "bright field: a disk over the direct beam", partial(self.wanted.emit, "bright"))
        tooltip = "a layer of its own, of the whole scan, with the detector's geometry in its metadata"
        self.keep = button("Keep as layer", tooltip, partial(self.wanted.emit, "keep"))
        tooltip = "a layer with every detector in its own colour, each scaled from its low to its high percentile"
        self.rgb = button("RGB layer", tooltip, partial(self.wanted.emit, "rgb"))

    def _lay_out(self) -> None:
        wheel = legend(WHEEL)
        image = QImage(wheel.tobytes(), WHEEL, WHEEL, 3 * WHEEL, QImage.Format.Format_RGB888)
        self.wheel.setPixmap(QPixmap.fromImage(image.copy()))
        self.wheel.hide()
        self._mode_label = QLabel("image")
        self._mode_label.setBuddy(self.mode)
        column(
            row(self.add, self.bright, self.dark, self.remove),
            self.detectors,
            self._numbers,
            row(self.centred, self.exact),
            row(self._mode_label, self.mode, self.wheel, stretch=self.mode),
            row(self.keep, self.rgb),
            self.about,
            parent=self,
        )


class _List(QListWidget):
    """A list whose chosen row is deleted by key."""

    deleted = Signal()

    def keyPressEvent(self, event: Any) -> None:
        """Delete and Backspace delete."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.deleted.emit()
        else:
            super().keyPressEvent(event)


class RegionPanel(QWidget):
    """Buttons for the region of a scan, a Shapes layer; `begun` and `changed` signal that it is drawn."""

    begun = Signal()
    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._session: Session | None = None
        self._layer: Any = None
        dragged = "drag a rectangle on the scan: its mean pattern shows, and follows as you move it"
        clicked = "click corners on the scan, double-click the last: its mean pattern shows"
        self.rectangle = button("Rectangle", dragged, lambda: self.draw("rectangle"))
        self.polygon = button("Polygon", clicked, lambda: self.draw("polygon"))
        self.clear = button("Clear", "take the region away", self.remove)
        row(self.rectangle, self.polygon, self.clear, parent=self)

    def follow(self, session: Session | None) -> None:
        """Take the region of another session, or of none."""
        self._session = session
        self._listen(display.find(self._viewer, session, REGION) if session is not None else None)

    def draw(self, kind: str) -> None:
        """Let the user draw a "rectangle" or a "polygon" in place of the present region."""
        session = self._session
        if session is None:
            return
        layer = display.find(self._viewer, session, REGION)
        if layer is None:
            style = REGION_STYLE | {"edge_width": EDGE * max(session.scan_shape)}
            layer = self._viewer.add_shapes(None, ndim=2, **places.on_scan(session, "region", REGION) | style)
        self._listen(layer)
        layer.data = []
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = f"add_{kind}"
        self.begun.emit()

    def remove(self) -> None:
        """Remove the region."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._listen(None)
        self.changed.emit()

    def rest(self) -> None:
        """Give the mouse back to the canvas."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.mode = "pan_zoom"

    def inside(self) -> np.ndarray | None:
        """(scan_y, scan_x) True inside the region; None where nothing is drawn."""
        if self._session is None or self._layer is None or not len(self._layer.data):
            return None
        return places.inside_of(self._layer, places.axes_of(self._session)[:2])

    def _listen(self, layer: Any) -> None:
        if layer is self._layer:
            return
        if self._layer is not None:
            self._layer.events.data.disconnect(self._on_data)
            self._layer.events.set_data.disconnect(self._on_drag)
            if self._layer not in self._viewer.layers:
                self._layer.metadata = {}  # napari's buttons keep a removed layer, which must not keep the scan
        self._layer = layer
        if layer is not None:
            layer.events.data.connect(self._on_data)
            layer.events.set_data.connect(self._on_drag)

    def _on_data(self, event: Any) -> None:
        if str(getattr(event.action, "value", event.action)) == "added" and self._layer.mode.startswith("add_"):
            self._layer.mode = "select"  # what was drawn can be dragged at once
        self.changed.emit()

    def _on_drag(self, event: Any = None) -> None:
        """While a shape is dragged, napari only signals that it is drawn again."""
        if self._layer.mode in ("select", "direct"):
            self.changed.emit()
