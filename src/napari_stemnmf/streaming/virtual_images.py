"""Images of the scan under virtual detectors, and patterns of a region of the scan, in one pass each.

`virtual_images` sums under several detectors at once, `centres_of_mass` finds where the counts within a detector lie,
`region_patterns` gives mean and maximum over some probe positions: only pixels of the detector, and blocks with
positions of the region, are used. `quick_image` reads no more of a scan than it can in about half a second.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.streaming.engine import BlockResult, as_counts, load, run_pass
from napari_stemnmf.streaming.virtual_detectors import Detector, runs

if TYPE_CHECKING:
    from napari_stemnmf.control import Control
    from napari_stemnmf.dataset import Dataset


QUICK_SECONDS = 0.5
QUICK_PATTERNS = 64  # at most so many patterns of a chunk go into the quick image of a large scan
QUICK_WHOLE_BYTES = 32 * 2**20  # a scan up to this size is read whole


class VirtualSums:
    """The `Kernel` behind `virtual_images`: per_pattern "sum" (p, d) float64 under d masks (q_y, q_x)."""

    def __init__(self, masks: Sequence[np.ndarray]) -> None:
        self._runs = [runs(mask) for mask in masks]

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        from napari_stemnmf.streaming.summing import sum_stretches

        flat = block.reshape(len(block), -1)
        return BlockResult(per_pattern={"sum": np.stack([sum_stretches(flat, *spans) for spans in self._runs], axis=1)})


class VirtualMoments:
    """The `Kernel` behind `centres_of_mass`: per_pattern "moments" (p, 3) float64: sum, and sums times q_y and q_x."""

    def __init__(self, mask: np.ndarray) -> None:
        self._runs, self._columns = runs(mask), mask.shape[1]

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        from napari_stemnmf.streaming.summing import moments_of_stretches

        moments = moments_of_stretches(block.reshape(len(block), -1), *self._runs, self._columns)
        return BlockResult(per_pattern={"moments": moments})


class RegionPatterns:
    """The `Kernel` behind `region_patterns`: total "sum" and maximum "maximum" (q_y, q_x) over some positions."""

    def __init__(self, inside: np.ndarray) -> None:
        self._inside = inside

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        from napari_stemnmf.streaming.summing import statistics

        needed = self._inside[positions]
        chosen = block if needed.all() else block[needed]
        total, maximum, _, _ = statistics(chosen.reshape(len(chosen), -1))
        shape = block.shape[1:]
        return BlockResult(total={"sum": total.reshape(shape)}, maximum={"maximum": maximum.reshape(shape)})


def virtual_images(
    dataset: Dataset, detectors: Sequence[Detector], *, workers: int | None = None, control: Control | None = None
) -> np.ndarray:
    """Counts under each detector (in pixels of the patterns) at each probe position: (d, scan_y, scan_x) float32 sums.

    `workers` and `control` are those of `run_pass`. A DataError if a detector covers no pixel, or none is given.
    """
    if not detectors:
        raise DataError("There is no virtual detector to take an image under; add one.")
    masks = [covering(detector, dataset.detector_shape) for detector in detectors]
    (result,) = run_pass(dataset, [VirtualSums(masks)], workers=workers, control=control)
    return np.moveaxis(result.per_pattern["sum"], 1, 0).reshape(-1, *dataset.scan_shape).astype(np.float32)


@dataclass(frozen=True, eq=False)
class CentresOfMass:
    """Where the counts within a detector lie: (scan_y, scan_x) float32 each, in px; NaN where there are no counts."""

    q_y: np.ndarray
    q_x: np.ndarray

    @classmethod
    def of(cls, moments: np.ndarray, scan_shape: tuple[int, int]) -> CentresOfMass:
        """From (n, 3) sums, sums times q_y and sums times q_x."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = moments[:, 1:] / np.where(moments[:, :1] > 0, moments[:, :1], np.nan)
        q_y, q_x = np.moveaxis(found, 1, 0).reshape(2, *scan_shape).astype(np.float32)
        return cls(q_y, q_x)

    def shift(
        self, origin: np.ndarray | None = None, *, scale: tuple[float, float] = (1.0, 1.0)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Distance from an origin along q_y and q_x, (scan_y, scan_x) each.

        The origin is (scan_y, scan_x, 2) or (2,), in px (that of each pattern takes descan out), or the mean over the
        scan; `scale` is the size of a pixel along q_y and q_x, for 1/nm.
        """
        if origin is None:
            known = np.isfinite(self.q_y)
            origin = np.array([c[known].mean(dtype=np.float64) if known.any() else 0.0 for c in (self.q_y, self.q_x)])
        y, x = (((c - origin[..., i]) * scale[i]).astype(np.float32) for i, c in enumerate((self.q_y, self.q_x)))
        return y, x


def centres_of_mass(
    dataset: Dataset, detector: Detector, *, workers: int | None = None, control: Control | None = None
) -> CentresOfMass:
    """Centre of mass of the counts within a detector, at each probe position; a DataError if it covers no pixel."""
    kernel = VirtualMoments(covering(detector, dataset.detector_shape))
    (result,) = run_pass(dataset, [kernel], workers=workers, control=control)
    return CentresOfMass.of(result.per_pattern["moments"], dataset.scan_shape)


def region_patterns(
    dataset: Dataset, region: np.ndarray, *, workers: int | None = None, control: Control | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and maximum pattern, (q_y, q_x) float32 each in counts, over a region of the scan.

    The region is (scan_y, scan_x) bool; only what lies in its bounding box is read. A DataError if it is empty or of
    another shape than the scan.
    """
    if region.shape != dataset.scan_shape:
        raise DataError(f"The region of {dataset.name} is {region.shape}, but the scan {dataset.scan_shape}.")
    if not region.any():
        raise DataError(f"The region holds no probe position of {dataset.name}; draw it on the scan.")
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(region))
    inside = region[box]
    data = dataset.data[box]
    q_y, q_x = dataset.axes[2:]
    y, x = (replace(axis, size=n) for axis, n in zip(dataset.axes[:2], inside.shape, strict=True))
    part = replace(dataset, data=data, axes=(y, x, q_y, q_x))
    flat = inside.ravel()
    (result,) = run_pass(part, [RegionPatterns(flat)], workers=workers, control=control, only=flat)
    return (result.total["sum"] / flat.sum()).astype(np.float32), result.maximum["maximum"]


