"""What is drawn over a pattern: circles, rings, cells and marks, as lines in detector pixels. No Qt, no data.

Points are (q_y, q_x) rows; a row of NaN lifts the pen, so that many lines are one array. Leans on `Geometry`, which
knows the ellipse, and on the features, which know their radii.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_stemnmf.errors import DataError

if TYPE_CHECKING:
    from napari_stemnmf.calibration.geometry import Geometry
    from napari_stemnmf.recipe import PreprocessSettings, Recipe

STEP = 5.0
"""Degrees between the points of a circle, at most."""
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
    """(n, 2) where points of one calibrated radius (px) lie on the detector: an ellipse."""
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
    """(n, 2) where pixels of the file's detector lie after crop and binning, px."""
    first = np.array([crop[0] if crop else 0 for crop in (settings.q_y, settings.q_x)])
    return np.asarray((np.asarray(pixels, np.float64).reshape(-1, 2) - first + 0.5) / settings.bin - 0.5)


def drawn(
    geometry: Geometry, recipe: Recipe, *, cell_rings: Sequence[float], fitted: Sequence[float], hot_pixels: np.ndarray
) -> dict[str, np.ndarray]:
    """The lines of every overlay that needs no more than the geometry.

    Parameters
    ----------
    geometry : Geometry
        Of the picture that is shown: its centre is that of this pattern.
    recipe : Recipe
        Radii of the features.
    cell_rings : sequence of float
        Radii (px) that bound the cells of AA; none if they are not known.
    fitted : sequence of float
        Radii (px) of what the ellipse and the pixel size were fitted to; NaN for none.
    hot_pixels : ndarray
        (h, 2) in pixels of the picture.

    Returns
    -------
    dict
        (n, 2) lines by the names of `OVERLAYS`; those that cannot be drawn are absent.
    """
    radius = geometry.probe_radius
    lines = {
        "centre": joined(
            [cross(geometry.q_y, geometry.q_x, 0.4 * radius), ring(geometry_round(geometry), radius, step=STEP)]
        ),
        "ellipse": joined(ring(geometry, radius) for radius in fitted if np.isfinite(radius)),
        "aa": cells(geometry, cell_rings, recipe.aa.featurize.angle_step) if len(cell_rings) else np.empty((0, 2)),
        "rv": _radial_variance(geometry, recipe),
        "hot": circles(hot_pixels[:, 0], hot_pixels[:, 1], 0.8, points=4),
    }
    return {name: points for name, points in lines.items() if len(points)}


def geometry_round(geometry: Geometry) -> Geometry:
    """The same centre without an ellipse: how a disk, or a calibrated map, lies."""
    from dataclasses import replace

    return replace(geometry, ellipse_ratio=1.0)


def _radial_variance(geometry: Geometry, recipe: Recipe) -> np.ndarray:
    from napari_stemnmf.features.radial_variance import choose_radii

    try:
        radii = choose_radii(geometry, recipe.rv.featurize)
    except DataError:  # no radius between disk and edge: Featurize says so when it runs
        return np.empty((0, 2))
    return joined(ring(geometry, float(radius)) for radius in (radii[0], radii[-1]))
