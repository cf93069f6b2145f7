"""Puts layers into a viewer, or new results into the layers that are there.

A layer is found again by its session and role, so that colours and order that the user chose stay. A new result is
shown on top of its scan's layers, and what led to it is hidden. That of a scan or representation that is not looked at
is added hidden: see `in_view`.

napari aligns the last axes of all layers. The 4-D layer ends in the detector's axes, all others in the scan's: together
they share sliders that mean different things, and napari gives up units. So a hidden 4-D layer is taken out of the
viewer (`keeper`); `toggle` brings it back, unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.layers import in_view
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.layers.camera import find as find
from napari_stemnmf.plugin.layers.camera import fit as fit
from napari_stemnmf.plugin.layers.camera import move_to as move_to
from napari_stemnmf.plugin.session import ROLE_KEY, SESSION_KEY, Session, session_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

ON_DETECTOR = ("patterns", "grain patterns", "mean pattern")
"""Kinds of layers whose canvas is the detector, not the scan."""
TABLE = ("napari", "Features table widget")
"""Plugin and name of napari's own table of features."""
PLANE_AXIS = -3
"""Axis of the viewer along which stacks lie."""


def showing(viewer: ViewerModel, session: Session, step: str, feature: str) -> Iterator[None]:
    """Show the result of a step: new layers, or new data in the present ones.

    In pieces: napari takes a tenth of a second or more for a layer, and the window may act in between.
    """
    if step == "survey":
        analysis = session.analysis  # the virtual image of the whole scan takes the place of the quick one
        if analysis is not None and analysis.survey is not None:
            yield from _putting(viewer, *layers.virtual_image(session, analysis.survey.virtual_image))
            for layer in layers.odd_patterns(session):
                yield from _putting(viewer, *layer)
        return
    found, new = layers.result_layers(session, step, feature), False
    for data, meta, kind in found:
        yield
        new |= yield from _putting(viewer, data, meta, kind)
    if step != "cluster" and new:  # what led to the result is hidden
        yield
        maps = find(viewer, session, f"maps/{feature}")
        if maps is not None:
            maps.visible = False
        session.canvas.visible.pop(f"maps/{feature}", None)
    if step == "cluster" and in_view.wanted(viewer, session, f"maps/{feature}"):
        show_plane(viewer, session, f"maps/{feature}", 0)


def put(viewer: ViewerModel, data: Any, meta: dict[str, Any], kind: str) -> bool:
    """Add a layer, or update the one of the same session and role. Returns whether it is new."""
    layer = find(viewer, meta["metadata"][SESSION_KEY], meta["metadata"][ROLE_KEY])
    if layer is None:
        getattr(viewer, f"add_{kind}")(data, **meta)
        return True
    _update(layer, data, meta, kind)
    return False


def _putting(viewer: ViewerModel, data: Any, meta: dict[str, Any], kind: str) -> Generator[None, None, bool]:
    """As `put`, in pieces: a new layer is made, added and made visible one after the other."""
    from napari.layers import Layer

    session, role = meta["metadata"][SESSION_KEY], meta["metadata"][ROLE_KEY]
    if find(viewer, session, role) is not None:
        return put(viewer, data, meta, kind)
    layer = Layer.create(data, meta | {"visible": False}, kind)
    yield
    selected, shown = set(viewer.layers.selection), meta.get("visible", True)
    seen = shown and in_view.wanted(viewer, session, role)
    if shown and not seen:
        session.canvas.visible[role] = True  # once its scan and representation are looked at
    viewer.add_layer(layer)
    _put_beside_its_own(viewer, layer)
    if not seen:  # what nobody sees yet leaves selected what was, and goes under the grains
        viewer.layers.selection = selected
        _put_under_grains(viewer, layer)
    yield
    if layer in viewer.layers:  # nobody has removed it meanwhile
        layer.visible = seen and in_view.wanted(viewer, session, role)
    return True


def _put_beside_its_own(viewer: ViewerModel, layer: Any) -> None:
    """Move a new layer down to those of its scan, so that the list is grouped by scan."""
    session, last = session_of(layer), len(viewer.layers) - 1
    own = [i for i, other in enumerate(viewer.layers) if session_of(other) is session and other is not layer]
    above = [session_of(other) for other in viewer.layers[max(own, default=last) + 1 : last]]
    if any(other is not None for other in above):
        viewer.layers.move(last, max(own) + 1)


