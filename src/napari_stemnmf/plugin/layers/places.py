"""Where layers lie: on the scan or on the detector, with its step, unit and the names of its axes. No viewer, no Qt.

Each layer's metadata tells its session and its role ("maps/aa"), by which `display` finds it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_stemnmf.plugin.session import ROLE_KEY, SESSION_KEY, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stemnmf.dataset import Axis

LayerTuple = tuple[Any, dict[str, Any], str]


def on_scan(session: Session, name: str, role: str, plane: str = "") -> dict[str, Any]:
    """What all layers on the scan share; `plane` names the axis of a stack, whose planes lie one apart."""
    y, x = axes_of(session)[:2]
    return {
        "name": f"{session.name} {name}",
        "scale": [1.0] * bool(plane) + [y.scale, x.scale],
        "translate": [0.0] * bool(plane) + [y.offset, x.offset],
        "units": ["pixel"] * bool(plane) + [napari_unit(y.unit), napari_unit(x.unit)],
        "axis_labels": [plane] * bool(plane) + [y.name, x.name],
        "metadata": metadata(session, role),
    }


def on_detector(session: Session, name: str, role: str) -> dict[str, Any]:
    """What layers on the detector share with the 4-D layer, over which they lie: the file's own calibration."""
    survey = session.analysis.survey if session.analysis is not None else None
    q_y, q_x = (survey.axes if survey is not None else axes_of(session))[2:]
    return {
        "name": f"{session.name} {name}",
        "scale": [q_y.scale, q_x.scale],
        "translate": [q_y.offset, q_x.offset],
        "units": [napari_unit(q_y.unit), napari_unit(q_x.unit)],
        "axis_labels": [q_y.name, q_x.name],
        "metadata": metadata(session, role),
    }


def scan_position(session: Session, world: Sequence[float]) -> tuple[int, int] | None:
    """Row and column of the probe position at a point (y, x) of the viewer's world; None off the scan."""
    axes = axes_of(session)[:2]
    row, column = (round((w - a.offset) / a.scale) for w, a in zip(world, axes, strict=True))
    return (row, column) if 0 <= row < axes[0].size and 0 <= column < axes[1].size else None


def axes_of(session: Session) -> tuple[Axis, ...]:
    """Axes of what was found, which a crop has moved and a ring may have calibrated; else those of the file."""
    if session.analysis is not None and session.analysis.survey is not None:
        return session.analysis.axes
    if session.dataset is not None:
        return session.dataset.axes
    if session.analysis is None:
        raise ValueError("A session without dataset and analysis has no axes.")
    return session.analysis.input.axes


def metadata(session: Session, role: str) -> dict[str, Any]:
    """By which a layer is found again."""
    return {SESSION_KEY: session, ROLE_KEY: role}


def napari_unit(unit: str) -> str:
    """A unit as napari's registry spells it."""
    return {"px": "pixel", "deg": "degree", "": "pixel"}.get(unit, unit)
