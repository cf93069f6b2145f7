"""What an analysis from a file must hold before anything computes with it: a table of rules, one for each result.

Numbers of a file steer compiled code, which looks at nothing: where the disks of a pattern begin, which column a value
is of, which grain came from which component. They are checked here once, when an analysis is loaded; each rule says in
one sentence what does not fit. Types are right by then (`storage.read`), and sparse arrays fit their shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.clustering.ensemble import Ensemble
from napari_stemnmf.clustering.grouping import EXPLAINED, Groups
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.errors import DataError
from napari_stemnmf.features import expected
from napari_stemnmf.features.features import Features
from napari_stemnmf.grains.patterns import GrainPatterns
from napari_stemnmf.grains.refinement import Grains
from napari_stemnmf.grains.review import Review
from napari_stemnmf.preprocessing.odd_patterns import REASONS
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.recipe import FEATURES

MOST_SIDE = 2**24
"""Positions or pixels along an axis, at most."""
FAR = 2.0
"""Detectors: a disk or a centre lies no farther from the detector than so many of its sides."""
OF_TABLE = ("grain_id", "area_px")
"""Columns that every table has."""


def check(analysis: Any) -> None:
    """A DataError for an analysis of which one result does not fit itself, or the others."""
    for problem in problems(analysis):
        raise DataError(problem)


def problems(analysis: Any) -> Iterator[str]:
    """What does not fit in an analysis, a sentence's end each."""
    yield from _of_input(analysis.input)
    detector = tuple(analysis.input.shape[2:])
    if analysis.mask is not None and (analysis.mask.dtype != bool or analysis.mask.shape != detector):
        yield f"its mask is of shape {analysis.mask.shape}, the detector of {detector}"
    results = [(name, getattr(analysis, name)) for name in ("survey", "probe", "peaks", "calibration")]
    for name in ("features", "models", "grains", "patterns", "reviews"):
        results += [(f"{name}/{feature}", value) for feature, value in _of_features(name, getattr(analysis, name))]
    for name, value in results:
        for kind, rule in RULES.items():
            if isinstance(value, kind):
                yield from (f"{name}: {problem}" for problem in rule(value))
    for name in ("unexplained", "tables", "failed"):
        unknown = set(getattr(analysis, name)) - set(FEATURES)
        yield from (f"{name}: there is no representation {each!r:.20}" for each in unknown)
    position = analysis.view.get("position", (0, 0))
    if np.shape(position) != (2,) or any(
        not 0 <= at < n for at, n in zip(position, analysis.input.shape, strict=False)
    ):
        yield f"what was last shown is at position {position}"
    yield from _together(analysis, detector)


