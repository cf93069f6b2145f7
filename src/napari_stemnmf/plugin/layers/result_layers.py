"""Scans and results as napari layer data: pure functions, no viewer, no Qt.

Data on the scan is (…, scan_y, scan_x) with the scan's step and unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.layers.grain_layers import MARKS, grain_layers
from napari_stemnmf.plugin.layers.places import LayerTuple, axes_of, on_detector, on_scan, placed
from napari_stemnmf.plugin.layers.sparse_planes import SparsePlanes
from napari_stemnmf.plugin.patterns.scan_patterns import limits, scaled
from napari_stemnmf.plugin.session import ROLE_KEY, Session
from napari_stemnmf.recipe import FEATURES

if TYPE_CHECKING:
    from napari_stemnmf.dataset import Dataset

DATASET_KEY = "stemnmf_dataset"
SHOWN_COLUMNS = 200
"""Columns of a sparse feature matrix that are shown, at most."""
PREVIEW = "preview"
"""What the virtual image is called while not every pattern has been read for it."""
SAMPLED_PATTERNS = 4
"""Patterns that the contrast of the 4-D layer is taken from."""


def scan_layers(session: Session, image: np.ndarray | None = None, *, apart: bool = False) -> list[LayerTuple]:
    """The virtual image and, hidden, the 4-D scan.

    The 4-D layer is hidden because its canvas is the detector, and that of all other layers is the scan. Hidden or not,
    it takes from them the units of the canvas and gives them its sliders; so it may be kept apart, until it is asked
    for.

    Parameters
    ----------
    session : Session
        With a dataset.
    image : (scan_y, scan_x) array, optional
        Virtual image; a quick one is computed if not given.
    apart : bool
        Leave the 4-D layer out.
    """
    dataset = session.dataset
    if dataset is None:
        raise ValueError("A session without a dataset has no scan to show.")
    whole = True
    if image is None:
        from napari_stemnmf.streaming.virtual_images import quick_look

        image, whole = quick_look(dataset)
    shown = [virtual_image(session, image, preview=not whole)]
    return shown if apart else [*shown, patterns(session)]


def patterns(session: Session) -> LayerTuple:
    """The lazy 4-D scan, hidden."""
    dataset = session.dataset
    if dataset is None:
        raise ValueError("A session without a dataset has no patterns to show.")
    meta = placed(session, "patterns", "patterns", dataset.axes)
    meta["metadata"] |= {DATASET_KEY: dataset, **dataset.metadata}
    style = {"contrast_limits": pattern_limits(dataset), "colormap": "inferno", "visible": False}
    return dataset.without_gaps().data, meta | style, "image"  # a viewer that shows zeros; notes tell what is missing


def virtual_image(session: Session, image: np.ndarray, *, preview: bool = False) -> LayerTuple:
    """Mean counts of each pattern, on the scan; a preview is called one."""
    meta = on_scan(session, PREVIEW if preview else "virtual image", "virtual_image")
    low, few, many, high = np.percentile(image, [0.1, 10, 90, 99.9])
    low, high = max(low, few - 3 * (many - few)), min(high, many + 3 * (many - few))  # whatever odd patterns hold
    return image, meta | {"contrast_limits": _limits(low, high), "colormap": "gray"}, "image"


def dark_field(session: Session, image: np.ndarray) -> LayerTuple:
    """Mean counts beside the direct beam, on the scan; what was not read yet is as dark as the darkest."""
    meta = on_scan(session, "dark field", "dark_field")
    seen = image[np.isfinite(image)]
    low, high = np.percentile(seen, [0.1, 99.9]) if seen.size else (0.0, 1.0)
    return np.nan_to_num(image, nan=low), meta | {"contrast_limits": _limits(low, high), "colormap": "gray"}, "image"


def odd_patterns(session: Session) -> list[LayerTuple]:
    """The patterns that were set aside as odd: a label for each reason, with its name; empty where there are none."""
    from napari_stemnmf.preprocessing.odd_patterns import REASONS

    survey = session.analysis.survey if session.analysis is not None else None
    if survey is None or not survey.odd.any():
        return []
    meta = on_scan(session, "odd patterns", "odd patterns")
    names = {"index": list(range(len(REASONS))), "reason": [reason or "not odd" for reason in REASONS]}
    return [(survey.odd, meta | {"opacity": 0.7, "features": names}, "labels")]


def result_layers(session: Session, step: str, feature: str) -> list[LayerTuple]:
    """The layers that show a step's result for a feature; empty if there is none."""
    if session.result(step, feature) is None:
        return []
    if step == "cluster":
        return [_component_maps(session, feature)]
    if step == "measure":
        return [*unexplained(session, feature), *grain_layers(session, feature)]
    return grain_layers(session, feature) if step == "refine" else []


