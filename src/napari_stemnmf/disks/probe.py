"""The probe: the template of which every Bragg disk is a copy, and where disks are not looked for.

The template is the mean of the same disk of several patterns. Each pattern's disk is found by itself, so that a beam
that moves over the detector (descan) does not smear their mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.aligned import Aligned, align, among
from napari_stemnmf.disks.central_disk import SMALL, Center, Located, locate, off_detector, sharp_spots
from napari_stemnmf.disks.rim import STEP
from napari_stemnmf.disks.scale import Heights
from napari_stemnmf.disks.template import kernel_of, synthetic_kernel
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.stage_settings import CenterSettings, ProbeSettings
from napari_stemnmf.streaming.engine import load
from napari_stemnmf.units import pixel_ratio

SAMPLES = 5
"""Patterns along each axis of the scan that the probe is measured on."""
SEARCH = 3.0  # px around the mean disk, on top of its radius, in which each pattern's own is looked for
OUTLIER = 3.0  # times the median distance from the middle: on a plane the corners are at twice that distance
VACUUM_PATTERNS = 100  # at most so many of the vacuum region are read
MOST_RADIUS, LARGE_RADIUS = 0.25, 0.1  # of the detector's shorter side: no probe is larger; few are
NOT_ROUND = 1.25  # so many times longer than wide, the direct beam is not round


@dataclass(frozen=True, eq=False)
class Probe:
    """What disk detection needs to know of a scan.

    Attributes
    ----------
    kernel : ndarray of float32
        (2 h + 1, 2 h + 1) zero-sum template, scaled so that a disk of height 1 correlates to 1 with it.
    radius : float
        Radius of the disk, px.
    q_y, q_x : float
        Mean centre of the patterns, px; a first guess where the central disk is hidden.
    mask : ndarray of bool or None
        (q_y, q_x), True = keep; None keeps all.
    hidden : bool
        Whether the mask hides the central disk.
    source : str
        Where the template comes from: ``central``, ``vacuum`` or ``synthetic``.
    detector_shape : tuple of int
        (q_y, q_x) pixels.
    descan : float
        How far from the mean centre the central disk of a pattern is looked for, px.
    notes : str
        What is odd about the direct beam, in sentences, a line each.
    gain : float
        Variance of the counts over their mean, as neighbouring patterns tell it; 0 where they do not.
    """

    kernel: np.ndarray
    radius: float
    q_y: float
    q_x: float
    mask: np.ndarray | None
    hidden: bool
    source: str
    detector_shape: tuple[int, int]
    descan: float = field(default=10.0, metadata={"stored": "wander"})
    notes: str = field(default="", metadata={"since": "0.5"})
    gain: float = field(default=0.0, metadata={"since": "0.5"})


def find_probe(
    data: Dataset,
    survey: Survey,
    mask: np.ndarray | None = None,
    center: CenterSettings | None = None,
    settings: ProbeSettings | None = None,
    control: Control | None = None,
) -> Probe:
    """The probe of a scan: what a disk looks like, how large it is, and where the patterns' centre is.

    Some patterns from all over the scan are measured one by one, so that neither radius nor template are smeared by
    a beam that moves over the detector (descan).

    Parameters
    ----------
    data : Dataset
        The scan; a few patterns of it are read.
    survey : Survey
        Its mean pattern.
    mask : ndarray of bool, optional
        (q_y, q_x), True = keep.
    center : CenterSettings, optional
        What is set there is kept; the rest is measured.
    settings : ProbeSettings, optional
        Where the template comes from.
    control : Control, optional
        Checked for a cancel before each pattern is read.

    Raises
    ------
    DataError
        If there is nothing to measure: an empty mean pattern, a mask that does not fit, a vacuum region off the scan,
        a hidden central disk that is to be the probe; or if what was found is as large as no disk can be.
    """
    from napari_stemnmf.disks.noise import gain_between

    center = CenterSettings() if center is None else center
    settings = ProbeSettings() if settings is None else settings
    shape = data.detector_shape
    if mask is not None and np.shape(mask) != shape:
        raise DataError(f"The mask is of shape {np.shape(mask)}, but the detector has {shape[0]} x {shape[1]} pixels.")
    mask = None if mask is None or np.all(mask) else np.array(mask, bool)
    if mask is not None and not mask.any():
        raise DataError("The mask leaves out the whole detector; no disk can be looked for.")
    pairs = list(_read(data, survey.left_out, control))
    (start, hidden, outshone), sample = _direct_beam([pair[0] for pair in pairs], survey, center, mask)
    source = ("synthetic" if hidden else "central") if settings.source == "auto" else settings.source
    if source == "central" and hidden:
        raise DataError(
            "The mask hides the central disk, or it is off the detector, so it cannot serve as the probe; set "
            "probe.source to synthetic or vacuum."
        )
    q_y, q_x, descan = start.q_y, start.q_x, 0.0
    if not hidden and len(sample.centers):
        centers = _without_outliers(sample.centers)
        middle = centers.mean(axis=0)
        q_y = middle[0] if center.q_y is None else center.q_y
        q_x = middle[1] if center.q_x is None else center.q_x
        descan = float(np.hypot(*(centers - [q_y, q_x]).T).max())
    if source == "vacuum":
        sample = align(
            _vacuum_patterns(data, settings), mask, _near(start, hidden), _sharp(survey, mask), start.probe_radius
        )
    radius = float(center.probe_radius or (sample.radius if np.isfinite(sample.radius) else start.probe_radius))
    if center.probe_radius is None and radius > MOST_RADIUS * min(shape):
        raise DataError(
            f"The direct beam was measured as a disk of radius {radius:.3g} px, more than a quarter of the detector "
            f"({shape[0]} x {shape[1]} pixels): no Bragg disks can be told apart. If that is not so, set "
            "center.probe_radius."
        )
    if source == "synthetic" or sample.profile is None:
        kernel, source = synthetic_kernel(radius), "synthetic"
    else:
        kernel = kernel_of(sample.profile, STEP, radius)
    kernel.setflags(write=False)
    notes = "\n".join(_notes(center, sample, shape, pixel_ratio(survey.axes) if survey.axes else 1.0, outshone))
    reach = descan + 2.0 * radius
    return Probe(
        kernel, radius, float(q_y), float(q_x), mask, hidden, source, shape, reach, notes, gain_between(pairs, mask)
    )


def _direct_beam(
    patterns: list[np.ndarray], survey: Survey, center: CenterSettings, mask: np.ndarray | None
) -> tuple[Located, Aligned]:
    """The central disk of the mean pattern, and the disks of some patterns.

    They are measured on the brightest one, which is the central one where it is seen; where other radii look more like
    disks, on all that look like that.
    """
    start, hidden, _ = located = locate(survey.mean, center, mask)
    near = _near(start, hidden)
    heights = Heights(mask, None if hidden else (start.q_y, start.q_x, start.probe_radius), SEARCH)
    sample = align(heights.watched(patterns), mask, near, _sharp(survey, mask), start.probe_radius)
    if center.probe_radius is None and heights.doubt(
        sample.radius if np.isfinite(sample.radius) else start.probe_radius
    ):
        start, hidden, _ = located = locate(survey.mean, replace(center, probe_radius=heights.best()), mask)
        sample = among(patterns, mask, _near(start, hidden), heights.best())
    return located, sample


def _near(start: Center, hidden: bool) -> tuple[float, float, float] | None:
    """Where the central disk of a pattern is looked for: q_y, q_x, distance; None where it is hidden."""
    return None if hidden else (start.q_y, start.q_x, 2.0 * start.probe_radius + SEARCH)


def _sharp(survey: Survey, mask: np.ndarray | None) -> bool:
    return sharp_spots(np.where(True if mask is None else mask, np.nan_to_num(survey.mean, posinf=0.0), 0.0))


def _notes(
    center: CenterSettings, sample: Aligned, shape: tuple[int, int], pixel_ratio: float, outshone: bool
) -> Iterator[str]:
    """What is odd about the direct beam, a sentence each."""
    if off_detector(center, shape):
        yield (
            "The direct beam is set to be off the detector: the radius of the disks is that of the brightest one, and "
            "all patterns have the centre that is set."
        )
        return
    if outshone:
        yield (
            "A Bragg disk is brighter than the direct beam, which is taken to be the disk about which the mean pattern "
            "is symmetric; if that is another one, set center.q_y and center.q_x."
        )
    if sample.hollow:
        yield (
            f"The disks are rings, dark in the middle: the probe's radius, {sample.radius:.2f} px, is that of their "
            "outer edge."
        )
    if sample.moments is None or sample.radius < SMALL:
        return
    square = sample.moments * np.outer((1.0, pixel_ratio), (1.0, pixel_ratio))
    shorter, longer = 2.0 * np.sqrt(np.maximum(np.linalg.eigvalsh(square), 0.0))
    if longer > NOT_ROUND * shorter:
        yield (
            f"The direct beam is not round, but about {2 * shorter:.2g} x {2 * longer:.2g} px: each disk may stand "
            "twice, as when the beam jumps during an exposure, and what is measured is of both together."
        )


def doubtful(radius: float, shape: tuple[int, ...]) -> str:
    """What to add where nothing was found: the probe's radius, if that may be why; else nothing."""
    if radius <= LARGE_RADIUS * min(shape):
        return ""
    return (
        f" The probe's radius is {radius:.3g} px, which is much for {shape[0]} x {shape[1]} pixels: if the disks are "
        "smaller, set center.probe_radius."
    )