def covering(detector: Detector, shape: tuple[int, int]) -> np.ndarray:
    """The detector's mask; a DataError if it covers no pixel."""
    mask = detector.mask(shape)
    if not mask.any():
        size = f"{shape[0]} x {shape[1]} px"
        raise DataError(f"The {detector.describe()} covers no pixel of the detector of {size}; move or enlarge it.")
    return mask


def quick_image(dataset: Dataset, *, seconds: float = QUICK_SECONDS) -> np.ndarray:
    """As `quick_look`, the image alone."""
    return quick_look(dataset, seconds=seconds)[0]


def quick_look(dataset: Dataset, *, seconds: float = QUICK_SECONDS) -> tuple[np.ndarray, bool]:
    """A virtual image that costs about half a second at most, whatever the size of the scan.

    Reads chunk after chunk, coarse grid first, until `seconds` have passed (always at least one); of a large scan
    only some patterns of each. Probe positions that were not read show the nearest that was. So the image of a
    large scan depends on the speed of the machine: it is for the eye. It is (scan_y, scan_x) float32, mean counts per
    detector pixel; 0 where patterns are missing. The second value tells whether every pattern was read.
    """
    start, dataset = time.perf_counter(), dataset.without_gaps()
    row_cuts, column_cuts = (np.concatenate([[0], np.cumsum(c)]) for c in dataset.data.chunks[:2])
    whole = dataset.nbytes <= QUICK_WHOLE_BYTES
    image = np.full(dataset.scan_shape, np.nan, np.float32)
    for count, (i, j) in enumerate(coarse_to_fine(len(row_cuts) - 1, len(column_cuts) - 1), start=1):
        y = slice(int(row_cuts[i]), int(row_cuts[i + 1]))
        x = slice(int(column_cuts[j]), int(column_cuts[j + 1]))
        step = 1 if whole else _step(y.stop - y.start, x.stop - x.start)
        part = load(dataset.data[y.start : y.stop : step, x.start : x.stop : step])
        means = _mean_counts(as_counts(part))
        coarse = means.repeat(step, 0).repeat(step, 1)
        image[y, x] = coarse[: y.stop - y.start, : x.stop - x.start]
        spent = time.perf_counter() - start
        if spent + spent / count > seconds:  # the next would take too long
            break
    missing = np.isnan(image)
    if missing.any():
        from scipy.ndimage import distance_transform_edt

        nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
        image = image[tuple(nearest)]
    return image, whole and not missing.any()


def _step(rows: int, columns: int) -> int:
    """Least step along both axes that leaves at most `QUICK_PATTERNS` probe positions of a chunk."""
    step = 1
    while -(-rows // step) * -(-columns // step) > QUICK_PATTERNS:
        step += 1
    return step


def _mean_counts(patterns: np.ndarray) -> np.ndarray:
    """Mean of each pattern (rows, columns, q_y, q_x), invalid values taken as 0: (rows, columns) float32."""
    if patterns.dtype.kind != "u":
        patterns = np.maximum(np.nan_to_num(patterns, nan=0.0, posinf=0.0, neginf=0.0), 0)
    return patterns.mean(axis=(2, 3), dtype=np.float64).astype(np.float32)


def coarse_to_fine(rows: int, columns: int) -> list[tuple[int, int]]:
    """All cells of a grid, each coarser sub-grid before the finer ones."""
    level = 1 << max(rows, columns, 1).bit_length()
    seen: set[tuple[int, int]] = set()
    order: list[tuple[int, int]] = []
    while level >= 1:
        offset = level // 2 if level > 1 else 0
        for i in range(min(offset, rows // 2), rows, level):
            for j in range(min(offset, columns // 2), columns, level):
                if (i, j) not in seen:
                    seen.add((i, j))
                    order.append((i, j))
        level //= 2
    return order
