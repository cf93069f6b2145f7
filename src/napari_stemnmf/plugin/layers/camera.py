"""Layers found again, and the camera moved to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.plugin.session import ROLE_KEY, Session, session_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

MARGIN = 0.95
"""Share of the canvas that a layer fills."""
SMALLEST_SHARE, COMFORTABLE_SHARE = 0.1, 0.4
"""Share of the canvas below which a grain is tiny, and the one that it is given then."""


def find(viewer: ViewerModel, session: Session, role: str) -> Layer | None:
    """The layer of a scan with that role, if it is in the viewer."""
    for layer in viewer.layers:
        if session_of(layer) is session and layer.metadata.get(ROLE_KEY) == role:
            return layer
    return None


def fit(viewer: ViewerModel, layer: Layer) -> None:
    """Fill the canvas with one layer, whatever else the viewer holds."""
    low, high = np.asarray(layer.extent.world)[:, -2:]
    size = np.maximum(high - low, 1e-12)
    viewer.scene.camera.center = (0.0, *((low + high) / 2))
    viewer.scene.camera.zoom = float(MARGIN * np.min(np.array(viewer.canvas.size) / size))


def move_to(viewer: ViewerModel, layer: Layer, low: Sequence[float], high: Sequence[float]) -> None:
    """Show what lies between two corners (y, x) of a layer's data, in the middle of the canvas or, at the layer's edge,
    as near to it as the canvas stays filled; zoom where it would be tiny or cut off."""
    canvas, camera = np.array(viewer.canvas.size), viewer.scene.camera
    corners = np.array([layer.data_to_world(corner) for corner in (low, high)])[:, -2:]
    share = float(np.max(np.maximum(np.ptp(corners, axis=0), 1e-12) * camera.zoom / canvas))
    if not SMALLEST_SHARE <= share <= MARGIN:
        camera.zoom *= COMFORTABLE_SHARE / share
    first, last = np.asarray(layer.extent.world)[:, -2:] + np.array([[0.5], [-0.5]]) * canvas / camera.zoom
    middle = np.where(first < last, np.clip(corners.mean(axis=0), first, last), (first + last) / 2)
    camera.center = (0.0, *middle)


def bring_into_view(viewer: ViewerModel, layer: Layer, rows: np.ndarray, columns: np.ndarray) -> None:
    """Move the canvas to positions of a layer, if their middle cannot be seen."""
    low, high = (rows.min(), columns.min()), (rows.max(), columns.max())
    camera = viewer.scene.camera
    middle = np.mean([layer.data_to_world(corner) for corner in (low, high)], axis=0)[-2:]
    away = np.abs(middle - np.array(camera.center)[-2:])
    if (away > np.array(viewer.canvas.size) / camera.zoom / 2).any():
        move_to(viewer, layer, low, high)
