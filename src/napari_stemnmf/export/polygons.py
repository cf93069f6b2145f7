"""Outlines of masks along the edges of pixels, as polygons with holes: exact, so that the mask can be had back.

The pixel of row r and column c is the square from (c, r) to (c + 1, r + 1), points being (x, y). Pixels that touch at
a corner only are of different polygons.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Ring = list[tuple[int, int]]
"""Corners (x, y), the last one being the first."""


def polygons(mask: np.ndarray) -> list[list[Ring]]:
    """The polygons of a mask (y, x): of each its outer ring, and then its holes.

    Outer rings run counter-clockwise and holes clockwise, where y is upward; no ring meets itself.

    Examples
    --------
    >>> polygons(np.array([[True, True]]))
    [[[(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1), (0, 0)]]]
    """
    labels, _ = ndimage.label(mask)  # pixels that share an edge
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        top, left = box[0].start, box[1].start
        rings = [[(x + left, y + top) for x, y in ring] for ring in _rings(labels[box] == number)]
        outer = [ring for ring in rings if area(ring) > 0]
        holes = [ring for ring in rings if area(ring) < 0]
        found.append([*outer, *holes])
    return found


def area(ring: Ring) -> float:
    """The area within a ring: above zero where it runs counter-clockwise, y being upward."""
    x, y = np.array(ring, np.float64).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def straightened(ring: Ring) -> Ring:
    """A ring without the corners at which it goes straight on."""
    points = ring[:-1]
    turns = [
        p for before, p, after in zip([points[-1], *points[:-1]], points, [*points[1:], points[0]], strict=True)
        if (p[0] - before[0]) * (after[1] - p[1]) != (p[1] - before[1]) * (after[0] - p[0])
    ]  # fmt: skip
    return [*turns, turns[0]]


def _rings(mask: np.ndarray) -> list[Ring]:
    """The rings around a mask of one piece, of one step a pixel's edge."""
    wide = np.pad(mask, 1)
    inside = wide[1:-1, 1:-1]
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (dy, dx), start, end in (
        ((-1, 0), (0, 0), (1, 0)),  # along the top of a pixel: to the right, the pixel being at larger y
        ((0, 1), (1, 0), (1, 1)),
        ((1, 0), (1, 1), (0, 1)),
        ((0, -1), (0, 1), (0, 0)),
    ):
        rows, columns = wide.shape
        beside = wide[1 + dy : rows - 1 + dy, 1 + dx : columns - 1 + dx]
        for y, x in zip(*(each.tolist() for each in np.nonzero(inside & ~beside)), strict=True):
            steps.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    rings = []
    while steps:
        here = next(iter(steps))
        path = [here]
        while here in steps:  # until it is back at its start, all steps from there being taken
            ends = steps[here]
            following = ends.pop()
            if not ends:
                del steps[here]
            here = following
            path.append(here)
        rings += _simple(path)
    return rings


def _simple(path: Ring) -> list[Ring]:
    """A closed path in loops that pass no corner twice. Around one piece there is one way only to part it so."""
    loops: list[Ring] = []
    walked: Ring = []
    place: dict[tuple[int, int], int] = {}
    for point in path:
        if point in place:
            first = place[point]
            loops.append([*walked[first:], point])
            for gone in walked[first + 1 :]:
                del place[gone]
            del walked[first + 1 :]
        else:
            place[point] = len(walked)
            walked.append(point)
    return loops
