"""Bragg disks that recur: whether the patterns of a region share one, as those of a crystal do.

A Bragg disk of a crystal lies at one place in all its patterns, after descan and ellipse are undone. Disks that are
found in speckle and noise lie anywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_stemnmf.calibration.geometry import Calibration, centred
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.tracks import DIRECT_BEAM
from napari_stemnmf.grains.refinement import EIGHT_NEIGHBOURS, coherence

REACH = 0.75
"""Of a disk from the place of its reflection, in probe radii."""
SPREAD = 0.3  # of the disks of one reflection about its place, in probe radii
SHARED, COHERENT = 0.25, 0.45  # least share of patterns, and coherence, of a disk that tells of a crystal
NEARLY_ALL, LOOSER = 0.75, 0.3  # from this share on the coherence may be less: a small grain is mostly border
EVERYWHERE = 0.9  # share of the patterns in and around a region, from which on a disk is taken to be in all of them
MOST, APART = 16, 1.2  # places that are looked for in a region, and their least distance in probe radii
AROUND = 12  # positions around a region that its reflection is looked at in


class Disks(NamedTuple):
    """The calibrated disks of a scan beyond the direct beam, in the order of the positions."""

    q: np.ndarray
    """(n, 2) displacement (q_y, q_x) from the beam, px."""
    at: np.ndarray
    """(n,) flat probe position."""
    height: np.ndarray
    """(n,) counts a pixel."""
    radius: float
    """Of the probe, px."""
    scan_shape: tuple[int, int]
    able: bool = True
    """Whether disks are found at all: the direct beam in most patterns."""

    @classmethod
    def of(cls, peaks: Peaks, calibration: Calibration) -> Disks:
        """Those of a scan."""
        radius = calibration.geometry.probe_radius
        q = np.stack(centred(peaks, calibration), axis=1)
        used = (np.hypot(*q.T) >= DIRECT_BEAM * radius) & (peaks.height > 0) & np.isfinite(peaks.height)
        able = bool(np.isfinite(peaks.central).all(axis=1).mean() > 0.5)
        return cls(q[used], peaks.pattern[used], peaks.height[used], radius, peaks.scan_shape, able)

    @property
    def recurring(self) -> bool:
        """Whether neighbouring patterns share a disk anywhere."""
        n = int(np.prod(self.scan_shape))
        for place in self.places()[0][:20]:
            seen = np.zeros(n, bool)
            seen[self.at[np.hypot(*(self.q - place).T) <= REACH * self.radius]] = True
            if seen.mean() > 0.9 or coherence(seen.reshape(self.scan_shape).astype(np.float32)) >= COHERENT:
                return True
        return False

    def places(self, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Where disks recur, (r, 2) px, and how often (r,), the most frequent first: maxima of their density."""
        q = self.q[rows]
        if not len(q):
            return np.zeros((0, 2)), np.zeros(0)
        side = max(SPREAD * self.radius / 2, 0.2)
        low = q.min(axis=0) - 4 * self.radius
        cells = np.ceil((q.max(axis=0) + 4 * self.radius - low) / side).astype(int) + 1
        cell = np.round((q - low) / side).astype(np.int64)
        count = np.bincount(cell[:, 0] * cells[1] + cell[:, 1], minlength=int(cells.prod())).reshape(cells)
        sigma = SPREAD * self.radius / side
        density = ndimage.gaussian_filter(count.astype(np.float32), sigma, mode="constant") * (2 * np.pi * sigma**2)
        top = (density == ndimage.maximum_filter(density, 2 * round(self.radius / side) + 1)) & (density > 0.5)
        order = np.argsort(-density[top], kind="stable")
        return np.argwhere(top)[order] * side + low, density[top][order]


def holds_crystal(mask: np.ndarray, disks: Disks, least_share: float = SHARED) -> bool:
    """Whether the patterns of a region (scan_y, scan_x) share a Bragg disk that comes and goes as crystals do.

    Speckle and noise put disks anywhere: few patterns share a place, and their neighbours do not.
    """
    share, coherent = recurrence(mask, disks)
    return share >= least_share and coherent >= (COHERENT if share < NEARLY_ALL else LOOSER)


