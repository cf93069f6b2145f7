"""Splitting a grain: along a line, at the edge of a region, or between seeds.

Each way gives masks that do not overlap and together are the grain.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_stemnmf.errors import DataError

CHIP = 3
"""A line makes no part of fewer positions, unless all parts are so small: they join the part beside them."""
COMPACTNESS = 0.03
"""How much a position's distance from a seed counts beside its weight, as a share of the largest. Without it, two seeds
on one slope of the weights split a grain right beside one of them."""

_BONDS = ((0, 1), (1, 0), (1, 1), (1, -1))  # from a position to four of its eight neighbours: each bond once
_STEP = 0.25  # positions; how finely a line is prolonged
_NUDGE = np.array([1.9e-4, 3.1e-4])  # a line through the middles of positions passes them on one side


def by_region(mask: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The part of a grain (scan_y, scan_x) inside a region; a DataError if that is nothing or all of it."""
    inside = mask & region
    if not inside.any():
        raise DataError("the region does not meet it; draw the region over a part of it.")
    if inside.sum() == mask.sum():
        raise DataError("the region holds all of it; draw the region over a part of it.")
    return inside


def by_line(mask: np.ndarray, vertices: np.ndarray) -> list[np.ndarray]:
    """The parts of a grain on the sides of a line.

    The line cuts the bonds between neighbouring positions (eight each) that it crosses, and the pieces that are no
    longer connected are the parts: a line that crosses two arms of a grain makes three. An end inside the grain is
    prolonged straight to its edge. Chips of under `CHIP` positions go to the nearest part, and pieces that were
    separate before and that the line leaves whole go to the largest one.

    Parameters
    ----------
    mask : ndarray of bool, (scan_y, scan_x)
    vertices : ndarray, (v, 2)
        Of the line, (row, column).

    Returns
    -------
    list of ndarray of bool, (scan_y, scan_x)
        Two or more, by their first position.

    Raises
    ------
    DataError
        If the line has no length or does not cut the grain.
    """
    line = vertices[np.r_[True, np.any(np.diff(vertices, axis=0) != 0, axis=1)]] if len(vertices) else vertices
    if len(line) < 2:
        raise DataError("a line needs two points; draw it across from edge to edge.")
    line = np.concatenate([_way_out(mask, line[1], line[0])[::-1], line, _way_out(mask, line[-2], line[-1])]) + _NUDGE
    before, after = _pieces(mask, None), _pieces(mask, line)
    pieces, first, sizes = np.unique(after[mask], return_index=True, return_counts=True)
    origin = before[mask][first]
    divided = np.isin(origin, [o for o in np.unique(origin) if (origin == o).sum() > 1])
    if not divided.any():
        raise DataError("the line does not cut it in two; draw it across from edge to edge.")
    large = divided & (sizes >= np.minimum(CHIP, np.sort(sizes[divided])[-2]))
    parts = np.where(np.isin(after, pieces[large]), after, 0)
    whole = np.isin(after, pieces[~divided])
    parts[whole] = pieces[large][np.argmax(sizes[large])]
    return _parts(_filled(parts, mask))


def by_seeds(mask: np.ndarray, weights: np.ndarray, seeds: np.ndarray) -> list[np.ndarray]:
    """The parts of a grain around seeds, one for each: a compact watershed of its weights.

    The parts meet where the weights dip, and about half-way between the seeds where they do not (P. Neubert &
    P. Protzel, "Compact Watershed and Preemptive SLIC", ICPR 2014). Pieces of the grain without a seed go to the
    nearest part.

    Parameters
    ----------
    mask : ndarray of bool, (scan_y, scan_x)
    weights : ndarray, (scan_y, scan_x)
    seeds : ndarray, (s, 2)
        Positions (row, column) in the grain.

    Returns
    -------
    list of ndarray of bool, (scan_y, scan_x)
        As many as seeds, by their first position.

    Raises
    ------
    DataError
        If there are fewer than two seeds, or one lies outside the grain or where another does.
    """
    from skimage.segmentation import watershed  # late: it is slow to import

    places = np.rint(seeds).astype(np.int64)
    if len(places) < 2 or len(np.unique(places, axis=0)) < len(places):
        raise DataError("there must be two seeds or more, in different positions; set one in each part.")
    inside = (places >= 0).all(axis=1) & (places < mask.shape).all(axis=1)
    inside[inside] = mask[tuple(places[inside].T)]
    if not inside.all():
        row, column = places[~inside][0]
        raise DataError(f"the seed at row {row}, column {column} lies outside it; set every seed inside the grain.")
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(places.T)] = np.arange(1, len(places) + 1)
    peak = weights[mask].max(initial=0)
    height = -weights.astype(np.float64) / (peak if peak > 0 else 1)
    parts = watershed(height, markers, mask=mask, connectivity=2, compactness=COMPACTNESS)
    return _parts(_filled(parts, mask))