def _put_under_grains(viewer: ViewerModel, layer: Any) -> None:
    """Move an image below the grains of its scan, if there are any."""
    session, roles = session_of(layer), ("overlap", "stack", "grains", "marks")
    if layer.metadata[ROLE_KEY].split("/")[0] in roles:
        return
    for place, other in enumerate(viewer.layers):
        if session_of(other) is session and other.metadata.get(ROLE_KEY, "").split("/")[0] in roles:
            viewer.layers.move(viewer.layers.index(layer), place)
            return


def _update(layer: Any, data: Any, meta: dict[str, Any], kind: str) -> None:
    """Show new data in a layer of the viewer."""
    if layer.name.endswith(layers.PREVIEW):
        layer.name = meta["name"]
    if layer.data is not data:
        layer.data = data
    for name in ("scale", "translate"):  # a crop moves what is on the scan; what is the same need not be redrawn
        if not np.array_equal(getattr(layer, name), meta[name]):
            setattr(layer, name, meta[name])
    if kind == "labels":
        layer.features = meta["features"]
        if "colormap" in meta:
            layer.colormap = meta["colormap"]
        layer.metadata.update(meta["metadata"])
    else:
        layer.contrast_limits_range = meta["contrast_limits"]
        layer.contrast_limits = meta["contrast_limits"]


def show_plane(viewer: ViewerModel, session: Session, role: str, plane: int) -> None:
    """Move the slider of a stack to a plane (component, grain, feature column)."""
    if plane >= 0 and find(viewer, session, role) is not None:
        viewer.dims.set_point(viewer.dims.ndim + PLANE_AXIS, float(plane))


def remove(viewer: ViewerModel, session: Session, layer: Layer) -> None:
    """Take a layer out of the viewer; the session keeps it. The selection stays with its scan.

    napari may keep a removed layer for long, and that must not keep the scan: so the session keeps what ties them.
    """
    session.canvas.set_aside[layer.metadata[ROLE_KEY]] = layer, dict(layer.metadata)
    if viewer.layers.selection.active is layer:
        viewer.layers.selection.active = find(viewer, session, "virtual_image")
    viewer.layers.remove(layer)
    layer.metadata = {}


def bring_back(session: Session, role: str) -> Layer | None:
    """The layer of that role that was taken out before, ready to be added again; None where there is none."""
    layer, metadata = session.canvas.set_aside.pop(role, (None, {}))
    if layer is not None:
        layer.metadata = metadata
    return layer


def remove_patterns(viewer: ViewerModel, session: Session) -> bool:
    """Take the 4-D layer out of the viewer if it is hidden. Returns whether it was."""
    patterns = find(viewer, session, "patterns")
    hidden = patterns is not None and not patterns.visible
    if patterns is not None and hidden:
        remove(viewer, session, patterns)
    return hidden


def toggle(viewer: ViewerModel, session: Session, role: str, make: Callable[[], Sequence[layers.LayerTuple]]) -> None:
    """Take the layer of that role out of the viewer, or show it: the one that was removed before, else a new one.

    A layer on the detector has the canvas for itself: the others are hidden until it is taken out again.
    """
    layer = find(viewer, session, role)
    on_detector = role.split("/")[0] in ON_DETECTOR
    if layer is not None:
        remove(viewer, session, layer)
        if on_detector and session.canvas.hidden:
            for other in viewer.layers:
                other.visible = other.visible or other in session.canvas.hidden
            session.canvas.hidden = []
            viewer.fit_to_view()
        return
    others = [other for other in viewer.layers if other.visible]
    kept = bring_back(session, role)
    if kept is not None:
        viewer.add_layer(kept)
    if kept is None or role != "patterns":
        for data, meta, kind in make():
            put(viewer, data, meta, kind)
    shown = find(viewer, session, role)
    if shown is None:
        return
    shown.visible = True
    if on_detector:
        session.canvas.hidden = [*session.canvas.hidden, *others]
        for other in others:
            other.visible = False
        fit(viewer, shown)


def show_table(viewer: Any, session: Session | None, feature: str) -> None:
    """Select the grains' layer and open napari's features table below the canvas."""
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QMainWindow

    layer = None if session is None else find(viewer, session, f"grains/{feature}")
    if layer is None:
        return
    viewer.layers.selection.active = layer
    dock, _ = viewer.window.add_plugin_dock_widget(*TABLE)
    window = dock.parent()
    if isinstance(window, QMainWindow) and window.dockWidgetArea(dock) != Qt.DockWidgetArea.BottomDockWidgetArea:
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    dock.show()
