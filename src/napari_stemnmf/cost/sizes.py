"""The sizes of a scan that decide what a stage costs: as it is stored, and after crop and binning. Reads no pattern."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.dataset import BLOCK_BYTES, Dataset
from napari_stemnmf.recipe import Recipe

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis


@dataclass(frozen=True)
class Scan:
    """Sizes of a scan: as it is stored, and after crop and binning."""

    n: int
    pixels: int
    width: int
    raw_bytes: float
    block_bytes: float
    packed: bool
    workers: int

    @classmethod
    def of(cls, analysis: Analysis | None, dataset: Dataset | None, recipe: Recipe, workers: int) -> Scan | None:
        if dataset is None and analysis is None:
            return None
        shape = dataset.shape if dataset is not None else analysis.input.shape  # type: ignore[union-attr]
        kind = dataset.dtype if dataset is not None else np.dtype(analysis.input.dtype)  # type: ignore[union-attr]
        settings = recipe.preprocess
        spans = (settings.scan_y, settings.scan_x, settings.q_y, settings.q_x)
        sizes = [
            size if span is None else max(1, min(span[1], size) - span[0])
            for size, span in zip(shape, spans, strict=True)
        ]
        raw = float(np.prod([float(size) for size in sizes])) * kind.itemsize
        rows, columns = (max(1, size // settings.bin) for size in sizes[2:])
        chunk = BLOCK_BYTES
        if dataset is not None:
            chunk = math.prod(dataset.data.chunksize) * kind.itemsize
        block = min(raw, min(max(chunk, BLOCK_BYTES), 8 * BLOCK_BYTES))
        packed = dataset is not None and _is_packed(dataset)
        return cls(sizes[0] * sizes[1], rows * columns, min(rows, columns), raw, block, packed, workers)

    @property
    def flying(self) -> float:
        """Bytes of the blocks of patterns that a pass holds at a time."""
        return min(self.raw_bytes, self.workers * self.block_bytes) * COPIES


def _is_packed(dataset: Dataset) -> bool:
    path = Path(dataset.source.split("::")[0]) if dataset.source else None
    try:
        return path is not None and path.is_file() and path.stat().st_size < PACKED * dataset.nbytes
    except OSError:
        return False


READ_PLAIN, READ_PACKED = 0.25e-9, 4e-9
"""Seconds for a byte of patterns, on one core, from a file that holds them as they are (in the system's cache), and
from one that is compressed."""
PACKED = 0.8
"""A file is compressed if it is smaller than this share of its patterns."""
LOOK_PIXEL, PROJECT_PIXEL, DISK_PIXEL = 0.8e-9, {"aa": 0.9e-9, "rv": 1.3e-9}, 10e-9
"""Seconds for a pixel: the survey, each feature of the patterns, and the search for disks."""
DISK, DISK_LATER = 15e-6, 3e-6
"""Seconds for a disk: to find it, and to calibrate with it."""
PROBE_SECONDS = 1.1
"""Of finding the mask and the probe; most of it is the same for all scans."""
MEASURE_PIXEL, MEMBER_PIXEL = 0.9e-9, 0.6e-9
"""Seconds for a pixel of the scan, and for one of a pattern of a grain."""
SEPARATE_MAP, MEASURE_GRAIN, STABLE_MAP = 25e-9, 25e-9, 115e-9
"""Seconds for a probe position of a component map, of a grain's mask, and of another seed's map to compare with."""
DENSE, SPARSE, GRAM, SWEEP = 8.1e-11, 7.4e-10, 1.7e-10, 6.7e-10
"""Seconds of an iteration of NMF for each probe position and component: times the columns of a dense matrix, times the
values of a sparse row, times the components, and once."""
PASSES = {"aa": 97.0, "rv": 157.0, "bd": 113.0}
"""Work of one seed, iterations times components over all its fits, as a multiple of one iteration with the components
that it starts from; at a merge threshold of 0.5."""
PASSES_SLOPE = 3.0
"""How fast that grows with the merge threshold: its logarithm's slope."""
NO_DRAFT = {"aa": 3.2, "rv": 2.4, "bd": 1.7}
"""Factor on that where the first fits are not made on a quarter of the scan."""
DRAFT_ROWS = 1000, 10
"""A draft has at least so many probe positions, and so many for each component."""
FALLING, FALLING_NO_DRAFT = 0.5, 0.8
"""Mean of components over starting components, weighted by the work; with coarse fits and without."""
SUGGESTED, SUGGESTED_RV_GLOBAL, DISKS = 20, 9, 15
"""What the scree suggests (less for RV if all columns have one scale), and disks of a pattern, where unknown."""
RINGS = 4
"""Rings of AA where they are not known."""
LIBRARIES = 60e6
"""Bytes of compiled code and tables that the first read of a scan brings into memory."""
COPIES = 1.5
"""Copies of a block of patterns that a pass makes, its own included."""