def _way_out(mask: np.ndarray, before: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The first point outside a mask straight on from the end of a line, (1, 2); (0, 2) if it ends outside."""
    step = (end - before) / np.hypot(*(end - before)) * _STEP
    steps = np.arange(0, int(sum(mask.shape) / _STEP) + 2)[:, None]
    points = end + steps * step
    row, column = np.rint(points).astype(np.int64).T
    on_scan = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
    on_scan[on_scan] = mask[row[on_scan], column[on_scan]]
    out = int(np.argmin(on_scan))
    return points[out : out + 1] if out else points[:0]


def _pieces(mask: np.ndarray, line: np.ndarray | None) -> np.ndarray:
    """The connected pieces of a mask without the bonds that a line crosses, numbered from 1; 0 outside."""
    number = np.zeros(mask.shape, np.int64)
    number[mask] = np.arange(int(mask.sum()))
    ends = []
    for dy, dx in _BONDS:
        here, there = _windows(mask.shape, dy, dx)
        bond = mask[here] & mask[there]
        if line is not None:
            bond &= ~_crossed(bond.shape, (dy, dx), line)
        ends.append((number[here][bond], number[there][bond]))
    first, second = (np.concatenate(part) for part in zip(*ends, strict=True))
    count = int(mask.sum())
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    pieces = np.zeros(mask.shape, np.int64)
    pieces[mask] = connected_components(graph, directed=False)[1] + 1
    return pieces


def _windows(shape: tuple[int, ...], dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the bonds of one direction start, and where they end."""
    rows, columns = shape
    left, right = max(0, -dx), columns - max(0, dx)
    return (slice(0, rows - dy), slice(left, right)), (slice(dy, rows), slice(left + dx, right + dx))


def _crossed(shape: tuple[int, ...], bond: tuple[int, int], line: np.ndarray) -> np.ndarray:
    """Which bonds of one direction a line crosses, an odd number of times, as an array of where they start."""
    crossed = np.zeros(shape, bool)
    start = np.array([0, max(0, -bond[1])])
    for a, b in zip(line[:-1] - start, line[1:] - start, strict=True):
        low = np.maximum(np.floor(np.minimum(a, b)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(np.maximum(a, b)).astype(int) + 2, shape)
        if (low >= high).any():
            continue
        y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
        separated = _side(a, b, y, x) != _side(a, b, y + bond[0], x + bond[1])
        along = bond[0] * (np.stack([a, b])[:, 1, None, None] - x) - bond[1] * (np.stack([a, b])[:, 0, None, None] - y)
        crossed[low[0] : high[0], low[1] : high[1]] ^= separated & ((along[0] > 0) != (along[1] > 0))
    return crossed


def _side(a: np.ndarray, b: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """On which side of the line through a and b points are."""
    return (b[0] - a[0]) * (x - a[1]) - (b[1] - a[1]) * (y - a[0]) > 0


def _filled(parts: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Numbered parts (0: none yet), with every position of the mask given to the nearest one."""
    if (parts[mask] > 0).all():
        return parts
    nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    return np.where(mask, parts[tuple(nearest)], 0)


def _parts(numbered: np.ndarray) -> list[np.ndarray]:
    """Numbered parts as masks, by their first position."""
    inside = numbered[numbered > 0]
    numbers, first = np.unique(inside, return_index=True)
    return [numbered == number for number in numbers[np.argsort(first)]]