def _of_features(name: str, results: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    unknown = set(results) - set(FEATURES)
    if unknown:
        raise DataError(f"{name}: there is no representation {sorted(unknown)[0]!r:.20}")
    return results.items()


def _of_input(record: Any) -> Iterator[str]:
    if not _is_shape(record.shape, 4):
        yield f"the shape of its scan is {record.shape}"
    elif len(record.axes) != 4 or tuple(axis.size for axis in record.axes) != tuple(record.shape):
        yield "the axes of its scan do not fit the scan's shape"
    try:
        np.dtype(record.dtype)
    except (TypeError, ValueError):
        yield "the type of its scan's numbers is not known"
    yield from _of_axes(record.axes)


def _of_axes(axes: Iterable[Any]) -> Iterator[str]:
    for axis in axes:
        if not (np.isfinite([axis.scale, axis.offset]).all() and axis.scale != 0.0 and 0 < axis.size <= MOST_SIDE):
            yield f"the axis {axis.name} has the scale {axis.scale:g} and {axis.size} positions"


def _of_survey(survey: Survey) -> Iterator[str]:
    scan, pattern = survey.pattern_sum.shape, survey.mean.shape
    if len(scan) != 2 or len(pattern) != 2 or survey.maximum.shape != pattern or 0 in (*scan, *pattern):
        yield "its images do not fit each other"
    if survey.axes and tuple(axis.size for axis in survey.axes) != (*scan, *pattern):
        yield "its axes do not fit its images"
    yield from _of_axes(survey.axes)
    odd = survey.odd
    if odd.dtype != np.uint8 or (odd.size and (odd.shape != scan or int(odd.max()) >= len(REASONS))):
        yield "its odd patterns do not fit the scan"
    hot = survey.hot_pixels
    if hot.ndim != 2 or hot.shape[1] != 2 or hot.dtype.kind != "i":
        yield "its hot pixels are no rows and columns"
    if survey.keep is not None and (survey.keep.dtype != bool or survey.keep.ndim != 2):
        yield "the pixels that it keeps are no mask"


def _of_probe(probe: Probe) -> Iterator[str]:
    kernel = probe.kernel
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not kernel.shape[0] % 2:
        yield f"its template is of shape {kernel.shape}"
    elif not np.isfinite(kernel).all() or not (kernel > 0).any():
        yield "its template holds no disk"
    yield from _of_detector(probe.detector_shape, probe.mask)
    if _is_shape(probe.detector_shape, 2):
        yield from _near(probe.q_y, probe.q_x, probe.detector_shape, "its centre")
        if not 0.0 < probe.radius <= max(probe.detector_shape):
            yield f"its radius is {probe.radius:g} px"
        if kernel.ndim == 2 and max(kernel.shape) > 4 * max(probe.detector_shape) + 64:
            yield f"its template of {kernel.shape[0]} px is larger than the detector"
    if not (np.isfinite([probe.descan, probe.gain]).all() and min(probe.descan, probe.gain) >= 0.0):
        yield f"its descan is {probe.descan:g} px, its gain {probe.gain:g}"


def _of_peaks(peaks: Peaks) -> Iterator[str]:
    if not (_is_shape(peaks.scan_shape, 2) and _is_shape(peaks.detector_shape, 2)):
        yield f"it is of a scan of {peaks.scan_shape} and a detector of {peaks.detector_shape}"
        return
    offsets, count = peaks.offsets, len(peaks.q_y)
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) != int(np.prod(peaks.scan_shape)) + 1:
        yield "its rows do not fit the scan"
    elif offsets[0] != 0 or offsets[-1] != count or (offsets[1:] < offsets[:-1]).any():
        yield "its rows lead out of the table of disks"
    columns = [peaks.q_y, peaks.q_x, peaks.height, peaks.snr, peaks.edge_y, peaks.edge_x]
    if any(each is not None and (each.shape != (count,) or each.dtype.kind != "f") for each in columns):
        yield "its columns are of different lengths"
    else:
        yield from _near(peaks.q_y, peaks.q_x, peaks.detector_shape, "a disk")
    if peaks.central.shape != (int(np.prod(peaks.scan_shape)), 2) or peaks.central.dtype.kind != "f":
        yield "its central disks do not fit the scan"
    if peaks.saturated < 0:
        yield f"{peaks.saturated} of its patterns are saturated"


def _of_calibration(calibration: Calibration) -> Iterator[str]:
    geometry, origin = calibration.geometry, calibration.origin
    yield from _of_detector(geometry.detector_shape, geometry.mask)
    if origin.ndim != 3 or origin.shape[2] != 2 or not origin.size or calibration.measured.shape != origin.shape:
        yield f"its centres are of shape {origin.shape}"
    elif not np.isfinite(origin).all():
        yield "a centre is no number"
    else:
        yield from _near(origin[..., 0], origin[..., 1], geometry.detector_shape, "a centre")
    yield from _near(geometry.q_y, geometry.q_x, geometry.detector_shape, "the direct beam")
    if not (1.0 <= geometry.ellipse_ratio < 100.0 and np.isfinite(geometry.ellipse_angle)):
        yield f"its ellipse is {geometry.ellipse_ratio:g} at {geometry.ellipse_angle:g} degrees"
    if not 0.0 < geometry.probe_radius <= max(geometry.detector_shape):
        yield f"its probe's radius is {geometry.probe_radius:g} px"
    sizes = [calibration.pixel_size, calibration.pixel_ratio]
    if not (np.isfinite(sizes).all() and min(sizes) > 0.0):
        yield f"its pixel size is {calibration.pixel_size:g}"


def _of_rows(features: Features) -> Iterator[str]:
    if not _is_shape(features.scan_shape, 2):
        yield f"it is of a scan of {features.scan_shape}"
        return
    values, n = features.values, int(np.prod(features.scan_shape))
    if values.ndim != 2 or values.shape[0] != n or values.dtype.kind != "f":
        yield f"its values of shape {values.shape} do not fit a scan of {features.scan_shape}"
        return
    yield from expected.problems(features)