def recurrence(mask: np.ndarray, disks: Disks) -> tuple[float, float]:
    """How far the patterns of a region (scan_y, scan_x) share a Bragg disk, at the place where most have one.

    Returns
    -------
    share : float
        Of the region's patterns that hold it.
    coherence : float
        Of the map of that disk in and around the region: near 1 for crystals, near 0 for speckle.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0.0, 0.0
    around = tuple(
        slice(max(0, int(v[0]) - AROUND), min(n, int(v[-1]) + 1 + AROUND))
        for v, n in zip((rows, columns), mask.shape, strict=True)
    )
    width = mask.shape[1]
    band = slice(*np.searchsorted(disks.at, (around[0].start * width, around[0].stop * width)))
    q, at = disks.q[band], disks.at[band]
    best, share = np.zeros(mask.shape, bool), 0.0
    for place in _frequent(q[mask.ravel()[at]], disks.radius):
        seen = np.zeros(mask.size, bool)
        seen[at[np.hypot(*(q - place).T) <= REACH * disks.radius]] = True
        found = float(seen[mask.ravel()].mean())
        if found > share:
            best, share = seen.reshape(mask.shape), found
    here = best[around]
    return share, 1.0 if here.mean() >= EVERYWHERE else coherence(here.astype(np.float32))


def spots(mask: np.ndarray, disks: Disks) -> np.ndarray:
    """Each disk that recurs in a region (scan_y, scan_x), the frequent first: (spots, 2).

    That is the share of the region's patterns that hold it, and how well it shows the outline: the IoU of the region
    with where it is seen, blurred by a position; pieces apart from the region do not count.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros((0, 2))
    top, left = max(0, int(rows[0]) - AROUND), max(0, int(columns[0]) - AROUND)
    here = mask[top : int(rows[-1]) + 1 + AROUND, left : int(columns[-1]) + 1 + AROUND]
    width = mask.shape[1]
    band = slice(*np.searchsorted(disks.at, (top * width, (top + here.shape[0]) * width)))
    y, x = np.divmod(disks.at[band], width)
    near = (x >= left) & (x < left + here.shape[1])
    q, y, x = disks.q[band][near], y[near] - top, x[near] - left
    found = []
    for place in _places(q[here[y, x]], disks.radius, SHARED * int(here.sum())):
        its = np.hypot(*(q - place).T) <= REACH * disks.radius
        seen = np.zeros(here.shape)
        seen[y[its], x[its]] = 1.0
        labels, count = ndimage.label(ndimage.gaussian_filter(seen, 1.0) > 0.5, EIGHT_NEIGHBOURS)
        inside = np.bincount(labels[here], minlength=count + 1)
        inside[0] = 0
        piece = labels == inside.argmax() if inside.any() else np.zeros(here.shape, bool)
        found.append((seen[here].mean(), (piece & here).sum() / (piece | here).sum()))
    return np.array(found).reshape(-1, 2)


def _places(q: np.ndarray, radius: float, least: float) -> list[np.ndarray]:
    """Up to `MOST` places (q_y, q_x) apart where `least` points (n, 2) or more lie; the densest first."""
    if not len(q):
        return []
    side = 0.5 * radius
    low = q.min(axis=0) - side
    cell = np.round((q - low) / side).astype(np.int64)
    shape = tuple(cell.max(axis=0) + 2)
    count = np.zeros(shape)
    np.add.at(count, (cell[:, 0], cell[:, 1]), 1.0)
    left, places = np.ones(len(q), bool), []
    for _ in range(MOST):
        dense = 9 * ndimage.uniform_filter(count, 3, mode="constant")
        top = np.unravel_index(int(dense.argmax()), shape)
        near = left & (np.hypot(*(q - (np.array(top) * side + low)).T) <= radius)
        if dense[top] < least or not near.any():
            break
        place = np.median(q[near], axis=0)
        near = left & (np.hypot(*(q - place).T) <= APART * radius)
        if np.count_nonzero(near) >= least:
            places.append(place)
        left &= ~near
        np.subtract.at(count, (cell[near, 0], cell[near, 1]), 1.0)
        count[top] = 0.0
    return places


def _frequent(q: np.ndarray, radius: float, most: int = 3) -> list[np.ndarray]:
    """Up to `most` places (q_y, q_x) where points (n, 2) lie densest."""
    if not len(q):
        return []
    side = 0.5 * radius
    low = q.min(axis=0) - side
    cell = np.round((q - low) / side).astype(np.int64)
    shape = cell.max(axis=0) + 2
    count = np.bincount(cell[:, 0] * shape[1] + cell[:, 1], minlength=int(shape.prod())).reshape(shape)
    dense = ndimage.uniform_filter(count.astype(np.float64), 3, mode="constant")
    places = []
    for flat in np.argsort(-dense, axis=None, kind="stable")[:most]:
        place = np.array(np.unravel_index(flat, dense.shape)) * side + low
        near = np.hypot(*(q - place).T) <= radius
        places.append(np.median(q[near], axis=0) if near.any() else place)
    return places
