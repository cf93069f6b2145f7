"""From results to napari layer data: pure functions, no viewer, no Qt.

Everything that lies on the scan is (…, scan_y, scan_x) with the scan's step and unit. Each layer's metadata tells its
session and its role ("maps/aa"), by which `display` finds it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.preview import limits, scaled
from napari_stemnmf.plugin.session import ROLE_KEY, SESSION_KEY, Session
from napari_stemnmf.recipe import FEATURES

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemnmf.dataset import Axis, Dataset
    from napari_stemnmf.grains.separation import Grains

LayerTuple = tuple[Any, dict[str, Any], str]
DATASET_KEY = "stemnmf_dataset"
SHOWN_COLUMNS = 200
"""Columns of a sparse feature matrix that are shown, at most."""
SAMPLED_PATTERNS = 4
"""Patterns that the contrast of the 4-D layer is taken from."""


def scan_layers(session: Session, image: np.ndarray | None = None) -> list[LayerTuple]:
    """The virtual image and, hidden, the 4-D scan.

    The scan's own canvas is the scan: the 4-D layer, whose canvas is the detector, is hidden until asked for.

    Parameters
    ----------
    session : Session
        With a dataset.
    image : (scan_y, scan_x) array, optional
        Virtual image; a quick one is taken if not given.
    """
    dataset = session.dataset
    if dataset is None:
        raise ValueError("A session without a dataset has no scan to show.")
    if image is None:
        from napari_stemnmf.passes.survey import quick_image

        image = quick_image(dataset)
    return [virtual_image(session, image), patterns(session)]


def patterns(session: Session) -> LayerTuple:
    """The lazy 4-D scan, hidden."""
    dataset = session.dataset
    if dataset is None:
        raise ValueError("A session without a dataset has no patterns to show.")
    meta = {
        "name": f"{dataset.name} patterns",
        "scale": [a.scale for a in dataset.axes],
        "translate": [a.offset for a in dataset.axes],
        "units": [napari_unit(a.unit) for a in dataset.axes],
        "axis_labels": [a.name for a in dataset.axes],
        "contrast_limits": pattern_limits(dataset),
        "colormap": "inferno",
        "visible": False,
        "metadata": _metadata(session, "patterns") | {DATASET_KEY: dataset, **dataset.metadata},
    }
    return dataset.data, meta, "image"


def virtual_image(session: Session, image: np.ndarray) -> LayerTuple:
    """Mean counts of each pattern, on the scan."""
    meta = on_scan(session, "virtual image", "virtual_image")
    low, high = np.percentile(image, [0.1, 99.9])
    return image, meta | {"contrast_limits": _limits(low, high), "colormap": "gray"}, "image"


def result_layers(session: Session, step: str, feature: str) -> list[LayerTuple]:
    """The layers that show what a step has found for a feature; empty if it has found nothing."""
    if session.result(step, feature) is None:
        return []
    if step == "cluster":
        return [_component_maps(session, feature)]
    return _grains(session, feature) if step in ("refine", "measure") else []


def all_layers(session: Session) -> list[LayerTuple]:
    """Every layer of an analysis on the scan: virtual image below, grains on top; the first grains are shown."""
    analysis = session.analysis
    found: list[LayerTuple] = []
    if analysis is not None and analysis.survey is not None:
        found.append(virtual_image(session, analysis.survey.virtual_image))
    elif session.dataset is not None:
        found += scan_layers(session)
    shown = False
    for step in ("cluster", "refine"):
        for feature in FEATURES:
            for data, meta, kind in result_layers(session, step, feature):
                show = not shown and meta["metadata"][ROLE_KEY].startswith("grains/")
                shown |= show
                found.append((data, meta | {"visible": show}, kind))
    return found


def feature_maps(session: Session, feature: str) -> list[LayerTuple]:
    """Each column of a feature matrix as an image of the scan; empty if it was not computed.

    Of a sparse matrix, the columns that vary most: all of them would not fit into memory.
    """
    features = session.result("featurize", feature)
    if features is None:
        return []
    maps = np.moveaxis(_dense(features.values).reshape(*features.scan_shape, -1), -1, 0)
    meta = on_scan(session, f"{feature.upper()} features", f"features/{feature}", "column")
    return [(maps, meta | {"contrast_limits": _stack_limits(maps), "colormap": "viridis"}, "image")]


def grain_patterns(session: Session, feature: str) -> list[LayerTuple]:
    """The mean pattern of each grain, on the detector; empty if nothing was measured."""
    found = session.analysis.patterns.get(feature) if session.analysis is not None else None
    if found is None or not len(found.patterns):
        return []
    q_y, q_x = _axes(session)[2:]
    meta = {
        "name": f"{session.name} {feature.upper()} grain patterns",
        "scale": [1.0, q_y.scale, q_x.scale],
        "translate": [0.0, q_y.offset, q_x.offset],
        "units": ["pixel", napari_unit(q_y.unit), napari_unit(q_x.unit)],
        "axis_labels": ["grain", q_y.name, q_x.name],
        "contrast_limits": _limits(0.0, float(np.nanpercentile(found.patterns, 99.5))),
        "colormap": "inferno",
        "metadata": _metadata(session, f"grain patterns/{feature}"),
    }
    return [(found.patterns, meta, "image")]


def mean_pattern(session: Session) -> list[LayerTuple]:
    """The mean pattern on the detector, to draw a mask on; empty before a survey."""
    survey = session.analysis.survey if session.analysis is not None else None
    if survey is None:
        return []
    meta = _on_detector(session, "mean pattern", "mean pattern")
    image = scaled(survey.mean, "log")  # the eye sees weak disks beside the direct beam
    return [(image, meta | {"contrast_limits": limits(image), "colormap": "inferno"}, "image")]


def mask_shapes(session: Session) -> LayerTuple:
    """An empty Shapes layer on the detector."""
    meta = _on_detector(session, "mask shapes", "mask shapes")
    return None, meta | {"ndim": 2, "face_color": "#ff3b3b60", "edge_color": "#ff3b3b", "edge_width": 0.5}, "shapes"


def position_cross(session: Session, position: tuple[int, int]) -> LayerTuple:
    """A cross on the scan at a probe position, large enough to be seen on a scan of any size."""
    meta = on_scan(session, "position", "position")
    size = max(1.5, 0.04 * max(axis.size for axis in _axes(session)[:2]))
    look = {"symbol": "cross", "size": size, "face_color": "#00d5ff", "border_color": "black", "border_width": 0.1}
    return [position], meta | look, "points"


def scan_position(session: Session, world: Sequence[float]) -> tuple[int, int] | None:
    """Row and column of the probe position at a point (y, x) of the viewer's world; None off the scan."""
    axes = _axes(session)[:2]
    row, column = (round((w - a.offset) / a.scale) for w, a in zip(world, axes, strict=True))
    return (row, column) if 0 <= row < axes[0].size and 0 <= column < axes[1].size else None


