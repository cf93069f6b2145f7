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

PACKED = 0.8
"""A file is compressed if it is smaller than this share of its patterns."""
COPIES = 1.5
"""Copies of a block of patterns that a pass makes, its own included."""


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
    scan_shape: tuple[int, int]

    @classmethod
    def of(cls, analysis: Analysis | None, dataset: Dataset | None, recipe: Recipe, workers: int) -> Scan | None:
        given = dataset if dataset is not None else None if analysis is None else analysis.input
        if given is None:
            return None
        kind = np.dtype(given.dtype)
        settings = recipe.preprocess
        spans = (settings.scan_y, settings.scan_x, settings.q_y, settings.q_x)
        sizes = [
            size if span is None else max(1, min(span[1], size) - span[0])
            for size, span in zip(given.shape, spans, strict=True)
        ]
        raw = float(np.prod([float(size) for size in sizes])) * kind.itemsize
        rows, columns = (max(1, size // settings.bin) for size in sizes[2:])
        chunk = BLOCK_BYTES if dataset is None else math.prod(dataset.data.chunksize) * kind.itemsize
        block = min(raw, min(max(chunk, BLOCK_BYTES), 8 * BLOCK_BYTES))
        packed = dataset is not None and _is_packed(dataset)
        return cls(
            sizes[0] * sizes[1], rows * columns, min(rows, columns), raw, block, packed, workers, (sizes[0], sizes[1])
        )

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
