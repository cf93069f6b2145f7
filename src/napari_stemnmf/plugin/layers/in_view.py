"""One scan and one representation at a time: which layers of a viewer are seen, and where scans lie.

What is in view is read from the layers themselves, and what was seen of a scan or representation when it was left is
remembered with it. Layers that belong to no scan are the user's own and stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_stemnmf.plugin.layers import places
from napari_stemnmf.plugin.layers.camera import find, fit
from napari_stemnmf.plugin.on_canvas import role_parts, short_name
from napari_stemnmf.plugin.session import ROLE_KEY, Session, session_of
from napari_stemnmf.recipe import FEATURES

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

GAP = 0.05
"""Distance between two scans, as a share of the width of the right one."""


def give_place(session: Session, others: Iterable[Session]) -> Session:
    """Put a scan that is about to be opened to the right of those that are, under a short name of its own."""
    others = [other for other in others if other is not session]
    session.canvas.tag = short_name(session.name, [other.canvas.tag for other in others])
    if others:
        x = places.axes_of(session)[1]
        right = max(places.right_edge(other) for other in others)
        session.canvas.shift += right + GAP * x.scale * x.size - (x.offset - x.scale / 2)
    return session


def scan_in_view(viewer: ViewerModel) -> Session | None:
    """The scan that is looked at: that of the selected layer where it is seen, else of the topmost that is."""
    seen = [session for layer in viewer.layers if layer.visible and (session := session_of(layer)) is not None]
    active = session_of(viewer.layers.selection.active)
    return active if active in seen else seen[-1] if seen else active


def is_in_view(viewer: ViewerModel, session: Session) -> bool:
    """Whether a scan is looked at, or none is."""
    return scan_in_view(viewer) in (session, None)


def show_scan(viewer: ViewerModel, session: Session) -> None:
    """Show the layers of one scan only, as they were when it was left, and move the canvas there."""
    left = False
    for other in {id(s): s for layer in viewer.layers if (s := session_of(layer)) is not None}.values():
        if other is not session:
            left |= _leave(viewer, other)
    for layer in _layers_of(viewer, session):
        role = layer.metadata.get(ROLE_KEY, "")
        _see(layer, session.canvas.visible.pop(role, layer.visible))
    if not any(layer.visible for layer in _layers_of(viewer, session)):  # the user had hidden all of it
        _see(find(viewer, session, "virtual_image"), True)
    if session_of(viewer.layers.selection.active) is not session:  # what follows the selection follows the view
        seen = [layer for layer in _layers_of(viewer, session) if layer.visible]
        viewer.layers.selection.active = seen[-1] if seen else None
    image = find(viewer, session, "virtual_image")
    if left and image is not None and image.visible:
        fit(viewer, image)


def show_feature(viewer: ViewerModel, session: Session, feature: str) -> None:
    """Show the layers of one representation of a scan only; those of the scan itself stay as they are."""
    canvas = session.canvas
    if canvas.feature == feature:
        return
    left, canvas.feature = canvas.feature, feature
    for layer in _layers_of(viewer, session):
        role = layer.metadata.get(ROLE_KEY, "")
        kind, of = role_parts(role)
        if of not in FEATURES:
            continue
        if of != feature:
            if of == left:
                canvas.visible.setdefault(role, layer.visible)
            _see(layer, False)
        elif is_in_view(viewer, session):
            _see(layer, canvas.visible.pop(role, _seen_at_first(viewer, session, kind, feature)))
        else:
            canvas.visible.setdefault(role, _seen_at_first(viewer, session, kind, feature))
    session.changed.emit()


def wanted(viewer: ViewerModel, session: Session, role: str) -> bool:
    """Whether a new layer of that role may be seen now; if not, nothing in view is to change for it."""
    _, feature = role_parts(role)
    return is_in_view(viewer, session) and (feature not in FEATURES or session.canvas.feature in ("", feature))


def _leave(viewer: ViewerModel, session: Session) -> bool:
    """Hide all of a scan, and remember what was seen. Returns whether anything was."""
    seen = [layer for layer in _layers_of(viewer, session) if layer.visible]
    if seen:
        for layer in _layers_of(viewer, session):
            session.canvas.visible[layer.metadata.get(ROLE_KEY, "")] = layer.visible
    for layer in seen:
        layer.visible = False
    return bool(seen)


def _layers_of(viewer: ViewerModel, session: Session) -> list[Layer]:
    return [layer for layer in viewer.layers if session_of(layer) is session]


def _seen_at_first(viewer: ViewerModel, session: Session, kind: str, feature: str) -> bool:
    """Grains are seen, and component maps where there are no grains yet."""
    return kind == "grains" or (kind == "maps" and find(viewer, session, f"grains/{feature}") is None)


def _see(layer: Layer | None, visible: bool) -> None:
    if layer is not None and layer.visible != visible:
        layer.visible = visible