def _without_outliers(centers: np.ndarray) -> np.ndarray:
    """The centres (k, 2) but those far from the others, which are of another disk."""
    distance = np.hypot(*(centers - np.median(centers, axis=0)).T)
    return centers[distance <= OUTLIER * np.median(distance) + 1.0]


def _read(data: Dataset, left_out: np.ndarray | None, control: Control | None) -> Iterator[np.ndarray]:
    """Patterns from a grid over the whole scan, with the next ones, but for those that are left out: (1 or 2, ...)."""
    for at in product(
        *(np.unique(np.linspace(0, n - 1, SAMPLES).round().astype(int)).tolist() for n in data.scan_shape)
    ):
        if control is not None:
            control.check()
        y, x = at
        if left_out is not None and left_out[y, x]:
            continue
        beside = np.s_[y, x : x + 2] if data.scan_shape[1] > 1 else np.s_[y : y + 2, x]
        pair = load(data.data[beside])
        yield pair if left_out is None or not left_out[beside].any() else pair[:1]


def _vacuum_patterns(data: Dataset, settings: ProbeSettings) -> np.ndarray:
    """(k, q_y, q_x) patterns of the vacuum region."""
    if settings.vacuum is None:
        raise DataError("probe.source is vacuum, but probe.vacuum does not say which scan region that is.")
    y0, y1, x0, x1 = settings.vacuum
    rows, columns = data.scan_shape
    if y1 > rows or x1 > columns:
        raise DataError(f"probe.vacuum is {settings.vacuum}, but the scan has {rows} x {columns} positions.")
    step = int(np.ceil(np.sqrt((y1 - y0) * (x1 - x0) / VACUUM_PATTERNS)))
    patterns = data.data[y0:y1:step, x0:x1:step].compute(scheduler="synchronous")
    return np.asarray(patterns).reshape(-1, *data.detector_shape)
