"""Some of a large scan, to measure what holds for all of it: whole neighbourhoods, spread evenly.

The ellipse, the size of a pixel, and how crystals pull the centres are known as well from a hundred thousand patterns
as from ten million, in a small part of the time and memory. Spots are followed from one position to the next, so that
what is taken are tiles of the scan and not single positions.
"""

from __future__ import annotations

import math

import numpy as np

from napari_stemnmf.disks.detection import Peaks

MOST = 2**17
"""Probe positions up to which all of a scan is looked at, and about as many of a larger one."""
SIDE = 64
"""Of a tile, positions: some grains, and few that its border cuts."""


def sampled(peaks: Peaks) -> Peaks:
    """The disks of the `tiles` of a scan, and none elsewhere; all disks of a small one."""
    chosen = tiles(peaks.scan_shape)
    return peaks if chosen is None else peaks.without(~chosen)


def tiles(scan_shape: tuple[int, int]) -> np.ndarray | None:
    """(scan_y, scan_x) True in tiles that are spread over a scan; None where it is so small that all is looked at."""
    if math.prod(scan_shape) <= MOST:
        return None
    cells = [max(1, math.ceil(n / SIDE)) for n in scan_shape]
    wanted = MOST / SIDE / min(SIDE, *scan_shape)  # tiles; a scan of few rows has flat ones
    rows = min(cells[0], max(1, round(math.sqrt(wanted * cells[0] / cells[1]))))
    columns = min(cells[1], max(1, int(wanted / rows)))
    rows = min(cells[0], max(1, int(wanted / columns)))
    chosen = [_spread(count, each, n) for count, each, n in zip(cells, (rows, columns), scan_shape, strict=True)]
    return np.asarray(chosen[0][:, None] & chosen[1])


def _spread(cells: int, some: int, extent: int) -> np.ndarray:
    """(extent,) True in so many of the cells along one axis of the scan, evenly spread."""
    cell = ((np.arange(some) + 0.5) * cells / some).astype(int)
    return np.isin(np.arange(extent) // SIDE, cell)
