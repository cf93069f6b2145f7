"""From shapes or labels that were drawn over a pattern, or the scan, to a mask of its pixels. No Qt.

Whatever layer it was drawn on, and however that is scaled, a pixel of the file's detector is masked if its centre lies
inside. Leans on napari's public layer attributes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.streaming.virtual_detectors import inside_polygon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stemnmf.dataset import Axis

AREAS = ("rectangle", "ellipse", "polygon", "path")
"""Shapes with an inside; a path is closed by its ends. A line has none."""


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
    return _inside_shapes(layer, y, x)


def _inside_shapes(layer: Any, q_y: np.ndarray, q_x: np.ndarray) -> np.ndarray:
    inside = np.zeros((len(q_y), len(q_x)), bool)
    for vertices, kind in zip(layer.data, layer.shape_type, strict=True):
        if kind not in AREAS:
            continue
        world = np.array([layer.data_to_world(vertex) for vertex in np.asarray(vertices, np.float64)])[:, -2:]
        inside |= inside_polygon(_outline(world) if kind == "ellipse" else world, q_y, q_x)
    return inside


def _outline(corners: np.ndarray, points: int = 180) -> np.ndarray:
    """(points, 2) the ellipse inside a (rotated) rectangle given by its four corners."""
    centre = corners.mean(axis=0)
    a, b = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * a + np.sin(angle) * b)


def _inside_labels(layer: Any, q_y: np.ndarray, q_x: np.ndarray, point: Sequence[float]) -> np.ndarray:
    leading = layer.ndim - 2
    start = list(point[len(point) - layer.ndim :][:leading]) if len(point) >= layer.ndim else [0.0] * leading
    first, second = (np.array(layer.world_to_data([*start, q_y[i], q_x[i]])) for i in (0, -1))
    plane = layer.data[
        tuple(np.clip(np.rint(first[:leading]).astype(int), 0, np.array(layer.data.shape[:leading]) - 1))
    ]
    index = [
        np.rint(np.linspace(first[k], second[k], len(q))).astype(int) for k, q in ((leading, q_y), (leading + 1, q_x))
    ]
    there = [(i >= 0) & (i < size) for i, size in zip(index, plane.shape, strict=True)]
    inside = np.asarray(plane)[np.ix_(*(np.clip(i, 0, s - 1) for i, s in zip(index, plane.shape, strict=True)))] > 0
    return inside & there[0][:, None] & there[1][None, :]