def _of_ensemble(model: Ensemble) -> Iterator[str]:
    if not _is_shape(model.scan_shape, 2):
        yield f"it is of a scan of {model.scan_shape}"
        return
    n, k = int(np.prod(model.scan_shape)), model.H.shape[0] if model.H.ndim == 2 else -1
    if model.H.ndim != 2 or model.W.shape != (n, k):
        yield f"its weights {model.W.shape} and components {model.H.shape} do not fit a scan of {model.scan_shape}"
    if model.kept.ndim != 1 or model.kept.dtype != bool or int(model.kept.sum()) != model.H.shape[-1]:
        yield "its columns do not fit its components"
    if model.scree.variance.ndim != 1:
        yield "its scree is no curve"
    for record in model.seeds:
        if record.status == "done" and (record.H.ndim != 2 or record.H.shape[1] != model.H.shape[-1]):
            yield f"seed {record.seed} has components of shape {record.H.shape}"
    for name, boxes, count in (("windows", model.windows, None), ("boxes", model.boxes, k)):
        fits = boxes.ndim == 2 and boxes.shape[1] == 4 and boxes.dtype.kind in "iu"
        if not fits or (len(model.windows) and count is not None and len(boxes) != count):
            yield f"its {name} do not fit"
        elif len(boxes) and not _inside(boxes, model.scan_shape):
            yield f"its {name} lead out of the scan"


def _of_groups(groups: Groups) -> Iterator[str]:
    if not _is_shape(groups.scan_shape, 2):
        yield f"it is of a scan of {groups.scan_shape}"
        return
    tracks, k = groups.group.shape, groups.amplitude.shape[0]
    if not isinstance(groups.amplitude, csr_array) or groups.amplitude.shape[1] != int(np.prod(groups.scan_shape)):
        yield "its maps do not fit the scan"
    if any(each.shape != tracks for each in (groups.fate, groups.peak, groups.snr, groups.double)) or len(tracks) != 1:
        yield "its lists of tracks are of different lengths"
    elif {groups.group.dtype.kind, groups.fate.dtype.kind} - {"i"}:
        yield "its groups are no whole numbers"
    elif len(groups.group) and not (groups.group.min() >= -1 and groups.group.max() < k):
        yield f"a track is in group {int(groups.group.max())} of {k}"
    elif len(groups.fate) and not (groups.fate.min() >= 0 and groups.fate.max() <= EXPLAINED):
        yield "what became of a track is not known"


def _of_grains(grains: Grains) -> Iterator[str]:
    if len(grains.reasons) != len(grains):
        yield f"it has {len(grains)} grains and {len(grains.reasons)} reasons"
    if len(grains) and int(grains.component.min()) < -1:
        yield f"a grain is of component {int(grains.component.min())}"
    if grains.thresholds.ndim != 1:
        yield "its thresholds are no list"
    if not np.isfinite(grains.inside.data).all():
        yield "a weight is no number"


def _of_patterns(patterns: GrainPatterns) -> Iterator[str]:
    count = len(patterns)
    if patterns.patterns.ndim != 3 or patterns.single.shape != patterns.patterns.shape:
        yield f"its patterns are of shape {patterns.patterns.shape}"
    for each in (patterns.dissimilarity, patterns.digests):
        if each.ndim != 1 or len(each) not in (0, count):
            yield f"there are {len(each)} numbers of {count} patterns"


def _of_review(review: Review) -> Iterator[str]:
    yield from _of_grains(review.base)
    for edit in (*review.edits, *review.undone):
        if len(edit.points) and float(np.abs(edit.points).max()) > MOST_SIDE:
            yield "an edit lies far from the scan"
            return
    _ = review.grains  # an edit that cannot be replayed raises a DataError of its own


RULES: dict[type, Callable[[Any], Iterator[str]]] = {
    Survey: _of_survey,
    Probe: _of_probe,
    Peaks: _of_peaks,
    Calibration: _of_calibration,
    Features: _of_rows,
    Ensemble: _of_ensemble,
    Groups: _of_groups,
    Grains: _of_grains,
    GrainPatterns: _of_patterns,
    Review: _of_review,
}
"""By class of a result, what is asked of it alone. Values go with the class, wherever in the analysis it stands."""


