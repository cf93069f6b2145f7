"""Bragg vectors as other programs take them: those of each grain alone, and those of each position of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.calibration.geometry import Calibration, centred
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.formats import Source
from napari_stemnmf.orientation.disks import grain_disks, per_nanometre


@dataclass(frozen=True, eq=False)
class Vectors:
    """Ragged vectors: those of cell i are the rows ``offsets[i]`` to ``offsets[i + 1]``.

    Attributes
    ----------
    offsets : ndarray of int64
        (cells + 1,)
    q_y, q_x : ndarray of float64
        (n,) from the direct beam, in 1/nm, descan and ellipse undone.
    intensity : ndarray of float64
        (n,)
    """

    offsets: np.ndarray
    q_y: np.ndarray
    q_x: np.ndarray
    intensity: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1


def of_grains(source: Source, feature: str) -> Vectors:
    """The vectors of the grains that were chosen, in their order.

    Raises
    ------
    AnalysisError, DataError
        If there are no grains, or the detector is not calibrated in 1/nm.
    """
    disks = grain_disks(source.analysis, feature)  # of all grains: those of rejected neighbours are told apart as well
    order = {int(i): row for row, i in enumerate(source.shown.grains[feature].ids)}
    rows = np.array([order.get(int(grain), -1) for grain in disks.grain], np.int64)
    kept = np.flatnonzero(rows >= 0)
    kept = kept[np.argsort(rows[kept], kind="stable")]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=len(order)))])
    columns = (np.asarray(part[kept], np.float64) for part in (disks.q_y, disks.q_x, disks.intensity))
    return Vectors(offsets.astype(np.int64), *columns)


def of_scan(analysis: Analysis) -> Vectors:
    """The vectors of each position, in the order of the scan.

    Raises
    ------
    AnalysisError, DataError
        If no disks were found yet, or the detector is not calibrated in 1/nm.
    """
    peaks, calibration = found_disks(analysis)
    scale = per_nanometre(analysis)
    q_y, q_x = (np.asarray(part, np.float64) * scale for part in centred(peaks, calibration))
    return Vectors(peaks.offsets, q_y, q_x, peaks.height.astype(np.float64))


def found_disks(analysis: Analysis) -> tuple[Peaks, Calibration]:
    """The disks of all positions, and the calibration; an AnalysisError where there are none."""
    if analysis.peaks is None or analysis.calibration is None:
        raise AnalysisError("There are no disks yet, or they are not calibrated; run the step 'calibrate' first.")
    return analysis.peaks, analysis.calibration


def centre_of_grains(source: Source, feature: str) -> np.ndarray:
    """(g, 2) where the direct beam is on the mean pattern of each grain (q_y, q_x), px."""
    grains, (_, calibration) = source.shown.grains[feature], found_disks(source.analysis)
    origin = calibration.origin.reshape(-1, 2).astype(np.float64)
    centres = np.empty((len(grains), 2))
    for index in range(len(grains)):
        at, weights = grains.part(index)
        weights = weights if weights.any() else np.ones(len(at), np.float32)
        centres[index] = np.average(origin[at], axis=0, weights=weights) if len(at) else origin.mean(axis=0)
    return centres


def kilovolts(analysis: Analysis) -> float | None:
    """Energy of the beam in keV, where the scan's file tells it."""
    known = analysis.input.metadata.get("beam_energy_keV")
    return float(known) if known is not None else None