def grain_features(grains: Grains, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Features of the Labels layers: row 0 is the background, then a row for every grain, in the order of its label.

    Columns: ``index`` (the label), ``grain_id`` (persistent, 0 for the background), then those of the table, or the
    component and area where nothing was measured yet.
    """
    import pandas as pd

    count = len(grains)
    out = pd.DataFrame({"index": np.arange(count + 1), "grain_id": np.concatenate([[0], grains.ids]).astype(int)})
    if table is None or len(table) != count:
        areas = grains.masks.sum(axis=(1, 2))
        table = pd.DataFrame({"component": grains.component, "area [px]": areas})
    for name in table.columns:
        if name in ("index", "grain_id", "label", "grain"):
            continue
        column = table[name].reset_index(drop=True)
        column.index = column.index + 1
        out[name] = _with_background(column, count)
    return out


def pattern_limits(dataset: Dataset) -> tuple[float, float]:
    """Contrast limits for single patterns, from a few of them spread over the scan: that few chunks are read."""
    rows, columns = dataset.scan_shape
    flat = np.unique(np.linspace(0, rows * columns - 1, SAMPLED_PATTERNS).astype(int))
    highest = []
    for index in flat:
        pattern = dataset.pattern(*divmod(int(index), columns))
        finite = pattern[np.isfinite(pattern)]
        highest.append(float(np.percentile(finite, 99.5)) if finite.size else 0.0)
    return _limits(0.0, max(highest))


def napari_unit(unit: str) -> str:
    """A unit as napari's registry spells it."""
    return {"px": "pixel", "deg": "degree", "": "pixel"}.get(unit, unit)


def on_scan(session: Session, name: str, role: str, plane: str = "") -> dict[str, Any]:
    """What all layers on the scan share; `plane` names the axis of a stack, whose planes lie one apart."""
    y, x = _axes(session)[:2]
    return {
        "name": f"{session.name} {name}",
        "scale": [1.0] * bool(plane) + [y.scale, x.scale],
        "translate": [0.0] * bool(plane) + [y.offset, x.offset],
        "units": ["pixel"] * bool(plane) + [napari_unit(y.unit), napari_unit(x.unit)],
        "axis_labels": [plane] * bool(plane) + [y.name, x.name],
        "metadata": _metadata(session, role),
    }


def _component_maps(session: Session, feature: str) -> LayerTuple:
    maps = session.result("cluster", feature).maps
    meta = on_scan(session, f"{feature.upper()} component maps", f"maps/{feature}", "component")
    return maps, meta | {"contrast_limits": _stack_limits(maps), "colormap": "viridis"}, "image"


def _grains(session: Session, feature: str) -> list[LayerTuple]:
    grains = session.result("refine", feature)
    analysis = session.analysis
    measured = analysis is not None and analysis.is_current(f"tables/{feature}", partial=True)
    features = grain_features(grains, analysis.tables[feature] if analysis is not None and measured else None)
    name = feature.upper()
    overlap = grains.overlap
    stack, flat = (
        on_scan(session, f"{name} grain stack", f"stack/{feature}", "grain"),
        on_scan(session, f"{name} grains", f"grains/{feature}"),
    )
    planes = grains.stack if len(grains) else np.zeros((1, *grains.scan_shape), np.int32)  # napari needs a plane
    count = on_scan(session, f"{name} overlap", f"overlap/{feature}") | {
        "contrast_limits": (0, max(2, int(overlap.max(initial=0)))),
        "colormap": "magma",
        "visible": False,
    }
    return [
        (overlap, count, "image"),
        (planes, stack | {"features": features, "visible": False}, "labels"),
        (grains.labels, flat | {"features": features, "opacity": 0.6}, "labels"),
    ]


def _on_detector(session: Session, name: str, role: str) -> dict[str, Any]:
    """What layers on the detector share with the 4-D layer, over which they lie: the file's own calibration."""
    survey = session.analysis.survey if session.analysis is not None else None
    q_y, q_x = (survey.axes if survey is not None else _axes(session))[2:]
    return {
        "name": f"{session.name} {name}",
        "scale": [q_y.scale, q_x.scale],
        "translate": [q_y.offset, q_x.offset],
        "units": [napari_unit(q_y.unit), napari_unit(q_x.unit)],
        "axis_labels": [q_y.name, q_x.name],
        "metadata": _metadata(session, role),
    }


def _axes(session: Session) -> tuple[Axis, ...]:
    """Axes of what was found, which a crop has moved and a ring may have calibrated; else those of the file."""
    if session.analysis is not None and session.analysis.survey is not None:
        return session.analysis.axes
    if session.dataset is not None:
        return session.dataset.axes
    if session.analysis is None:
        raise ValueError("A session without dataset and analysis has no axes.")
    return session.analysis.input.axes


def _dense(values: Any) -> np.ndarray:
    """(n, m) the columns of a feature matrix to look at; of a sparse one, the most variable, in their order."""
    if isinstance(values, np.ndarray):
        return values
    mean = np.asarray(values.mean(axis=0)).ravel()
    variance = np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2
    chosen = np.sort(np.argsort(variance)[::-1][:SHOWN_COLUMNS])
    return np.asarray(values.tocsc()[:, chosen].toarray())


def _metadata(session: Session, role: str) -> dict[str, Any]:
    return {SESSION_KEY: session, ROLE_KEY: role}


def _stack_limits(stack: np.ndarray) -> tuple[float, float]:
    sample = stack[:, :: max(1, stack.shape[1] // 64), :: max(1, stack.shape[2] // 64)]
    finite = sample[np.isfinite(sample)]
    return _limits(0.0, float(np.percentile(finite, 99.8)) if finite.size else 1.0)


def _limits(low: float, high: float) -> tuple[float, float]:
    """Contrast limits that napari accepts: finite and ascending."""
    low, high = float(np.nan_to_num(low)), float(np.nan_to_num(high))
    return (low, high) if high > low else (low, low + 1.0)


def _with_background(column: Any, count: int) -> Any:
    """A table's column with a neutral row 0 in front, of the same kind where one exists."""
    kind = column.dtype.kind
    fill: Any = {"i": -1 if column.name == "component" else 0, "u": 0, "b": False, "f": np.nan}.get(kind, "")
    return column.reindex(range(count + 1), fill_value=fill)
