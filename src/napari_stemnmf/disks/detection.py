"""Bragg disks of every pattern, in one pass over the scan.

A disk is where the pattern looks like the probe: a maximum of the correlation with the probe's zero-sum kernel that
stands out of the noise, which is measured on each pattern. What has to do with detector and probe alone is worked out
once (`functools.lru_cache`). Leans on the engine, and on `search` for the compiled work.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.central_disk import nearest_kept
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.disks.template import (
    FALLOFF_STEP,
    binned,
    faintest_of,
    falloff_of,
    mismatch_of,
    patches_of,
    spike_of,
)
from napari_stemnmf.errors import DataError
from napari_stemnmf.stage_settings import DiskSettings
from napari_stemnmf.streaming.engine import BlockResult, as_counts, run_pass
from napari_stemnmf.streaming.pools import Executor

if TYPE_CHECKING:
    from napari_stemnmf.disks.search import Filters, Search

COARSE_RADIUS = 2.4
"""A pattern is binned so far that the probe's radius stays above this, in bins."""
SPACING, CLOSEST, EDGE = 1.5, 1.0, 1.0
"""Defaults in radii of the probe: `DiskSettings.spacing`, of maxima and of overlapping disks; `DiskSettings.edge`."""
MOST_SAMPLES = 256
RING_APART = 1.3  # so many times less than the radius is the step between distances at which ridges are looked for


@dataclass(frozen=True, eq=False)
class Peaks:
    """Bragg disks by probe position: those of pattern i are the rows ``offsets[i]`` to ``offsets[i + 1]``.

    Within a pattern the highest comes first. Raw positions: neither descan nor ellipse is taken out.

    Attributes
    ----------
    offsets : ndarray of int64
        (n + 1,) with n probe positions, row-major over the scan.
    q_y, q_x : ndarray of float32
        (peaks,) position on the detector, px.
    height : ndarray of float32
        (peaks,) height of the disk above its surroundings, counts a pixel.
    snr : ndarray of float32
        (peaks,) height over its standard error.
    central : ndarray of float32
        (n, 2) centre of the central disk (q_y, q_x) of each pattern, px; NaN where none was found.
    scan_shape : tuple of int
        (scan_y, scan_x).
    detector_shape : tuple of int
        (q_y, q_x) pixels.
    saturated : int
        Patterns whose brightest pixels all have one value, so that their disks may be cut off.
    edge_y, edge_x : ndarray of float32 or None
        (peaks,) where the disk's edge says that it is, whatever fills it, px; NaN where something else is too near.
        None in files of earlier versions.
    """

    offsets: np.ndarray
    q_y: np.ndarray
    q_x: np.ndarray
    height: np.ndarray
    snr: np.ndarray
    central: np.ndarray
    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    saturated: int = 0
    edge_y: np.ndarray | None = field(default=None, metadata={"since": "0.5"})
    edge_x: np.ndarray | None = field(default=None, metadata={"since": "0.5"})

    def __post_init__(self) -> None:
        n = int(np.prod(self.scan_shape))
        if len(self.offsets) != n + 1 or self.central.shape != (n, 2) or self.offsets[-1] != len(self.q_y):
            raise DataError(f"A table of {len(self.q_y)} disks does not fit a scan of {self.scan_shape}.")

    def __len__(self) -> int:
        return len(self.q_y)

    @property
    def counts(self) -> np.ndarray:
        """(n,) number of disks in each pattern."""
        return np.diff(self.offsets)

    @property
    def pattern(self) -> np.ndarray:
        """(peaks,) flat probe position of each disk."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    def without(self, left_out: np.ndarray | None) -> Peaks:
        """The disks of all patterns but some, (scan_y, scan_x) True, which have none and no central disk."""
        if left_out is None:
            return self
        kept = ~left_out.ravel()[self.pattern]
        names = ("q_y", "q_x", "height", "snr", "edge_y", "edge_x")
        columns = {name: part[kept] for name in names if (part := getattr(self, name)) is not None}
        offsets = np.concatenate([[0], np.cumsum(np.where(left_out.ravel(), 0, self.counts))])
        central = np.where(left_out.reshape(-1, 1), np.float32(np.nan), self.central)
        return replace(self, offsets=offsets, central=central, **columns)

    def by_edges(self) -> Peaks:
        """The same with places that the disks' edges tell, where those are clear."""
        if self.edge_y is None or self.edge_x is None:
            return self
        clear = np.isfinite(self.edge_y) & np.isfinite(self.edge_x)
        y, x = np.where(clear, self.edge_y, self.q_y), np.where(clear, self.edge_x, self.q_x)
        return replace(self, q_y=y, q_x=x)

    def of(self, position: int) -> slice:
        """The rows of one probe position, given flat."""
        return slice(int(self.offsets[position]), int(self.offsets[position + 1]))


