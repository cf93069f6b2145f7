"""Scans whose rows were recorded back and forth, every second one from its last position to its first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_stemnmf.dataset import Dataset

BETTER, AGREE = 0.3, 0.3
"""Turned, neighbouring rows correlate so much better where a scan winds; those two apart, at least so well."""
FEWEST = 6
"""A scan of fewer rows or columns does not tell."""


def turned(dataset: Dataset) -> Dataset:
    """The scan with every second row, from the second on, turned round."""
    import dask.array as da

    data = dataset.data
    if data.numblocks[1] == 1:
        starts = np.cumsum([0, *data.chunks[0][:-1]])

        def turn(block: np.ndarray, block_info: Any = None) -> np.ndarray:
            first = int(starts[block_info[0]["chunk-location"][0]]) if block_info else 0
            out = np.array(block)
            out[1 - first % 2 :: 2] = block[1 - first % 2 :: 2, ::-1]
            return out

        data = da.map_blocks(turn, data, dtype=data.dtype, meta=np.empty((0,) * 4, data.dtype))
    else:
        rows = [data[y : y + 1, ::-1] if y % 2 else data[y : y + 1] for y in range(data.shape[0])]
        data = da.concatenate(rows)
    if dataset.gaps is None:
        return replace(dataset, data=data)
    missing = dataset.gaps.missing.copy()
    missing[1::2] = missing[1::2, ::-1]
    return replace(dataset, data=data, gaps=dataset.gaps.like(data, missing))


def winds(images: list[np.ndarray]) -> bool:
    """Whether rows of an image (scan_y, scan_x), any of several, fit far better with every second one turned."""
    return any(_winds(np.asarray(image, np.float64)) for image in images if min(image.shape) >= FEWEST)


def _winds(image: np.ndarray) -> bool:
    rows = image - image.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1)
    rows = rows[length > 0] / length[length > 0, None]
    if len(rows) < max(FEWEST, len(image) // 2):
        return False
    as_they_are, back = (float((rows[:-1] * other).sum(axis=1).mean()) for other in (rows[1:], rows[1:, ::-1]))
    two_apart = float((rows[:-2] * rows[2:]).sum(axis=1).mean())
    return back > as_they_are + BETTER and two_apart > AGREE


def sentence(order: str) -> str:
    """What to do about a scan whose rows fit better in the other order than `order`."""
    other = "winding" if order == "rows" else "rows"
    return (
        "Neighbouring rows of the scan fit far better with every second one turned round, as in a winding scan: "
        f"set preprocess.scan_order to {other}."
    )
