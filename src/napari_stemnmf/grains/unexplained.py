"""What no grain explains: the share of the diffracted intensity of each pattern that belongs to no grain.

A disk is explained where it lies at the place of a spot of a grain that is there, or so near that the scan's blur
brings its light. For grains of NMF, whose components
tell no spots apart, all disks of a position are explained where a grain is.
"""

from __future__ import annotations

from typing import Any

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
    height = np.bincount(peaks.pattern, _diffracted(peaks, calibration)[2], len(peaks.central))
    known = np.isfinite(share.ravel()) & (height > 0)
    return float(np.average(share.ravel()[known], weights=height[known])) if known.any() else float("nan")


def _diffracted(peaks: Peaks, calibration: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each disk, displacement q_y and q_x from its centre, px, and height; 0 for those of the direct beam."""
    centre = calibration.origin.reshape(-1, 2)[peaks.pattern]
    y, x = peaks.q_y - centre[:, 0], peaks.q_x - centre[:, 1]
    beyond = (np.hypot(y, x) > DIRECT_BEAM * calibration.geometry.probe_radius) & (peaks.height > 0)
    return y, x, np.where(beyond & np.isfinite(peaks.height), peaks.height, 0.0)


def _heights(
    grains: Grains, model: Any, features: Features | None, peaks: Peaks, calibration: Calibration
) -> tuple[np.ndarray, np.ndarray]:
    """Summed heights at each position (n,): of all diffracted disks, and of those that are explained."""
    y, x, height = _diffracted(peaks, calibration)
    n = len(peaks.central)
    diffracted = np.bincount(peaks.pattern, height, n)
    if not isinstance(model, Groups) or features is None:
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
    explained = _explained(
        peaks.offsets, y, x, height, values.indptr, values.indices, grain, *place, near.indptr, near.indices, reach  # type: ignore[union-attr]
    )  # fmt: skip
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
