"""Images of the scan under virtual detectors, and patterns of a region of the scan, in one pass each.

`virtual_images` sums under several detectors at once, `centres_of_mass` tells where the counts within a detector lie,
`region_patterns` gives mean and maximum over some probe positions. Only pixels of the detector, and blocks with
positions of the region, are read. Leans on the engine and `virtual_detectors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.streaming.engine import BlockResult, run_pass
from napari_stemnmf.streaming.virtual_detectors import Detector, runs

if TYPE_CHECKING:
    from napari_stemnmf.control import Control
    from napari_stemnmf.dataset import Dataset


class VirtualSums:
    """The `Kernel` behind `virtual_images`: per_pattern "sum" (p, d) float64 under d masks (q_y, q_x)."""

    def __init__(self, masks: Sequence[np.ndarray]) -> None:
        self._runs = [runs(mask) for mask in masks]

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """Sums of one block (p, q_y, q_x)."""
        from napari_stemnmf.streaming.summing import sum_integers, sum_reals

        flat = block.reshape(len(block), -1)
        look = sum_integers if _is_counted(block) else sum_reals
        return BlockResult(per_pattern={"sum": np.stack([look(flat, *spans) for spans in self._runs], axis=1)})


class VirtualMoments:
    """The `Kernel` behind `centres_of_mass`: per_pattern "moments" (p, 3) float64: sum, and sums times q_y and q_x."""

    def __init__(self, mask: np.ndarray) -> None:
        self._runs, self._columns = runs(mask), mask.shape[1]

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """Moments of one block (p, q_y, q_x)."""
        from napari_stemnmf.streaming.summing import moments_integers, moments_reals

        flat = block.reshape(len(block), -1)
        look = moments_integers if _is_counted(block) else moments_reals
        return BlockResult(per_pattern={"moments": look(flat, *self._runs, self._columns)})


class RegionPatterns:
    """The `Kernel` behind `region_patterns`: total "sum" and maximum "maximum" (q_y, q_x) over some positions."""

    def __init__(self, inside: np.ndarray) -> None:
        self._inside = inside

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """Sum and maximum over the positions of one block that are inside."""
        from napari_stemnmf.streaming.summing import look_at_integers, look_at_reals

        wanted = self._inside[positions]
        chosen = block if wanted.all() else block[wanted]
        look = look_at_integers if _is_counted(block) else look_at_reals
        total, maximum, _, _ = look(chosen.reshape(len(chosen), -1))
        shape = block.shape[1:]
        return BlockResult(total={"sum": total.reshape(shape)}, maximum={"maximum": maximum.reshape(shape)})


def virtual_images(
    dataset: Dataset, detectors: Sequence[Detector], *, workers: int | None = None, control: Control | None = None
) -> np.ndarray:
    """Counts under each detector, at each probe position.

    Parameters
    ----------
    dataset : Dataset
    detectors : sequence of Detector
        In pixels of the dataset's patterns.
    workers, control
        As for `run_pass`.

    Returns
    -------
    ndarray of float32
        (d, scan_y, scan_x) sums of counts.

    Raises
    ------
    DataError
        If a detector covers no pixel, or none is given.
    Cancelled
        If the user asked to stop.
    """
    if not detectors:
        raise DataError("There is no virtual detector to take an image under; add one.")
    masks = [covering(detector, dataset.detector_shape) for detector in detectors]
    (result,) = run_pass(dataset, [VirtualSums(masks)], workers=workers, control=control)
    return np.moveaxis(result.per_pattern["sum"], 1, 0).reshape(-1, *dataset.scan_shape).astype(np.float32)


@dataclass(frozen=True, eq=False)
class CentresOfMass:
    """Where the counts within a detector lie.

    Attributes
    ----------
    q_y, q_x : ndarray of float32
        (scan_y, scan_x) in px; NaN where there are no counts.
    """

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
        """How far they lie from an origin, along q_y and q_x.

        Parameters
        ----------
        origin : ndarray, optional
            (scan_y, scan_x, 2), or (2,), q_y and q_x in px: that of each pattern takes descan out. The mean over the
            scan if not given.
        scale : tuple of float
            Size of a pixel along q_y and q_x, for 1/nm.
        """
        if origin is None:
            known = np.isfinite(self.q_y)
            origin = np.array([c[known].mean(dtype=np.float64) if known.any() else 0.0 for c in (self.q_y, self.q_x)])
        y, x = (((c - origin[..., i]) * scale[i]).astype(np.float32) for i, c in enumerate((self.q_y, self.q_x)))
        return y, x


def centres_of_mass(
    dataset: Dataset, detector: Detector, *, workers: int | None = None, control: Control | None = None
) -> CentresOfMass:
    """Centre of mass of the counts within a detector, at each probe position.

    Raises
    ------
    DataError
        If the detector covers no pixel.
    Cancelled
        If the user asked to stop.
    """
    kernel = VirtualMoments(covering(detector, dataset.detector_shape))
    (result,) = run_pass(dataset, [kernel], workers=workers, control=control)
    return CentresOfMass.of(result.per_pattern["moments"], dataset.scan_shape)


def region_patterns(
    dataset: Dataset, region: np.ndarray, *, workers: int | None = None, control: Control | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and maximum pattern over a region of the scan.

    Parameters
    ----------
    dataset : Dataset
    region : ndarray of bool
        (scan_y, scan_x) positions that count; only what lies in their bounding box is read.

    Returns
    -------
    mean, maximum : ndarray of float32
        (q_y, q_x) in counts.

    Raises
    ------
    DataError
        If the region is empty or of another shape than the scan.
    Cancelled
        If the user asked to stop.
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
    """The detector's mask.

    Raises
    ------
    DataError
        If it covers no pixel.
    """
    mask = detector.mask(shape)
    if not mask.any():
        raise DataError(
            f"The {detector.words()} covers no pixel of the detector of {shape[0]} x {shape[1]} px; move or enlarge it."
        )
    return mask


def _is_counted(block: np.ndarray) -> bool:
    """Whether sums of these values are exact in whole numbers."""
    return block.dtype.kind in "iu" and block.dtype.itemsize <= 4
