"""What the flat labels cannot show: stripes where grains overlap, and hatching on rejected ones. No viewer, no Qt.

A labels image finer than the scan, to lie on the flat one: where n grains overlap, every n-th stripe is of each of
them, the first being what the flat image shows already. Rejected grains are hatched in black.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from napari_stemnmf.grains.grains import Grains

STRIPES = 160
"""Stripes across a scan, about: on a large one they are wider than a position."""
MOST = 6
"""Finer than a position by no more than this."""
FINE = 3
"""Pixels that a stripe has at least, where that is not too fine."""
GAP = 3
"""Every so many stripes' widths a line of the hatching."""


class Raster(NamedTuple):
    """How fine the marks of a scan are drawn."""

    finer: int
    """Pixels a position."""
    width: int
    """Of a stripe, in these pixels."""


def raster(scan_shape: tuple[int, int]) -> Raster:
    """That for a scan.

    Examples
    --------
    >>> raster((40, 40)), raster((512, 512))
    (Raster(finer=6, width=3), Raster(finer=1, width=3))
    """
    positions = max(0.5, max(scan_shape) / STRIPES)
    finer = int(np.clip(np.ceil(FINE / positions), 1, MOST))
    return Raster(finer, max(1, round(positions * finer)))


class Box(NamedTuple):
    """A rectangle of positions; the last row and column are not in it."""

    top: int
    bottom: int
    left: int
    right: int


def marks(grains: Grains, rejected: Collection[int], ink: int, box: Box | None = None) -> np.ndarray:
    """(finer * scan_y, finer * scan_x) int32: the id of a grain on its stripes, `ink` on hatching, 0 elsewhere.

    Of a `box` only, if one is given: what lies there is as in the whole.
    """
    finer, width = raster(grains.scan_shape)
    columns = grains.scan_shape[1]
    box = Box(0, grains.scan_shape[0], 0, columns) if box is None else box
    out = np.zeros(((box.bottom - box.top) * finer, (box.right - box.left) * finer), np.int32)
    at, layers, depth = _beneath(grains, np.isin(grains.ids, list(rejected)), box)
    if not len(at):
        return out
    y, x = (part[:, None, None] * finer for part in np.divmod(at, columns))
    y, x = np.broadcast_arrays(y + np.arange(finer)[:, None], x + np.arange(finer))
    stripe = ((x + y) // width) % depth[:, None, None]
    shown = np.take_along_axis(layers[:, None, None, :], stripe[..., None], axis=-1)[..., 0]
    hatched = np.isin(shown, list(rejected)) & ((x - y) // width % GAP == 0)
    out[y - box.top * finer, x - box.left * finer] = np.where(hatched, ink, np.where(stripe > 0, shown, 0))
    return out


def changed(before: Grains, after: Grains) -> tuple[list[int], Box]:
    """Ids of the grains that came, went, or hold other positions or weights, and the box around all of them."""
    ids, parts = [], []
    for grain in dict.fromkeys([*before.ids.tolist(), *after.ids.tolist()]):
        rows = before.row_of(grain), after.row_of(grain)
        pair = [grains.part(row) for grains, row in zip((before, after), rows, strict=True) if row >= 0]
        if len(pair) < 2 or not all(np.array_equal(one, other) for one, other in zip(*pair, strict=True)):
            ids.append(grain)
            parts += [at for at, _ in pair]
    at = np.concatenate([*parts, np.empty(0, np.int64)]).astype(np.int64)
    if not len(at):
        return ids, Box(0, 0, 0, 0)
    y, x = np.divmod(at, after.scan_shape[1])
    return ids, Box(int(y.min()), int(y.max()) + 1, int(x.min()), int(x.max()) + 1)


def rows_at(grains: Grains, positions: np.ndarray) -> np.ndarray:
    """Rows of the grains that hold any of some positions."""
    there = np.zeros(grains.inside.shape[1], bool)
    there[positions] = True
    return np.unique(np.searchsorted(grains.inside.indptr, np.flatnonzero(there[grains.inside.indices]), "right") - 1)


def _beneath(grains: Grains, rejected: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions that need marks (n,), ids of their grains from the top down (n, deepest), and how many (n,)."""
    inside = grains.inside
    row = np.repeat(np.arange(len(grains)), grains.areas)
    count = np.bincount(inside.indices, minlength=inside.shape[1])
    needs = count > 1
    needs[inside.indices[rejected[row]]] = True
    within = np.zeros(grains.scan_shape, bool)
    within[box.top : box.bottom, box.left : box.right] = True
    entries = np.flatnonzero((needs & within.ravel())[inside.indices])
    at, row, weight = inside.indices[entries].astype(np.int64), row[entries], inside.data[entries]
    peaks = np.array([grains.part(each)[1].max(initial=0.0) for each in range(len(grains))], np.float32)
    share = np.divide(weight, peaks[row], out=np.zeros(len(row), np.float32), where=peaks[row] > 0)
    order = np.lexsort((row, grains.areas[row], -share, at))  # as `Grains.labels` has it: the first is on top
    at, row = at[order], row[order]
    places, first, depth = np.unique(at, return_index=True, return_counts=True)
    layers = np.zeros((len(places), int(depth.max(initial=1))), np.int32)
    rank = np.arange(len(at)) - np.repeat(first, depth)
    layers[np.repeat(np.arange(len(places)), depth), rank] = grains.ids[row]
    return places, layers, depth
