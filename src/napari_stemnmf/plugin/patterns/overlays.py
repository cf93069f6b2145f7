"""What is drawn over a pattern: circles, rings, cells, bins and marks, as lines in detector pixels. No Qt, no data.

Points are (q_y, q_x) rows; a row of NaN lifts the pen, so that many lines are one array. `Geometry` holds the ellipse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from napari_stemnmf.calibration.geometry import Geometry
    from napari_stemnmf.stage_settings import PreprocessSettings

STEP = 5.0
"""Degrees between the points of a circle, at most."""
MOST_LINES = 400
"""Above so many lines of bins none are drawn: they would hide what is under them."""
GAP = np.full((1, 2), np.nan)


class Overlay(NamedTuple):
    """One kind of overlay: its name in the window, what it means, its colour and whether it starts visible."""

    title: str
    meaning: str
    colour: str
    shown: bool


OVERLAYS = {
    "centre": Overlay("centre", "centre of this pattern and the circle of the central disk", "#00d5ff", True),
    "disks": Overlay("disks", "Bragg disks found with the present settings, as circles of the probe's size", "#57f287",
                     True),
    "ellipse": Overlay("ellipse", "the ring that the ellipse, or the pixel size, was fitted to", "#ffb000", True),
    "mask": Overlay("mask", "pixels that are left out (translucent)", "#ff3b3b", True),
    "hot": Overlay("hot", "hot pixels that were repaired", "#ff66ff", False),
    "aa": Overlay("AA", "cells of the angular average: rings and sectors", "#b9c4ff", False),
    "rv": Overlay("RV", "first and last radius of the radial variance", "#f5f542", False),
}  # fmt: skip
"""All overlays, in the order of their boxes."""


def joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    """(n, 2) one array of several lines, with a gap after each."""
    lines = [line for part in parts for line in (part, GAP)]
    return np.concatenate(lines) if lines else np.empty((0, 2))


def circles(q_y: np.ndarray, q_x: np.ndarray, radius: float, *, points: int = 24) -> np.ndarray:
    """(n, 2) circles of one radius (px) around some points."""
    angle = np.linspace(0.0, 2 * np.pi, points + 1)
    around = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    centres = np.stack([np.atleast_1d(q_y), np.atleast_1d(q_x)], axis=1).astype(np.float64)
    out = np.full((len(centres), points + 2, 2), np.nan)
    out[:, :-1] = centres[:, None] + around
    return out.reshape(-1, 2)


def cross(q_y: float, q_x: float, size: float) -> np.ndarray:
    """(n, 2) an upright cross with arms of `size` px."""
    arms = [[[q_y - size, q_x], [q_y + size, q_x]], [[q_y, q_x - size], [q_y, q_x + size]]]
    return joined(np.array(arm) for arm in arms)


def ring(geometry: Geometry, radius: float, *, step: float = STEP) -> np.ndarray:
    """(n, 2) where points of one calibrated radius (px) are on the detector: an ellipse."""
    azimuth = np.linspace(0.0, 360.0, max(8, round(360.0 / step)) + 1)
    return np.stack(geometry.from_polar(np.full(azimuth.shape, radius), azimuth), axis=1)


def cells(geometry: Geometry, rings: Sequence[float], angle_step: float) -> np.ndarray:
    """(n, 2) the bounds of the angular average: each ring, and the spokes between sectors."""
    spokes = np.arange(0.0, 360.0, angle_step)
    ends = np.array([min(rings), max(rings)])
    lines = [ring(geometry, radius) for radius in rings]
    lines += [np.stack(geometry.from_polar(ends, np.full(2, azimuth)), axis=1) for azimuth in spokes]
    return joined(lines)


def in_prepared_pixels(pixels: np.ndarray, settings: PreprocessSettings) -> np.ndarray:
    """(n, 2) where pixels of the file's detector are after crop and binning, px."""
    first = np.array([crop[0] if crop else 0 for crop in (settings.q_y, settings.q_x)])
    return np.asarray((np.asarray(pixels, np.float64).reshape(-1, 2) - first + 0.5) / settings.bin - 0.5)


def centre(geometry: Geometry) -> np.ndarray:
    """(n, 2) the centre as a cross, and the central disk around it."""
    radius = geometry.probe_radius
    return joined([cross(geometry.q_y, geometry.q_x, 0.4 * radius), ring(round_geometry(geometry), radius)])


def kept_cells(
    geometry: Geometry, r_in: np.ndarray, r_out: np.ndarray, azimuth: np.ndarray, angle_step: float
) -> np.ndarray:
    """(n, 2) outlines of the cells that are kept, each with its middle azimuth."""
    if not len(r_in):
        return np.empty((0, 2))
    points = max(2, round(angle_step / STEP) + 1)
    arc = np.linspace(-0.5, 0.5, points) * angle_step
    turn = np.concatenate([arc, arc[::-1], arc[:1]])
    radius = np.concatenate([np.zeros(points), np.ones(points), np.zeros(1)])
    radii = r_in[:, None] + (r_out - r_in)[:, None] * radius
    outline = np.stack(geometry.from_polar(radii, azimuth[:, None] + turn), axis=-1)
    gaps = np.full((len(outline), 1, 2), np.nan)
    return np.concatenate([outline, gaps], axis=1).reshape(-1, 2)


def bin_grid(shape: tuple[int, int], side: float) -> np.ndarray:
    """(n, 2) the bounds of square bins over a detector; none where they would be too many to see."""
    rows, columns = (np.arange(math.ceil(size / side) + 1) * side - 0.5 for size in shape)
    if len(rows) + len(columns) > MOST_LINES:
        return np.empty((0, 2))
    lines = [np.array([[y, columns[0]], [y, columns[-1]]]) for y in rows]
    return joined(lines + [np.array([[rows[0], x], [rows[-1], x]]) for x in columns])


def round_geometry(geometry: Geometry) -> Geometry:
    """The same centre without an ellipse: the geometry of a disk, or of a calibrated map."""
    return replace(geometry, ellipse_ratio=1.0)
