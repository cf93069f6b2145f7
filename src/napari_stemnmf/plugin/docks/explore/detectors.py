"""Virtual detectors over the pattern: their outlines, handles and numbers, and the items that the mouse drags."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QObject, QPointF, QRectF, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QPainterPath, QPolygonF

from napari_stemnmf.plugin.plain_plot import faint
from napari_stemnmf.streaming.virtual_detectors import (
    LEAST,
    Annulus,
    Detector,
    Disk,
    Mask,
    Point,
    Polygon,
    Rectangle,
    Sector,
)

if TYPE_CHECKING:
    from napari_stemnmf.plugin.docks.explore.model import Beam, Explored
    from napari_stemnmf.plugin.patterns.pattern_view import PatternView

FILL = 45
"""Opacity of the chosen detector, of 255."""
HANDLE = 10
"""Size of a handle, in pixels of the screen."""


CENTRE = "centre"
FAR = 1e5
"""Upper bound of a number that has none."""


class Number(NamedTuple):
    """One number of a detector that can be typed: its field, label, unit, bounds and meaning."""

    name: str
    label: str
    unit: str
    low: float
    high: float
    meaning: str


_CENTRE = (
    Number("q_y", "centre y", "px", -FAR, FAR, "row of the detector's centre"),
    Number("q_x", "x", "px", -FAR, FAR, "column of the detector's centre"),
)
_RADII = (
    Number("inner", "inner", "px", 0.0, FAR, "inner radius"),
    Number("outer", "outer", "px", LEAST, FAR, "outer radius"),
)
_NUMBERS: dict[str, tuple[Number, ...]] = {
    "disk": (Number("radius", "radius", "px", LEAST, FAR, "radius"),),
    "annulus": _RADII,
    "sector": (
        *_RADII,
        Number("start", "from", "°", -360.0, 360.0, "angle where it begins, from q_x towards q_y"),
        Number("stop", "to", "°", -360.0, 720.0, "angle where it ends, from q_x towards q_y"),
    ),
    "rectangle": (
        Number("height", "height", "px", LEAST, FAR, "height along q_y"),
        Number("width", "width", "px", LEAST, FAR, "width along q_x"),
    ),
}


def new_detector(what: str, shape: tuple[int, int], beam: Beam | None) -> tuple[Detector, bool]:
    """A detector to begin with, and whether it is bound to the beam: "bright", "dark", or one of a kind.

    Without a beam it is placed about the middle of a detector of that shape.
    """
    if beam is None:
        y, x, r = (shape[0] - 1) / 2, (shape[1] - 1) / 2, 0.05 * min(shape)
    else:
        y, x, r = beam.q_y, beam.q_x, beam.radius
    edge = max(4 * r, min(y, x, shape[0] - 1 - y, shape[1] - 1 - x))
    r = max(1.0, r)
    made: dict[str, Detector] = {
        "bright": Disk(y, x, r),
        "dark": Annulus(y, x, 2.5 * r, edge),
        "point": Point(y, x + 4 * r),
        "disk": Disk(y, x + 4 * r, r),
        "annulus": Annulus(y, x, 3 * r, 4.5 * r),
        "sector": Sector(y, x, 2.5 * r, edge, 0.0, 90.0),
        "rectangle": Rectangle(y, x + 4 * r, 3 * r, 3 * r),
    }
    return made[what], what in ("bright", "dark", "annulus", "sector")


def numbers(detector: Detector) -> tuple[Number, ...]:
    """The numbers that can be typed, the centre first."""
    return _CENTRE + _NUMBERS.get(detector.kind, ())


def with_number(detector: Detector, name: str, value: float) -> Detector:
    """The detector with one number changed; radii stay in order."""
    if name in ("q_y", "q_x"):
        return detector.moved(**{"q_y": detector.q_y, "q_x": detector.q_x, name: value})
    changed: Detector = replace(detector, **{name: value})  # type: ignore[arg-type]
    if isinstance(changed, Annulus) and changed.outer < changed.inner + LEAST:
        if name == "inner":
            changed = replace(changed, outer=value + LEAST)
        else:
            changed = replace(changed, inner=max(0.0, value - LEAST))
    return changed


def handles(detector: Detector) -> dict[str, tuple[float, float]]:
    """Points (q_y, q_x) that the mouse can grip, by name."""
    y, x = detector.q_y, detector.q_x
    found = {CENTRE: (y, x)}
    if isinstance(detector, Disk):
        found["radius"] = (y, x + detector.radius)
    elif isinstance(detector, Sector):
        middle = detector.start + detector.span / 2
        found["inner"], found["outer"] = (_around(y, x, r, middle) for r in (detector.inner, detector.outer))
        halfway = (detector.inner + detector.outer) / 2
        found["start"], found["stop"] = (_around(y, x, halfway, a) for a in (detector.start, detector.stop))
    elif isinstance(detector, Annulus):
        found |= {"inner": (y, x + detector.inner), "outer": (y, x + detector.outer)}
    elif isinstance(detector, Rectangle):
        found["corner"] = (y + detector.height / 2, x + detector.width / 2)
    elif isinstance(detector, Polygon):
        found |= {f"corner {i}": corner for i, corner in enumerate(detector.corners)}
    return found


def dragged(detector: Detector, handle: str, q_y: float, q_x: float) -> Detector:
    """The detector after one of its handles was moved."""
    if handle == CENTRE:
        return detector.moved(q_y, q_x)
    if isinstance(detector, Polygon):
        corners = list(detector.corners)
        corners[int(handle.split()[1])] = (q_y, q_x)
        return Polygon.through(corners)
    y, x = q_y - detector.q_y, q_x - detector.q_x
    if isinstance(detector, Rectangle):
        return replace(detector, height=max(LEAST, 2 * abs(y)), width=max(LEAST, 2 * abs(x)))
    if handle in ("start", "stop"):
        return with_number(detector, handle, float(np.degrees(np.arctan2(y, x)) % 360.0))
    radius = float(np.hypot(y, x))
    return with_number(detector, handle, max(0.0 if handle == "inner" else LEAST, radius))


def outlines(detector: Detector) -> list[np.ndarray]:
    """Closed lines (n, 2) around what is summed; inside is what lies within an odd number of them."""
    y, x = detector.q_y, detector.q_x
    if isinstance(detector, Point):
        return [_box(np.floor(y + 0.5), np.floor(x + 0.5), 1.0, 1.0)]
    if isinstance(detector, Disk):
        return [_arc(y, x, detector.radius)]
    if isinstance(detector, Sector) and detector.span < 360.0:
        ends = detector.start, detector.start + detector.span
        return [np.concatenate([_arc(y, x, detector.outer, *ends), _arc(y, x, detector.inner, *ends)[::-1]])]
    if isinstance(detector, Annulus):
        return [_arc(y, x, radius) for radius in (detector.outer, detector.inner) if radius > 0]
    if isinstance(detector, Rectangle):
        return [_box(y, x, detector.height, detector.width)]
    if isinstance(detector, Polygon):
        return [np.array(detector.corners)]
    if isinstance(detector, Mask):
        from skimage.measure import find_contours

        padded = np.pad(detector.mask(detector.shape), 1)
        return [np.asarray(line) - 1.0 for line in find_contours(padded.astype(float), 0.5)]
    return []


def _arc(y: float, x: float, radius: float, start: float = 0.0, stop: float = 360.0) -> np.ndarray:
    angle = np.radians(np.linspace(start, stop, max(3, int(abs(stop - start) / 3) + 1)))
    return np.stack([y + radius * np.sin(angle), x + radius * np.cos(angle)], axis=1)


def _around(y: float, x: float, radius: float, angle: float) -> tuple[float, float]:
    return float(y + radius * np.sin(np.radians(angle))), float(x + radius * np.cos(np.radians(angle)))


def _box(y: float, x: float, height: float, width: float) -> np.ndarray:
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) / 2
    return np.array([y, x]) + corners * [height, width]


class DetectorItem(pg.GraphicsObject):
    """One detector; the one that is chosen shows its handles."""

    changed = Signal(object)
    chosen = Signal()

    def __init__(self, detector: Detector, colour: str) -> None:
        super().__init__()
        self._handles: dict[str, pg.TargetItem] = {}
        self._from: tuple[float, float] | None = None
        self.show_detector(detector, colour, False)

    def show_detector(self, detector: Detector, colour: str, chosen: bool) -> None:
        """Show another detector, without signalling that."""
        self.prepareGeometryChange()
        self._detector, self._colour, self._chosen = detector, colour, chosen
        self._path = QPainterPath()
        self._path.setFillRule(Qt.FillRule.OddEvenFill)
        for line in outlines(detector):
            self._path.addPolygon(QPolygonF([QPointF(float(x), float(y)) for y, x in line]))
            self._path.closeSubpath()
        self._show_handles()
        self.setZValue(20 if chosen else 10)
        self.update()

    def boundingRect(self) -> QRectF:
        """Called by Qt."""
        return self._path.boundingRect().adjusted(-1.0, -1.0, 1.0, 1.0)

    def shape(self) -> QPainterPath:
        """What the mouse can press."""
        return self._path

    def paint(self, painter: Any, *_: Any) -> None:
        """Called by Qt."""
        painter.setRenderHint(painter.RenderHint.Antialiasing)
        painter.setPen(pg.mkPen(self._colour, width=2.4 if self._chosen else 1.4))
        painter.setBrush(faint(self._colour, FILL if self._chosen else 0))
        painter.drawPath(self._path)

    def mouseClickEvent(self, event: Any) -> None:
        """A click chooses it."""
        if event.button() == Qt.MouseButton.LeftButton and not event.double():
            self.chosen.emit()

    def mouseDragEvent(self, event: Any) -> None:
        """A drag of its inside moves it."""
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        event.accept()
        if event.isStart():
            self.chosen.emit()
            self._from = self._detector.q_y, self._detector.q_x
        if self._from is not None:
            by = event.pos() - event.buttonDownPos()
            self._change(self._detector.moved(self._from[0] + by.y(), self._from[1] + by.x()))
        if event.isFinish():
            self._from = None

    def _show_handles(self) -> None:
        needed = handles(self._detector) if self._chosen else {}
        for name in set(self._handles) - set(needed):
            target = self._handles.pop(name)
            target.setParentItem(None)
            if target.scene() is not None:
                target.scene().removeItem(target)
        for name, (q_y, q_x) in needed.items():
            if name not in self._handles:
                self._handles[name] = self._new_handle(name)
            with QSignalBlocker(self._handles[name]):
                self._handles[name].setPos(q_x, q_y)

    def _new_handle(self, name: str) -> pg.TargetItem:
        target = pg.TargetItem(
            size=HANDLE,
            symbol="+" if name == CENTRE else "s",
            pen=pg.mkPen(self._colour, width=1.5),
            hoverPen=pg.mkPen("w", width=2),
            brush=pg.mkBrush(0, 0, 0, 120),
            hoverBrush=pg.mkBrush(self._colour),
        )
        target.setParentItem(self)
        target.setZValue(float(name == CENTRE))  # where a small detector's handles overlap, it is moved
        target.sigPositionChanged.connect(lambda _, name=name: self._on_handle(name))
        return target

    def _on_handle(self, name: str) -> None:
        at = self._handles[name].pos()
        self._change(dragged(self._detector, name, at.y(), at.x()))

    def _change(self, detector: Detector) -> None:
        if detector != self._detector:
            self.changed.emit(detector)


class DetectorOverlay(QObject):
    """The detectors of an `Explored` over a pattern view; what the user drags and clicks changes it."""

    def __init__(self, view: PatternView) -> None:
        super().__init__(view)
        self._view = view
        self._explored: Explored | None = None
        self.items: list[DetectorItem] = []

    def show_explored(self, found: Explored | None) -> None:
        """Show its detectors as they are now; None for none."""
        placed = found.detectors if found is not None else ()
        kept = len(placed) if found is self._explored else 0
        while len(self.items) > kept:
            self._view.removeItem(self.items.pop())
        self._explored = found
        for i, each in enumerate(placed):
            if i == len(self.items) and found is not None:
                item = DetectorItem(each.detector, each.colour)
                item.changed.connect(lambda detector, i=i: found.change(i, detector=detector))
                item.chosen.connect(partial(found.choose, i))
                self._view.addItem(item)
                self.items.append(item)
            self.items[i].show_detector(each.detector, each.colour, found is not None and i == found.chosen)