def _together(analysis: Any, detector: tuple[int, ...]) -> Iterator[str]:
    """What does not fit between results that go together: those of one crop, as their keys tell."""
    survey, probe, peaks = analysis.survey, analysis.probe, analysis.peaks
    if survey is not None:
        if survey.keep is not None and survey.keep.shape != detector:
            yield f"survey: the pixels that it keeps are {survey.keep.shape}, the detector is {detector}"
        hot = survey.hot_pixels
        if len(hot) and ((hot < 0).any() or (hot >= np.array(detector)).any()):
            yield "survey: a hot pixel lies outside the detector"
    scan = None if survey is None else survey.pattern_sum.shape
    pattern = None if survey is None else survey.mean.shape
    shapes: list[tuple[str, Any, Any]] = [("probe", probe and probe.detector_shape, pattern)]
    shapes += [("peaks", peaks and peaks.scan_shape, scan), ("peaks", peaks and peaks.detector_shape, pattern)]
    calibration = analysis.calibration
    if calibration is not None:
        shapes += [("calibration", calibration.origin.shape[:2], scan)]
        shapes += [("calibration", calibration.geometry.detector_shape, pattern)]
    for name in ("features", "models"):
        shapes += [(f"{name}/{f}", each.scan_shape, scan) for f, each in getattr(analysis, name).items()]
    for feature, grains in analysis.grains.items():
        shapes.append((f"grains/{feature}", grains.scan_shape, scan))
        model = analysis.models.get(feature)
        beyond = model is not None and len(grains) and int(grains.component.max()) >= model.k
        if beyond and analysis.is_current(f"grains/{feature}"):
            yield f"grains/{feature}: a grain is of component {int(grains.component.max())} of {model.k}"
    for path, has, wants in shapes:
        if has is not None and wants is not None and tuple(has) != tuple(wants) and analysis.is_current(path):
            yield f"{path} is of {tuple(has)} positions or pixels, the survey of {tuple(wants)}"
    for feature, table in analysis.tables.items():
        lacking = [name for name in OF_TABLE if name not in table]
        if lacking:
            yield f"tables/{feature} lacks the column {lacking[0]}"
        elif table["grain_id"].dtype.kind not in "iu" or table["grain_id"].duplicated().any():
            yield f"tables/{feature} does not number its grains"
        elif analysis.is_current(f"tables/{feature}") and set(table["grain_id"]) != set(_ids(analysis, feature)):
            yield f"tables/{feature} is of other grains than there are"
    alone = [f for f, model in analysis.models.items() if isinstance(model, Groups) and f not in analysis.features]
    yield from (f"models/{feature} is there without its features" for feature in alone)
    for feature, share in analysis.unexplained.items():
        if share.ndim != 2:
            yield f"unexplained/{feature} is no map of the scan"


def _ids(analysis: Any, feature: str) -> list[int]:
    return analysis.grains[feature].ids.tolist() if feature in analysis.grains else []


def _is_shape(shape: Any, length: int) -> bool:
    return len(shape) == length and all(0 < int(n) <= MOST_SIDE for n in shape)


def _of_detector(shape: Any, mask: np.ndarray | None) -> Iterator[str]:
    if not _is_shape(shape, 2):
        yield f"its detector has the shape {tuple(shape)}"
    elif mask is not None and (mask.dtype != bool or mask.shape != tuple(shape)):
        yield f"its mask is of shape {mask.shape}, its detector of {tuple(shape)}"


def _near(q_y: Any, q_x: Any, shape: tuple[int, int], what: str) -> Iterator[str]:
    for values, side in ((np.asarray(q_y), shape[0]), (np.asarray(q_x), shape[1])):
        if values.size and not (float(values.min()) >= -FAR * side and float(values.max()) <= (1 + FAR) * side):
            yield f"{what} lies far from the detector"
            return


def _inside(boxes: np.ndarray, shape: tuple[int, int]) -> bool:
    """Whether boxes (b, 4), first and one after the last row and column, lie in an array."""
    first, last = boxes[:, ::2], boxes[:, 1::2]
    return bool((first >= 0).all() and (first <= last).all() and (last <= np.array(shape)).all())
