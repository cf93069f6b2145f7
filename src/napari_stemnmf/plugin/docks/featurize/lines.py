"""What Featurize takes of a pattern, as lines over it: cells, bins, disks. No Qt, no data.

Points are (q_y, q_x) rows, as in `overlays`, which this leans on.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.plugin.patterns import overlays

if TYPE_CHECKING:
    from napari_stemnmf.calibration.geometry import Geometry

DRAWN = {
    "centre": ("#00d5ff", 1.4),
    "cells": ("#b9c4ff90", 0.8),
    "bins": ("#b9c4ff38", 0.5),
    "rings": ("#8f9dff", 1.4),
    "bounds": ("#e8bd00", 1.4),
    "left out": ("#ff6b6b", 1.0),
    "disks": ("#57f287", 1.4),
}
"""What can be drawn over the pattern: colour and width of its lines."""
MOST_LINES = 400
"""Above so many lines of bins none are drawn: they would hide what is under them."""


def centre(where: Geometry) -> np.ndarray:
    radius = where.probe_radius
    return overlays.joined(
        [overlays.cross(where.q_y, where.q_x, 0.4 * radius), overlays.ring(overlays.geometry_round(where), radius)]
    )


def kept_cells(
    where: Geometry, r_in: np.ndarray, r_out: np.ndarray, azimuth: np.ndarray, angle_step: float
) -> np.ndarray:
    """(n, 2) outlines of the cells that are kept, each with its middle azimuth."""
    if not len(r_in):
        return np.empty((0, 2))
    points = max(2, round(angle_step / overlays.STEP) + 1)
    arc = np.linspace(-0.5, 0.5, points) * angle_step
    turn = np.concatenate([arc, arc[::-1], arc[:1]])
    radius = np.concatenate([np.zeros(points), np.ones(points), np.zeros(1)])
    radii = r_in[:, None] + (r_out - r_in)[:, None] * radius
    outline = np.stack(where.from_polar(radii, azimuth[:, None] + turn), axis=-1)
    gaps = np.full((len(outline), 1, 2), np.nan)
    return np.concatenate([outline, gaps], axis=1).reshape(-1, 2)


def grid(shape: tuple[int, int], side: float) -> np.ndarray:
    """(n, 2) the bounds of square bins over a detector; none where they would be too many to see."""
    rows, columns = (np.arange(math.ceil(size / side) + 1) * side - 0.5 for size in shape)
    if len(rows) + len(columns) > MOST_LINES:
        return np.empty((0, 2))
    lines = [np.array([[y, columns[0]], [y, columns[-1]]]) for y in rows]
    return overlays.joined(lines + [np.array([[rows[0], x], [rows[-1], x]]) for x in columns])


def disks_in_use(q_y: np.ndarray, q_x: np.ndarray, used: np.ndarray, radius: float) -> dict[str, np.ndarray]:
    return {
        name: overlays.circles(q_y[which], q_x[which], radius) for name, which in (("disks", used), ("left out", ~used))
    }


def ring_peaks(radius: np.ndarray, profile: np.ndarray, rings: tuple[float, ...]) -> np.ndarray:
    """(rings, 2) where the profile is highest within each ring, and its value there."""
    found = []
    for low, high in itertools.pairwise(rings):
        within = np.flatnonzero((radius >= low) & (radius <= high) & np.isfinite(profile))
        if len(within):
            top = within[np.argmax(profile[within])]
            found.append((radius[top], profile[top]))
    return np.array(found).reshape(-1, 2)
