"""The Bragg disks of each grain, without those of its neighbours: what is indexed, and handed to other tools.

A grain of tracked spots has the disks of its tracks. Any other grain, of NMF or drawn by hand, gets its disks from the
patterns it lies on: places at which disks recur there, each measured by how its height goes with the grain's weight and
not with that of the grains that overlap it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.sparse import csr_array

from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.errors import AnalysisError, DataError
from napari_stemnmf.features.features import Features
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.recurrence import REACH, Disks

SHARE = 0.15
"""Least share of a grain's weight at which a place must hold a disk, for it to be the grain's."""
CLEAR = 3.0
"""Standard errors above zero that the grain's own part of a disk is at least."""
AROUND = 3
"""Positions around a grain from which it is learned what is its neighbours'."""
MOST = 60
"""Places that are looked at in a grain, the most frequent first."""


@dataclass(frozen=True)
class GrainDisks:
    """Bragg disks by grain, a row each; those of a grain are together, the brightest first.

    Attributes
    ----------
    grain : ndarray of int64
        (n,) id of the grain.
    q_x, q_y : ndarray of float32
        (n,) from the direct beam, in 1/nm, descan and ellipse undone.
    intensity, error : ndarray of float32
        (n,) mean over the grain, weighted as the grain is, and its standard error; in the unit of the scan's values.
    """

    grain: np.ndarray
    q_x: np.ndarray
    q_y: np.ndarray
    intensity: np.ndarray
    error: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.grain)
        if any(np.shape(getattr(self, name)) != (n,) for name in ("q_x", "q_y", "intensity", "error")):
            raise DataError(f"The columns of a table of {n} disks are of different lengths.")

    def __len__(self) -> int:
        return len(self.grain)

    def of(self, grain: int) -> GrainDisks:
        """The disks of one grain."""
        rows = self.grain == grain
        return GrainDisks(self.grain[rows], self.q_x[rows], self.q_y[rows], self.intensity[rows], self.error[rows])


def grain_disks(analysis: Any, representation: str = "vdf") -> GrainDisks:
    """The Bragg disks of each grain of a representation.

    Parameters
    ----------
    analysis : Analysis
        Disks, calibration and grains are used; of VDF, features and groups too. The scan is not read.
    representation : str

    Raises
    ------
    AnalysisError
        If there are no grains of the representation.
    DataError
        If the detector is not calibrated in a reciprocal length.
    """
    if representation not in analysis.grains or analysis.calibration is None or analysis.peaks is None:
        raise AnalysisError(f"There are no grains of {representation.upper()} yet; run the step 'refine' first.")
    grains: Grains = analysis.grains[representation]
    calibration: Calibration = analysis.calibration
    scale = per_nanometre(analysis)
    groups, features = analysis.models.get(representation), analysis.features.get(representation)
    tracked = isinstance(groups, Groups) and features is not None
    parts, others = [], None
    for row in range(len(grains)):
        if tracked and grains.component[row] >= 0:
            found = _of_tracks(grains, row, groups, features, calibration)
        else:
            others = others or Disks.of(analysis.peaks, calibration)
            found = _of_positions(grains, row, others)
        q_y, q_x, intensity, error = found
        order = np.argsort(-intensity, kind="stable")
        parts.append((np.full(len(order), grains.ids[row]), *(each[order] for each in (q_x, q_y, intensity, error))))
    if not parts:
        return GrainDisks(np.empty(0, np.int64), *(np.empty(0, np.float32) for _ in range(4)))
    grain, q_x, q_y, intensity, error = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    as_is = (np.asarray(values, np.float32) for values in (q_x * scale, q_y * scale, intensity, error))
    return GrainDisks(grain.astype(np.int64), *as_is)


def per_nanometre(analysis: Any) -> float:
    """Size of a detector pixel in 1/nm.

    Raises
    ------
    DataError
        If it is not known.
    """
    calibration, factor = analysis.calibration, {"1/nm": 1.0}.get(analysis.calibration.pixel_unit)
    if factor is None or not calibration.pixel_size > 0:
        raise DataError(
            f"The detector of {analysis.input.name} is not calibrated in 1/nm, so d-spacings are not known; "
            "set pixel_size.d_spacing in the recipe, or calibrate the scan's file."
        )
    return float(calibration.pixel_size * factor)