class DiskDetection:
    """The `Kernel` that finds disks, per pattern their ``central``.

    Ragged: ``q_y``, ``q_x``, ``height``, ``snr``, ``edge_y``, ``edge_x``.
    """

    def __init__(self, probe: Probe, settings: DiskSettings | None = None, gain: float = 0.0) -> None:
        self.probe = probe
        self.gain = gain
        self.settings = DiskSettings() if settings is None else settings

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """The disks of one block (p, q_y, q_x)."""
        from napari_stemnmf.disks.search import search

        if block.shape[1:] != self.probe.detector_shape:
            raise DataError(
                f"The probe is for {self.probe.detector_shape} pixels, the patterns have {block.shape[1:]}."
            )
        table, counts, central, saturated = search(
            as_counts(block),
            plan(self.probe, _edge(self.probe, self.settings), self.gain),
            filters(self.probe, self.settings),
        )
        names = ("q_y", "q_x", "height", "snr", "edge_y", "edge_x")
        return BlockResult(
            per_pattern={"central": central},
            total={"saturated": np.array(saturated)},
            ragged={name: np.ascontiguousarray(table[:, k]) for k, name in enumerate(names)},
            counts=counts,
        )


def find_disks(
    data: Dataset,
    probe: Probe,
    settings: DiskSettings | None = None,
    *,
    gain: float | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Peaks:
    """The disks of every pattern, in one read. Counts that are negative, NaN or infinite are taken as 0.

    Parameters
    ----------
    data : Dataset
        The scan.
    probe : Probe
        What a disk looks like, where the patterns' centre is, and the mask.
    settings : DiskSettings, optional
        Filters, and how positions are refined.
    gain : float, optional
        Variance of the counts over their mean, where it is known better than from each pattern by itself.
    workers, control, executor
        As for `run_pass`.

    Raises
    ------
    DataError
        If the probe is for another detector.
    Cancelled
        If the user asked to stop.
    """
    if data.detector_shape != probe.detector_shape:
        raise DataError(f"The probe is for {probe.detector_shape} pixels, the detector has {data.detector_shape}.")
    (result,) = run_pass(
        data, [DiskDetection(probe, settings, gain or 0.0)], workers=workers, control=control, executor=executor
    )
    return Peaks(
        result.offsets,
        **result.ragged,
        central=result.per_pattern["central"],
        scan_shape=data.scan_shape,
        detector_shape=data.detector_shape,
        saturated=int(result.total["saturated"]),
    )


def detect(
    pattern: np.ndarray, probe: Probe, settings: DiskSettings | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The disks of one pattern (q_y, q_x), as `find_disks` finds them: arrays q_y, q_x, height, snr.

    A DataError if the probe is for another detector.
    """
    found = DiskDetection(probe, settings)(np.asarray(pattern)[None], np.zeros(1, np.int64)).ragged
    return found["q_y"], found["q_x"], found["height"], found["snr"]


def filters(probe: Probe, settings: DiskSettings) -> Filters:
    """The settings in pixels of this detector."""
    from napari_stemnmf.disks.search import Filters

    return Filters(
        upsampling=settings.upsampling if settings.subpixel == "upsampled" else 1,
        min_snr=float(settings.min_snr),
        min_absolute=float(settings.min_absolute),
        min_relative=float(settings.min_relative),
        relative_to=int(settings.relative_to),
        spacing=float(SPACING * probe.radius if settings.spacing is None else settings.spacing),
        closest=float(CLOSEST * probe.radius if settings.spacing is None else settings.spacing),
        edge=_edge(probe, settings),
        max_peaks=int(settings.max_peaks),
    )


def _edge(probe: Probe, settings: DiskSettings) -> float:
    return float(EDGE * probe.radius if settings.edge is None else settings.edge)


@lru_cache(maxsize=8)
def plan(probe: Probe, edge: float, gain: float = 0.0) -> Search:
    """The tables of the search for one probe; disks stay `edge` px away from masked pixels."""
    from napari_stemnmf.disks.edges import edge_tables, room
    from napari_stemnmf.disks.measure import WINDOW
    from napari_stemnmf.disks.noise import SHIFTS, tiles_of
    from napari_stemnmf.disks.ridges import rings_of
    from napari_stemnmf.disks.search import Search

    size = max(1, int(probe.radius / COARSE_RADIUS))
    kernel = np.array(probe.kernel, np.float32)  # writable, so that all tables have one type
    coarse = binned(kernel, size)
    coarse_falloff = falloff_of(kernel, coarse, size)
    ring = np.maximum(-kernel, 0.0)
    apart = max(1, int(probe.radius / size / RING_APART))  # bins
    wander = max(float(probe.descan) - 2.0 * probe.radius, 0.0)  # of the direct beam, which is no ridge
    pad = max(kernel.shape[0] // 2 + WINDOW + 1, size * (coarse.shape[0] // 2 + 1))
    mask = np.ones(probe.detector_shape, bool) if probe.mask is None else np.asarray(probe.mask, bool)
    masked, source, distance = nearest_kept(mask)
    return Search(
        kernel=kernel,
        squares=kernel**2,
        coarse_kernel=coarse,
        coarse_squares=coarse**2 / np.float32(size * size),
        peak=float(kernel.max()),
        coarse_share=float((coarse**2).sum()) / size**2,
        falloff=falloff_of(kernel, kernel, 1),
        coarse_falloff=coarse_falloff,
        patches=patches_of(coarse_falloff, size, SHIFTS),
        radius=float(probe.radius),
        ring=-float(kernel.min()),
        ring_falloff=falloff_of(kernel, ring / ring.sum(), 1),
        spike=spike_of(kernel),
        mismatch=mismatch_of(probe.radius),
        faintest=faintest_of(probe.radius),
        bin=size,
        pad=-(-pad // size) * size,
        masked=masked,
        source=source,
        tiles=tiles_of(mask),
        samples=_samples(mask, size),
        rings=rings_of(mask, size, (probe.q_y, probe.q_x), wander + FALLOFF_STEP * len(coarse_falloff), apart),
        ring_step=float(apart * size),
        allowed=mask & (distance >= edge),
        edges=edge_tables(kernel, float(probe.radius)),
        clear=_inner(mask & (distance > room(probe.radius)), int(np.ceil(room(probe.radius)))),
        centre_y=float(probe.q_y),
        centre_x=float(probe.q_x),
        descan=-1.0 if probe.hidden else float(probe.descan),
        gain=float(gain),
        least=float(probe.gain),
    )


def _inner(mask: np.ndarray, width: int) -> np.ndarray:
    """The same without a frame of so many pixels."""
    inner = np.zeros_like(mask)
    inner[width : mask.shape[0] - width, width : mask.shape[1] - width] = True
    return mask & inner


def _samples(mask: np.ndarray, size: int) -> np.ndarray:
    """(s, 2) rows and columns of bins on kept pixels, spread evenly."""
    bins = np.argwhere(mask[size // 2 :: size, size // 2 :: size])
    return bins[np.unique(np.linspace(0, len(bins) - 1, MOST_SAMPLES).astype(int))] if len(bins) else bins
