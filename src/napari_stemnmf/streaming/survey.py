"""What the first look at a scan gives: mean and maximum pattern, and the virtual image.

`survey` reads every pattern once; `quick_image` reads no more than it can in about a second. Leans on the engine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Axis, Dataset
from napari_stemnmf.streaming.engine import BlockResult, Executor, as_counts, load, run_pass

QUICK_SECONDS = 0.5
QUICK_PATTERNS = 64  # at most so many patterns of a chunk go into the quick image of a large scan
QUICK_WHOLE_BYTES = 32 * 2**20  # a scan up to this size is read whole


@dataclass(frozen=True, eq=False)
class Survey:
    """What the first pass over a scan found.

    Attributes
    ----------
    mean, maximum : ndarray of float32
        (q_y, q_x) mean and maximum over all patterns, in counts.
    pattern_sum : ndarray of float64
        (scan_y, scan_x) sum of each pattern, in counts.
    not_finite : int
        Values that were NaN or infinite; they are taken as 0 here and in all features.
    negative : int
        Values below zero; taken as 0 as well.
    axes : tuple of Axis
        Of the patterns that were looked at.
    hot_pixels : ndarray of int32
        (h, 2) rows and columns, in the file's detector pixels, of the pixels that were repaired.
    """

    mean: np.ndarray
    maximum: np.ndarray
    pattern_sum: np.ndarray
    not_finite: int = 0
    negative: int = 0
    axes: tuple[Axis, ...] = ()
    hot_pixels: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int32))

    @property
    def virtual_image(self) -> np.ndarray:
        """(scan_y, scan_x) float32 mean counts per detector pixel."""
        return (self.pattern_sum / self.mean.size).astype(np.float32)


class SurveyKernel:
    """The `Kernel` behind `survey`."""

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """Sums and maxima of one block (p, q_y, q_x)."""
        from napari_stemnmf.streaming.summing import look_at_integers, look_at_reals

        shape = block.shape[1:]
        flat = block.reshape(len(block), -1)
        integer = block.dtype.kind in "iu" and block.dtype.itemsize <= 4
        total, maximum, sums, odd = (look_at_integers if integer else look_at_reals)(flat)
        return BlockResult(
            per_pattern={"sum": sums},
            total={"sum": total.reshape(shape), "odd": odd},
            maximum={"maximum": maximum.reshape(shape)},
        )


def survey(
    dataset: Dataset, *, workers: int | None = None, control: Control | None = None, executor: Executor | None = None
) -> Survey:
    """Mean and maximum pattern and the sum of each pattern, in one pass.

    Raises
    ------
    Cancelled
        If the user asked to stop.
    ReadError
        If a part of the scan cannot be read.
    """
    (result,) = run_pass(dataset, [SurveyKernel()], workers=workers, control=control, executor=executor)
    not_finite, negative = result.total["odd"]
    return Survey(
        mean=(result.total["sum"] / dataset.n_patterns).astype(np.float32),
        maximum=result.maximum["maximum"],
        pattern_sum=result.per_pattern["sum"].reshape(dataset.scan_shape),
        not_finite=int(not_finite),
        negative=int(negative),
        axes=dataset.axes,
    )


def quick_image(dataset: Dataset, *, seconds: float = QUICK_SECONDS) -> np.ndarray:
    """A virtual image that costs about half a second at most, whatever the size of the scan.

    Reads chunk after chunk, coarse grid first, until `seconds` have passed (always at least one); of a large scan
    only some patterns of each. Probe positions that were not read show the nearest that was. So the image of a
    large scan depends on the speed of the machine: it is for the eye.

    Returns
    -------
    ndarray of float32
        (scan_y, scan_x) mean counts per detector pixel.
    """
    start = time.perf_counter()
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
    return image


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
