"""A coarse sample of a scan, in place of a read of all of it: few patterns from everywhere. No Qt.

Leans on `preparation`, which surveys the sample as it surveys a scan.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.recipe import PreprocessSettings
    from napari_stemnmf.streaming.survey import Survey

SAMPLE_SIDE = 12
"""Rows and columns of the scan that a coarse sample takes, at most; at least two."""
SAMPLE_BYTES, SAMPLE_HELD = 2**28, 2**26
"""Bytes of the chunks that a coarse sample touches, and of its patterns, at most, if it can be had with so few."""


def sample_positions(dataset: Dataset, side: int = SAMPLE_SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a coarse sample, evenly over the scan; fewer where each would read a large chunk."""
    chunk = math.prod(dataset.data.chunksize) * dataset.dtype.itemsize
    pattern = math.prod(dataset.detector_shape) * dataset.dtype.itemsize
    side = max(2, min(side, math.isqrt(SAMPLE_HELD // max(1, pattern))))
    sizes = [min(side, size) for size in dataset.scan_shape]

    def touched() -> list[int]:
        return [min(size, blocks) for size, blocks in zip(sizes, dataset.data.numblocks[:2], strict=True)]

    while math.prod(touched()) * chunk > SAMPLE_BYTES and max(touched()) > 2:
        sizes[int(np.argmax(touched()))] -= 1
    rows, columns = (
        ((np.arange(size) + 0.5) * full / size).astype(int)
        for size, full in zip(sizes, dataset.scan_shape, strict=True)
    )
    return rows, columns


def coarse_survey(dataset: Dataset, settings: PreprocessSettings) -> Survey:
    """As `take_survey`, of a coarse sample of the scan."""
    from napari_stemnmf.preprocessing.preprocess import cropped, take_survey

    scan = cropped(dataset, replace(settings, q_y=None, q_x=None))
    rows, columns = sample_positions(scan)
    data = scan.data[rows][:, columns]
    axes: Any = tuple(replace(axis, size=size) for axis, size in zip(scan.axes, data.shape, strict=True))
    return take_survey(replace(scan, data=data, axes=axes), replace(settings, scan_y=None, scan_x=None))