def all_layers(session: Session) -> list[LayerTuple]:
    """Every layer of an analysis on the scan: virtual image below, grains on top.

    The grains of one representation are shown: those that are looked at, else the first.
    """
    analysis = session.analysis
    found: list[LayerTuple] = []
    if analysis is not None and analysis.survey is not None:
        found.append(virtual_image(session, analysis.survey.virtual_image))
        found += odd_patterns(session)
    elif session.dataset is not None:
        found += scan_layers(session)
    shown = shown_first(session)
    for step in ("cluster", "refine"):
        for feature in FEATURES:
            for data, meta, kind in result_layers(session, step, feature):
                show = meta["metadata"][ROLE_KEY] in (f"grains/{shown}", f"{MARKS}/{shown}")
                found.append((data, meta | {"visible": show}, kind))
    return found


def shown_first(session: Session) -> str:
    """The representation whose grains are shown: that which is looked at, else the first that has any."""
    there = [feature for feature in FEATURES if session.analysis is not None and feature in session.analysis.grains]
    return session.canvas.feature if session.canvas.feature in there or not there else there[0]


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
    name, role = f"{feature.upper()} grain patterns", f"grain patterns/{feature}"
    meta = placed(session, name, role, axes_of(session)[2:], "grain")
    contrast = _limits(0.0, float(np.nanpercentile(found.patterns, 99.5)))
    return [(found.patterns, meta | {"contrast_limits": contrast, "colormap": "inferno"}, "image")]


def mean_pattern(session: Session) -> list[LayerTuple]:
    """The mean pattern on the detector, to draw a mask on; empty before a survey."""
    survey = session.analysis.survey if session.analysis is not None else None
    if survey is None:
        return []
    meta = on_detector(session, "mean pattern", "mean pattern")
    image = scaled(survey.mean, "log")  # the eye sees weak disks beside the direct beam
    return [(image, meta | {"contrast_limits": limits(image), "colormap": "inferno"}, "image")]


def mask_shapes(session: Session) -> LayerTuple:
    """An empty Shapes layer on the detector."""
    meta = on_detector(session, "mask shapes", "mask shapes")
    return None, meta | {"ndim": 2, "face_color": "#ff3b3b60", "edge_color": "#ff3b3b", "edge_width": 0.5}, "shapes"


def position_cross(session: Session, position: tuple[int, int]) -> LayerTuple:
    """A cross on the scan at a probe position, large enough to be seen on a scan of any size."""
    meta = on_scan(session, "position", "position")
    size = max(1.5, 0.04 * max(axis.size for axis in axes_of(session)[:2]))
    style = {"symbol": "cross", "size": size, "face_color": "#00d5ff", "border_color": "black", "border_width": 0.1}
    return [position], meta | style, "points"


def pattern_limits(dataset: Dataset) -> tuple[float, float]:
    """Contrast limits for single patterns, from a few of them spread over the scan: that few chunks are read."""
    rows, columns = dataset.scan_shape
    flat = np.unique(np.linspace(0, rows * columns - 1, SAMPLED_PATTERNS).astype(int))
    highest, shown = [], dataset.without_gaps()
    for index in flat:
        pattern = shown.pattern(*divmod(int(index), columns))
        finite = pattern[np.isfinite(pattern)]
        highest.append(float(np.percentile(finite, 99.5)) if finite.size else 0.0)
    return _limits(0.0, max(highest))


def unexplained(session: Session, feature: str) -> list[LayerTuple]:
    """The share of the diffracted intensity that no grain explains, hidden, and below the grains, at first."""
    found = session.analysis.unexplained.get(feature) if session.analysis is not None else None
    if found is None:
        return []
    meta = on_scan(session, f"{feature.upper()} not explained", f"unexplained/{feature}")
    return [(found, meta | {"contrast_limits": (0.0, 1.0), "colormap": "magma", "visible": False}, "image")]


def _component_maps(session: Session, feature: str) -> LayerTuple:
    model = session.result("cluster", feature)
    of_nmf = hasattr(model, "seeds")
    maps = model.maps if of_nmf else SparsePlanes(model.amplitude, model.scan_shape)
    what = "component" if of_nmf else "group"
    meta = on_scan(session, f"{feature.upper()} {what} maps", f"maps/{feature}", what)
    return maps, meta | {"contrast_limits": _stack_limits(maps), "colormap": "viridis"}, "image"


def _dense(values: Any) -> np.ndarray:
    """(n, m) the columns of a feature matrix that are shown; of a sparse one, the most variable, in their order."""
    if isinstance(values, np.ndarray):
        return values
    mean = np.asarray(values.mean(axis=0)).ravel()
    variance = np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2
    chosen = np.sort(np.argsort(variance)[::-1][:SHOWN_COLUMNS])
    return np.asarray(values.tocsc()[:, chosen].toarray())


def _stack_limits(stack: np.ndarray | SparsePlanes) -> tuple[float, float]:
    sample = stack[:, :: max(1, stack.shape[1] // 64), :: max(1, stack.shape[2] // 64)]
    finite = sample[np.isfinite(sample)]
    return _limits(0.0, float(np.percentile(finite, 99.8)) if finite.size else 1.0)


def _limits(low: float, high: float) -> tuple[float, float]:
    """Contrast limits that napari accepts: finite and ascending."""
    low, high = float(np.nan_to_num(low)), float(np.nan_to_num(high))
    return (low, high) if high > low else (low, low + 1.0)
