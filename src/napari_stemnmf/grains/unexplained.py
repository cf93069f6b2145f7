"""What no grain explains: the share of the diffracted intensity of each pattern that belongs to no grain.

A disk is explained where it lies at the place of a spot of a grain that is there, or so near that the scan's blur
brings its light. For grains of NMF, whose components
tell no spots apart, all disks of a position are explained where a grain is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.compiled import njit
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.tracks import DIRECT_BEAM
from napari_stemnmf.features.dark_fields import AROUND
from napari_stemnmf.features.features import Features
from napari_stemnmf.grains.grains import Grains, grown

NEAR = 1.0
"""Probe radii from a spot within which a disk is taken for it."""
AT_A_TIME = 65536
"""Patterns whose disks are looked at together."""


def unexplained(
    grains: Grains, model: Any, features: Features | None, peaks: Peaks, calibration: Calibration
) -> np.ndarray:
    """Share of the heights of the disks beyond the direct beam that no grain explains.

    Parameters
    ----------
    grains : Grains
    model, features
        The groups of spots and the tracks (VDF) that the grains came from, or those of another representation.
    peaks, calibration
        The disks of every pattern, and where they lie.

    Returns
    -------
    ndarray of float32, (scan_y, scan_x)
        0 to 1; NaN at positions without such a disk.
    """
    diffracted, known = _heights(grains, model, features, peaks, calibration)
    share = np.divide(diffracted - known, diffracted, out=np.full(len(known), np.nan), where=diffracted > 0)
    return share.reshape(peaks.scan_shape).astype(np.float32)


def whole(share: np.ndarray, peaks: Peaks, calibration: Calibration) -> float:
    """The share of a whole scan, from that of each position: weighed by what is diffracted there; NaN if nothing is."""
    height = np.concatenate([np.zeros(0), *(part.summed() for part in _parts(peaks, calibration))])
    known = np.isfinite(share.ravel()) & (height > 0)
    return float(np.average(share.ravel()[known], weights=height[known])) if known.any() else float("nan")


class _Part(NamedTuple):
    """The disks of some patterns one after the other: displacement from the centre, px, and height."""

    first: int
    offsets: np.ndarray
    y: np.ndarray
    x: np.ndarray
    height: np.ndarray
    """0 for those of the direct beam."""

    def summed(self) -> np.ndarray:
        """Heights of each pattern."""
        pattern = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        return np.asarray(np.bincount(pattern, self.height, len(self.offsets) - 1), np.float64)


def _parts(peaks: Peaks, calibration: Calibration) -> Iterator[_Part]:
    """The disks of a scan, some patterns at a time."""
    centres, nearest = calibration.origin.reshape(-1, 2), DIRECT_BEAM * calibration.geometry.probe_radius
    for first in range(0, len(centres), AT_A_TIME):
        offsets = peaks.offsets[first : first + AT_A_TIME + 1]
        own = slice(int(offsets[0]), int(offsets[-1]))
        centre = np.repeat(centres[first : first + AT_A_TIME], np.diff(offsets), axis=0)
        y, x, height = peaks.q_y[own] - centre[:, 0], peaks.q_x[own] - centre[:, 1], peaks.height[own]
        beyond = (np.hypot(y, x) > nearest) & (height > 0) & np.isfinite(height)
        yield _Part(first, offsets - offsets[0], y, x, np.where(beyond, height, 0.0))


def _heights(
    grains: Grains, model: Any, features: Features | None, peaks: Peaks, calibration: Calibration
) -> tuple[np.ndarray, np.ndarray]:
    """Summed heights at each position (n,): of all diffracted disks, and of those that are explained."""
    parts = _parts(peaks, calibration)
    if not isinstance(model, Groups) or features is None:
        diffracted = np.concatenate([part.summed() for part in parts])
        return diffracted, np.where(grains.overlap.ravel() > 0, diffracted, 0.0)
    of_group = np.full(model.k + 1, -1)  # the grain of each group; of several, the last: they are alike
    of_group[grains.component] = np.arange(len(grains))
    of_group[-1] = -1
    grain = of_group[model.group]
    values = features.values
    there = np.flatnonzero(grains.component < 0)  # drawn by hand: all that is there
    by_hand = np.asarray(grains.flat[there].sum(axis=0)).ravel() > 0
    place = features.columns["q_y"], features.columns["q_x"]
    reach = NEAR * float(features.details["probe_radius"])
    near = csr_array(grown(grains, AROUND).T)  # by position: the grains that are there or beside it
    diffracted, explained = np.zeros((2, len(by_hand)))
    for part in parts:
        own = slice(part.first, part.first + len(part.offsets) - 1)
        tracks = values.indptr[part.first :], values.indices  # type: ignore[union-attr]
        beside = near.indptr[part.first :], near.indices
        diffracted[own] = part.summed()
        explained[own] = _explained(*part[1:], *tracks, grain, *place, *beside, reach)
    return diffracted, np.where(by_hand, diffracted, explained)


@njit(cache=True, nogil=True)
def _among(wanted, listed):  # type: ignore[no-untyped-def]  # pragma: no cover
    for each in listed:  # noqa: SIM110, a few grains
        if each == wanted:
            return True
    return False


@njit(cache=True, nogil=True)
def _explained(offsets, y, x, height, starts, tracks, grain, q_y, q_x, first, near, reach):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = len(offsets) - 1
    out = np.zeros(n)
    for p in range(n):
        for disk in range(offsets[p], offsets[p + 1]):
            for k in range(starts[p], starts[p + 1]):
                track = tracks[k]
                g = grain[track]
                if (
                    g >= 0
                    and _among(g, near[first[p] : first[p + 1]])
                    and np.hypot(y[disk] - q_y[track], x[disk] - q_x[track]) <= reach
                ):
                    out[p] += height[disk]
                    break
    return out
