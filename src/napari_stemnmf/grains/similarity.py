"""Which neighbour's pattern a grain's pattern resembles most, and how the two differ.

Two pieces of one crystal have like patterns and touch: whoever reviews grains wants to see that neighbour. Leans on
NumPy and scipy's sparse products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.flat import flat_masks
from napari_stemnmf.grains.refinement import Grains

BEYOND = 1.5
"""Probe radii about the centre that are not compared: the direct beam is alike in all patterns."""


class Likeness(NamedTuple):
    """For each of g grains, the one whose pattern resembles its own most."""

    ids: np.ndarray
    """(g,) int64, 0 where there is no other grain."""
    correlation: np.ndarray
    """(g,) Pearson's r of the square roots of the two patterns, -1 to 1; NaN where there is no other grain."""
    neighbour: np.ndarray
    """(g,) bool, whether the two touch or overlap."""


def most_alike(patterns: np.ndarray, grains: Grains, keep: np.ndarray | None = None) -> Likeness:
    """For each grain the neighbour whose pattern resembles its own most; of all grains where it has no neighbour.

    Neighbours overlap or touch, corners included. The square root makes the noise of counts even.

    Parameters
    ----------
    patterns : ndarray, (g, q_y, q_x)
        Mean pattern of each grain; values that are not finite count as 0.
    grains : Grains
    keep : ndarray of bool, (q_y, q_x), optional
        True = compare; `compared_pixels` gives those beyond the direct beam.

    Raises
    ------
    DataError
        If there are not as many patterns as grains, or none of their pixels is kept.
    """
    if len(patterns) != len(grains):
        raise DataError(f"There are {len(patterns)} patterns of {len(grains)} grains; measure the grains first.")
    if keep is not None and not keep.any():
        raise DataError("The mask leaves no pixel to compare patterns by.")
    count = len(grains)
    if count < 2:
        nobody = np.zeros(count, np.int64)
        return Likeness(nobody, np.full(count, np.nan), nobody.astype(bool))
    r = _correlation(patterns, keep)
    touching = _touching(grains.masks)
    np.fill_diagonal(r, -np.inf)
    np.fill_diagonal(touching, False)
    has_neighbour = np.any(touching, axis=1)
    r[has_neighbour[:, None] & ~touching] = -np.inf
    best = r.argmax(axis=1)
    return Likeness(grains.ids[best], r[np.arange(count), best], has_neighbour)


def compared_pixels(geometry: Geometry) -> np.ndarray:
    """The pixels (q_y, q_x) that patterns are compared by: those that are kept and lie beyond the direct beam."""
    rows, columns = geometry.detector_shape
    y, x = np.ogrid[:rows, :columns]
    beyond = np.hypot(y - geometry.q_y, x - geometry.q_x) > BEYOND * geometry.probe_radius
    return beyond if geometry.mask is None else beyond & geometry.mask


def difference(pattern: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A pattern less another one, scaled to the same sum: positive where it is the brighter; float32, in its counts.

    Parameters
    ----------
    pattern, other : ndarray, (q_y, q_x)
        Values that are not finite count as 0; one without counts is left as it is.
    """
    mine, its = (np.nan_to_num(p.astype(np.float64), nan=0, posinf=0, neginf=0) for p in (pattern, other))
    total = its.sum()
    return (mine - its * (mine.sum() / total if total > 0 else 1.0)).astype(np.float32)


def _correlation(patterns: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    """Pearson's r of the square roots of all pairs, (g, g) float64; 0 with a pattern without contrast."""
    flat = patterns.reshape(len(patterns), -1) if keep is None else patterns[:, keep]
    values = np.sqrt(np.clip(np.nan_to_num(flat, nan=0, posinf=0, neginf=0), 0, None), dtype=np.float32)
    values -= values.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    r = (values @ values.T).astype(np.float64) * inverse[:, None] * inverse
    return np.clip(r, -1.0, 1.0)


def _touching(masks: np.ndarray) -> np.ndarray:
    """(g, g) whether two grains share a position or hold neighbouring ones."""
    wide = masks.copy()
    wide[:, 1:] |= masks[:, :-1]
    wide[:, :-1] |= masks[:, 1:]
    tall = wide.copy()
    wide[:, :, 1:] |= tall[:, :, :-1]
    wide[:, :, :-1] |= tall[:, :, 1:]
    return np.asarray((flat_masks(masks) @ flat_masks(wide).T).toarray() > 0)
