"""4-D image layers of others, from any reader or array, taken as scans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.layers.in_view import give_place
from napari_stemnmf.plugin.saving.autosave import watch
from napari_stemnmf.plugin.session import ROLE_KEY, SESSION_KEY, Session, session_of, sessions_of
from napari_stemnmf.units import normalise

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

AXES = 4
LEAST_DETECTOR = 8
"""Pixels along each side of what may be a diffraction pattern."""


def can_be_scan(layer: Any) -> bool:
    """Whether a layer is an image of four axes that belongs to no scan yet."""
    from napari.layers import Image

    if not isinstance(layer, Image) or layer.ndim != AXES or layer.rgb or layer.multiscale:
        return False
    return session_of(layer) is None and min(layer.data.shape[2:]) >= LEAST_DETECTOR and layer.data.dtype.kind in "uif"


def adopt(viewer: ViewerModel, layer: Layer) -> Session:
    """Take a 4-D image layer as a scan, whose virtual image is added; the layer is its 4-D layer, and kept apart.

    Axes are scan_y, scan_x, q_y, q_x; steps in a length, and of the detector in a reciprocal length or an angle, count.

    Raises
    ------
    DataError
        If it cannot be a scan.
    """
    from napari_stemnmf.dataset import Dataset

    steps: dict[str, Any] = {}
    for name, at, kinds in (("scan", (0, 1), ("nm",)), ("q", (2, 3), ("1/nm", "mrad", "deg"))):
        found = [_step(layer, axis) for axis in at]
        known = [each for each in found if each is not None]
        if len(known) == len(found) and len({unit for _, unit in known}) == 1 and known[0][1] in kinds:
            steps |= {f"{name}_step": tuple(step for step, _ in known), f"{name}_unit": known[0][1]}
    dataset = Dataset.from_array(layer.data, name=layer.name, **steps)
    session = give_place(watch(Session(dataset)), sessions_of(viewer.layers))
    ((image, meta, kind),) = layers.scan_layers(session, apart=True)
    layer.metadata = {**layer.metadata, SESSION_KEY: session, ROLE_KEY: "patterns"}
    session.canvas.set_aside["patterns"] = layer, dict(layer.metadata)
    viewer.layers.remove(layer)  # first: beside it, the canvas would have no units
    getattr(viewer, f"add_{kind}")(image, **meta)
    return session


def _step(layer: Any, axis: int) -> tuple[float, str] | None:
    """The step of an axis in a unit of ours; None where it is in pixels."""
    found = normalise(f"{layer.units[axis]:~}")
    return None if found is None else (float(layer.scale[axis]) * found[0], found[1])
