"""Outlines of grains as lines along the edges of their positions, and where a number can stand. No viewer, no Qt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_stemnmf.grains.grains import Grains

STEPS = ((-1, 0, (0, 0), (0, 1)), (0, 1, (0, 1), (1, 1)), (1, 0, (1, 1), (1, 0)), (0, -1, (1, 0), (0, 0)))
"""Neighbour of a position, and the corners of the edge to it, with the inside on the right."""


def outlines(grains: Grains, grain_id: int) -> list[np.ndarray]:
    """Closed lines (n, 2) around a grain, in (row, column) of positions, their centres on whole numbers.

    Examples
    --------
    >>> outlines(Grains.from_masks([[[1, 1]]]), 1)[0].tolist()
    [[-0.5, -0.5], [-0.5, 1.5], [0.5, 1.5], [0.5, -0.5], [-0.5, -0.5]]
    """
    row = grains.row_of(grain_id)
    if row < 0:
        return []
    crop = grains.crop(row, 1)
    mask = crop.values
    leads: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for step_y, step_x, start, end in STEPS:
        edges = np.argwhere(mask & ~np.roll(mask, (-step_y, -step_x), (0, 1)))  # the crop has an empty margin
        for one, other in zip((edges + start).tolist(), (edges + end).tolist(), strict=True):
            leads.setdefault(tuple(one), []).append(tuple(other))
    found = []
    while leads:
        found.append(_corners(_loop(leads)) + np.array([crop.top - 0.5, crop.left - 0.5]))
    return found


def _loop(leads: dict[tuple[int, int], list[tuple[int, int]]]) -> np.ndarray:
    """Take one closed line out of the edges that are left."""
    start = next(iter(leads))
    line = [start]
    while True:
        ends = leads[line[-1]]
        line.append(ends.pop() if len(ends) == 1 else _turn(line, ends))
        if not leads[line[-2]]:
            del leads[line[-2]]
        if line[-1] == start:
            return np.array(line, np.float64)


def _turn(line: Sequence[tuple[int, int]], ends: list[tuple[int, int]]) -> tuple[int, int]:
    """Where two positions meet at a corner alone, stay with the same one: turn right."""
    if len(line) < 2:
        return ends.pop()
    (y0, x0), (y1, x1) = line[-2:]
    right = (y1 + x1 - x0, x1 - (y1 - y0))
    return ends.pop(ends.index(right) if right in ends else 0)


def _corners(line: np.ndarray) -> np.ndarray:
    """A closed line without the points between two corners."""
    step = np.diff(line, axis=0)
    turns = np.any(step != np.roll(step, 1, axis=0), axis=1)
    corners = line[:-1][turns]
    return np.vstack([corners, corners[:1]])


def number_places(grains: Grains) -> np.ndarray:
    """(g, 2) row and column well inside each grain, where its number can stand."""
    found = np.zeros((len(grains), 2))
    for row in range(len(grains)):
        crop = grains.crop(row, 1)
        if crop.values.any():
            depth = ndimage.distance_transform_cdt(crop.values)
            inner = np.argwhere(depth == depth.max())
            best = inner[np.abs(inner - inner.mean(axis=0)).sum(axis=1).argmin()]
            found[row] = best + np.array([crop.top, crop.left])
    return found