def _of_tracks(
    grains: Grains, row: int, groups: Groups, features: Features, calibration: Calibration
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """q_y, q_x (px), intensity and its error of the tracks of a grain's group."""
    at, weight = grains.part(row)
    own = np.flatnonzero(groups.group == grains.component[row])
    y, x = calibration.geometry.straighten(features.columns["q_y"][own], features.columns["q_x"][own])
    weight = weight if weight.any() else np.ones(len(at), np.float32)
    fields = csr_array(features.values)
    squares = csr_array((np.square(features.details["sigma"]), fields.indices, fields.indptr), shape=fields.shape)
    values, squares = fields[at][:, own].toarray(), squares[at][:, own].toarray()
    known = np.isfinite(squares) & (squares > 0)  # where an aperture was
    share = weight[:, None].astype(np.float64) * known
    total = np.maximum(share.sum(axis=0), 1e-12)
    intensity = (share * np.where(known, values, 0)).sum(axis=0) / total
    error = np.sqrt((share**2 * np.where(known, squares, 0)).sum(axis=0)) / total
    there = known.any(axis=0) & (intensity > 0)
    return y[there], x[there], intensity[there], error[there]


def _of_positions(grains: Grains, row: int, disks: Disks) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same of the disks that recur at a grain's positions, as far as they go with the grain and not its neighbours.

    At each place, heights at the positions in and around the grain are fitted by the weights of the grain and of all
    that overlap it there, none below zero.
    """
    empty = (np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    at, _ = grains.part(row)
    if not len(at):
        return empty
    box = _box(at, grains.scan_shape, AROUND)
    weights = grains.inside[:, box]
    near = np.flatnonzero(np.diff(weights.indptr))
    design = weights[near].toarray().T.astype(np.float64)
    design /= np.maximum(design.max(axis=0), 1e-12)
    own = int(np.flatnonzero(near == row)[0])
    if not design[:, own].any():
        design[np.isin(box, at), own] = 1.0
    inside = np.isin(disks.at, at)
    part = disks._replace(q=disks.q[inside], at=disks.at[inside], height=disks.height[inside])
    places, _ = part.places()
    around = np.flatnonzero(np.isin(disks.at, box))
    index = np.searchsorted(box, disks.at[around])
    total, found = design[:, own].sum(), []
    for place in places[:MOST]:
        close = np.hypot(*(disks.q[around] - place).T) <= REACH * disks.radius
        if not close.any():
            continue
        height = np.zeros(len(box))
        np.maximum.at(height, index[close], disks.height[around][close])
        if design[height > 0, own].sum() < SHARE * total:
            continue
        share, left = nnls(design, height)
        spread = left**2 / max(len(box) - len(near), 1)
        error = np.sqrt(spread / max((design[:, own] ** 2).sum(), 1e-12))
        if share[own] <= CLEAR * error:
            continue
        mine = design[index[close], own] > 0
        use = np.where(mine, disks.height[around][close] * design[index[close], own], 0.0)
        centre = (use[:, None] * disks.q[around][close]).sum(axis=0) / max(use.sum(), 1e-12)
        found.append((*centre, share[own] * _mean(design[:, own]), error))
    return tuple(np.array(found).T) if found else empty  # type: ignore[return-value]


def _mean(weight: np.ndarray) -> float:
    """Mean of a weight over itself."""
    return float((weight**2).sum() / max(weight.sum(), 1e-12))


def _box(at: np.ndarray, scan_shape: tuple[int, int], around: int) -> np.ndarray:
    """Flat positions of the rectangle around some, and a margin."""
    y, x = np.divmod(at.astype(np.int64), scan_shape[1])
    rows = np.arange(max(y.min() - around, 0), min(y.max() + around + 1, scan_shape[0]))
    columns = np.arange(max(x.min() - around, 0), min(x.max() + around + 1, scan_shape[1]))
    return np.asarray((rows[:, None] * scan_shape[1] + columns).ravel())
