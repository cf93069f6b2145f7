"""The probe: the template of which every Bragg disk is a copy, and where it is not to be looked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.aligned import STEP, align
from napari_stemnmf.disks.central_disk import Center, find_center
from napari_stemnmf.disks.inversion import inversion_center
from napari_stemnmf.disks.template import kernel_of, synthetic_kernel
from napari_stemnmf.errors import DataError
from napari_stemnmf.stage_settings import CenterSettings, ProbeSettings
from napari_stemnmf.streaming.survey import Survey

SAMPLES = 5
"""Patterns along each axis of the scan that the probe is measured on."""
SEARCH = 3.0  # px around the mean disk, on top of its radius, in which each pattern's own is looked for
STRAY = 3.0  # times the median distance from the middle: on a plane the corners are at twice that distance
VACUUM_PATTERNS = 100  # at most so many of the vacuum region are read


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


def find_probe(
    data: Dataset,
    survey: Survey,
    mask: np.ndarray | None = None,
    center: CenterSettings | None = None,
    settings: ProbeSettings | None = None,
    control: Control | None = None,
) -> Probe:
    """The probe of a scan: what a disk looks like, how large it is, and where the patterns' centre lies.

    Some patterns from all over the scan are looked at one by one, so that neither radius nor template are smeared by
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
        a hidden central disk that was asked for.
    """
    center = CenterSettings() if center is None else center
    settings = ProbeSettings() if settings is None else settings
    shape = data.detector_shape
    if mask is not None and np.shape(mask) != shape:
        raise DataError(f"The mask is of shape {np.shape(mask)}, but the detector has {shape[0]} x {shape[1]} pixels.")
    mask = None if mask is None or np.all(mask) else np.array(mask, bool)
    if mask is not None and not mask.any():
        raise DataError("The mask leaves out the whole detector; no disk can be looked for.")
    start, hidden = locate(survey.mean, center, mask)
    source = ("synthetic" if hidden else "central") if settings.source == "auto" else settings.source
    if source == "central" and hidden:
        raise DataError(
            "The mask hides the central disk, so it cannot serve as the probe; set probe.source to synthetic or vacuum."
        )
    near = None if hidden else (start.q_y, start.q_x, 2.0 * start.probe_radius + SEARCH)
    sample = align(_read(data, control), mask, near)
    q_y, q_x, descan = start.q_y, start.q_x, 0.0
    if not hidden and len(sample.centers):
        centers = _without_outliers(sample.centers)
        middle = centers.mean(axis=0)
        q_y = middle[0] if center.q_y is None else center.q_y
        q_x = middle[1] if center.q_x is None else center.q_x
        descan = float(np.hypot(*(centers - [q_y, q_x]).T).max())
    if source == "vacuum":
        sample = align(_vacuum_patterns(data, settings), mask, near)
    radius = center.probe_radius or sample.radius or start.probe_radius
    if source == "synthetic" or sample.profile is None:
        kernel, source = synthetic_kernel(radius), "synthetic"
    else:
        kernel = kernel_of(sample.profile, STEP, radius)
    kernel.setflags(write=False)
    return Probe(kernel, float(radius), float(q_y), float(q_x), mask, hidden, source, shape, descan + 2.0 * radius)


def locate(mean: np.ndarray, center: CenterSettings, mask: np.ndarray | None = None) -> tuple[Center, bool]:
    """The central disk of the mean pattern, and whether the mask hides it.

    Where it does, the centre is that of the mean pattern's symmetry under inversion, and the radius that of the
    brightest disk to be seen.

    Raises
    ------
    DataError
        If the pattern is empty.
    """
    start = find_center(mean, center, mask=mask)
    if mask is None:
        return start, False
    q_y, q_x = inversion_center(mean, mask) or (start.q_y, start.q_x)
    q_y = q_y if center.q_y is None else center.q_y
    q_x = q_x if center.q_x is None else center.q_x
    radius = start.probe_radius
    seen = _kept_share(mask, start.q_y, start.q_x, radius) > 0.7
    apart = np.hypot(start.q_y - q_y, start.q_x - q_x)
    there = _kept_share(mask, q_y, q_x, radius)  # of a disk about the centre of inversion
    if seen and (apart <= radius or (apart <= 2.0 * radius + 2.0 and there > 0.1) or there > 0.5):
        return start, False
    return Center(float(q_y), float(q_x), radius), True


def _without_outliers(centers: np.ndarray) -> np.ndarray:
    """The centres (k, 2) but those far from the others, which are of another disk."""
    distance = np.hypot(*(centers - np.median(centers, axis=0)).T)
    return centers[distance <= STRAY * np.median(distance) + 1.0]


def _kept_share(mask: np.ndarray, q_y: float, q_x: float, radius: float) -> float:
    """Share of the pixels of a disk that the mask keeps."""
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    disk = np.hypot(y - q_y, x - q_x) <= max(radius, 1.0)
    return float(mask[disk].mean()) if disk.any() else 0.0


def _spread(scan_shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Probe positions on a grid over the whole scan."""
    rows, columns = (np.unique(np.linspace(0, n - 1, SAMPLES).round().astype(int)) for n in scan_shape)
    return [(int(row), int(column)) for row in rows for column in columns]


def _read(data: Dataset, control: Control | None) -> Iterator[np.ndarray]:
    """Patterns from all over the scan, one after the other."""
    for at in _spread(data.scan_shape):
        if control is not None:
            control.check()
        yield data.pattern(*at)


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
