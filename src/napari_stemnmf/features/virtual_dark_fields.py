"""VDF, virtual dark fields of tracked spots: for each track of a Bragg spot, its intensity where its grain may be.

The matrix (positions, tracks) is sparse: a dark field is taken where its track is and a few positions around it, so it
grows with the scan and not with its square. After virtual dark-field segmentation (Bergh et al., J. Microsc. 279
(2020) 158), with spots that are followed through the scan in place of masks that are drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.compiled import njit
from napari_stemnmf.dataset import Dataset, index_type
from napari_stemnmf.disks.clarity import third_brightest
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.tracks import Tracks, follow
from napari_stemnmf.features.dark_fields import Apertures, DarkFields, apertures, standard_errors
from napari_stemnmf.features.features import Features
from napari_stemnmf.preprocessing.pooling import advised, weights
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.representation_settings import VirtualDarkFieldSettings
from napari_stemnmf.streaming.engine import BlockResult, PassResult


def pooling_of(dataset: Dataset, peaks: Peaks, calibration: Calibration, left_out: np.ndarray | None = None) -> float:
    """How far to pool a scan so that its spots can be followed: sigma in positions, 0 for not at all.

    `left_out` (scan_y, scan_x) are odd patterns, which tell nothing.
    """
    centre, radius = (calibration.geometry.q_y, calibration.geometry.q_x), calibration.geometry.probe_radius
    return advised(dataset, third_brightest(peaks, centre, radius), centre, radius, left_out)


class VirtualDarkFields:
    """The `Kernel` of all dark fields of a scan, ragged by pattern, and what its results are put together with.

    Where patterns are `pooled` (the scan, and sigma in positions) it reads those, as its ``dataset``. `gain` is the
    scan's (`Probe.gain`), 0 where it is not known: then each pattern is asked.
    """

    def __init__(
        self,
        peaks: Peaks,
        calibration: Calibration,
        survey: Survey,
        settings: VirtualDarkFieldSettings | None = None,
        gain: float = 0.0,
        pooled: tuple[Dataset, float] | None = None,
    ) -> None:
        geometry, self.gain = calibration.geometry, gain
        self.dataset: Dataset | None
        self.dataset, self.pooling = (None, 0.0) if pooled is None else pooled
        self.tracks: Tracks = follow(peaks, calibration.origin, geometry.probe_radius, settings)
        self.where: Apertures = apertures(self.tracks, calibration)
        self.geometry, self.left_out = geometry, survey.left_out
        brighter = float(weights(self.pooling).sum()) ** 2 if self.pooling else 1.0
        self.beam = float(np.asarray(survey.mean, np.float64).sum()) * brighter
        self._measure = DarkFields(self.where, geometry.probe_radius, geometry.mask, gain)

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """The dark fields at the positions of one block."""
        return self._measure(block, positions)

    def features(self, found: PassResult) -> Features:
        """The `Features` from what the kernel found over the whole scan.

        ``vdf``: values (n, tracks) csr_array, in the unit of the data, below zero where there is noise alone. Columns:
        ``q_y``, ``q_x`` [px] of the track from the direct beam, on the detector; its ``radius`` [px] and ``azimuth``
        [deg] with the ellipse undone; the ``scatter`` of its place [px]. Details: along the values that are stored,
        ``sigma`` [as the values] and whether a disk was ``detected``; ``beam``, sum of a mean pattern (as pooled);
        ``probe_radius`` [px]; ``pooling`` [positions], sigma by which patterns were pooled. At odd patterns values and
        errors are as around them.
        """
        tracks, where = self.tracks, self.where
        values = self._matrix(found.ragged["intensity"])
        sigma = self._matrix(standard_errors(found.ragged, self.gain))
        if self.left_out is not None and self.left_out.any():
            bridge(values, sigma, self.left_out)
        y, x, scatter = tracks.means()
        radius, azimuth = self.geometry.to_polar(y + self.geometry.q_y, x + self.geometry.q_x)
        columns = {"q_y": y, "q_x": x, "radius": radius, "azimuth": azimuth, "scatter": scatter}
        detected = np.zeros(len(where.track), bool)
        _mark(where.offsets, where.track, tracks.offsets, tracks.position, detected)
        details: dict[str, Any] = {
            "sigma": sigma.data,
            "detected": detected,
            "beam": self.beam,
            "probe_radius": self.geometry.probe_radius,
            "pooling": float(self.pooling),
        }
        return Features("vdf", values, columns, (), tracks.scan_shape, details)

    def _matrix(self, entries: np.ndarray) -> csr_array:
        """(n, tracks) what was found in the apertures."""
        n = int(np.prod(self.tracks.scan_shape))
        offsets = self.where.offsets.astype(index_type(len(self.where.track)))
        return csr_array((entries, self.where.track, offsets), shape=(n, len(self.tracks)))


def bridge(values: csr_array, sigma: csr_array, left_out: np.ndarray) -> None:
    """Give the dark fields at odd patterns, in place, the mean of their known neighbours.

    Otherwise one bright or broken pattern in a grain would outshine the rest of it.

    Parameters
    ----------
    values, sigma : csr_array
        (n, tracks) dark fields and their standard errors, with the same stored places. Where no neighbour is known the
        value is 0 and the error infinite, as behind a mask.
    left_out : ndarray of bool
        (scan_y, scan_x) the odd patterns.
    """
    odd = np.flatnonzero(left_out.ravel())
    beside = _beside(odd, left_out)
    entry = np.concatenate([np.arange(values.indptr[i], values.indptr[i + 1]) for i in odd])
    asked = np.repeat(np.arange(len(odd)), np.diff(values.indptr)[odd]), values.indices[entry]
    values.data[entry] = sigma.data[entry] = 0.0  # what is no number spreads in a product, though it counts for nothing
    ones = csr_array((np.ones(len(values.data), np.int8), values.indices, values.indptr), shape=values.shape)
    count, total, error = (np.asarray((beside @ part).tocsr()[asked]).ravel() for part in (ones, values, sigma))
    values.data[entry] = np.where(count > 0, total / np.maximum(count, 1), 0.0)
    sigma.data[entry] = np.where(count > 0, error / np.maximum(count, 1), np.inf)


def _beside(odd: np.ndarray, left_out: np.ndarray) -> csr_array:
    """(odd, n) ones at the up to eight neighbours of each odd position that are not odd themselves."""
    rows, columns = left_out.shape
    step = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j])
    y, x = (part[:, None] + side for part, side in zip(np.divmod(odd, columns), step.T, strict=True))
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    inside[inside] &= ~left_out[y[inside], x[inside]]
    which = np.nonzero(inside)[0]
    at = (y * columns + x)[inside]
    return csr_array((np.ones(len(at), np.float32), (which, at)), shape=(len(odd), left_out.size))


@njit(cache=True, nogil=True)
def _mark(offsets, track, of_tracks, position, detected):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Mark the aperture of each disk of each track; `track` ascends within a position."""
    for t in range(len(of_tracks) - 1):
        for k in range(of_tracks[t], of_tracks[t + 1]):
            first, last = offsets[position[k]], offsets[position[k] + 1]
            detected[first + np.searchsorted(track[first:last], t)] = True
