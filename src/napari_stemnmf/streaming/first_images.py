"""The first images of a scan: sum, dark field and maximum pattern, in one read that goes from coarse to fine.

For the eye, while nothing else is asked for: one thread, numpy alone (nothing is compiled first), in small portions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.streaming.engine import as_counts, load
from napari_stemnmf.streaming.virtual_images import coarse_to_fine

if TYPE_CHECKING:
    from napari_stemnmf.dataset import Dataset

PORTION_BYTES = 4 * 2**20
"""How much is summed at once."""
EVERY_SECONDS = 0.5
"""How often what there is is handed on."""


@dataclass(frozen=True, eq=False)
class FirstImages:
    """What is known of a scan so far.

    Attributes
    ----------
    total : (scan_y, scan_x) float32
        Mean counts of each pattern; where it was not read yet, those of the quick image.
    dark : (scan_y, scan_x) float32 or None
        Mean counts beside the direct beam; NaN where it was not read yet, None where the beam was not found.
    maximum : (q_y, q_x) float32
        Of all patterns that were read.
    fraction : float
        Share of the scan that was read.
    """

    total: np.ndarray
    dark: np.ndarray | None
    maximum: np.ndarray
    fraction: float

    @property
    def whole(self) -> bool:
        """Whether all patterns were read."""
        return self.fraction >= 1.0


def first_images(
    dataset: Dataset, quick: np.ndarray, beside: np.ndarray | None, check: Callable[[], object] = lambda: None
) -> Iterator[FirstImages]:
    """The images as they grow, about twice a second, and once they are whole.

    Parameters
    ----------
    dataset : Dataset
    quick : (scan_y, scan_x) ndarray
        What stands in the sum where nothing was read yet.
    beside : (q_y, q_x) ndarray of bool, optional
        The pixels of the dark field.
    check : callable
        Called often; what it raises ends the read.
    """
    dataset = dataset.without_gaps()
    row_cuts, column_cuts = (np.concatenate([[0], np.cumsum(c)]) for c in dataset.data.chunks[:2])
    total = np.array(quick, np.float32)
    dark = None if beside is None else np.full(dataset.scan_shape, np.nan, np.float32)
    pixels = None if beside is None else np.flatnonzero(beside)
    maximum = np.zeros(int(np.prod(dataset.detector_shape)), np.float32)
    told, read, whole = time.monotonic(), 0, total.size

    def found() -> FirstImages:
        return FirstImages(
            total.copy(),
            None if dark is None else dark.copy(),
            maximum.reshape(dataset.detector_shape).copy(),
            read / whole if whole else 1.0,
        )

    for i, j in coarse_to_fine(len(row_cuts) - 1, len(column_cuts) - 1):
        y = slice(int(row_cuts[i]), int(row_cuts[i + 1]))
        x = slice(int(column_cuts[j]), int(column_cuts[j + 1]))
        check()
        block = as_counts(load(dataset.data[y, x]))
        flat = block.reshape(-1, maximum.size)
        sums, besides = np.empty(len(flat), np.float32), np.empty(len(flat), np.float32)
        portion = max(1, PORTION_BYTES // max(1, flat[:1].nbytes))
        for start in range(0, len(flat), portion):
            check()
            some = _clean(flat[start : start + portion])
            sums[start : start + portion] = some.mean(axis=1, dtype=np.float64)
            np.maximum(maximum, some.max(axis=0), out=maximum)
            if pixels is not None and len(pixels):
                besides[start : start + portion] = some.take(pixels, axis=1).mean(axis=1, dtype=np.float64)
        total[y, x] = sums.reshape(block.shape[:2])
        if dark is not None:
            dark[y, x] = besides.reshape(block.shape[:2])
        read += len(flat)
        if read < whole and time.monotonic() - told > EVERY_SECONDS:
            told = time.monotonic()
            yield found()
    read = whole
    yield found()


def _clean(patterns: np.ndarray) -> np.ndarray:
    """Patterns with what is not finite, and negative counts, taken as 0."""
    if patterns.dtype.kind in "ub":
        return patterns
    return np.asarray(np.maximum(np.nan_to_num(patterns, nan=0.0, posinf=0.0, neginf=0.0), 0))
