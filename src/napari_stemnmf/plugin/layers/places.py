"""Where layers lie on the scan or on the detector, and which pixels lie inside a drawing. No viewer, no Qt.

The metadata of each layer holds its session and its role ("maps/aa"), by which `display` finds it again. A pixel lies
inside a drawing if its centre does, whatever layer was drawn on, and however that is scaled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.plugin.session import ROLE_KEY, SESSION_KEY, Session
from napari_stemnmf.streaming.virtual_detectors import inside_polygon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stemnmf.dataset import Axis

LayerTuple = tuple[Any, dict[str, Any], str]
AREAS = ("rectangle", "ellipse", "polygon", "path")
"""Shapes with an inside; a path is closed by its ends. A line has none."""
CORNERS = 180
"""Of the polygon that an ellipse becomes."""


def on_scan(session: Session, name: str, role: str, plane: str = "") -> dict[str, Any]:
    """What all layers on the scan share; `plane` names the axis of a stack, whose planes lie one apart."""
    return placed(session, name, role, axes_of(session)[:2], plane)


def on_detector(session: Session, name: str, role: str) -> dict[str, Any]:
    """What layers on the detector share with the 4-D layer, over which they lie: the file's own calibration."""
    survey = session.analysis.survey if session.analysis is not None else None
    return placed(session, name, role, (survey.axes if survey is not None else axes_of(session))[2:])


def placed(session: Session, name: str, role: str, axes: Sequence[Axis], plane: str = "") -> dict[str, Any]:
    """Options of a layer that lies on some axes."""
    return {
        "name": f"{session.canvas.tag} {name}",
        "scale": [1.0] * bool(plane) + [axis.scale for axis in axes],
        "translate": [0.0] * bool(plane) + [axis.offset for axis in axes],
        "units": ["pixel"] * bool(plane) + [napari_unit(axis.unit) for axis in axes],
        "axis_labels": [plane] * bool(plane) + [axis.name for axis in axes],
        "metadata": {SESSION_KEY: session, ROLE_KEY: role},
    }


def scan_position(session: Session, world: Sequence[float]) -> tuple[int, int] | None:
    """Row and column of the probe position at a point (y, x) of the viewer's world; None off the scan."""
    axes = axes_of(session)[:2]
    row, column = (round((w - a.offset) / a.scale) for w, a in zip(world, axes, strict=True))
    return (row, column) if 0 <= row < axes[0].size and 0 <= column < axes[1].size else None


def right_edge(session: Session) -> float:
    """Where a scan ends on the canvas, in the unit of its step."""
    x = axes_of(session)[1]
    return x.offset + x.scale * (x.size - 0.5)


def axes_of(session: Session) -> tuple[Axis, ...]:
    """Axes as they lie on the canvas, where scans are side by side.

    Those of the results, which a crop has moved and a ring may have calibrated; else those of the file.
    """
    y, x, *detector = _own_axes(session)
    return (y, replace(x, offset=x.offset + session.canvas.shift), *detector)


def _own_axes(session: Session) -> tuple[Axis, ...]:
    if session.analysis is not None and session.analysis.survey is not None:
        return session.analysis.axes
    if session.dataset is not None:
        return session.dataset.axes
    if session.analysis is None:
        raise ValueError("A session without dataset and analysis has no axes.")
    return session.analysis.input.axes


def napari_unit(unit: str) -> str:
    """A unit as napari's registry spells it."""
    return {"px": "pixel", "deg": "degree", "": "pixel"}.get(unit, unit)


def masked_by(layer: Any, axes: Sequence[Axis], point: Sequence[float] = ()) -> np.ndarray:
    """(q_y, q_x) True = keep, False where a pixel's centre lies inside what was drawn.

    Parameters
    ----------
    layer : napari Shapes or Labels layer
        Its last two axes are the detector's.
    axes : sequence of Axis
        q_y and q_x of the file's detector: they place its pixels in the viewer's world.
    point : sequence of float
        World position of the viewer's sliders: which plane of a Labels stack counts.

    Raises
    ------
    DataError
        If nothing with an inside was drawn, or it lies off the detector.
    """
    inside = inside_of(layer, axes, point)
    if not inside.any():
        raise DataError(
            f"The layer '{layer.name}' covers no pixel of the detector; draw a rectangle, an ellipse or a polygon on "
            "the mean pattern, or paint labels there."
        )
    return ~inside


def inside_of(layer: Any, axes: Sequence[Axis], point: Sequence[float] = ()) -> np.ndarray:
    """(rows, columns) True where a point of the axes' grid lies inside what was drawn; all False if nothing was."""
    y, x = (axis.offset + axis.scale * np.arange(axis.size) for axis in axes)
    if layer.__class__.__name__ == "Labels":
        return _inside_labels(layer, y, x, point)
    inside = np.zeros((len(y), len(x)), bool)
    for vertices, kind in zip(layer.data, layer.shape_type, strict=True):
        if kind in AREAS:
            world = np.array([layer.data_to_world(vertex) for vertex in np.asarray(vertices, np.float64)])[:, -2:]
            inside |= inside_polygon(_ellipse(world) if kind == "ellipse" else world, y, x)
    return inside


def _ellipse(corners: np.ndarray) -> np.ndarray:
    """(`CORNERS`, 2) the ellipse inside a (rotated) rectangle given by its four corners, as a polygon."""
    centre = corners.mean(axis=0)
    a, b = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * a + np.sin(angle) * b)


def _inside_labels(layer: Any, y: np.ndarray, x: np.ndarray, point: Sequence[float]) -> np.ndarray:
    leading = layer.ndim - 2
    start = list(point[len(point) - layer.ndim :][:leading]) if len(point) >= layer.ndim else [0.0] * leading
    first, last = (np.array(layer.world_to_data([*start, y[i], x[i]])) for i in (0, -1))
    stacked = np.clip(np.rint(first[:leading]).astype(int), 0, np.array(layer.data.shape[:leading]) - 1)
    plane = np.asarray(layer.data[tuple(stacked)])
    rows, columns = (
        np.rint(np.linspace(first[axis], last[axis], size)).astype(int)
        for axis, size in ((leading, len(y)), (leading + 1, len(x)))
    )
    nearest = (np.clip(index, 0, size - 1) for index, size in zip((rows, columns), plane.shape, strict=True))
    there = [(index >= 0) & (index < size) for index, size in zip((rows, columns), plane.shape, strict=True)]
    return (plane[np.ix_(*nearest)] > 0) & there[0][:, None] & there[1]
